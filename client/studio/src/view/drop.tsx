/** Takes files and texts that are dropped anywhere on the page. */
import { Show, createSignal, onCleanup, onMount } from "solid-js";

import { openFile } from "../state/actions";
import { t } from "../text";

export function DropZone() {
  const [depth, setDepth] = createSignal(0);
  onMount(() => {
    // Text that is dragged within a field belongs to the field.
    const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const listeners: readonly (readonly [string, (event: DragEvent) => void])[] = [
      ["dragenter", (event) => hasFile(event) && setDepth(depth() + 1)],
      ["dragleave", (event) => hasFile(event) && setDepth(Math.max(0, depth() - 1))],
      [
        "dragover",
        (event) => {
          if (hasFile(event)) {
            event.preventDefault();
          }
        },
      ],
      [
        "drop",
        (event) => {
          setDepth(0);
          if (hasFile(event)) {
            event.preventDefault();
            const file = event.dataTransfer?.files[0];
            if (file) {
              void openFile(file);
            }
          }
        },
      ],
    ];
    for (const [name, listener] of listeners) {
      document.addEventListener(name, listener as EventListener, true);
    }
    onCleanup(() => {
      for (const [name, listener] of listeners) {
        document.removeEventListener(name, listener as EventListener, true);
      }
    });
  });
  return (
    <Show when={depth() > 0}>
      <div class="drop" aria-hidden="true">
        <p class="large">{t("prompt.drop")}</p>
      </div>
    </Show>
  );
}

/** Two pictures of the history in one frame, divided by a line that can be moved, and how their requests differ. */
import { For, Show, createMemo, createSignal, createUniqueId } from "solid-js";

import { differences } from "../prompt/difference";
import type { Entry } from "../state/history";
import { t } from "../text";
import { shownArtifact } from "./artifact";
import { FramedDialog } from "./dialog";

export function Compare(props: { entries: readonly Entry[]; isOpen: boolean; onClose: () => void }) {
  return (
    <FramedDialog title={t("compare.title")} isOpen={props.isOpen} onClose={props.onClose}>
      <Show when={props.entries[0]}>
        {(left) => <Show when={props.entries[1]}>{(right) => <Pair left={left()} right={right()} />}</Show>}
      </Show>
    </FramedDialog>
  );
}

function Pair(props: { left: Entry; right: Entry }) {
  const id = createUniqueId();
  const [share, setShare] = createSignal(50);
  const { address: left } = shownArtifact(() => props.left);
  const { address: right } = shownArtifact(() => props.right);
  const rows = createMemo(() => differences(props.left.job.request, props.right.job.request));
  return (
    <div class="detail">
      <div>
        <div class="compare">
          <Show when={right()}>
            {(source) => <img src={source()} alt={`${t("compare.right")}: ${props.right.title}`} />}
          </Show>
          <Show when={left()}>
            {(source) => (
              <img
                class="over"
                src={source()}
                alt={`${t("compare.left")}: ${props.left.title}`}
                style={{ "clip-path": `inset(0 ${100 - share()}% 0 0)` }}
              />
            )}
          </Show>
          <i class="divide" aria-hidden="true" style={{ left: `${share()}%` }} />
        </div>
        <label class="hidden" for={id}>
          {t("compare.slider")}
        </label>
        <input
          id={id}
          class="slider"
          type="range"
          min="0"
          max="100"
          value={share()}
          onInput={(event) => setShare(event.currentTarget.valueAsNumber)}
        />
      </div>
      <div class="detail-text">
        <h3>{t("compare.differences")}</h3>
        <Show when={rows().length > 0} fallback={<p class="faint">{t("compare.same")}</p>}>
          <div class="table" tabindex="0" role="region" aria-label={t("compare.differences")}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{t("compare.field")}</th>
                  <th scope="col">{t("compare.left")}</th>
                  <th scope="col">{t("compare.right")}</th>
                </tr>
              </thead>
              <tbody>
                <For each={rows()}>
                  {(row) => (
                    <tr>
                      <th scope="row">
                        <For each={row.field.split(/(?<=\.)/)}>
                          {(part) => (
                            <>
                              {part}
                              <wbr />
                            </>
                          )}
                        </For>
                      </th>
                      <Value of={row.left} />
                      <Value of={row.right} />
                    </tr>
                  )}
                </For>
              </tbody>
            </table>
          </div>
        </Show>
      </div>
    </div>
  );
}

/** A value of a field; a SHA-256 is shortened, and whole when it is pointed at. */
function Value(props: { of: string }) {
  const isHash = () => /^[0-9a-f]{64}$/.test(props.of);
  return (
    <td dir="auto" title={isHash() ? props.of : undefined}>
      {isHash() ? `${props.of.slice(0, 12)}…` : props.of}
    </td>
  );
}

/** Work that waits until changes pause. */
import { onCleanup } from "solid-js";

/** Does the work of an effect after a pause. When the effect runs again, the work is dropped, or aborted by its signal. */
export function afterPause(milliseconds: number, work: (signal: AbortSignal) => void): void {
  const end = new AbortController();
  const timer = setTimeout(() => {
    work(end.signal);
  }, milliseconds);
  onCleanup(() => {
    clearTimeout(timer);
    end.abort();
  });
}

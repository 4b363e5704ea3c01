/**
 * Whether the page is seen. A browser has six connections to a server without TLS, for all its tabs together, so a page
 * that is not seen holds no stream open. Nothing is lost: a stream continues behind its last event.
 */
import { createSignal } from "solid-js";

const [isVisible, setVisible] = createSignal(document.visibilityState !== "hidden");

document.addEventListener("visibilitychange", () => {
  setVisible(document.visibilityState !== "hidden");
});

export { isVisible };

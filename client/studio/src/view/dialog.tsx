/** The frame that every dialog of the studio has. */
import { type JSX, createComputed, createMemo } from "solid-js";
import { Dialog } from "@kobalte/core/dialog";

import { t } from "../text";
import { Cross } from "./icons";

/** A dialog with a title and a button that closes it. */
export function FramedDialog(props: {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  /** What gets the focus after the dialog if its opener is not on the page any more. */
  next?: () => HTMLElement | null;
  children: JSX.Element;
}) {
  let opener: Element | null = null;
  const isOpen = createMemo(() => props.isOpen);
  createComputed(() => {
    if (isOpen()) {
      opener = document.activeElement;
    }
  });
  const giveFocusBack = (): void => {
    const isThere = opener?.isConnected === true && opener !== document.body;
    const next = isThere ? opener : props.next?.();
    if (next instanceof HTMLElement) {
      next.focus({ preventScroll: true });
    }
  };
  return (
    <Dialog open={isOpen()} onOpenChange={(isOpen) => !isOpen && props.onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay class="overlay" />
        <Dialog.Content class="dialog" onCloseAutoFocus={giveFocusBack}>
          <header class="line">
            <Dialog.Title class="dialog-title">{props.title}</Dialog.Title>
            <Dialog.CloseButton class="icon-button" aria-label={t("picture.close")}>
              <Cross />
            </Dialog.CloseButton>
          </header>
          {props.children}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog>
  );
}

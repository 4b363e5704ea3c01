/** The frame that every dialog of the studio has. */
import type { JSX } from "solid-js";
import { Dialog } from "@kobalte/core/dialog";

import { t } from "../text";
import { Cross } from "./icons";

/** A dialog with a title and a button that closes it. */
export function FramedDialog(props: { title: string; isOpen: boolean; onClose: () => void; children: JSX.Element }) {
  return (
    <Dialog open={props.isOpen} onOpenChange={(isOpen) => !isOpen && props.onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay class="overlay" />
        <Dialog.Content class="dialog">
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

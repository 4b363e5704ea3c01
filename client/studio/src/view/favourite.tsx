/** Marks a job as one that a person likes. */
import { createSignal } from "solid-js";

import { t } from "../text";
import { Star } from "./icons";

export function FavouriteButton(props: {
  isLiked: boolean;
  onLike: (isLiked: boolean) => Promise<void>;
  /** What is liked, where the button has no room for words. */
  of?: string;
  class?: string;
}) {
  const [isBusy, setBusy] = createSignal(false);
  const toggle = async (): Promise<void> => {
    // Not `disabled`: that would take the focus away.
    if (!isBusy()) {
      setBusy(true);
      await props.onLike(!props.isLiked);
      setBusy(false);
    }
  };
  const name = () => (props.of === undefined ? t("favourite.mark") : `${t("favourite.mark")}: ${props.of.slice(0, 80)}`);
  return (
    <button
      type="button"
      class={`like ${props.class ?? ""}`}
      aria-pressed={props.isLiked}
      aria-label={name()}
      title={t("favourite.mark")}
      aria-busy={isBusy()}
      onClick={() => void toggle()}
    >
      <Star />
      {props.of === undefined ? t("favourite.mark") : ""}
    </button>
  );
}

/** The text of the prompt, and what the server finds in it. */
import { createEffect, createMemo, createSignal } from "solid-js";

import type { Edit } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import { readDocument } from "../prompt/document";
import { type TextEdit, applyEdits } from "../prompt/edit";
import { checkedPrompt, fixEdits } from "./findings";
import { settings } from "./settings";
import { isString, load, save } from "./storage";

/** What a newcomer sees first: a prompt that draws. */
const FIRST = `<character_1>
<n>original_character</n>
<gender>1girl</gender>
<appearance>long_hair, silver_hair, blue_eyes, fox_ears</appearance>
<clothing>serafuku, hair_bow</clothing>
<expression>smile, blush</expression>
<position>center</position>
</character_1>

<general_tags>
<count>1girl, solo</count>
<style>anime_style</style>
<background>cherry_blossoms</background>
<environment>outdoors</environment>
<quality>masterpiece, best_quality</quality>
</general_tags>
`;

const [text, setText] = createSignal(load("local", "prompt", isString) ?? FIRST);

export { setText, text };

/** The findings of the text. */
export const checked = checkedPrompt(text, () => settings.model);

/** The check of the text that stands there; `undefined` until it is checked. */
export const { currentCheck } = checked;

/** The blocks of the text. */
export const prompt = createMemo(() => readDocument(text()));

/** Applies edits of the form. */
export function edit(edits: readonly TextEdit[]): void {
  if (edits.length > 0) {
    setText(applyEdits(text(), edits));
  }
}

/** Applies the edits of a fix to the text that was checked, if it still stands there. */
export function applyFix(edits: readonly Edit[], checkedText: string): void {
  if (checkedText === text()) {
    edit(fixEdits(edits, checkedText));
  }
}

/** Checks the text while it is typed, and keeps it. Called once. */
export function watchPrompt(): void {
  createEffect(() => {
    save("local", "prompt", text());
  });
  checked.watch();
}

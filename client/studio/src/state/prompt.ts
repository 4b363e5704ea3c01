/** The text of the prompt, and what the server finds in it. */
import { createEffect, createMemo, createSignal, on } from "solid-js";

import { Strictness, type ValidatePromptResponse } from "../sakuga/gen/sakuga/prompt/v1/prompt_service_pb.js";
import type { Edit } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import { readDocument } from "../prompt/document";
import { type TextEdit, applyEdits } from "../prompt/edit";
import { ByteOffsets } from "../prompt/offsets";
import { explainFailure, phase, server } from "./connection";
import { afterPause } from "./pause";
import { settings } from "./settings";
import { isString, load, save } from "./storage";

/** A check that comes this long after the last key is of the text that stands there. */
const PAUSE_MS = 180;

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

/** The answer to a check, and the text that was checked. */
export interface Check {
  readonly text: string;
  readonly answer: ValidatePromptResponse;
}

const [text, setText] = createSignal(load("local", "prompt", isString) ?? FIRST);
const [check, setCheck] = createSignal<Check>();
const [checkProblem, setCheckProblem] = createSignal("");

export { check, checkProblem, setText, text };

/** The blocks of the text. */
export const prompt = createMemo(() => readDocument(text()));

/** The findings of the text that stands there; `undefined` until it is checked. */
export const currentCheck = createMemo(() => {
  const last = check();
  return last?.text === text() ? last : undefined;
});

/** Applies edits of the form. */
export function edit(edits: readonly TextEdit[]): void {
  if (edits.length > 0) {
    setText(applyEdits(text(), edits));
  }
}

/** Applies the edits of a fix to the text that was checked, if it still stands there. */
export function applyFix(edits: readonly Edit[], checked: string): void {
  if (checked === text()) {
    edit(fixEdits(edits, checked));
  }
}

/** The edits of a fix in places of the browser. */
export function fixEdits(edits: readonly Edit[], checked: string): TextEdit[] {
  const offsets = new ByteOffsets(checked);
  return edits.map(({ spanStart, spanEnd, replacement }) => ({
    from: offsets.toUtf16(spanStart),
    to: offsets.toUtf16(spanEnd),
    insert: replacement,
  }));
}

/** Checks the text while it is typed, and keeps it. Called once. */
export function watchPrompt(): void {
  createEffect(
    on([text, () => settings.model, phase], ([xml, model, now]) => {
      save("local", "prompt", xml);
      if (now !== "ready") {
        return;
      }
      afterPause(PAUSE_MS, (signal) => {
        server()
          .prompts.validatePrompt(
            { prompt: { case: "xml", value: xml }, strictness: Strictness.UNSPECIFIED, model },
            { signal },
          )
          .then(
            (answer) => {
              // An answer that comes after a newer text was typed is dropped.
              if (!signal.aborted) {
                setCheck({ text: xml, answer });
                setCheckProblem("");
              }
            },
            (error: unknown) => {
              if (!signal.aborted) {
                setCheckProblem(explainFailure(error));
              }
            },
          );
      });
    }),
  );
}

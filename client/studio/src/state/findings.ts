/** The server's findings about a text that is typed. */
import { createEffect, createMemo, createSignal, on } from "solid-js";

import { Severity } from "../sakuga/web.js";
import type { Edit } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import { Strictness, type ValidatePromptResponse } from "../sakuga/gen/sakuga/prompt/v1/prompt_service_pb.js";
import type { TextEdit } from "../prompt/edit";
import { ByteOffsets } from "../prompt/offsets";
import { explainFailure, phase, server } from "./connection";
import { afterPause } from "./pause";

/** A check that comes this long after the last key is of the text that stands there. */
const PAUSE_MS = 180;

/** The answer to a check, and the text that was checked. */
export interface Check {
  readonly text: string;
  readonly answer: ValidatePromptResponse;
}

/** A prompt with its findings. */
export interface CheckedPrompt {
  /** The newest check; while one types it is that of an earlier text. */
  readonly check: () => Check | undefined;
  /** Why the text could not be checked; empty: it could. */
  readonly checkProblem: () => string;
  /** The check of the text that stands there; `undefined` until it is checked. */
  readonly currentCheck: () => Check | undefined;
  /** Whether the text that stands there is known to be refused. */
  readonly isRefused: () => boolean;
  /** Checks the text while it is typed. Called once. */
  readonly watch: () => void;
}

/** The findings of a text for a model, by its name. A text that is `undefined` is not checked. */
export function checkedPrompt(text: () => string | undefined, model: () => string): CheckedPrompt {
  const [check, setCheck] = createSignal<Check>();
  const [checkProblem, setCheckProblem] = createSignal("");
  const currentCheck = createMemo(() => {
    const last = check();
    return last?.text === text() ? last : undefined;
  });
  const isRefused = createMemo(
    () => currentCheck()?.answer.diagnostics.some(({ severity }) => severity === Severity.ERROR) ?? false,
  );
  const ask = async (xml: string, signal: AbortSignal): Promise<void> => {
    const request = { prompt: { case: "xml", value: xml }, strictness: Strictness.UNSPECIFIED, model: model() } as const;
    try {
      const answer = await server().prompts.validatePrompt(request, { signal });
      // An answer that comes after a newer text was typed is dropped.
      if (!signal.aborted) {
        setCheck({ text: xml, answer });
        setCheckProblem("");
      }
    } catch (error) {
      if (!signal.aborted) {
        setCheckProblem(explainFailure(error));
      }
    }
  };
  const watch = (): void => {
    createEffect(
      on([text, model, phase], ([xml, , now]) => {
        if (now === "ready" && xml !== undefined) {
          afterPause(PAUSE_MS, (signal) => void ask(xml, signal));
        }
      }),
    );
  };
  return { check, checkProblem, currentCheck, isRefused, watch };
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

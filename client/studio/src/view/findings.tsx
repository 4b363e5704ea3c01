/** The findings of the server as a list, and how many tokens each encoder reads. */
import { For, Show } from "solid-js";

import { Severity } from "../sakuga/web.js";
import type { TokenCount } from "../sakuga/gen/sakuga/prompt/v1/prompt_service_pb.js";
import { ByteOffsets } from "../prompt/offsets";
import type { Edit } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import type { CheckedPrompt } from "../state/findings";
import { type Key, t } from "../text";

const LABELS: Readonly<Record<number, [string, Key]>> = {
  [Severity.ERROR]: ["error", "check.error"],
  [Severity.WARNING]: ["warning", "check.warning"],
  [Severity.ADVICE]: ["advice", "check.advice"],
};

/** The findings of a prompt. While one types they are those of the last text that was checked, so that the list does not flicker. */
export function Findings(props: {
  of: CheckedPrompt;
  /** Selects a range of the text. */
  onShow: (from: number, to: number) => void;
  /** Applies the edits of a fix to the text that was checked. */
  onFix: (edits: readonly Edit[], checkedText: string) => void;
}) {
  const check = () => props.of.check();
  const checkProblem = () => props.of.checkProblem();
  const findings = () => check()?.answer.diagnostics ?? [];
  const isBusy = () => props.of.currentCheck() === undefined;
  return (
    <section class="findings" aria-label={t("check.title")} aria-busy={isBusy()} data-checked={!isBusy()}>
      <Show when={checkProblem()}>
        <p class="problem" role="alert">
          {checkProblem()}
        </p>
      </Show>
      <Show when={check() && findings().length === 0 && !checkProblem()}>
        <p class="fine">{t("check.none")}</p>
      </Show>
      <Show when={!check() && !checkProblem()}>
        <p class="faint">{t("check.busy")}</p>
      </Show>
      <ul>
        <For each={findings()}>
          {(found) => {
            const [kind, label] = LABELS[found.severity] ?? ["advice", "check.advice"];
            const show = () => {
              const offsets = new ByteOffsets(check()?.text ?? "");
              props.onShow(offsets.toUtf16(found.spanStart), offsets.toUtf16(found.spanEnd));
            };
            return (
              <li class={`finding ${kind}`}>
                <div>
                  <p>
                    <strong>{t(label)}</strong> <span dir="auto">{found.message}</span>
                  </p>
                  <button class="link" type="button" onClick={show}>
                    {t("check.place", { line: found.line, column: found.column })}
                  </button>
                  <code>{found.code}</code>
                  <Show when={found.fix?.edits.length === 0}>
                    <p class="faint" dir="auto">
                      {found.fix?.description}
                    </p>
                  </Show>
                </div>
                <Show when={found.fix?.edits.length ? found.fix : undefined}>
                  {(fix) => (
                    <button
                      type="button"
                      class="fix"
                      title={fix().description}
                      aria-label={`${t("check.fix")}: ${fix().description}`}
                      disabled={isBusy()}
                      onClick={() => {
                        props.onFix(fix().edits, check()?.text ?? "");
                      }}
                    >
                      {t("check.fix")}
                    </button>
                  )}
                </Show>
              </li>
            );
          }}
        </For>
      </ul>
    </section>
  );
}

/** How many tokens of a prompt each text encoder reads. */
export function TokenMeters(props: { of: CheckedPrompt }) {
  const counts = () => props.of.check()?.answer.tokenCounts;
  return (
    <Show when={counts()?.length}>
      <ul class="meters" aria-label={t("check.tokens")}>
        <For each={counts()}>{(count) => <Meter count={count} />}</For>
      </ul>
    </Show>
  );
}

function Meter(props: { count: TokenCount }) {
  const label = () => t("check.tokens.of", { tokens: props.count.tokens, limit: props.count.limit });
  return (
    <li>
      <span class="faint">{props.count.encoder}</span>
      <meter
        min="0"
        max={props.count.limit}
        high={props.count.limit * 0.9}
        value={Math.min(props.count.tokens, props.count.limit)}
        aria-label={`${props.count.encoder}: ${label()}`}
      />
      <span>{label()}</span>
      <Show when={props.count.truncated}>
        <span class="problem">{t("check.tokens.cut", { text: props.count.firstLost })}</span>
      </Show>
    </li>
  );
}

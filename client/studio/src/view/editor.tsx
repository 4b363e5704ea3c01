/** The text of the prompt, with the server's findings at their places. */
import { createEffect, onCleanup, onMount } from "solid-js";
import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import type { CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewlineKeepIndent, isolateHistory } from "@codemirror/commands";
import { xml, xmlLanguage } from "@codemirror/lang-xml";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic as Mark, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

import { type Diagnostic, Severity } from "../sakuga/web.js";
import { offers } from "../prompt/completion";
import { CHARACTERS_MAX, CHARACTER_ORDER, GENDERS, GENERAL_ORDER, isTagElement } from "../prompt/fields";
import { readDocument } from "../prompt/document";
import { ByteOffsets } from "../prompt/offsets";
import { sourcesOf } from "../state/completion";
import { fixEdits } from "../state/findings";
import { currentCheck, setText, text } from "../state/prompt";
import { vocabulary } from "../state/vocabulary";
import { language, t } from "../text";
import { tagging } from "./tagging";

const COLOURS = HighlightStyle.define([
  { tag: tags.tagName, color: "var(--blue-pencil)" },
  { tag: tags.angleBracket, color: "var(--faint)" },
  { tag: tags.attributeName, color: "var(--red-pencil)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
  { tag: tags.character, color: "var(--red-pencil)" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "transparent", fontSize: "13.5px", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.65", overflow: "auto" },
  ".cm-content": { caretColor: "var(--red-pencil)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--red-pencil)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--faint)", border: "none" },
  ".cm-activeLine": { backgroundColor: "var(--hover)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { backgroundColor: "var(--selection)" },
  ".cm-selectionBackground": { backgroundColor: "var(--selection)" },
  ".cm-tooltip": {
    color: "var(--ink)",
    backgroundColor: "var(--raised)",
    border: "1px solid var(--line-strong)",
    borderRadius: "8px",
    overflow: "hidden",
    boxShadow: "var(--shadow)",
  },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--selection)", color: "var(--ink)" },
  ".cm-diagnostic": { padding: "8px 12px", fontFamily: "var(--sans)", maxWidth: "44ch" },
  ".cm-diagnosticAction": {
    backgroundColor: "var(--ink)",
    color: "var(--paper)",
    borderRadius: "6px",
    padding: "2px 10px",
    margin: "6px 8px 0 0",
    cursor: "pointer",
  },
});

const SCHEMA = {
  elements: [
    { name: "prompt", children: ["general_tags", "caption"], top: true },
    ...Array.from({ length: CHARACTERS_MAX }, (_, index) => ({
      name: `character_${index + 1}`,
      children: [...CHARACTER_ORDER],
      top: true,
    })),
    { name: "general_tags", children: [...GENERAL_ORDER], top: true },
    { name: "caption", top: true },
    { name: "gender", textContent: [...GENDERS] },
    ...[...new Set([...CHARACTER_ORDER, ...GENERAL_ORDER])]
      .filter((name) => name !== "gender")
      .map((name) => ({ name, top: false })),
  ],
};

/** Tags of the list that are offered at once. */
const LISTED = 40;

let focus: ((from: number, to: number) => void) | undefined;

/** Selects a range of the text in the editor, if it is shown. */
export function showInEditor(from: number, to: number): void {
  focus?.(from, to);
}

export function Editor(props: { onSubmit: () => void }) {
  let host!: HTMLDivElement;
  onMount(() => {
    // In a shadow root the editor makes its styles by script. In the page it would add `<style>` elements, which the
    // content security policy forbids.
    const root = host.attachShadow({ mode: "open" });
    const submit = (): boolean => {
      props.onSubmit();
      return true;
    };
    const view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: text(),
        extensions: [
          Prec.highest(keymap.of([{ key: "Mod-Enter", run: submit }])),
          lineNumbers(),
          history(),
          drawSelection(),
          bracketMatching(),
          closeBrackets(),
          highlightActiveLine(),
          EditorView.lineWrapping,
          tagging,
          xml(SCHEMA),
          xmlLanguage.data.of({ autocomplete: completeTag }),
          autocompletion({ icons: false }),
          lintGutter(),
          // The canonical form has no indentation, so none is made.
          keymap.of([{ key: "Enter", run: insertNewlineKeepIndent }]),
          keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap]),
          syntaxHighlighting(COLOURS),
          THEME,
          EditorView.contentAttributes.of({ "aria-label": t("prompt.editor"), spellcheck: "false", tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) {
              setText(update.state.doc.toString());
            }
          }),
        ],
      }),
    });
    focus = (from, to) => {
      view.dispatch({ selection: { anchor: from, head: to }, scrollIntoView: true });
      view.focus();
    };
    createEffect(() => {
      const wanted = text();
      const shown = view.state.doc.toString();
      if (shown !== wanted) {
        // Undone by itself, not together with what was typed just before.
        view.dispatch({ changes: difference(shown, wanted), annotations: isolateHistory.of("full") });
      }
    });
    createEffect(() => {
      const checked = currentCheck();
      if (checked && checked.text === view.state.doc.toString()) {
        const marks = marksOf(checked.answer.diagnostics, checked.text);
        view.dispatch(setDiagnostics(view.state, marks));
      }
    });
    createEffect(() => {
      language();
      view.contentDOM.setAttribute("aria-label", t("prompt.editor"));
    });
    onCleanup(() => {
      focus = undefined;
      view.destroy();
    });
  });
  return <div class="editor" ref={host} />;
}

/** The smallest change from one text to another that is one range, so that the cursor stays where it is. */
function difference(from: string, to: string): { from: number; to: number; insert: string } {
  let start = 0;
  while (start < from.length && start < to.length && from[start] === to[start]) {
    start += 1;
  }
  let same = 0;
  while (same < from.length - start && same < to.length - start && from.at(-1 - same) === to.at(-1 - same)) {
    same += 1;
  }
  return { from: start, to: from.length - same, insert: to.slice(start, to.length - same) };
}

function marksOf(diagnostics: readonly Diagnostic[], checked: string): Mark[] {
  const offsets = new ByteOffsets(checked);
  return diagnostics.map((found): Mark => {
    const edits = found.fix?.edits ?? [];
    return {
      from: offsets.toUtf16(found.spanStart),
      to: offsets.toUtf16(found.spanEnd),
      severity: found.severity === Severity.ERROR ? "error" : found.severity === Severity.WARNING ? "warning" : "info",
      source: found.code,
      message: found.message,
      actions: edits.length === 0 ? [] : [{ name: found.fix?.description || t("check.fix"), apply: fix }],
    };
    function fix(view: EditorView): void {
      if (view.state.doc.toString() === checked) {
        view.dispatch({ changes: fixEdits(edits, checked) });
      }
    }
  });
}

/** Completes the tag before the cursor, by the element that it stands in. */
function completeTag(context: CompletionContext): CompletionResult | null {
  const word = context.matchBefore(/[^\s,<>&][^,<>&\n]*/);
  if (!word && !context.explicit) {
    return null;
  }
  const { characters, general } = readDocument(context.state.doc.toString());
  const leaves = [...characters, ...(general ? [general] : [])].flatMap((block) => block.leaves);
  const leaf = leaves.find(({ inner }) => inner.from <= context.pos && context.pos <= inner.to);
  if (!leaf || !isTagElement(leaf.name)) {
    return null;
  }
  const from = Math.max(word?.from ?? context.pos, leaf.inner.from);
  const typed = context.state.sliceDoc(from, context.pos);
  const sources = sourcesOf(leaf.name);
  const options = offers(sources, typed, LISTED).map(({ word, alias, count, isUnknown }, index) => ({
    label: alias ?? word,
    apply: word,
    detail: [alias === undefined ? "" : word, count, isUnknown ? t("tags.unknown") : ""].filter(Boolean).join(" "),
    // The words of the element come first; CodeMirror orders those of equal rank by how well they fit.
    boost: Math.max(-99, Math.min(0, sources.words.length - index)),
  }));
  // With a list the options depend on every letter that is typed.
  return { from, options, ...(vocabulary() ? {} : { validFor: /^[^,<>&\n]*$/ }) };
}

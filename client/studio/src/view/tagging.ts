/** Tags in the editor: end tags that are typed over, and that follow the name in their start tag. */
import { EditorState, type Extension, Prec } from "@codemirror/state";
import { EditorView } from "@codemirror/view";

import { type Edit, renameEnd, typeOver } from "../prompt/closing";

const typing = EditorView.inputHandler.of((view, from, to, typed, insert) => {
  if (view.composing || from !== to || view.state.selection.ranges.length > 1) {
    return false;
  }
  const over = typeOver(view.state.doc.toString(), from, typed);
  if (over) {
    const changes = { from: from - over.remove, to: from };
    const selection = { anchor: over.cursor };
    view.dispatch({ changes, selection, userEvent: "input.type", scrollIntoView: true });
    return true;
  }
  // The language would insert the name after `</`, and a person who types it would have it twice. The completions offer it.
  if (typed === "/" && view.state.sliceDoc(from - 1, from) === "<") {
    view.dispatch(insert());
    return true;
  }
  return false;
});

const renaming = EditorState.transactionFilter.of((transaction) => {
  const isTyped = transaction.isUserEvent("input.type") || transaction.isUserEvent("delete");
  if (!transaction.docChanged || !isTyped || transaction.isUserEvent("input.type.compose")) {
    return transaction;
  }
  const edits: Edit[] = [];
  transaction.changes.iterChanges((from, to, _from, _to, insert) => edits.push({ from, to, insert: insert.toString() }));
  const [edit] = edits;
  const end = edit && edits.length === 1 ? renameEnd(transaction.startState.doc.toString(), edit) : undefined;
  return end ? [transaction, { changes: end }] : transaction;
});

/** Before the language's own closing of tags. */
export const tagging: Extension = [Prec.high(typing), renaming];

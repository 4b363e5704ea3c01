import { expect, it } from "vitest";

import { renameEnd, typeOver } from "./closing";

/** Types a text at the end of another, behind which `after` stands. */
function typed(before: string, keys: string, after: string): string {
  let [text, cursor] = [before + after, before.length];
  for (const key of keys) {
    const over = typeOver(text, cursor, key);
    if (over) {
      text = text.slice(0, cursor - over.remove) + text.slice(cursor);
      cursor = over.cursor;
    } else {
      text = text.slice(0, cursor) + key + text.slice(cursor);
      cursor += 1;
    }
  }
  return `${text.slice(0, cursor)}|${text.slice(cursor)}`;
}

it("types over the end tag of the innermost element", () => {
  expect(typed("<caption>", "a girl</caption>", "</caption>")).toBe("<caption>a girl</caption>|");
  expect(typed("<a><b>x", "</b>y</a>", "</b></a>")).toBe("<a><b>x</b>y</a>|");
  expect(typed("<caption>x</cap", "tion>\n", "tion>")).toBe("<caption>x</caption>\n|");
});

it("inserts every other tag", () => {
  expect(typed("<a><b>x", "</b>", "</a>")).toBe("<a><b>x</b>|</a>");
  expect(typed("<a>", "<b>", "</a>")).toBe("<a><b>|</a>");
  expect(typed("<a>x</a>", "</a>", "</a>")).toBe("<a>x</a></a>|</a>");
  expect(typed("<!-- <a> -->", "</a>", "</a>")).toBe("<!-- <a> --></a>|</a>");
  expect(typed("<a/>", "</a>", "</a>")).toBe("<a/></a>|</a>");
  // An end tag of another name is corrected, and not typed over.
  expect(typed("<a>x</", "a", "ab>")).toBe("<a>x</a|ab>");
});

/** The text with a change of a name and the change of the end tag. */
function renamed(text: string, from: number, to: number, insert: string): string {
  const other = renameEnd(text, { from, to, insert });
  const change = (text: string, edit: { from: number; to: number; insert: string }) =>
    text.slice(0, edit.from) + edit.insert + text.slice(edit.to);
  return change(other ? change(text, other) : text, { from, to, insert });
}

it("renames the end tag with the start tag", () => {
  expect(renamed("<captin>x</captin>", 5, 5, "o")).toBe("<captoin>x</captoin>");
  expect(renamed("<a>x</a><b>y</b>", 9, 10, "")).toBe("<a>x</a><>y</>");
  expect(renamed("<>y</>", 1, 1, "c")).toBe("<c>y</c>");
  expect(renamed("<a><a>x</a></a>", 1, 2, "b")).toBe("<b><a>x</a></b>");
});

it("leaves the text alone where no end tag belongs to the change", () => {
  for (const [text, from, to, insert] of [
    ["<a>x", 1, 2, "b"],
    ["<a>x</b>", 1, 2, "b"],
    ["<a>x</a>", 6, 7, "b"],
    ["<a>x</a>", 3, 4, "b"],
    ["<a>x</a>", 2, 2, " "],
    ["<a/></a>", 1, 2, "b"],
    ["<!-- <a>x</a> -->", 6, 7, "b"],
  ] as const) {
    expect(renameEnd(text, { from, to, insert }), text).toBeUndefined();
  }
});

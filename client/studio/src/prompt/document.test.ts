import { describe, expect, it } from "vitest";

import { readDocument, tagsOf, unescapeValue } from "./document";
import { addCharacter, applyEdits, removeCharacter, setValue, valueAt } from "./edit";

const TEXT = `<!-- a comment with <caption>no caption</caption> -->
<character_1>
<n>rem</n>
<gender>1girl</gender>
<appearance>blue_hair,  long_hair</appearance>
<expression>>_&lt;, smile</expression>
</character_1>

<character_2>
  <gender>1boy</gender>
  <unknown>kept</unknown>
</character_2>

<general_tags>
<count>2girls</count>
</general_tags>

<caption>Two &amp; more.</caption>
`;

const appearance = { in: "character", number: 1, name: "appearance" } as const;

function changed(
  text: string,
  edit: (document: ReturnType<typeof readDocument>) => ReturnType<typeof setValue>,
): string {
  return applyEdits(text, edit(readDocument(text)));
}

describe("reading", () => {
  it("finds every block and its values", () => {
    const document = readDocument(TEXT);
    expect(document.characters.map(({ name }) => name)).toEqual(["character_1", "character_2"]);
    expect(tagsOf(valueAt(document, appearance))).toEqual(["blue_hair", "long_hair"]);
    expect(valueAt(document, { in: "character", number: 1, name: "expression" })).toBe(">_<, smile");
    expect(valueAt(document, { in: "general", name: "count" })).toBe("2girls");
    expect(valueAt(document, { in: "caption" })).toBe("Two & more.");
  });

  it("has a form for an empty text and none for plain tags", () => {
    expect(readDocument("  \n").hasForm).toBe(true);
    expect(readDocument("1girl, solo").hasForm).toBe(false);
  });

  it("does not take the caption of a negative prompt", () => {
    const text = "<negative_prompt><caption>bad</caption></negative_prompt><caption>good</caption>";
    expect(readDocument(text).caption?.value).toBe("good");
  });

  it("replaces entities and leaves other text", () => {
    expect(unescapeValue("&lt;&#65;&#x42;&amp;amp; &nbsp; &#99999999;")).toBe("<AB&amp; &nbsp; &#99999999;");
  });

  it("does not fail on text that is cut anywhere", () => {
    for (let length = 0; length <= TEXT.length; length += 1) {
      expect(readDocument(TEXT.slice(0, length)).text.length).toBe(length);
    }
  });
});

describe("editing", () => {
  it("changes nothing when the value is the same", () => {
    const document = readDocument(TEXT);
    expect(setValue(document, appearance, valueAt(document, appearance))).toEqual([]);
  });

  it("touches one element and keeps every other character", () => {
    const edited = changed(TEXT, (document) => setValue(document, appearance, "a<b, c&d"));
    expect(edited).toBe(TEXT.replace("blue_hair,  long_hair", "a&lt;b, c&amp;d"));
    expect(valueAt(readDocument(edited), appearance)).toBe("a<b, c&d");
  });

  it("inserts an element in the canonical order and removes it without a trace", () => {
    const place = { in: "character", number: 1, name: "clothing" } as const;
    const edited = changed(TEXT, (document) => setValue(document, place, "hat"));
    expect(edited).toContain("long_hair</appearance>\n<clothing>hat</clothing>\n<expression>");
    expect(changed(edited, (document) => setValue(document, place, ""))).toBe(TEXT);
  });

  it("makes the block of a first general tag, and a caption", () => {
    let text = "";
    text = changed(text, (document) => addCharacter(document, "1girl"));
    text = changed(text, (document) => setValue(document, { in: "caption" }, "The sea."));
    text = changed(text, (document) => setValue(document, { in: "general", name: "style" }, "sketch"));
    expect(text).toBe(
      "<character_1>\n<n>original_character</n>\n<gender>1girl</gender>\n</character_1>\n\n" +
        "<general_tags>\n<style>sketch</style>\n</general_tags>\n\n<caption>The sea.</caption>\n",
    );
  });

  it("adds a character behind the last and numbers those behind a removed one again", () => {
    const three = changed(TEXT, (document) => addCharacter(document, "1other"));
    expect(readDocument(three).characters).toHaveLength(3);
    const two = changed(three, (document) => removeCharacter(document, 2));
    expect(readDocument(two).characters.map(({ name }) => name)).toEqual(["character_1", "character_2"]);
    expect(valueAt(readDocument(two), { in: "character", number: 2, name: "gender" })).toBe("1other");
    expect(two).not.toContain("unknown");
    expect(two).not.toContain("\n\n\n");
  });

  it("works inside a root", () => {
    const text = "<prompt>\n<caption>Sea.</caption>\n</prompt>\n";
    const edited = changed(text, (document) => setValue(document, { in: "general", name: "count" }, "solo"));
    expect(edited).toBe(
      "<prompt>\n<general_tags>\n<count>solo</count>\n</general_tags>\n\n<caption>Sea.</caption>\n</prompt>\n",
    );
  });

  it("survives any value", () => {
    for (const value of [
      "<script>alert(1)</script>",
      "]]>",
      "\u202eabc",
      "\u001b[31m",
      "x".repeat(10_000),
      "</appearance>",
    ]) {
      const edited = changed(TEXT, (document) => setValue(document, appearance, value));
      expect(valueAt(readDocument(edited), appearance)).toBe(value);
    }
  });
});

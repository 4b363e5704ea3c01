import { expect, it } from "vitest";

import { ModelTags, offers } from "./completion";

const LIST = [
  { name: "red_dress", count: 90_000, aliases: [] },
  { name: "red_shoes", count: 40_000, aliases: ["crimson_shoes"] },
];

it("offers the words of the element first, with the counts of the list, and marks what the model does not know", () => {
  const tags = new ModelTags([
    { element: "clothing", tags: ["red_dress", "hat"] },
    { element: "appearance", tags: ["red_eyes"] },
  ]);
  const sources = { words: tags.of("clothing"), list: LIST, isUnknown: (tag: string) => tags.isUnknown(tag) };
  expect(offers(sources, "red", 10)).toEqual([
    { word: "red_dress", alias: undefined, count: "90k", isUnknown: false },
    { word: "hat", alias: undefined, count: "", isUnknown: false },
    { word: "red_shoes", alias: undefined, count: "40k", isUnknown: true },
  ]);
  expect(offers(sources, "crim", 10).at(-1)).toMatchObject({ word: "red_shoes", alias: "crimson_shoes" });
  expect(offers({ ...sources, list: [] }, "red", 10).map(({ word }) => word)).toEqual(["red_dress", "hat"]);
});

it("compares tags as the server does, whatever their element", () => {
  const tags = new ModelTags([{ element: "style", tags: ["watercolor_(medium)"] }]);
  expect(tags.isUnknown("Watercolor \\(medium\\)")).toBe(false);
  expect(tags.isUnknown("oil_painting")).toBe(true);
  expect(tags.of("clothing")).toEqual([]);
});

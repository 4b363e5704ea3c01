import { expect, it } from "vitest";

import { countText, matches, readVocabulary } from "./vocabulary";

const CSV = `name,category,count,aliases
long_hair,0,4350743,"longhair,long_hairs"
1girl,0,6008644,"1girls,sole_female"
hatsune_miku,4,110000,miku
blue_hair,0,900000,
broken line
"quoted,name",0,5,"a ""b"""
`;

it("reads a list, the most frequent first", () => {
  const tags = readVocabulary(CSV);
  expect(tags.map(({ name }) => name)).toEqual(["1girl", "long_hair", "blue_hair", "hatsune_miku", "quoted,name"]);
  expect(tags.at(-1)?.aliases).toEqual(['a "b"']);
  expect(readVocabulary("<prompt>\n")).toEqual([]);
});

it("finds names before aliases before parts", () => {
  const tags = readVocabulary(CSV);
  const found = (typed: string) => matches(tags, typed, 9).map(({ tag, alias }) => [tag.name, alias]);
  expect(found("mik")).toEqual([["hatsune_miku", "miku"]]);
  expect(found("hair")).toEqual([
    ["long_hair", undefined],
    ["blue_hair", undefined],
  ]);
  expect(found("Long H")).toEqual([["long_hair", undefined]]);
  expect(found(" ")).toEqual([]);
  expect(matches(tags, "h", 1)).toHaveLength(1);
});

it("writes counts shortly", () => {
  expect([999, 1500, 4350743].map(countText)).toEqual(["999", "2k", "4.4M"]);
});

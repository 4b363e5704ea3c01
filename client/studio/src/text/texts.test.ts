import { expect, it } from "vitest";

import { en } from "./en";
import { ja } from "./ja";
import { zh } from "./zh";

it("has the same placeholders in every language", () => {
  const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
  for (const texts of [zh, ja]) {
    for (const [key, text] of Object.entries(en)) {
      expect(placeholders(texts[key as keyof typeof en]), key).toEqual(placeholders(text));
    }
  }
});

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { expect, it } from "vitest";

import { type Key, en } from "./en";
import { ja } from "./ja";
import { zh } from "./zh";

const LANGUAGES = { en, zh, ja };

/** The sources of the page, without tests and without what is generated. */
function sources(): string {
  const folder = join(import.meta.dirname, "..");
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const own = names.filter((name) => /\.tsx?$/.test(name) && !/^(sakuga|text)\b|\.test\./.test(name));
  return own.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
}

it("has every text in every language, with the same placeholders", () => {
  const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
  for (const [language, texts] of Object.entries(LANGUAGES)) {
    expect(Object.keys(texts).sort(), language).toEqual(Object.keys(en).sort());
    for (const [key, text] of Object.entries(texts)) {
      expect(text.trim(), `${language} ${key}`).not.toBe("");
      expect(placeholders(text), `${language} ${key}`).toEqual(placeholders(en[key as Key]));
    }
  }
});

it("shows no text without a key, and has no key that is not shown", () => {
  const source = sources();
  const named = new Set([...source.matchAll(/["'`]([a-z]+(?:\.[a-z_-]+)+)["'`]/g)].map(([, key]) => key ?? ""));
  // The keys that are put together, such as `t(`field.${name}`)`.
  const beginnings = [...source.matchAll(/`([a-z]+(?:\.[a-z]+)*\.)\$\{/g)].map(([, beginning]) => beginning ?? "");
  expect(beginnings.length).toBeGreaterThan(3);
  const unused = Object.keys(en).filter(
    (key) => !named.has(key) && !beginnings.some((beginning) => key.startsWith(beginning)) && !key.startsWith("time."),
  );
  expect(unused).toEqual([]);
});

/** The texts of the page in the reader's language. */
import { createEffect, createSignal } from "solid-js";

import { isString, load, save } from "../state/storage";
import { type Key, type Texts, en } from "./en";
import { ja } from "./ja";
import { zh } from "./zh";

/** The languages, each with its own name. */
export const LANGUAGES = { en: "English", zh: "中文", ja: "日本語" } as const;

export type Language = keyof typeof LANGUAGES;

const TEXTS: Readonly<Record<Language, Texts>> = { en, zh, ja };

const isLanguage = (value: unknown): value is Language => isString(value) && value in LANGUAGES;

const [language, setLanguage] = createSignal<Language>(load("local", "language", isLanguage) ?? preferred());

export { type Key, language, setLanguage };

/** The text of a key, with `{name}` replaced. */
export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return TEXTS[language()][key].replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}

/** A time as a person says it. */
export function timeText(milliseconds: number): string {
  const seconds = Math.max(1, Math.round(milliseconds / 1000));
  return seconds < 90
    ? t("time.seconds", { n: seconds })
    : t("time.minutes", { m: Math.floor(seconds / 60), s: seconds % 60 });
}

/** An amount of memory as a person says it. */
export function memoryText(bytes: bigint): string {
  const mebibytes = Number(bytes / 2n ** 20n);
  return mebibytes < 1000 ? `${mebibytes} MiB` : `${(mebibytes / 1024).toFixed(1)} GiB`;
}

/** Keeps the language and says it in the document. Called once. */
export function keepLanguage(): void {
  createEffect(() => {
    document.documentElement.lang = { en: "en", zh: "zh-Hans", ja: "ja" }[language()];
    document.title = t("app.title");
    save("local", "language", language());
  });
}

function preferred(): Language {
  for (const wanted of navigator.languages) {
    const word = wanted.slice(0, 2).toLowerCase();
    if (isLanguage(word)) {
      return word;
    }
  }
  return "en";
}

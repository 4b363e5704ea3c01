/** Light or dark. */
import { createEffect, createMemo, createSignal } from "solid-js";

import { load, save } from "./storage";

export const THEMES = ["auto", "light", "dark"] as const;

export type Theme = (typeof THEMES)[number];

const isTheme = (value: unknown): value is Theme => THEMES.some((theme) => theme === value);

const [theme, setTheme] = createSignal<Theme>(load("local", "theme", isTheme) ?? "auto");
const system = matchMedia("(prefers-color-scheme: dark)");
const [isSystemDark, setSystemDark] = createSignal(system.matches);
system.addEventListener("change", (event) => setSystemDark(event.matches));

export { setTheme, theme };

export const isDark = createMemo(() => (theme() === "auto" ? isSystemDark() : theme() === "dark"));

/** Keeps the choice and says it to the style sheet. Called once. */
export function keepTheme(): void {
  createEffect(() => {
    document.documentElement.dataset["theme"] = isDark() ? "dark" : "light";
    save("local", "theme", theme());
  });
}

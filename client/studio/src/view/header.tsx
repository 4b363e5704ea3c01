/** Name, views, language and appearance. */
import { For, Show } from "solid-js";

import { signOut } from "../state/connection";
import { isString, load } from "../state/storage";
import { THEMES, type Theme, setTheme, theme } from "../state/theme";
import { LANGUAGES, type Language, language, setLanguage, t } from "../text";
import { Clock, Pencil } from "./icons";

export type Tab = "draw" | "history";

export function Header(props: { tab: Tab; onTab: (tab: Tab) => void }) {
  const link = (tab: Tab, icon: typeof Pencil) => (
    <a
      href={`#${tab}`}
      aria-current={props.tab === tab ? "page" : undefined}
      onClick={(event) => {
        event.preventDefault();
        props.onTab(tab);
      }}
    >
      {icon()}
      <span>{t(`nav.${tab}`)}</span>
    </a>
  );
  return (
    <header class="bar">
      <a class="skip" href="#picture">
        {t("nav.skip")}
      </a>
      <h1>
        <span class="logo" aria-hidden="true">
          作画
        </span>
        {t("app.title")}
      </h1>
      <nav aria-label={t("app.title")}>
        {link("draw", Pencil)}
        {link("history", Clock)}
      </nav>
      <span class="spacer" />
      <Show when={load("session", "token", isString) !== undefined}>
        <button class="link" type="button" onClick={signOut}>
          {t("connect.token.forget")}
        </button>
      </Show>
      <select
        aria-label={t("nav.language")}
        value={language()}
        onChange={(event) => setLanguage(event.currentTarget.value as Language)}
      >
        <For each={Object.entries(LANGUAGES)}>{([value, name]) => <option value={value}>{name}</option>}</For>
      </select>
      <select
        aria-label={t("nav.theme")}
        value={theme()}
        onChange={(event) => setTheme(event.currentTarget.value as Theme)}
      >
        <For each={THEMES}>{(one) => <option value={one}>{t(`nav.theme.${one}`)}</option>}</For>
      </select>
    </header>
  );
}

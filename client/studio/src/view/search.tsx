/** What is looked for in the history: words, a model, days, favourites. The server does the looking. */
import { For, Show, createUniqueId } from "solid-js";

import { models } from "../state/connection";
import { clearSearch, isSearching, search, searchFor } from "../state/history";
import { t } from "../text";
import { Cross, Star } from "./icons";

export function SearchBar() {
  const id = createUniqueId();
  return (
    <search class="search">
      <input
        type="search"
        aria-label={t("history.search")}
        placeholder={t("history.search")}
        maxlength="256"
        value={search().text}
        onInput={(event) => {
          searchFor({ text: event.currentTarget.value });
        }}
      />
      <Show when={models().length > 1 || search().model !== ""}>
        <select
          aria-label={t("settings.model")}
          value={search().model}
          onChange={(event) => {
            searchFor({ model: event.currentTarget.value });
          }}
        >
          <option value="">{t("history.models")}</option>
          <For each={models()}>{({ name }) => <option value={name}>{name}</option>}</For>
        </select>
      </Show>
      <span class="day">
        <label for={`${id}-from`}>{t("history.from")}</label>
        <input
          id={`${id}-from`}
          type="date"
          value={search().from}
          max={search().until}
          onChange={(event) => {
            searchFor({ from: event.currentTarget.value });
          }}
        />
      </span>
      <span class="day">
        <label for={`${id}-until`}>{t("history.until")}</label>
        <input
          id={`${id}-until`}
          type="date"
          value={search().until}
          min={search().from}
          onChange={(event) => {
            searchFor({ until: event.currentTarget.value });
          }}
        />
      </span>
      <button
        type="button"
        class="favourites"
        aria-pressed={search().isFavourite}
        onClick={() => {
          searchFor({ isFavourite: !search().isFavourite });
        }}
      >
        <Star />
        {t("favourite.only")}
      </button>
      <Show when={isSearching()}>
        <button class="icon-button" type="button" aria-label={t("history.all")} title={t("history.all")} onClick={clearSearch}>
          <Cross />
        </button>
      </Show>
    </search>
  );
}

/** What the server keeps: a wall of pictures that shows only the rows in sight. */
import { For, Index, Show, createEffect, createMemo, createResource, createSignal, onCleanup, onMount } from "solid-js";
import { createVirtualizer } from "@tanstack/solid-virtual";

import { JobState } from "../sakuga/web.js";
import {
  type Entry,
  clearSearch,
  entries,
  hasMore,
  historyProblem,
  isFavourite,
  isLoading,
  isSearching,
  loadMore,
  noteProblem,
  refreshHistory,
  setFavourite,
} from "../state/history";
import { releaseThumbnail, thumbnail } from "../state/thumbnails";
import { t } from "../text";
import { noPictureKey } from "./artifact";
import { Compare } from "./compare";
import { Detail } from "./detail";
import { FavouriteButton } from "./favourite";
import { Halves } from "./icons";
import { SearchBar } from "./search";

const TILE_MIN = 168;
const GAP = 12;
/** Characters of a title that a tile has room for: a prompt has thousands, and each would be laid out. */
const TITLE_MAX = 60;

export function History(props: { onUse: () => void }) {
  const [chosenKey, setChosen] = createSignal<string>();
  // The entry is another one after its labels have changed.
  const chosen = createMemo<Entry | undefined>((last) => {
    const key = chosenKey();
    return key === undefined ? undefined : (entries().find((entry) => entry.key === key) ?? last);
  });
  // Where its job is in the list: after a deletion the next entry is there.
  let place = 0;
  const choose = ({ key, job }: Entry): void => {
    place = entries().findIndex((entry) => entry.job.jobId === job.jobId);
    setChosen(key);
  };
  const tileInPlace = (): HTMLElement | null => {
    const entry = entries()[Math.min(place, entries().length - 1)];
    const tile = entry && document.querySelector<HTMLElement>(`[data-entry="${CSS.escape(entry.key)}"] .open`);
    // Another view is open, or there is no entry left.
    return tile ?? document.getElementById("picture") ?? document.querySelector<HTMLElement>(".wall");
  };
  const [picked, setPicked] = createSignal<readonly Entry[]>([]);
  const [isComparing, setComparing] = createSignal(false);
  // The third takes the place of the first.
  const pick = (entry: Entry): void => {
    const others = picked().filter(({ key }) => key !== entry.key);
    setPicked(others.length < picked().length ? others : [...others, entry].slice(-2));
  };
  onMount(() => void refreshHistory());
  return (
    <section class="history" aria-label={t("history.title")}>
      <header class="line">
        <h2>{t("history.title")}</h2>
        <span class="faint" role="status">
          {t("history.count", { n: `${entries().length}${hasMore() ? "+" : ""}` })}
        </span>
        <Show when={picked().length > 0}>
          <button type="button" disabled={picked().length < 2} onClick={() => setComparing(true)}>
            {t("compare.open", { n: picked().length })}
          </button>
        </Show>
      </header>
      <SearchBar />
      <Show when={historyProblem()}>
        <p class="problem" role="alert">
          {historyProblem()}
        </p>
      </Show>
      <Show when={entries().length === 0 && !historyProblem()}>
        <Show
          when={!isLoading()}
          fallback={
            <p class="nothing" role="status">
              {t("history.loading")}
            </p>
          }
        >
          <Nothing onDraw={props.onUse} />
        </Show>
      </Show>
      <Wall onChoose={choose} picked={picked()} onPick={pick} />
      <Show when={hasMore() && !isLoading()}>
        <button class="quiet" type="button" onClick={() => void loadMore()}>
          {t("history.more")}
        </button>
      </Show>
      <Compare entries={picked()} isOpen={isComparing()} onClose={() => setComparing(false)} />
      <Detail entry={chosen()} next={tileInPlace} onClose={() => setChosen(undefined)} onUse={props.onUse} />
    </section>
  );
}

/** What stands there if there is no entry. */
function Nothing(props: { onDraw: () => void }) {
  return (
    <div class="nothing">
      <p class="large">{t(isSearching() ? "history.nothing" : "history.empty")}</p>
      <Show
        when={isSearching()}
        fallback={
          <button type="button" onClick={() => props.onDraw()}>
            {t("history.first")}
          </button>
        }
      >
        <button type="button" onClick={clearSearch}>
          {t("history.all")}
        </button>
      </Show>
    </div>
  );
}

interface Choices {
  onChoose: (entry: Entry) => void;
  picked: readonly Entry[];
  onPick: (entry: Entry) => void;
}

function Wall(props: Choices) {
  let host!: HTMLDivElement;
  const [width, setWidth] = createSignal(800);
  const columns = createMemo(() => Math.max(2, Math.floor((width() + GAP) / (TILE_MIN + GAP))));
  const rows = createMemo(() => Math.ceil(entries().length / columns()));
  const side = createMemo(() => Math.floor((width() - GAP * (columns() - 1)) / columns()));
  const wall = createVirtualizer({
    get count() {
      return rows();
    },
    getScrollElement: () => host,
    estimateSize: () => side() + GAP,
    overscan: 3,
  });
  onMount(() => {
    const sizes = new ResizeObserver(() => setWidth(host.clientWidth));
    sizes.observe(host);
    onCleanup(() => {
      sizes.disconnect();
    });
  });
  createEffect(() => {
    side();
    wall.measure();
  });
  createEffect(() => {
    // Before the end is in sight, so that scrolling does not stop there.
    const shown = wall.getVirtualItems();
    const last = shown.at(-1);
    if (last && last.index + shown.length >= rows()) {
      void loadMore();
    }
  });
  return (
    <div class="wall" ref={host} tabindex="0" role="region" aria-label={t("history.title")}>
      <div class="rows" style={{ height: `${wall.getTotalSize()}px` }}>
        <For each={wall.getVirtualItems()}>
          {(row) => (
            <div
              class="row"
              style={{
                transform: `translateY(${row.start}px)`,
                "grid-template-columns": `repeat(${columns()}, ${side()}px)`,
              }}
            >
              {/* By place: an entry that gets a label is another one, and its tile must keep the focus. */}
              <Index each={entries().slice(row.index * columns(), (row.index + 1) * columns())}>
                {(entry) => (
                  <Tile
                    entry={entry()}
                    side={side()}
                    onChoose={props.onChoose}
                    picked={props.picked}
                    onPick={props.onPick}
                  />
                )}
              </Index>
            </div>
          )}
        </For>
      </div>
    </div>
  );
}

function Tile(props: Choices & { entry: Entry; side: number }) {
  const drawn = createMemo(() => (props.entry.job.state === JobState.COMPLETED ? props.entry : undefined), undefined, {
    equals: (a, b) => a?.key === b?.key,
  });
  const [address] = createResource(drawn, ({ job, image }) => {
    onCleanup(() => {
      releaseThumbnail(job.jobId, image);
    });
    return thumbnail(job.jobId, image).catch(() => undefined);
  });
  // While another picture is loaded, the old one would be that of another entry.
  const source = () => (address.state === "ready" ? address() : undefined);
  const isPicked = () => props.picked.some(({ key }) => key === props.entry.key);
  return (
    <div
      class="tile"
      data-entry={props.entry.key}
      style={{ height: `${props.side}px` }}
      data-picked={isPicked()}
      data-liked={isFavourite(props.entry)}
    >
      <button
        type="button"
        class="open"
        aria-label={`${t("picture.details")}: ${props.entry.title.slice(0, 160) || t("picture.none")}`}
        onClick={() => {
          props.onChoose(props.entry);
        }}
      >
        <Show
          when={source()}
          fallback={<span class="faint">{drawn() && address.loading ? "" : t(noPictureKey(props.entry))}</span>}
        >
          {(shown) => <img src={shown()} alt="" />}
        </Show>
        <span class="title" dir="auto">
          {props.entry.title.slice(0, TITLE_MAX)}
        </span>
      </button>
      <Show when={props.entry.job.state === JobState.COMPLETED}>
        <FavouriteButton
          isLiked={isFavourite(props.entry)}
          of={props.entry.title}
          onLike={(isLiked) => setFavourite(props.entry.job.jobId, isLiked).catch(noteProblem)}
        />
        <button
          type="button"
          class="pick"
          aria-pressed={isPicked()}
          aria-label={`${t("compare.pick")}: ${props.entry.title.slice(0, 80)}`}
          title={t("compare.pick")}
          onClick={() => {
            props.onPick(props.entry);
          }}
        >
          <Halves />
        </button>
      </Show>
    </div>
  );
}

/** What the server keeps: a wall of pictures that shows only the rows in sight. */
import { For, Show, createEffect, createMemo, createResource, createSignal, onCleanup, onMount } from "solid-js";
import { createVirtualizer } from "@tanstack/solid-virtual";

import { JobState } from "../sakuga/web.js";
import {
  type Entry,
  foundEntries,
  hasMore,
  historyProblem,
  isLoading,
  loadMore,
  query,
  refreshHistory,
  setQuery,
} from "../state/history";
import { thumbnail } from "../state/thumbnails";
import { t } from "../text";
import { Compare } from "./compare";
import { Detail } from "./detail";
import { Halves } from "./icons";

const TILE_MIN = 168;
const GAP = 12;

export function History(props: { onUse: () => void }) {
  const [chosen, setChosen] = createSignal<Entry>();
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
          {t("history.count", { n: foundEntries().length })}
        </span>
        <Show when={picked().length > 0}>
          <button type="button" disabled={picked().length < 2} onClick={() => setComparing(true)}>
            {t("compare.open", { n: picked().length })}
          </button>
        </Show>
        <input
          type="search"
          aria-label={t("history.search")}
          placeholder={t("history.search")}
          value={query()}
          onInput={(event) => setQuery(event.currentTarget.value)}
        />
      </header>
      <Show when={historyProblem()}>
        <p class="problem" role="alert">
          {historyProblem()}
        </p>
      </Show>
      <Show when={foundEntries().length === 0 && !isLoading()}>
        <p class="faint">{t(query() === "" ? "history.empty" : "history.nothing")}</p>
      </Show>
      <Wall onChoose={setChosen} picked={picked()} onPick={pick} />
      <Show when={hasMore() && !isLoading()}>
        <button class="quiet" type="button" onClick={() => void loadMore()}>
          {t("history.more")}
        </button>
      </Show>
      <Compare entries={picked()} isOpen={isComparing()} onClose={() => setComparing(false)} />
      <Detail entry={chosen()} onClose={() => setChosen(undefined)} onUse={props.onUse} />
    </section>
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
  const rows = createMemo(() => Math.ceil(foundEntries().length / columns()));
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
    const last = wall.getVirtualItems().at(-1);
    if (last && last.index >= rows() - 2 && query() === "") {
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
              <For each={foundEntries().slice(row.index * columns(), (row.index + 1) * columns())}>
                {(entry) => (
                  <Tile
                    entry={entry}
                    side={side()}
                    onChoose={props.onChoose}
                    picked={props.picked}
                    onPick={props.onPick}
                  />
                )}
              </For>
            </div>
          )}
        </For>
      </div>
    </div>
  );
}

function Tile(props: Choices & { entry: Entry; side: number }) {
  const [address] = createResource(
    () => (props.entry.job.state === JobState.COMPLETED ? props.entry : undefined),
    (entry) => thumbnail(entry.job.jobId, entry.image).catch(() => undefined),
  );
  const isPicked = () => props.picked.some(({ key }) => key === props.entry.key);
  return (
    <div class="tile" style={{ height: `${props.side}px` }} data-picked={isPicked()}>
      <button
        type="button"
        class="open"
        aria-label={`${t("picture.details")}: ${props.entry.title.slice(0, 160) || t("picture.none")}`}
        onClick={() => {
          props.onChoose(props.entry);
        }}
      >
        <Show
          when={address()}
          fallback={
            <span class="faint">
              {t(
                props.entry.job.state === JobState.FAILED
                  ? "job.failed"
                  : props.entry.job.state === JobState.CANCELLED
                    ? "job.cancelled"
                    : "picture.none",
              )}
            </span>
          }
        >
          {(source) => <img src={source()} alt="" />}
        </Show>
        <span class="title" dir="auto">
          {props.entry.title}
        </span>
      </button>
      <Show when={props.entry.job.state === JobState.COMPLETED}>
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

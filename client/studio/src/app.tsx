/** The page. */
import { Match, Show, Switch, createSignal, onMount } from "solid-js";

import { watchAdapters } from "./state/adapters";
import { canDraw, drawPrompt, isRefused, notice } from "./state/actions";
import { info, phase, refresh, start, watchConnection } from "./state/connection";
import { watchDevices } from "./state/device";
import { watchEstimate } from "./state/estimate";
import { refreshHistory } from "./state/history";
import { watchSecondPass } from "./state/image";
import { followJobs, liveJobs } from "./state/jobs";
import { watchPrompt } from "./state/prompt";
import { watchRefiner } from "./state/refiner";
import { watchScene } from "./state/scene";
import { keepSettings } from "./state/settings";
import { keepTheme } from "./state/theme";
import { restoreTags } from "./state/vocabulary";
import { keepLanguage, t } from "./text";
import { Canvas } from "./view/canvas";
import { Connect } from "./view/connect";
import { DevicePanel } from "./view/device";
import { DropZone } from "./view/drop";
import { EstimateDetails, ExpectedTime } from "./view/estimate";
import { Header, type Tab } from "./view/header";
import { History } from "./view/history";
import { Spark } from "./view/icons";
import { JobList } from "./view/jobs";
import { PromptPanel } from "./view/prompt";
import { SettingsPanel } from "./view/settings";

export function App() {
  const [tab, setTab] = createSignal<Tab>(location.hash === "#history" ? "history" : "draw");
  keepTheme();
  keepLanguage();
  keepSettings();
  watchConnection();
  watchPrompt();
  watchScene();
  watchAdapters();
  watchRefiner();
  watchSecondPass();
  watchEstimate();
  watchDevices(() => liveJobs().some(({ status }) => status === "running"));
  followJobs(() => {
    // The queue, the models and the history are those after this job. A history that is not shown is read when it is opened.
    void refresh().catch(() => undefined);
    if (tab() === "history") {
      void refreshHistory();
    }
  });
  onMount(() => {
    void start();
    void restoreTags();
  });
  const show = (next: Tab): void => {
    setTab(next);
    history.replaceState(null, "", `#${next}`);
  };
  // A connection that is lost for a moment must not take the studio away from under a person's hands.
  const [wasReady, setWasReady] = createSignal(false);
  const isOpen = () => {
    if (phase() === "ready") {
      setWasReady(true);
    }
    return phase() === "ready" || (wasReady() && phase() === "lost");
  };
  return (
    <Show when={isOpen()} fallback={<Connect />}>
      <Header tab={tab()} onTab={show} />
      <Show when={phase() === "lost"}>
        <p class="banner" role="alert">
          {t("connect.lost")}
        </p>
      </Show>
      <main>
        <Switch>
          <Match when={tab() === "draw"}>
            <DrawView />
          </Match>
          <Match when={tab() === "history"}>
            <History
              onUse={() => {
                show("draw");
              }}
            />
          </Match>
        </Switch>
      </main>
      <DropZone />
    </Show>
  );
}

function DrawView() {
  // From a press of "Draw" until a field is entered the picture stays where it is on the screen, also while it grows on a phone.
  const [isFollowing, setFollowing] = createSignal(false);
  const draw = async (): Promise<void> => {
    commitTyped();
    setFollowing(true);
    await drawPrompt();
    // On a phone it may be out of sight. It has its size only when the job is shown.
    requestAnimationFrame(() => document.getElementById("picture")?.scrollIntoView({ block: "nearest" }));
  };
  const submit = (): void => void draw();
  return (
    <div
      class="desk"
      data-following={isFollowing()}
      onFocusIn={(event) => {
        if (event.target.matches("input, textarea, select, .editor")) {
          setFollowing(false);
        }
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) {
          event.preventDefault();
          submit();
        }
      }}
    >
      <PromptPanel onSubmit={submit} />
      <div class="middle">
        <Canvas />
        <JobList />
      </div>
      <aside aria-label={t("settings.title")}>
        <SettingsPanel />
        <div class="submit">
          <button class="primary" type="button" disabled={!canDraw()} onClick={submit} title={t("draw.shortcut")}>
            <Spark />
            {t("draw.submit")}
            <ExpectedTime />
          </button>
          <EstimateDetails />
          <Show when={isRefused()}>
            <p class="problem">{t("draw.invalid")}</p>
          </Show>
          <Show when={notice()}>
            {(message) => (
              <p classList={{ problem: message().isProblem, fine: !message().isProblem }} role="status" dir="auto">
                {message().text}{" "}
                <Show when={message().undo}>
                  {(undo) => (
                    <button class="link" type="button" onClick={() => undo()()}>
                      {t("prompt.undo")}
                    </button>
                  )}
                </Show>
              </p>
            )}
          </Show>
        </div>
        <DevicePanel />
        <p class="faint version">
          Sakuga {info()?.version} · <a href="/licences.txt">{t("app.licences")}</a>
        </p>
      </aside>
    </div>
  );
}

/** Has the focused field take over what was typed: many do so only when the focus leaves them. */
function commitTyped(): void {
  const field = document.activeElement;
  if (field instanceof HTMLInputElement) {
    field.blur();
    field.focus({ preventScroll: true });
  }
}

/** Each device of the server: load and memory over the last minutes, its job, and whether it takes jobs. */
import { Index, Show, createEffect, createMemo, createUniqueId, onCleanup, onMount } from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { titleOf } from "../prompt/request";
import { DeviceState } from "../sakuga/gen/sakuga/system/v1/activity_pb.js";
import type { Device } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { devices, hasSeveral, isHost, newest, samples, type Sample } from "../state/device";
import { jobs } from "../state/jobs";
import { isDark } from "../state/theme";
import { type Key, t } from "../text";

const HEIGHT = 64;
/** Characters of a prompt that name a job. */
const TITLE_MAX = 80;

/** Why a device takes no jobs. */
const STATES: Partial<Record<DeviceState, Key>> = {
  [DeviceState.DRAINING]: "device.draining",
  [DeviceState.DRAINED]: "device.drained",
  [DeviceState.DISABLED]: "device.disabled",
  [DeviceState.LOST]: "device.lost",
};

export function DevicePanel() {
  return (
    <section class="panel devices" aria-label={t(hasSeveral() ? "device.several" : "device.title")}>
      {/* By place: a device whose state has changed is another message, and its chart stays. */}
      <Index each={devices()}>{(device) => <DeviceItem device={device()} />}</Index>
    </section>
  );
}

function DeviceItem(props: { device: Device }) {
  const id = createUniqueId();
  const gib = (bytes: bigint | undefined) => (bytes === undefined ? "–" : (Number(bytes) / 2 ** 30).toFixed(1));
  const name = () => props.device.fullName || newest(props.device.name)?.name;
  const state = () => STATES[props.device.state];
  const job = () => jobs().find((one) => one.id === props.device.jobId && one.status === "running");
  return (
    <div class="device" role="group" aria-labelledby={id}>
      <p class="line">
        <strong id={id} dir="auto" title={name()}>
          {name()}
        </strong>
        <Show when={state()} fallback={<Show when={isHost(props.device.name)}>{hostNote()}</Show>}>
          {(key) => <span class="state">{t(key())}</span>}
        </Show>
      </p>
      <Show when={props.device.state === DeviceState.LOST}>
        <p class="problem" dir="auto">
          {props.device.failure}
        </p>
        <p class="faint">{t("device.lost.help")}</p>
      </Show>
      <Show when={hasSeveral() && job()}>
        {(drawn) => (
          <p class="faint job-title" dir="auto">
            {t("device.draws", { title: titleOf(drawn().request).slice(0, TITLE_MAX) })}
          </p>
        )}
      </Show>
      <Chart device={props.device.name} />
      <Show when={newest(props.device.name)} fallback={<p class="faint">{t("device.wait")}</p>}>
        {(sample) => (
          <p class="legend">
            <span class="load">
              {t("device.load")} {sample().utilizationPercent?.toFixed(0) ?? "–"} %
            </span>
            <span class="memory">
              {t("device.memory")} {gib(sample().memoryUsedBytes)} / {gib(sample().memoryTotalBytes)} GiB
            </span>
            <Show when={sample().powerWatts !== undefined}>
              <span>{sample().powerWatts?.toFixed(0)} W</span>
            </Show>
            <Show when={sample().temperatureCelsius !== undefined}>
              <span>{sample().temperatureCelsius?.toFixed(0)} °C</span>
            </Show>
          </p>
        )}
      </Show>
    </div>
  );
}

function hostNote() {
  return <span class="faint">{t("device.host")}</span>;
}

function Chart(props: { device: string }) {
  let host!: HTMLDivElement;
  // A sample of another device leaves this one's as they are.
  const kept = createMemo(() => samples(props.device));
  onMount(() => {
    let chart: uPlot | undefined;
    const build = (): void => {
      const colour = (name: string) => getComputedStyle(host).getPropertyValue(name).trim();
      chart?.destroy();
      chart = new uPlot(
        {
          width: host.clientWidth || 240,
          height: HEIGHT,
          cursor: { show: false },
          legend: { show: false },
          padding: [4, 0, 0, 0],
          scales: { x: { time: true }, y: { range: [0, 100] } },
          axes: [{ show: false }, { show: false }],
          series: [
            {},
            { stroke: colour("--blue"), width: 1.5, fill: colour("--blue-wash"), points: { show: false } },
            { stroke: colour("--red"), width: 1.5, points: { show: false } },
          ],
        },
        data(kept()),
        host,
      );
    };
    // The colours of the theme are read from the page, which has them after this turn.
    createEffect(() => {
      isDark();
      queueMicrotask(build);
    });
    createEffect(() => {
      const fresh = data(kept());
      chart?.setData(fresh);
    });
    const sizes = new ResizeObserver(() => chart?.setSize({ width: host.clientWidth, height: HEIGHT }));
    sizes.observe(host);
    onCleanup(() => {
      sizes.disconnect();
      chart?.destroy();
    });
  });
  return <div class="chart" ref={host} aria-hidden="true" />;
}

function data(kept: readonly Sample[]): uPlot.AlignedData {
  return [kept.map(({ time }) => time), kept.map(({ load }) => load), kept.map(({ memory }) => memory)];
}

/** Load and memory of the device over the last minutes. */
import { Show, createEffect, onCleanup, onMount } from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { info } from "../state/connection";
import { isHost, newest, samples } from "../state/device";
import { isDark } from "../state/theme";
import { t } from "../text";

const HEIGHT = 64;

export function DevicePanel() {
  const gib = (bytes: bigint | undefined) => (bytes === undefined ? "–" : (Number(bytes) / 2 ** 30).toFixed(1));
  return (
    <section class="panel device" aria-label={t("device.title")}>
      <p class="line">
        <strong dir="auto">{info()?.device || newest()?.name}</strong>
        <Show when={isHost()}>
          <span class="faint">{t("device.host")}</span>
        </Show>
      </p>
      <Chart />
      <Show when={newest()} fallback={<p class="faint">{t("device.wait")}</p>}>
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
    </section>
  );
}

function Chart() {
  let host!: HTMLDivElement;
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
        data(),
        host,
      );
    };
    // The colours of the theme are read from the page, which has them after this turn.
    createEffect(() => {
      isDark();
      queueMicrotask(build);
    });
    createEffect(() => {
      const fresh = data();
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

function data(): uPlot.AlignedData {
  const kept = samples();
  return [kept.map(({ time }) => time), kept.map(({ load }) => load), kept.map(({ memory }) => memory)];
}

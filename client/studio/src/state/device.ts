/** Samples of the device, for the charts. They come with the events of a job, and otherwise from a stream of their own. */
import { createEffect, createSignal, onCleanup } from "solid-js";
import { Code, ConnectError } from "@connectrpc/connect";

import { type GpuStats, StatsSource } from "../sakuga/gen/sakuga/system/v1/gpu_stats_pb.js";
import { explainFailure, phase, server } from "./connection";
import { isVisible } from "./visibility";

/** Samples that are kept: two minutes. */
const KEPT = 240;
const INTERVAL_MS = 1000;
const RETRY_MS = 5000;

export interface Sample {
  /** Seconds since 1970. */
  readonly time: number;
  /** Busy share in percent. */
  readonly load: number | null;
  /** Share of memory in use, in percent. */
  readonly memory: number | null;
  readonly power: number | null;
  readonly temperature: number | null;
}

const [samples, setSamples] = createSignal<readonly Sample[]>([]);
const [newest, setNewest] = createSignal<GpuStats>();

export { newest, samples };

/** Whether the figures are those of the host, because the device has no management library. */
export function isHost(): boolean {
  return newest()?.source === StatsSource.HOST;
}

/** Notes a sample. */
export function noteSample(stats: GpuStats): void {
  const used = stats.memoryUsedBytes;
  const total = stats.memoryTotalBytes;
  const time = stats.time === undefined ? Date.now() / 1000 : Number(stats.time.seconds) + stats.time.nanos / 1e9;
  const last = samples().at(-1);
  if (last && time <= last.time) {
    return;
  }
  setNewest(stats);
  setSamples([
    ...samples().slice(1 - KEPT),
    {
      time,
      load: stats.utilizationPercent ?? null,
      memory: used !== undefined && total !== undefined && total > 0n ? (Number(used) * 100) / Number(total) : null,
      power: stats.powerWatts ?? null,
      temperature: stats.temperatureCelsius ?? null,
    },
  ]);
}

/** Follows the device while the page is visible and no job brings samples. Called once. */
export function watchDevice(hasOtherSource: () => boolean): void {
  createEffect(() => {
    if (phase() !== "ready" || !isVisible() || hasOtherSource()) {
      return;
    }
    const end = new AbortController();
    void follow(end.signal);
    onCleanup(() => {
      end.abort();
    });
  });
}

async function follow(signal: AbortSignal): Promise<void> {
  const isOpen = (): boolean => !signal.aborted;
  while (isOpen()) {
    try {
      for await (const { stats } of server().system.watchGpuStats({ intervalMs: INTERVAL_MS }, { signal })) {
        if (stats && isOpen()) {
          noteSample(stats);
        }
      }
    } catch (error) {
      if (isOpen()) {
        explainFailure(error);
      }
      if (ConnectError.from(error).code === Code.PermissionDenied) {
        // The token is not for figures of the device.
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

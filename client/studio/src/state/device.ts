/** The devices of the server: whether each takes jobs, and its samples for the charts. */
import { createEffect, createMemo, createSignal, onCleanup } from "solid-js";
import { create, equals } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { DeviceState } from "../sakuga/gen/sakuga/system/v1/activity_pb.js";
import { type GpuStats, StatsSource } from "../sakuga/gen/sakuga/system/v1/gpu_stats_pb.js";
import { type Device, DeviceSchema } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { explainFailure, info, phase, server } from "./connection";
import { isVisible } from "./visibility";

/** Samples that are kept: two minutes, for each device. */
const KEPT = 240;
const INTERVAL_MS = 1000;
const RETRY_MS = 5000;
/** How often the server is asked for the states of its devices. */
const ASK_MS = 3000;

export interface Sample {
  /** Seconds since 1970. */
  readonly time: number;
  /** Busy share in percent. */
  readonly load: number | null;
  /** Share of memory in use, in percent. */
  readonly memory: number | null;
}

/** The samples of a device, the oldest first. */
interface Track {
  readonly newest: GpuStats;
  readonly samples: readonly Sample[];
}

const [listed, setListed] = createSignal<readonly Device[]>([], {
  equals: (a, b) => a.length === b.length && a.every((device, at) => equals(DeviceSchema, device, b[at] ?? device)),
});
/** By the names of the devices. */
const [tracks, setTracks] = createSignal<ReadonlyMap<string, Track>>(new Map());

/** The devices in the order of the configuration. Until the server has listed them, the first one without its name. */
export const devices = createMemo<readonly Device[]>(() =>
  listed().length > 0
    ? listed()
    : [create(DeviceSchema, { fullName: info()?.device ?? "", state: DeviceState.SERVING })],
);

/** Whether the server has several devices. */
export const hasSeveral = createMemo(() => listed().length > 1);

export const newest = (device: string): GpuStats | undefined => tracks().get(device)?.newest;

export const samples = (device: string): readonly Sample[] => tracks().get(device)?.samples ?? [];

/** Whether the figures are those of the host, because the device has no management library. */
export function isHost(device: string): boolean {
  return newest(device)?.source === StatsSource.HOST;
}

/** Notes a sample. Those of devices that the server does not use are dropped. */
export function noteSample(stats: GpuStats): void {
  const name = hasSeveral() ? stats.device : (devices()[0]?.name ?? "");
  if (!devices().some((device) => device.name === name)) {
    return;
  }
  const used = stats.memoryUsedBytes;
  const total = stats.memoryTotalBytes;
  const time = stats.time === undefined ? Date.now() / 1000 : Number(stats.time.seconds) + stats.time.nanos / 1e9;
  const before = samples(name);
  const last = before.at(-1);
  if (last && time <= last.time) {
    return;
  }
  const sample: Sample = {
    time,
    load: stats.utilizationPercent ?? null,
    memory: used !== undefined && total !== undefined && total > 0n ? (Number(used) * 100) / Number(total) : null,
  };
  setTracks(new Map(tracks()).set(name, { newest: stats, samples: [...before.slice(1 - KEPT), sample] }));
}

/** Follows the devices while the page is visible. `hasOtherSource`: a job brings the samples of its device. Called once. */
export function watchDevices(hasOtherSource: () => boolean): void {
  const isSeen = createMemo(() => phase() === "ready" && isVisible());
  createEffect(() => {
    if (!isSeen()) {
      return;
    }
    const end = new AbortController();
    void listAgain(end.signal);
    onCleanup(() => {
      end.abort();
    });
  });
  // A job brings the samples of its own device only.
  const isFollowing = createMemo(() => isSeen() && (hasSeveral() || !hasOtherSource()));
  createEffect(() => {
    if (!isFollowing()) {
      return;
    }
    const end = new AbortController();
    void follow(hasSeveral(), end.signal);
    onCleanup(() => {
      end.abort();
    });
  });
}

/** Asks for the states of the devices from time to time. */
async function listAgain(signal: AbortSignal): Promise<void> {
  const isOpen = (): boolean => !signal.aborted;
  while (isOpen()) {
    try {
      takeList((await server().system.listDevices({}, { signal })).devices);
    } catch (error) {
      if (!isOpen() || ConnectError.from(error).code === Code.PermissionDenied) {
        return;
      }
      explainFailure(error);
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  }
}

/** The samples of devices that are no longer there, or that had no name yet, are forgotten. */
function takeList(fresh: readonly Device[]): void {
  setListed(fresh);
  const names = new Set(fresh.map(({ name }) => name));
  if ([...tracks().keys()].some((name) => !names.has(name))) {
    setTracks(new Map([...tracks()].filter(([name]) => names.has(name))));
  }
}

async function follow(allDevices: boolean, signal: AbortSignal): Promise<void> {
  const isOpen = (): boolean => !signal.aborted;
  while (isOpen()) {
    try {
      const request = { intervalMs: INTERVAL_MS, allDevices };
      for await (const { stats } of server().system.watchGpuStats(request, { signal })) {
        if (stats && isOpen()) {
          noteSample(stats);
        }
      }
    } catch (error) {
      if (isOpen()) {
        explainFailure(error);
      }
      if (ConnectError.from(error).code === Code.PermissionDenied) {
        // The token is not for figures of the devices.
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

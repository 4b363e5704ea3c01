// What the tests share: servers, a browser without a window, and what a page may not do.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SCREENSHOTS = process.env.SAKUGA_STUDIO_SCREENSHOTS;

/** A folder with a built page, which takes the place of that within the server's program: for work on the page. */
const PAGE = process.env.SAKUGA_STUDIO_PAGE;

/** A machine that builds at the same time is slow. */
const PATIENCE = 30_000;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const servers = [];
const folder = mkdtempSync(join(tmpdir(), "sakuga-studio-"));
let browser;

/** Starts the browser and two servers: one that is open, and one with a token. */
export async function begin() {
  browser = await chromium.launch({ executablePath: process.env.SAKUGA_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  const made = await run(["token", "new", "--name", "artist", "--scope", "generate"]);
  writeFileSync(join(folder, "tokens"), made.stderr);
  return {
    studio: await serve([
      ...["--scripted-step-ms", "60", "--max-images", "16"],
      ...["--data-dir", join(folder, "data"), "--adapters", adapters()],
    ]),
    secured: await serve(["--tokens", join(folder, "tokens"), "--data-dir", "memory"]),
    token: made.stdout.trim(),
  };
}

/** The folder that `adapters` fills. */
export const adapterFolder = () => join(folder, "adapters");

/** A folder with one adapter that fits the model, and one of another model. */
function adapters() {
  const path = adapterFolder();
  mkdirSync(path);
  for (const [name, module] of [
    ["ink-lines", "block.0"],
    ["other-model", "foreign.0"],
  ]) {
    const header = JSON.stringify({ [module]: { dtype: "F32", shape: [1], data_offsets: [0, 4] } });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(join(path, `${name}.safetensors`), Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]));
  }
  return path;
}

/** Starts a server with these arguments and without pictures; the address of its studio. */
export function serveWith(args) {
  return serve([...args, "--data-dir", "memory"]);
}

/** Starts a server with the model of the program itself, and without pictures; the address of its studio. */
export function serveEmbedded() {
  return serve(["--engine", "burn", "--device", "cpu", "--cache-dir", join(folder, "cache"), "--data-dir", "memory"]);
}

/** Ends all of that. */
export async function end() {
  await browser?.close();
  for (const server of servers) {
    server.kill("SIGTERM");
    await new Promise((resolve) => server.once("exit", resolve));
  }
  rmSync(folder, { recursive: true, force: true });
}

/** Runs the server's program to its end. */
function run(args) {
  const child = spawn(process.env.SAKUGA_SERVER_BIN, args);
  const output = { stdout: "", stderr: "" };
  for (const name of Object.keys(output)) {
    child[name].on("data", (data) => (output[name] += data));
  }
  return new Promise((resolve) => child.once("exit", () => resolve(output)));
}

/** A port that is free. */
export function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Starts a server that keeps its jobs in a folder of its own, and returns what ends it without any warning. */
export async function serveAt(port, name) {
  const address = `127.0.0.1:${port}`;
  const url = await serve(["--studio", address, "--scripted-step-ms", "60", "--data-dir", join(folder, name)]);
  const server = servers.at(-1);
  const kill = async () => {
    servers.splice(servers.indexOf(server), 1);
    server.kill("SIGKILL");
    await new Promise((resolve) => server.once("exit", resolve));
  };
  return { url, kill };
}

/** Starts a server that draws gradients; the address of its studio. */
async function serve(args) {
  const engine = args.includes("--engine") ? [] : ["--engine", "scripted"];
  const child = spawn(process.env.SAKUGA_SERVER_BIN, ["--listen", "127.0.0.1:0", ...engine, ...args], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  servers.push(child);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("studio at ")) {
      return line.slice("studio at ".length);
    }
  }
  throw new Error("the server printed no address of its studio");
}

/** Shows the files of `PAGE` with the headers of the server's page. */
async function replacePage(context, url) {
  const isFile = (address) => address.href.startsWith(url) && !address.pathname.startsWith("/sakuga.");
  await context.route(isFile, async (route) => {
    const name = new URL(route.request().url()).pathname.slice(1) || "index.html";
    const response = await route.fetch({ url });
    const { "content-security-policy": policy } = response.headers();
    const types = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml", txt: "text/plain" };
    const headers = { "content-security-policy": policy, "content-type": types[name.split(".").at(-1)] };
    await route.fulfill({ headers, body: readFileSync(join(PAGE, name)) });
  });
}

/** The page of a new visitor. What the browser complains about, and any request elsewhere, fails the test. */
export async function open(t, url, { store = {}, isReady = true, ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width: 1360, height: 860 },
    locale: "en-US",
    acceptDownloads: true,
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  if (PAGE !== undefined) {
    await replacePage(context, url);
  }
  const complaints = [];
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) {
      complaints.push(`request to ${request.url()}`);
    }
  });
  page.on("dialog", async (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  await page.addInitScript((kept) => {
    // Once: a reload keeps what the page has stored since.
    if (localStorage.getItem("visited") === null) {
      localStorage.setItem("visited", "yes");
      for (const [name, value] of Object.entries(kept)) {
        localStorage.setItem(`sakuga.studio.${name}`, JSON.stringify(value));
      }
    }
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
  }, store);
  t.after(async () => {
    const violations = await page.evaluate(() => globalThis.violations).catch(() => []);
    await context.close();
    // Chromium gives what is typed into a selection a style of its own, which the policy drops.
    complaints.push(...violations.filter((violation) => !violation.startsWith("style-src-attr")));
    assert.deepEqual(complaints, []);
  });
  await page.goto(url);
  if (isReady) {
    await checked(page);
  }
  return page;
}

/** Waits until the server has checked the prompt that stands there. */
export function checked(page) {
  return page.locator(".prompt .findings[data-checked=true]").waitFor();
}

/** Draws in so many steps. */
export async function draw(page, steps) {
  if (steps !== undefined) {
    // That of a scene is the second one.
    const field = page.getByRole("spinbutton", { name: "Steps" }).first();
    await field.fill(String(steps));
    await field.blur();
  }
  await page.getByRole("button", { name: /^Draw( about .*)?$/ }).click();
}

/** A number as protobuf writes it. */
const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);

/** A field of a message with bytes, such as a text or another message. */
export const field = (at, bytes) => [...varint((at << 3) | 2), ...varint(bytes.length), ...bytes];

/** A field with a number. */
export const numberField = (at, value) => [...varint(at << 3), ...varint(value)];

/** A field with a float. */
export const floatField = (at, value) => [...varint((at << 3) | 5), ...Buffer.from(new Float32Array([value]).buffer)];

export const textField = (at, text) => field(at, Buffer.from(text));

/** A message in the frame of gRPC-Web. */
function frame(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, Buffer.from(message)]);
}

/** Calls the server of a page without the page; the messages are written by hand. */
export async function call(page, method, message) {
  return (await answerOf(page, method, message)).toString("latin1");
}

/** The same, with the answer as bytes. */
async function answerOf(page, method, message) {
  const { origin } = new URL(page.url());
  const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", origin };
  const address = new URL(`/sakuga.${method}`, page.url()).href;
  const answer = await page.request.post(address, { headers, data: frame(message) });
  return answer.body();
}

/** Draws without the page, waits for the end, and returns the name of the job. */
export async function createJob(page, { prompt, steps, width, height, images = 1 }) {
  const request = [
    ...textField(2, `<caption>${prompt}</caption>`),
    ...field(9, numberField(2, steps)),
    ...[numberField(10, width), numberField(11, height), numberField(12, images)].flat(),
  ];
  const created = await call(page, "generation.v1.JobService/CreateJob", field(1, request));
  const [job] = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(created);
  // The stream of its events ends with the job.
  await call(page, "generation.v1.JobService/WatchJob", textField(1, job));
  return job;
}

/** The first message within a message: its content, and where it ends. */
function firstMessage(message) {
  let [size, at, shift] = [0, 1, 0];
  do {
    size |= (message[at] & 127) << shift;
    shift += 7;
    at += 1;
  } while (message[at - 1] >= 128);
  return { content: message.subarray(at, at + size), end: at + size };
}

/** Adds fields to the first message in the answers of a call. A field that is there already gets the later value. */
export async function amend(page, method, fields) {
  await page.route(`**/sakuga.${method}`, async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    const length = body.readUInt32BE(1);
    const [message, rest] = [body.subarray(5, 5 + length), body.subarray(5 + length)];
    const { content, end } = firstMessage(message);
    const amended = [...field(message[0] >> 3, [...content, ...fields]), ...message.subarray(end)];
    await route.fulfill({ response, body: Buffer.concat([frame(amended), rest]) });
  });
}

/**
 * Has the page list a job that exists this many times, each time by another name, in pages of `pageSize`. Calls for one of them
 * are answered for the job that exists.
 */
export async function repeatJob(page, job, times, pageSize) {
  const answer = await answerOf(page, "generation.v1.JobService/ListJobs", numberField(2, 1));
  const { content } = firstMessage(answer.subarray(5));
  assert.ok(content.includes(job), "it is the newest one");
  const name = (index) => `${index.toString(16).padStart(8, "0")}${job.slice(8)}`;
  const copy = (index) => field(1, Buffer.from(content.toString("latin1").replaceAll(job, name(index)), "latin1"));
  await page.route("**/sakuga.generation.v1.JobService/*", async (route) => {
    const request = route.request();
    const body = request.postDataBuffer().toString("latin1");
    if (!request.url().endsWith("/ListJobs")) {
      const anyCopy = new RegExp(`[0-9a-f]{8}${job.slice(8)}`, "g");
      await route.continue({ postData: Buffer.from(body.replace(anyCopy, job), "latin1") });
      return;
    }
    const from = Number(/from-(\d+)/.exec(body)?.[1] ?? 0);
    const to = Math.min(from + pageSize, times);
    const jobs = Array.from({ length: to - from }, (_, at) => copy(from + at)).flat();
    const message = frame([...jobs, ...(to < times ? textField(2, `from-${to}`) : [])]);
    const end = Buffer.from("grpc-status: 0\r\n");
    const trailers = Buffer.concat([Buffer.from([0x80, 0, 0, 0, end.length]), end]);
    await route.fulfill({ contentType: "application/grpc-web+proto", body: Buffer.concat([message, trailers]) });
  });
}

/**
 * What the page holds after collections of garbage: bytes of its scripts, and elements with their texts, attached or not. The least of
 * several moments, because answers that are on their way are held as well.
 */
export async function held(page) {
  const session = await page.context().newCDPSession(page);
  let [bytes, nodes] = [Infinity, Infinity];
  for (let moment = 0; moment < 4; moment += 1) {
    await page.waitForTimeout(500);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    const counters = await session.send("Memory.getDOMCounters");
    [bytes, nodes] = [Math.min(bytes, usedSize), Math.min(nodes, counters.nodes)];
  }
  await session.detach();
  return { bytes, nodes };
}

/** Nodes of a heap snapshot that no script made: what the browser holds itself, and compiled code. */
const OF_BROWSER = ["native", "code", "hidden", "synthetic"];
/** The bytes of a buffer, which count although the browser holds them. */
const BUFFER = "system / JSArrayBufferData";

/**
 * Bytes of what the scripts of the page hold: objects, texts, functions and buffers. The compiled code is not among them: the engine
 * compiles what runs often again and better, and a debugger makes the browser keep a record of each answer.
 */
export async function heldByScripts(page) {
  const session = await page.context().newCDPSession(page);
  let bytes = Infinity;
  for (let moment = 0; moment < 3; moment += 1) {
    await page.waitForTimeout(500);
    bytes = Math.min(bytes, await bytesOfScripts(session));
  }
  await session.detach();
  return bytes;
}

async function bytesOfScripts(session) {
  const chunks = [];
  const take = ({ chunk }) => chunks.push(chunk);
  session.on("HeapProfiler.addHeapSnapshotChunk", take);
  await session.send("HeapProfiler.collectGarbage");
  await session.send("HeapProfiler.takeHeapSnapshot", { reportProgress: false });
  session.off("HeapProfiler.addHeapSnapshotChunk", take);
  const { snapshot, nodes, strings } = JSON.parse(chunks.join(""));
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ["type", "name", "self_size"].map((field) => fields.indexOf(field));
  let bytes = 0;
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (!OF_BROWSER.includes(types[type][nodes[at + type]]) || strings[nodes[at + name]] === BUFFER) {
      bytes += nodes[at + size];
    }
  }
  return bytes;
}

/** Returns what gives the seconds of processor time that the page has used since, also on a machine that does something else. */
export async function processorTime(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const read = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value;
  };
  const before = await read();
  return async () => (await read()) - before;
}

/** The first finished picture in the middle. */
export function finished(page) {
  return page.locator(".images img[data-final=true]").first();
}

/** The prompt that the page keeps. */
export function textOf(page) {
  return page.evaluate(() => JSON.parse(localStorage.getItem("sakuga.studio.prompt")));
}

/** Drops a file on the page. */
export function drop(page, name, type, data) {
  return page.evaluate(
    ([name, type, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
      for (const kind of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
      }
    },
    [name, type, [...data]],
  );
}

/** What hinders people with screen readers, seriously. */
export async function barriers(page) {
  // By the protocol of the debugger: the page's policy accepts scripts of the server only.
  await page.evaluate(readFileSync(AXE, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}

/** By how many pixels the page is wider than the screen. */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}

/** For a person to look at, in the folder `SAKUGA_STUDIO_SCREENSHOTS`. */
export async function screenshot(page, name) {
  if (SCREENSHOTS !== undefined) {
    mkdirSync(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  }
}

/** The connection to the server of this page. */
import { createEffect, createSignal, onCleanup } from "solid-js";
import type { DescService } from "@bufbuild/protobuf";
import { Code, type Client as Stub, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { type Client, ConnectionLost, RequestRefused, SakugaError, ServerError, connect } from "../sakuga/web.js";
import { baseUrl, checkedToken } from "../sakuga/address.js";
import { authorization } from "../sakuga/client.js";
import { explain } from "../sakuga/errors.js";
import type { GetServerInfoResponse, Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { forget, isString, load, save } from "./storage";
import { isVisible } from "./visibility";

/** What the page can do at the moment. */
export type Phase = "connecting" | "ready" | "needs-token" | "lost";

const RETRY_MS = 2000;
const ASK_MS = 3000;
const TOKEN = "token";

const [phase, setPhase] = createSignal<Phase>("connecting");
const [problem, setProblem] = createSignal("");
const [info, setInfo] = createSignal<GetServerInfoResponse>();
const [models, setModels] = createSignal<readonly Model[]>([]);

let client: Client | undefined;
let secret: string | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;

export { info, models, phase, problem };

/** The client. Before the first connection its calls fail like those of a lost one. */
export function server(): Client {
  client ??= connect(address());
  return client;
}

/** The generated stub of a service that the client does not have. */
export function stub<Service extends DescService>(service: Service): Stub<Service> {
  const token = secret === undefined ? undefined : checkedToken(secret);
  const transport = createGrpcWebTransport({
    baseUrl: baseUrl(address(), token),
    interceptors: token === undefined ? [] : [authorization(token)],
    useBinaryFormat: true,
  });
  return createClient(service, transport);
}

/** Connects with the token that this tab keeps, if it keeps one. */
export async function start(): Promise<void> {
  await open(load("session", TOKEN, isString));
}

/** Connects with a token, and keeps it until the tab is closed. */
export async function signIn(token: string): Promise<void> {
  await open(token);
  if (phase() === "ready") {
    save("session", TOKEN, token.trim());
  }
}

/** Forgets the token. */
export function signOut(): void {
  forget("session", TOKEN);
  location.reload();
}

/** Notes the error of a call, as `noteFailure` does. Returns what to show. */
export function explainFailure(error: unknown): string {
  const explained = explain(error);
  noteFailure(explained);
  return sentenceOf(explained);
}

/** An error for an artist: what is wrong, field by field, without names of status codes. */
export function sentenceOf(error: Error): string {
  if (!(error instanceof ServerError)) {
    return error.message;
  }
  const { message, violations } = error.status;
  const lines = violations.map(({ field, description }) => (field === "" ? description : `${field}: ${description}`));
  return lines.length === 0 ? message : lines.join("\n");
}

/** Notes the error of a call: a token that is no longer valid is asked for again, and a lost connection is opened again. */
export function noteFailure(explained: Error): void {
  if (explained instanceof RequestRefused && explained.code === Code.Unauthenticated) {
    setPhase("needs-token");
  } else if (explained instanceof ConnectionLost && phase() === "ready") {
    setPhase("lost");
    setProblem(sentenceOf(explained));
    retry = setTimeout(() => void start(), RETRY_MS);
  }
}

/** Asks the server from time to time whether it is there, while the page is seen. Called once. */
export function watchConnection(): void {
  createEffect(() => {
    if (phase() !== "ready" || !isVisible()) {
      return;
    }
    const asking = setInterval(() => {
      server().info().then(setInfo, explainFailure);
    }, ASK_MS);
    onCleanup(() => {
      clearInterval(asking);
    });
  });
}

/** Reads the queue and the models again. */
export async function refresh(): Promise<void> {
  setInfo(await server().info());
  setModels(await server().models());
}

async function open(token: string | undefined): Promise<void> {
  clearTimeout(retry);
  try {
    client = connect(address(), { token });
    secret = token;
    await refresh();
    setProblem("");
    setPhase("ready");
  } catch (error) {
    const isRefused = error instanceof RequestRefused && error.code === Code.Unauthenticated;
    // A token that cannot be sent at all is as wrong as one that the server does not know.
    const isBadToken = token !== undefined && error instanceof SakugaError && error.name === "AddressError";
    if (isRefused || isBadToken) {
      setProblem(token === undefined ? "" : sentenceOf(error));
      setPhase("needs-token");
      return;
    }
    setProblem(error instanceof Error ? sentenceOf(error) : String(error));
    setPhase("lost");
    retry = setTimeout(() => void open(token), RETRY_MS);
  }
}

/** The server of this page, with the port that browsers leave out of addresses. */
function address(): string {
  const { protocol, hostname, port } = location;
  return `${protocol}//${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}

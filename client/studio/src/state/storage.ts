/** What the page keeps in the browser. A browser may refuse to keep anything; then nothing is kept. */
import { type DescMessage, type MessageShape, fromJsonString, toJsonString } from "@bufbuild/protobuf";

const PREFIX = "sakuga.studio.";

function area(kind: "local" | "session"): Storage | undefined {
  try {
    return kind === "local" ? localStorage : sessionStorage;
  } catch {
    return undefined;
  }
}

/** Reads a value that `isValid` accepts; `undefined` for anything else. */
export function load<T>(
  kind: "local" | "session",
  name: string,
  isValid: (value: unknown) => value is T,
): T | undefined {
  try {
    const value: unknown = JSON.parse(area(kind)?.getItem(PREFIX + name) ?? "null");
    return isValid(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a value. */
export function save(kind: "local" | "session", name: string, value: unknown): void {
  try {
    area(kind)?.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // It is full, or refused: the page works without it.
  }
}

/** Removes a value. */
export function forget(kind: "local" | "session", name: string): void {
  try {
    area(kind)?.removeItem(PREFIX + name);
  } catch {
    // There is nothing to remove.
  }
}

/** Reads a message that outlives the tab; `undefined` if there is none, or one of another version. */
export function loadMessage<Desc extends DescMessage>(name: string, schema: Desc): MessageShape<Desc> | undefined {
  const kept = load("local", name, isString) ?? "";
  try {
    return kept === "" ? undefined : fromJsonString(schema, kept);
  } catch {
    return undefined;
  }
}

/** Keeps a message, or that there is none. */
export function saveMessage<Desc extends DescMessage>(
  name: string,
  schema: Desc,
  message: MessageShape<Desc> | undefined,
): void {
  save("local", name, message ? toJsonString(schema, message) : "");
}

export const isString = (value: unknown): value is string => typeof value === "string";

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

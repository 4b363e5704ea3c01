/** The text chunks of a PNG file. */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Bytes that a text may have after decompression. */
const TEXT_BYTES_MAX = 4 << 20;

/** Whether a file begins as a PNG does. */
export function isPng(data: Uint8Array): boolean {
  return SIGNATURE.every((byte, index) => data[index] === byte);
}

/**
 * The text of a keyword, from an `iTXt`, `tEXt` or `zTXt` chunk; `undefined` if there is no such chunk, or the file is damaged before
 * it.
 */
export async function pngText(data: Uint8Array, keyword: string): Promise<string | undefined> {
  if (!isPng(data)) {
    return undefined;
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = SIGNATURE.length;
  while (at + 12 <= data.length) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...data.subarray(at + 4, at + 8));
    const body = data.subarray(at + 8, at + 8 + length);
    if (body.length < length || type === "IEND") {
      return undefined;
    }
    const text = await readChunk(type, body, keyword);
    if (text !== undefined) {
      return text;
    }
    at += 12 + length;
  }
  return undefined;
}

async function readChunk(type: string, body: Uint8Array, keyword: string): Promise<string | undefined> {
  if (type !== "iTXt" && type !== "tEXt" && type !== "zTXt") {
    return undefined;
  }
  const end = body.indexOf(0);
  if (end < 0 || latin1(body.subarray(0, end)) !== keyword) {
    return undefined;
  }
  const rest = body.subarray(end + 1);
  switch (type) {
    case "tEXt":
      return textOf(rest);
    case "zTXt":
      return textOf(await inflate(rest.subarray(1)));
    case "iTXt": {
      const isCompressed = rest[0] === 1;
      // After the two flags come the language and the translated keyword, each with a zero at its end.
      const language = rest.indexOf(0, 2);
      const translated = language < 0 ? -1 : rest.indexOf(0, language + 1);
      if (translated < 0) {
        return undefined;
      }
      const text = rest.subarray(translated + 1);
      return new TextDecoder().decode(isCompressed ? await inflate(text) : text);
    }
  }
}

async function inflate(data: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([data.slice()]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    length += value.length;
    if (length > TEXT_BYTES_MAX) {
      await reader.cancel();
      throw new RangeError(`a text of the picture has more than ${TEXT_BYTES_MAX} bytes`);
    }
    parts.push(value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Latin-1 by the specification; programs write UTF-8 as well. */
function textOf(data: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    return latin1(data);
  }
}

function latin1(data: Uint8Array): string {
  return new TextDecoder("latin1").decode(data);
}

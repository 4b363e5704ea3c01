// Drives the servers that `cargo xtask test languages` starts, with OpenAI's client for Node.js.
import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import OpenAI, { toFile } from "openai";
import { Stream } from "openai/streaming";

const { SAKUGA_TEST_HTTP, SAKUGA_TEST_HTTP_TOKENS, SAKUGA_TEST_HTTP_LIMITED } = process.env;
const skip = SAKUGA_TEST_HTTP ? false : "SAKUGA_TEST_HTTP is not set; `cargo xtask test languages` starts the servers";
const prompt = "1girl, solo, blue_hair";
const sakuga = { seed: 7, sampling: { steps: 8 } };

function connect(address = SAKUGA_TEST_HTTP, apiKey = "none") {
  return new OpenAI({ baseURL: `${address.replace(/\/$/, "")}/v1`, apiKey, maxRetries: 0 });
}

/** Width and height of a PNG in base64. */
function size(base64) {
  const file = Buffer.from(base64, "base64");
  assert.equal(file.subarray(1, 4).toString(), "PNG");
  return [file.readUInt32BE(16), file.readUInt32BE(20)];
}

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** The checksum of a PNG's chunk. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A PNG of 64 x 64 pixels with this opacity in each column. */
function png(name, alpha) {
  const row = Buffer.concat([Buffer.of(0), ...Array.from({ length: 64 }, (_, x) => Buffer.of(4 * x, 90, 200, alpha(x)))]);
  const header = Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 6, 0, 0, 0]);
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const ends = [Buffer.alloc(4), Buffer.alloc(4)];
    ends[0].writeUInt32BE(data.length);
    ends[1].writeUInt32BE(crc32(body));
    return Buffer.concat([ends[0], body, ends[1]]);
  };
  const pixels = deflateSync(Buffer.concat(Array.from({ length: 64 }, () => row)));
  const file = [Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))];
  return toFile(Buffer.concat(file), name, { type: "image/png" });
}

test("models", { skip }, async () => {
  const { data } = await connect().models.list();
  assert.deepEqual(data.map((model) => model.id), ["scripted"]);
});

test("two pictures as base64, and one by its URL", { skip }, async () => {
  const answer = await connect().images.generate({ prompt, n: 2, size: "128x64", sakuga });
  assert.deepEqual(answer.data.map((image) => size(image.b64_json)), [[128, 64], [128, 64]]);
  assert.equal(answer._request_id, answer.sakuga.job_id);
  const { data } = await connect().images.generate({ prompt, response_format: "url", sakuga });
  const fetched = await fetch(data[0].url);
  assert.equal(fetched.headers.get("content-type"), "image/png");
  assert.ok((await fetched.arrayBuffer()).byteLength > 100);
});

test("partial pictures come before the finished one", { skip }, async () => {
  const events = await collect(await connect().images.generate({ prompt, stream: true, partial_images: 2, sakuga }));
  assert.deepEqual(events.map((event) => [event.type, event.partial_image_index]), [
    ["image_generation.partial_image", 0],
    ["image_generation.partial_image", 1],
    ["image_generation.completed", undefined],
  ]);
});

test("a stream resumes behind the last event after a cut", { skip }, async () => {
  const client = connect();
  const options = { prompt, stream: true, partial_images: 3, sakuga: { sampling: { steps: 150 } } };
  const stream = await client.images.generate(options);
  let first;
  for await (const event of stream) {
    first = event;
    break;
  }
  const { job_id: job, event_id: last } = first.sakuga;
  const controller = new AbortController();
  const path = `/images/generations/${job}/events`;
  const response = await client.get(path, { headers: { "Last-Event-ID": last } }).asResponse();
  const events = await collect(Stream.fromSSEResponse(response, controller));
  assert.deepEqual(events.map((event) => event.partial_image_index), [1, 2, undefined]);
  assert.equal(events.at(-1).type, "image_generation.completed");
});

test("edits with a mask", { skip }, async () => {
  const client = connect();
  const [image, mask] = [await png("a.png", () => 255), await png("b.png", (x) => (x < 32 ? 0 : 255))];
  const answer = await client.images.edit({ image, mask, prompt, sakuga });
  assert.deepEqual(size(answer.data[0].b64_json), [64, 64]);
  const streamed = { image: [image], prompt, stream: true, partial_images: 1, sakuga: JSON.stringify(sakuga) };
  const events = await collect(await client.images.edit(streamed));
  assert.deepEqual(events.map((event) => event.type), ["image_edit.partial_image", "image_edit.completed"]);
});

test("errors are those of the client", { skip }, async () => {
  const client = connect();
  await assert.rejects(client.images.generate({ prompt, quality: "hd" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual([error.param, error.code], ["quality", "INVALID_REQUEST"]);
    return true;
  });
  await assert.rejects(client.images.generate({ prompt, model: "dall-e-3" }), OpenAI.NotFoundError);
  await assert.rejects(connect(SAKUGA_TEST_HTTP_TOKENS, "wrong").models.list(), OpenAI.AuthenticationError);
  const limited = connect(SAKUGA_TEST_HTTP_TOKENS, SAKUGA_TEST_HTTP_LIMITED);
  // The token may make one call.
  await limited.models.list();
  await assert.rejects(limited.models.list(), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.ok(Number(error.headers.get("retry-after")) > 0);
    return true;
  });
});

// Drives the servers that `cargo xtask test languages` starts, over gRPC and, as a browser does, over gRPC-Web.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import * as node from "sakuga/node";
import * as web from "sakuga/web";

const PROMPT = "<character_1><n>$character_1$</n><gender>1girl</gender><appearance>blue_hair</appearance></character_1>";
const { SAKUGA_TEST_SERVER, SAKUGA_TEST_TLS_SERVER, SAKUGA_TEST_CA, SAKUGA_TEST_TOKEN } = process.env;
const skip = SAKUGA_TEST_SERVER ? false : "SAKUGA_TEST_SERVER is not set; `cargo xtask test languages` starts the servers";
const size = { seed: 7n, width: 64, height: 64 };

const clients = [];
after(() => clients.forEach((client) => client.close()));

/** A client over gRPC that is closed after the tests. */
function connectNode(address = SAKUGA_TEST_SERVER, options = {}) {
  const client = node.connect(address, options);
  clients.push(client);
  return client;
}

for (const [name, connect] of [
  ["node", () => connectNode()],
  ["web", () => web.connect(SAKUGA_TEST_SERVER)],
]) {
  test(`${name}: validation names place and fix`, { skip }, async () => {
    const report = await connect().validate(PROMPT.replaceAll("appearance>", "appearence>"));
    assert.equal(report.valid, true);
    const [found] = report.diagnostics;
    assert.equal(found.code, "unknown-element");
    assert.equal(found.line, 1);
    assert.ok(found.column > 1);
    assert.equal(found.fix.edits[0].replacement, "appearance");
  });

  test(`${name}: a generation sends previews, statistics and the picture`, { skip }, async () => {
    const job = await connect().generate(PROMPT, {
      ...size,
      sampling: { steps: 20 },
      preview: { method: node.PreviewMethod.LINEAR },
      gpuStatsIntervalMs: 100,
    });
    const counts = {};
    for await (const { event } of job) {
      counts[event.case] = (counts[event.case] ?? 0) + 1;
    }
    assert.equal(counts.step, 20);
    assert.ok(counts.preview > 0 && counts.gpuStats > 0, JSON.stringify(counts));
    const { data, info } = await job.picture();
    assert.deepEqual([...data.subarray(1, 4)], [...Buffer.from("PNG")]);
    assert.deepEqual([info.width, info.metadata.seed], [64, 7n]);
  });

  test(`${name}: a cancelled job ends as cancelled`, { skip }, async () => {
    const client = connect();
    const job = await client.create(PROMPT, { ...size, sampling: { steps: 200 } });
    for await (const { event } of job) {
      if (event.case === "step" && event.value.index === 2) {
        await job.cancel();
      }
    }
    await assert.rejects(job.pictures(), (error) => {
      assert.ok(error instanceof node.JobCancelled);
      assert.ok(error.atStep >= 2);
      return error.reason === node.CancelReason.REQUESTED;
    });
    assert.equal((await client.job(job.id)).state, node.JobState.CANCELLED);
  });

  test(`${name}: another client resumes after an event`, { skip }, async () => {
    const job = await connect().create(PROMPT, { ...size, sampling: { steps: 12 } });
    for await (const { event } of job) {
      if (event.case === "step" && event.value.index === 3) {
        break;
      }
    }
    const last = job.lastSequence;
    job.close();
    const resumed = connect().watch(job.id, last);
    for await (const { sequence } of resumed) {
      assert.ok(sequence > last);
      break;
    }
    assert.equal((await resumed.pictures()).length, 1);
    // The pieces of the picture were sent before this event, so the picture is fetched.
    const { nextSequence } = await connect().job(job.id);
    assert.equal((await connect().watch(job.id, nextSequence - 2n).pictures()).length, 1);
  });

  test(`${name}: a refusal is decoded`, { skip }, async () => {
    const wrong = connect().generate("<character_1><gender>robot</gender></character_1>", { sampling: { steps: 999 } });
    await assert.rejects(wrong, (error) => {
      assert.ok(error instanceof node.RequestRefused);
      assert.deepEqual([error.reason, error.status.domain], ["INVALID_REQUEST", "sakuga.dev"]);
      return error.violations.length >= 2 && error.violations.some(({ field }) => field === "sampling.steps");
    });
  });

  test(`${name}: jobs are listed, read and deleted`, { skip }, async () => {
    const client = connect();
    const job = await client.create(PROMPT, { ...size, sampling: { steps: 1 } });
    const picture = await job.picture();
    assert.deepEqual(await client.artifact(job.id), picture.data);
    const listed = [];
    for await (const kept of client.listJobs()) {
      listed.push(kept.jobId);
    }
    assert.ok(listed.includes(job.id));
    await client.delete(job.id);
    await assert.rejects(client.job(job.id), { reason: "JOB_NOT_FOUND" });
    for await (const sample of client.watchDevice()) {
      assert.notEqual(sample.name, "");
      break;
    }
  });
}

test("a full server says when to try again", { skip }, async () => {
  const client = connectNode();
  const jobs = [];
  try {
    for (let count = 0; count < 64; count++) {
      jobs.push(await client.generate(PROMPT, { ...size, sampling: { steps: 200 } }));
    }
    assert.fail("the server accepted every job");
  } catch (error) {
    assert.ok(error instanceof node.RequestRefused, String(error));
    assert.ok(error.retryAfterMs > 0 && error.reason);
  } finally {
    jobs.forEach((job) => job.close());
  }
});

test("events continue after a cut", { skip }, async () => {
  const server = new URL(SAKUGA_TEST_SERVER);
  let connections = 0;
  // The first connection is cut after some bytes from the server.
  const proxy = net.createServer((client) => {
    const upstream = net.connect(Number(server.port), server.hostname);
    let left = ++connections === 1 ? 3000 : Infinity;
    const end = () => [client, upstream].forEach((socket) => socket.destroy());
    client.on("data", (data) => upstream.write(data));
    upstream.on("data", (data) => {
      client.write(data);
      left -= data.length;
      if (left <= 0) {
        end();
      }
    });
    [client, upstream].forEach((socket) => socket.on("error", end).on("close", end));
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  try {
    const client = connectNode(`http://127.0.0.1:${proxy.address().port}`);
    const job = await client.create(PROMPT, { ...size, sampling: { steps: 60 } });
    const steps = [];
    for await (const { event } of job) {
      if (event.case === "step") {
        steps.push(event.value.index);
      }
    }
    assert.deepEqual(steps, Array.from({ length: 60 }, (_, index) => index + 1));
    assert.equal((await job.pictures()).length, 1);
    assert.ok(connections >= 2);
  } finally {
    proxy.close();
  }
});

test("TLS with a token", { skip: SAKUGA_TEST_TLS_SERVER ? skip : "SAKUGA_TEST_TLS_SERVER is not set" }, async () => {
  const ca = readFileSync(SAKUGA_TEST_CA);
  const client = connectNode(SAKUGA_TEST_TLS_SERVER, { ca, token: SAKUGA_TEST_TOKEN });
  const job = await client.generate(PROMPT, { ...size, sampling: { steps: 2 } });
  assert.equal((await job.pictures()).length, 1);
  await assert.rejects(connectNode(SAKUGA_TEST_TLS_SERVER, { ca }).models(), { reason: "TOKEN_MISSING" });
});

/** A safetensors file with so many bytes of data. */
function tensors(size) {
  const header = Buffer.from(`{"a":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.from(Array.from({ length: size }, (_, index) => (index * index) / 7))]);
}

test("images are uploaded and inpainted", { skip }, async () => {
  const client = connectNode();
  const drawn = await (await client.generate(PROMPT, { ...size, sampling: { steps: 1 } })).picture();
  const asset = await client.uploadAsset(drawn.data);
  assert.deepEqual([asset.facts.case, asset.facts.value.width], ["picture", 64]);
  const boxes = [{ left: 16, top: 16, width: 32, height: 32 }];
  const options = { ...size, sampling: { steps: 4 }, ...node.fromImage(asset, 0.5, { boxes, feather: 4 }) };
  const { init, mask } = (await (await client.generate(PROMPT, options)).picture()).info.metadata.request;
  assert.equal(init.image.source.value, asset.sha256);
  assert.deepEqual([mask.boxes.length, mask.feather], [1, 4]);
  // A mask needs something that is white.
  const { mask: alone } = node.fromImage(drawn.data, 0.5, { mask: drawn.data });
  await assert.rejects(client.generate(PROMPT, { ...size, mask: alone }), node.RequestRefused);
  await client.deleteAsset(asset.sha256);
});

test("an upload continues where it was", { skip }, async () => {
  const client = connectNode();
  const file = tensors(600_000);
  const sha256 = createHash("sha256").update(file).digest("hex");
  async function* begun() {
    yield { part: { case: "start", value: { sha256, size: BigInt(file.length) } } };
    yield { part: { case: "data", value: file.subarray(0, 100_000) } };
  }
  await assert.rejects(client.assets.uploadAsset(begun()), /continue at offset 100000/);
  const asset = await client.uploadAsset(file);
  assert.deepEqual([asset.sha256, asset.facts.case], [sha256, "tensors"]);
  assert.deepEqual(node.uploadedAdapter(asset, 0.5), { source: { case: "sha256", value: sha256 }, scale: 0.5 });
  await client.deleteAsset(sha256);
});

test("the examples run", { skip }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "sakuga-"));
  try {
    await writeFile(path.join(folder, "prompt.xml"), PROMPT);
    for (const [name, ...files] of [
      ["generate", "picture.png"],
      ["inpaint", "picture.png", "changed.png"],
    ]) {
      const example = fileURLToPath(new URL(`../examples/${name}.mjs`, import.meta.url));
      const run = spawn(process.execPath, [example, "prompt.xml", ...files], {
        cwd: folder,
        env: { ...process.env, SAKUGA_SERVER: SAKUGA_TEST_SERVER },
        stdio: "ignore",
      });
      const [code] = await once(run, "exit");
      assert.equal(code, 0, name);
      assert.ok((await readFile(path.join(folder, files.at(-1)))).length > 100);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the lines of the README draw as they stand, and there are ten of them", { skip }, async () => {
  const page = new URL("../README.md", import.meta.url);
  const [, lines] = /^```ts\n(.*?)^```$/ms.exec(await readFile(page, "utf8"));
  const statements = lines.split("\n").filter((line) => !/^(import .*|\s*}?)$/.test(line));
  assert.ok(statements.length <= 10, statements.join("\n"));
  const folder = await mkdtemp(path.join(tmpdir(), "sakuga-"));
  // Within the package, so that it finds the package by its name.
  const module = fileURLToPath(new URL("../dist/readme.mjs", import.meta.url));
  await writeFile(module, lines);
  try {
    const run = spawn(process.execPath, [module], {
      cwd: folder,
      env: { ...process.env, SAKUGA_SERVER: SAKUGA_TEST_SERVER },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    run.stdout.on("data", (data) => (output += data));
    const [code] = await once(run, "close");
    assert.equal(code, 0);
    assert.match(output, /^step 1 of \d+$/m);
    assert.equal((await readFile(path.join(folder, "girl.png"))).subarray(1, 4).toString(), "PNG");
  } finally {
    await rm(folder, { recursive: true });
    await rm(module);
  }
});

test("the recipe of the cookbook runs, and continues where it was left", { skip }, async () => {
  const page = process.env.SAKUGA_TEST_COOKBOOK ?? fileURLToPath(new URL("../../COOKBOOK.md", import.meta.url));
  const [, recipe] = /^```js\n(.*?)^```$/ms.exec(await readFile(page, "utf8"));
  // Within the package, so that it finds the package by its name.
  const module = new URL("../dist/cookbook.mjs", import.meta.url);
  await writeFile(module, recipe);
  const { watch } = await import(module.href);
  const shown = [];
  const store = {};
  await watch(SAKUGA_TEST_SERVER, (data, type) => shown.push(`${type} ${data.length > 0}`), store);
  assert.ok(shown.includes("image/jpeg true"));
  assert.equal(shown.at(-1), "image/png true");
  store.sequence -= 1n;
  const again = [];
  await watch(SAKUGA_TEST_SERVER, (_, type) => again.push(type), store);
  assert.deepEqual(again, ["image/png"]);
});

test("a token is not sent unencrypted, and wrong addresses are named", () => {
  assert.throws(() => node.connect("gpu-box:50051", { token: "secret" }), node.AddressError);
  for (const wrong of ["ftp://host", "http://user:secret@host", "http://host/path", "http://"]) {
    assert.throws(
      () => node.connect(wrong),
      (error) => error instanceof node.AddressError && !error.message.includes("secret"),
    );
  }
});

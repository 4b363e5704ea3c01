// The history on a live server: favourites, search and small pictures; and the page with much in it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  barriers,
  begin,
  checked,
  createJob,
  draw,
  drop,
  end,
  finished,
  held,
  heldByScripts,
  open,
  overflow,
  processorTime,
  repeatJob,
  screenshot,
  serveWith,
} from "./browser.mjs";

/** Jobs of the test for a long history, each with one picture. */
const LONG_HISTORY = 5000;
/** Generations of the test for memory. */
const GENERATIONS = 200;
/** What each of them may leave behind. A record of a job that is kept takes 13 kB. */
const BYTES_A_GENERATION = 1000;

let studio;

before(async () => {
  ({ studio } = await begin());
});

after(end);

const tiles = (page) => page.locator(".tile").count();

/** Waits until the history shows so many entries. */
function shows(page, count) {
  return page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, count);
}

test("favourites and searches are those of the server", async (t) => {
  const page = await open(t, studio);
  const prompts = ["A red fox in the snow.", "A lighthouse by the sea.", "Two cats in the snow."];
  for (const prompt of prompts) {
    await createJob(page, { prompt, steps: 1, width: 768, height: 512 });
  }
  await page.getByRole("link", { name: "History" }).click();
  await shows(page, 3);
  await page.locator(".tile img").nth(2).waitFor();
  // A small picture of the server, and not the whole one.
  const widths = await page.locator(".tile img").evaluateAll((images) => images.map((image) => image.naturalWidth));
  assert.deepEqual(widths, [384, 384, 384]);
  const star = page.getByRole("button", { name: /^Favourite: A lighthouse/ });
  await star.focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".tile .like[aria-pressed=true]") === document.activeElement);
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "history-wall");
  await page.reload();
  await shows(page, 3);
  await page.getByRole("button", { name: "Favourites", exact: true }).click();
  await shows(page, 1);
  await page.locator(".tile .open").click();
  const mark = page.getByRole("dialog").getByRole("button", { name: "Favourite" });
  assert.equal(await mark.getAttribute("aria-pressed"), "true");
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Show everything" }).click();
  await shows(page, 3);
  const search = page.getByRole("searchbox");
  for (const [text, found] of [
    ["snow", 2],
    ["snow fox", 1],
    ["nothing like that", 0],
    ["favourite", 1],
  ]) {
    await search.fill(text);
    await shows(page, found);
  }
  await search.fill("nothing like that");
  await page.getByText("Nothing matches.").waitFor();
  await screenshot(page, "history-nothing");
  await page.getByRole("button", { name: "Show everything" }).last().click();
  await shows(page, 3);
  await page.getByLabel("to", { exact: true }).fill("2020-01-01");
  await shows(page, 0);
  await page.getByLabel("From").fill("2019-01-01");
  await page.getByLabel("to", { exact: true }).fill("2999-01-01");
  await shows(page, 3);
});

test("a picture of any size is uploaded, and drawn from", async (t) => {
  const page = await open(t, studio);
  // Noise does not become smaller: 3 MB, more than a request may have.
  const large = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(1200, 900);
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    for (let at = 0; at < pixels.data.length; at += 65_536) {
      crypto.getRandomValues(pixels.data.subarray(at, at + 65_536));
    }
    context.putImageData(pixels, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], "large.png", { type: "image/png" }));
    document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    return blob.size;
  });
  assert.ok(large > 2 << 20, `${large} bytes`);
  await page.getByRole("img", { name: "The image to begin from: large.png" }).waitFor();
  const sent = page.waitForRequest((request) => request.url().endsWith("/CreateJob"));
  await draw(page, 6);
  assert.ok((await sent).postDataBuffer().length < 100_000, "the request names the file");
  await finished(page).waitFor();
  // After a reload the page has the file no more, and the server has it.
  await page.reload();
  await checked(page);
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile .open").first().click();
  const uploads = [];
  page.on("request", (request) => request.url().endsWith("/UploadAssetPart") && uploads.push(request.url()));
  await page.getByRole("dialog").getByRole("button", { name: "Edit this prompt" }).click();
  await page.getByRole("img", { name: /^The image to begin from/ }).waitFor();
  await draw(page);
  await page.locator(".job.completed").nth(1).waitFor();
  assert.deepEqual(uploads, [], "a file that the server has is not sent again");
});

test("pictures of other programs bring prompt and settings, and what is left out is listed", async (t) => {
  const page = await open(t, studio, { store: { prompt: "", view: "xml" } });
  const graph = {
    "1": {
      class_type: "KSampler",
      inputs: { seed: 77, steps: 9, cfg: 4, sampler_name: "euler", positive: ["2", 0], latent_image: ["3", 0] },
    },
    "2": { class_type: "CLIPTextEncode", inputs: { text: "a fox, snow" } },
    "3": { class_type: "EmptyLatentImage", inputs: { width: 128, height: 64 } },
  };
  await drop(page, "comfy.json", "application/json", Buffer.from(JSON.stringify(graph)));
  await page.getByText("Loaded comfy.json. Not carried over: sampler euler").waitFor();
  await page.locator(".cm-content", { hasText: "a fox, snow" }).waitFor();
  assert.equal(await page.getByLabel("Seed").inputValue(), "77");
  const comment = { prompt: "1girl, sea", uc: "lowres", steps: 12, scale: 6, seed: 5, width: 64, height: 128 };
  await drop(page, "novel.json", "application/json", Buffer.from(JSON.stringify(comment)));
  await page.locator(".cm-content", { hasText: "1girl, sea" }).waitFor();
  assert.equal(await page.getByLabel("Negative prompt").inputValue(), "lowres");
  assert.equal(await page.getByRole("spinbutton", { name: "Steps" }).inputValue(), "12");
});

test("5 000 entries scroll with few elements and little memory", async (t) => {
  const page = await open(t, studio);
  const job = await createJob(page, { prompt: "A whale of many names.", steps: 1, width: 64, height: 64 });
  await repeatJob(page, job, LONG_HISTORY, 100);
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile img").first().waitFor();
  const before = await held(page);
  const used = await processorTime(page);
  // As with a fast wheel, to the end.
  const { frames, most, columns } = await page.evaluate(async (entries) => {
    const wall = document.querySelector(".wall");
    const columns = getComputedStyle(document.querySelector(".row")).gridTemplateColumns.split(" ").length;
    const isWhole = () => document.querySelector(".history header [role=status]").textContent.endsWith(` ${entries}`);
    const isEnd = () => wall.scrollTop + wall.clientHeight + 1 >= wall.scrollHeight;
    const frames = [];
    let [last, most] = [performance.now(), 0];
    while (!isEnd() || !isWhole()) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      frames.push(now - last);
      last = now;
      most = Math.max(most, document.querySelectorAll(".tile").length);
      wall.scrollTop += 480;
    }
    return { frames, most, columns };
  }, LONG_HISTORY);
  const usedMs = ((await used()) * 1000) / frames.length;
  frames.sort((a, b) => a - b);
  const at = (share) => frames[Math.floor(share * (frames.length - 1))].toFixed(1);
  t.diagnostic(`${frames.length} frames, median ${at(0.5)} ms, 95 % ${at(0.95)} ms; ${usedMs.toFixed(1)} ms of work a frame`);
  await page.locator(".row").last().locator(".tile img").first().waitFor();
  assert.ok(most <= columns * 20, `${most} tiles at once in ${columns} columns`);
  // Rows out of sight are released when their pictures, which wait in a queue, are no longer asked for.
  let after = await held(page);
  for (let tries = 0; after.nodes > before.nodes + 2000 && tries < 30; tries += 1) {
    await page.waitForTimeout(500);
    after = await held(page);
  }
  const perEntry = (after.bytes - before.bytes) / LONG_HISTORY;
  t.diagnostic(`${(perEntry / 1e3).toFixed(1)} kB an entry, ${after.nodes - before.nodes} more elements`);
  assert.ok(after.nodes <= before.nodes + 2000, `${after.nodes - before.nodes} more elements`);
  assert.ok(perEntry < 6000, `${perEntry} bytes an entry`);
  await screenshot(page, "history-5000");
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.reload();
  await page.locator(".tile").first().waitFor();
  await page.getByRole("searchbox").fill("whale of many");
  await shows(page, 1);
});

test("200 generations leave no memory behind", async (t) => {
  const page = await open(t, await serveWith(["--scripted-step-ms", "1"]));
  await page.evaluate(() => {
    // Addresses of pictures in memory that were not released.
    globalThis.addresses = new Set();
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (data) => {
      const address = createObjectURL.call(URL, data);
      globalThis.addresses.add(address);
      return address;
    };
    URL.revokeObjectURL = (address) => {
      globalThis.addresses.delete(address);
      revokeObjectURL.call(URL, address);
    };
  });
  await page.getByRole("spinbutton", { name: "Steps" }).fill("3");
  await page.getByRole("spinbutton", { name: "Steps" }).blur();
  const generate = (count) =>
    page.evaluate(async (count) => {
      const newest = () => document.querySelector(".images img[data-final=true]")?.src ?? "";
      for (let drawn = 0; drawn < count; drawn += 1) {
        const last = newest();
        document.querySelector(".submit .primary").click();
        while (newest() === last || newest() === "") {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
      return globalThis.addresses.size;
    }, count);
  // More than the page shows, so that each further one takes the place of an old one.
  const after = async (count) => ({
    addresses: await generate(count),
    ...(await held(page)),
    byScripts: await heldByScripts(page),
  });
  const first = await after(20);
  const last = await after(GENERATIONS);
  const more = (name) => last[name] - first[name];
  t.diagnostic(`heap ${(first.bytes / 1e6).toFixed(1)} MB before and ${(last.bytes / 1e6).toFixed(1)} MB after`);
  t.diagnostic(`${more("byScripts")} more bytes of scripts, of all ${more("bytes")} more`);
  t.diagnostic(`${more("nodes")} more elements, ${more("addresses")} more addresses`);
  assert.ok(more("byScripts") < BYTES_A_GENERATION * GENERATIONS, `${more("byScripts")} more bytes of scripts`);
  assert.ok(more("nodes") < 500, `${more("nodes")} more elements`);
  assert.ok(more("addresses") <= 8, `${more("addresses")} more addresses of pictures`);
});

test("the page is small, and each view fits a phone and a screen reader", async (t) => {
  const phone = { width: 360, height: 740 };
  const page = await open(t, studio, { viewport: phone });
  const { bytes, paint } = await page.evaluate(() => {
    const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const own = loaded.filter(({ name }) => !name.includes("/sakuga."));
    return {
      bytes: own.reduce((sum, { transferSize }) => sum + transferSize, 0),
      paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
    };
  });
  t.diagnostic(`${bytes} bytes transferred, first paint after ${Math.round(paint)} ms`);
  // A page in place of the server's comes without compression.
  assert.ok(bytes > 0 && (bytes <= 600_000 || process.env.SAKUGA_STUDIO_PAGE !== undefined), `${bytes} bytes`);
  await createJob(page, { prompt: "A phone.", steps: 1, width: 64, height: 64 });
  const look = async (name) => {
    assert.deepEqual(await barriers(page), [], name);
    assert.ok((await overflow(page)) <= 0, `${name}: the page is not wider than the screen`);
    await screenshot(page, name);
  };
  await look("phone-draw");
  await page.mouse.wheel(0, 600);
  await draw(page, 30);
  await finished(page).waitFor();
  const picture = await page.locator(".images img").boundingBox();
  assert.ok(picture.y >= 0 && picture.y + picture.height <= phone.height, `the picture is in sight: ${JSON.stringify(picture)}`);
  await screenshot(page, "phone-drawn");
  await page.getByRole("button", { name: "Begin from this" }).click();
  await page.getByRole("button", { name: "Paint a mask" }).click();
  const board = await page.getByRole("application").boundingBox();
  const ratio = await page.getByRole("application").evaluate((canvas) => canvas.width / canvas.height);
  assert.ok(Math.abs(board.width / board.height - ratio) < 0.02, `the board has the picture's shape: ${JSON.stringify(board)}`);
  await look("phone-painter");
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile img").first().waitFor();
  await look("phone-history");
  await page.locator(".tile .open").first().click();
  await page.getByRole("dialog").locator("img").waitFor();
  await look("phone-detail");
});

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
  heap,
  open,
  overflow,
  screenshot,
} from "./browser.mjs";

/** Generations of the test for memory; a person can ask for more. */
const GENERATIONS = Number(process.env.SAKUGA_STUDIO_GENERATIONS ?? 10);
/** Jobs of 16 pictures in the test of a long history. */
const LONG_HISTORY = Number(process.env.SAKUGA_STUDIO_HISTORY ?? 20);

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
  await finished(page).waitFor();
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

test("a long history scrolls with few elements, and is searched", async (t) => {
  const page = await open(t, studio);
  await createJob(page, { prompt: "The very first whale.", steps: 1, width: 64, height: 64 });
  for (let job = 0; job < LONG_HISTORY; job += 1) {
    await createJob(page, { prompt: `A crowd of ${job}.`, steps: 1, width: 64, height: 64, images: 16 });
  }
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile img").first().waitFor();
  // From row to row, as a wheel does, to the end; frames are noted meanwhile.
  const { frames, most, rows } = await page.evaluate(async () => {
    const wall = document.querySelector(".wall");
    const frames = [];
    let [last, most, still] = [performance.now(), 0, 0];
    while (still < 30) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      frames.push(now - last);
      last = now;
      most = Math.max(most, document.querySelectorAll(".tile").length);
      const before = wall.scrollTop;
      wall.scrollTop += 120;
      still = wall.scrollTop === before ? still + 1 : 0;
    }
    return { frames, most, rows: Math.round(wall.scrollHeight / document.querySelector(".row").offsetHeight) };
  });
  frames.sort((a, b) => a - b);
  const at = (share) => frames[Math.floor(share * (frames.length - 1))].toFixed(1);
  t.diagnostic(`${frames.length} frames, median ${at(0.5)} ms, 95 % ${at(0.95)} ms, longest ${at(1)} ms; ${rows} rows`);
  const count = await page.locator(".history header [role=status]").innerText();
  assert.ok(Number(/\d+/.exec(count)) >= LONG_HISTORY * 16, count);
  assert.ok(most <= 120, `${most} tiles at once`);
  await page.reload();
  await page.locator(".tile").first().waitFor();
  await page.getByRole("searchbox").fill("first whale");
  await shows(page, 1);
});

test("generations leave no memory behind", async (t) => {
  const page = await open(t, studio);
  const generate = async (count) => {
    for (let drawn = 0; drawn < count; drawn += 1) {
      const last = await page.evaluate(() => document.querySelector(".images img[data-final=true]")?.src ?? "");
      await draw(page, 4);
      await page.waitForFunction((last) => {
        const picture = document.querySelector(".images img[data-final=true]");
        return picture !== null && picture.src !== last;
      }, last);
    }
  };
  // As many as stay on the page, so that each further one takes the place of an old one.
  await generate(14);
  const before = await heap(page);
  await generate(GENERATIONS);
  const after = await heap(page);
  t.diagnostic(`heap ${(before / 1e6).toFixed(1)} MB before and ${(after / 1e6).toFixed(1)} MB after ${GENERATIONS} more`);
  // A record of the history has some kilobytes; a picture or a preview would be hundreds.
  assert.ok(after - before < 2e6 + GENERATIONS * 20_000, `${after - before} bytes more`);
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
  assert.ok(bytes > 0 && bytes <= 600_000, `${bytes} bytes`);
  await createJob(page, { prompt: "A phone.", steps: 1, width: 64, height: 64 });
  const look = async (name) => {
    assert.deepEqual(await barriers(page), [], name);
    assert.ok((await overflow(page)) <= 0, `${name}: the page is not wider than the screen`);
    await screenshot(page, name);
  };
  await look("phone-draw");
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile img").first().waitFor();
  await look("phone-history");
  await page.locator(".tile .open").first().click();
  await page.getByRole("dialog").locator("img").waitFor();
  await look("phone-detail");
});

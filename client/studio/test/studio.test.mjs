// The studio on live servers: what a person does, and what must not happen to one.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import {
  adapterFolder,
  amend,
  barriers,
  begin,
  call,
  checked,
  draw,
  drop,
  end,
  field,
  finished,
  floatField,
  freePort,
  numberField,
  open,
  overflow,
  screenshot,
  serveAt,
  serveEmbedded,
  serveWith,
  textField,
  textOf,
} from "./browser.mjs";

let studio;
let secured;
let token;

before(async () => {
  ({ studio, secured, token } = await begin());
});

after(end);

const MISTAKE = "<character_1>\n<gender>1girl</gender>\n<appearence>blue_hair</appearence>\n</character_1>\n";

test("a mistake is shown at its place, and its fix removes it", async (t) => {
  const page = await open(t, studio, { store: { view: "xml", prompt: "" } });
  await page.locator(".cm-content").click();
  await page.keyboard.insertText(MISTAKE);
  const finding = page.locator(".finding", { hasText: "appearence" }).first();
  await finding.waitFor();
  assert.match(await finding.innerText(), /Line 3, column 1/);
  assert.match(await page.locator(".cm-lintRange").first().innerText(), /appearence/);
  await screenshot(page, "finding");
  await finding.getByRole("button", { name: /^Fix/ }).click();
  await page.locator(".finding", { hasText: "appearence" }).waitFor({ state: "detached" });
  assert.equal(await textOf(page), MISTAKE.replaceAll("appearence", "appearance"));
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+z");
  await page.locator(".finding", { hasText: "appearence" }).first().waitFor();
});

test("the check waits for a pause, and an answer to an earlier text is dropped", async (t) => {
  const page = await open(t, studio, { store: { view: "xml", prompt: "" } });
  let [checks, release] = [0, undefined];
  const isReleased = new Promise((resolve) => (release = resolve));
  await page.route("**/sakuga.prompt.v1.PromptService/ValidatePrompt", async (route) => {
    checks += 1;
    if (!route.request().postDataBuffer().includes("appearence")) {
      return route.continue();
    }
    const response = await route.fetch();
    await isReleased;
    // The page does not wait for it any more.
    return route.fulfill({ response }).catch(() => undefined);
  });
  await page.locator(".cm-content").click();
  const held = page.waitForRequest((request) => request.postDataBuffer()?.includes("appearence") ?? false);
  await page.keyboard.insertText(MISTAKE);
  await held;
  const before = checks;
  await page.keyboard.press("Control+a");
  await page.keyboard.type("A lighthouse by the sea, seen from far away.", { delay: 10 });
  await checked(page);
  assert.ok(checks - before < 10, `${checks - before} checks for 44 keys`);
  release();
  await page.waitForTimeout(500);
  assert.equal(await page.locator(".finding", { hasText: "appearence" }).count(), 0);
  assert.equal(await page.locator(".cm-lintRange", { hasText: "appearence" }).count(), 0);
});

test("elements are completed from the schema", async (t) => {
  const prompt = "<character_1>\n\n</character_1>\n";
  const page = await open(t, studio, { store: { view: "xml", prompt } });
  await page.locator(".cm-line").nth(1).click();
  await page.keyboard.type("<exp");
  await page.locator(".cm-tooltip-autocomplete li", { hasText: "expression" }).first().click();
  assert.match(await textOf(page), /^<character_1>\n<expression/);
});

test("form and text are in step, and nothing else changes", async (t) => {
  const text =
    "<!-- mine -->\n<character_1>\n<gender>1girl</gender>\n  <appearance>a_b,   c</appearance>\n</character_1>\n";
  const page = await open(t, studio, { store: { view: "both", prompt: text } });
  await page.getByRole("combobox", { name: "Clothing" }).fill("hat,");
  await page.locator(".cm-content", { hasText: "<clothing>hat</clothing>" }).waitFor();
  assert.equal(await textOf(page), text.replace("c</appearance>", "c</appearance>\n<clothing>hat</clothing>"));
  await page.getByRole("button", { name: "Remove hat" }).click();
  await page.locator(".cm-content", { hasText: "hat" }).waitFor({ state: "detached" });
  assert.equal(await textOf(page), text);
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText("<caption>The sea.</caption>\n");
  await page.waitForFunction(() => document.querySelector("textarea")?.value === "The sea.");
  await page.getByRole("button", { name: "Add a character" }).click();
  await page.getByRole("region", { name: "Character 2" }).waitFor();
  // End tags that are typed by hand take the place of those that were inserted.
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.type("<caption>a girl</caption>");
  await page.waitForFunction(() => document.querySelector("textarea")?.value === "a girl");
  assert.equal(await textOf(page), "<caption>a girl</caption>");
});

test("a generation shows its previews and ends with the picture", async (t) => {
  const page = await open(t, studio);
  await page.getByLabel("Images").fill("2");
  await page.getByLabel("Images").blur();
  await page.evaluate(() => {
    globalThis.shown = new Set();
    const note = () => {
      const image = document.querySelector(".images img");
      if (image) {
        globalThis.shown.add(image.src);
      }
    };
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, attributeFilter: ["src"] });
  });
  await draw(page, 60);
  await page.locator(".frames li:nth-child(3)").waitFor();
  assert.equal(await page.locator(".images img").count(), 2);
  await screenshot(page, "drawing");
  await finished(page).waitFor();
  assert.ok((await page.evaluate(() => globalThis.shown.size)) >= 4, "previews replace one another in place");
  assert.ok((await page.locator(".frames li").count()) >= 4, "three previews and the picture");
  assert.match(await page.locator(".status .seeds").innerText(), /^Seed: \d+/);
  await page.waitForFunction(() => document.querySelector(".images img[data-final=true]").naturalWidth > 0);
  await page.getByRole("button", { name: "Show step 2", exact: true }).click();
  assert.equal(await page.locator(".images img[data-final=true]").count(), 0);
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "finished");
});

test("jobs wait for one another, and each is cancelled", async (t) => {
  const page = await open(t, await serveWith(["--scripted-step-ms", "300"]));
  await draw(page, 200);
  await page.locator("[data-step]").waitFor();
  await draw(page);
  await page.locator(".job.queued").waitFor();
  await draw(page);
  await page.locator(".job").nth(2).waitFor();
  for (let cancelled = 1; cancelled <= 3; cancelled += 1) {
    await page.locator(".job.queued .choose, .job.running .choose").first().click();
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page
      .locator(".job.cancelled")
      .nth(cancelled - 1)
      .waitFor();
  }
  assert.equal(await page.locator(".job.queued, .job.running").count(), 0);
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile .open").first().click();
  await page.getByRole("dialog").getByText("Submitted", { exact: true }).waitFor();
  await page.getByRole("dialog").getByRole("status").getByText("Cancelled").waitFor();
});

test("after a reload a job continues behind its last event", async (t) => {
  const page = await open(t, studio);
  await draw(page, 160);
  await page.waitForFunction(() => Number(document.querySelector("[data-step]")?.dataset.step) >= 5);
  const before = Number(await page.locator("[data-step]").getAttribute("data-step"));
  await page.reload();
  const step = page.locator("[data-step]");
  await step.waitFor();
  assert.ok(Number(await step.getAttribute("data-step")) >= before, "it did not start again");
  await finished(page).waitFor();
  const first = Number(await page.locator(".frames li span").first().innerText());
  assert.ok(first > before, `the first preview after the reload is that of step ${first}, not one of before`);
  // Ended jobs are there again too, in their order, with the one that was looked at.
  await draw(page, 4);
  await page.locator(".job.completed").nth(1).waitFor();
  await page.locator(".job .choose").nth(1).click();
  const seed = await page.locator(".status .seeds").innerText();
  await page.reload();
  await finished(page).waitFor();
  assert.equal(await page.locator(".job .choose").nth(1).getAttribute("aria-pressed"), "true");
  assert.equal(await page.locator(".status .seeds").innerText(), seed);
});

test("a job survives the crash of its server, and the page finds it again", async (t) => {
  const port = await freePort();
  const { url, kill } = await serveAt(port, "crash");
  const page = await open(t, url);
  await draw(page, 60);
  await page.waitForFunction(() => Number(document.querySelector("[data-step]")?.dataset.step) >= 5);
  await kill();
  await page.getByRole("alert").filter({ hasText: "No connection" }).waitFor();
  assert.ok(await page.getByRole("region", { name: "Character 1" }).isVisible(), "what one wrote stays on the screen");
  await serveAt(port, "crash");
  await finished(page).waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
});

test("a saved picture brings its request back, and other files are refused", async (t) => {
  const page = await open(t, studio, { store: { prompt: "<caption>A whale &amp; a star.</caption>\n" } });
  await page.getByLabel("Seed").fill("41");
  await page.getByText("4:3").click();
  await draw(page, 6);
  await finished(page).waitFor();
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download" }).click(),
  ]);
  const picture = readFileSync(await saved.path());
  const fresh = await open(t, studio, { store: { prompt: "", view: "xml" } });
  await drop(fresh, "saved.png", "image/png", picture);
  await fresh.getByText("Loaded saved.png").waitFor();
  assert.match(await textOf(fresh), /<caption>A whale &amp; a star\.<\/caption>/);
  assert.equal(await fresh.getByLabel("Seed").inputValue(), "41");
  assert.equal(await fresh.getByRole("spinbutton", { name: "Steps" }).inputValue(), "6");
  assert.ok(await fresh.getByRole("radio", { name: "4:3" }).isChecked());

  await drop(fresh, "prompt.xml", "text/xml", Buffer.from("<caption>From a file.</caption>"));
  await fresh.locator(".cm-content", { hasText: "From a file." }).waitFor();
  await drop(
    fresh,
    "other.png",
    "image/png",
    pictureOfOthers("a cat, 1girl\nNegative prompt: dog\nSteps: 9, Sampler: X, Seed: 5, Size: 64x96"),
  );
  await fresh.getByText("Loaded other.png. Not carried over: Sampler").waitFor();
  assert.equal(await textOf(fresh), "a cat, 1girl");
  assert.equal(await fresh.getByLabel("Negative prompt").inputValue(), "dog");
  assert.equal(await fresh.getByLabel("Height").inputValue(), "96");
  await fresh.getByText("Form", { exact: true }).click();
  await fresh.getByRole("button", { name: "Turn it into XML" }).click();
  await fresh.getByRole("region", { name: "Whole picture" }).waitFor();
  await drop(fresh, "damaged.png", "image/png", picture.subarray(0, 60));
  await fresh.getByText("damaged").waitFor();
  await drop(fresh, "noise.bin", "application/octet-stream", Buffer.from([0xff, 0, 0xfe]));
  await fresh.getByText("The file is neither a text nor a picture.").waitFor();
});

test("pictures begin from an image, and a painted mask says what of it is drawn again", async (t) => {
  const page = await open(t, studio);
  await drop(page, "photo.png", "image/png", await page.screenshot({ clip: { x: 0, y: 0, width: 256, height: 256 } }));
  await page.getByRole("img", { name: "The image to begin from: photo.png" }).waitFor();
  await page.getByRole("button", { name: "Paint a mask" }).click();
  const board = page.getByRole("application");
  const { x, y, width, height } = await board.boundingBox();
  await page.mouse.move(x + width / 4, y + height / 4);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + height / 2, { steps: 4 });
  await page.mouse.up();
  await board.press("Shift+ArrowRight");
  const white = () =>
    board.evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((_, at) => at % 4 === 3).reduce((count, alpha) => count + (alpha > 127 ? 1 : 0), 0);
    });
  const painted = await white();
  assert.ok(painted > 500 && painted < (256 * 256) / 2, `${painted} pixels are painted`);
  await board.press(" ");
  await board.press("ArrowDown");
  await board.press("Shift+ArrowDown");
  assert.ok((await white()) > painted);
  await board.press("Control+z");
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await white(), painted, "both strokes are taken back");
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "mask");
  await page.getByRole("button", { name: "Use this mask" }).click();
  await page.getByRole("img", { name: "The mask" }).waitFor();
  await hasFocus(page, "Change the mask");
  await page.getByRole("button", { name: "Change the mask" }).click();
  await page.waitForFunction(() => document.querySelector(".board canvas") !== null);
  await page.waitForTimeout(300);
  assert.ok(Math.abs((await white()) - painted) < painted / 20, "the mask is there again");
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  const sent = page.waitForRequest((request) => request.url().endsWith("/CreateJob"));
  await draw(page, 8);
  const body = (await sent).postDataBuffer().toString("latin1");
  assert.equal(body.split("\u0089PNG").length - 1, 2, "the image and its mask are in the request");
  await finished(page).waitFor();
  await page.getByRole("button", { name: "Edit this prompt" }).click();
  await page.getByRole("img", { name: "The mask" }).waitFor();
  await draw(page);
  await page.locator(".job.completed").nth(1).waitFor();
  await page.getByRole("button", { name: "Begin from noise again" }).click();
  await page.getByRole("button", { name: "Begin from this" }).first().click();
  await page.getByRole("img", { name: /^The image to begin from/ }).waitFor();
});

/** Waits until the element with this text or label has the focus. */
function hasFocus(page, name) {
  return page.waitForFunction((name) => {
    const at = document.activeElement;
    return (at.getAttribute("aria-label") ?? at.innerText).includes(name);
  }, name);
}

/** A picture as other programs write it: without pixels, which nobody reads here. */
function pictureOfOthers(parameters) {
  const body = Buffer.concat([Buffer.from("tEXtparameters\0"), Buffer.from(parameters, "latin1")]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length - 4);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, length, body, Buffer.alloc(4), Buffer.alloc(12)]);
}

test("tags are completed from a list that a person gives, by name and by alias", async (t) => {
  const page = await open(t, studio, { store: { view: "both" } });
  const list = "name,category,count,aliases\nplaid_scarf,0,41000,checkered_scarf\nplain_scarf,0,900,\n";
  await drop(page, "tags.csv", "text/csv", Buffer.from(list));
  await page.getByText("Loaded tags.csv: 2 tags").waitFor();
  await page.reload();
  await page.getByText("Completion from tags.csv").waitFor();
  const field = page.getByRole("combobox", { name: "Clothing" });
  await field.pressSequentially("check");
  const option = page.locator("datalist option[value=plaid_scarf]");
  await option.waitFor({ state: "attached" });
  assert.equal(await option.getAttribute("label"), "41k ← checkered_scarf");
  await field.fill("");
  await page.locator(".cm-line", { hasText: "<clothing>" }).click();
  await page.keyboard.press("End");
  for (let moves = 0; moves < "</clothing>".length; moves += 1) {
    await page.keyboard.press("ArrowLeft");
  }
  await page.keyboard.type(", plaid");
  await page.locator(".cm-tooltip-autocomplete li", { hasText: "plaid_scarf" }).first().click();
  await page.locator(".cm-line", { hasText: ", plaid_scarf</clothing>" }).waitFor();
  await drop(page, "none.csv", "text/csv", Buffer.from("no list"));
  await page.getByText("The list has no tags.").waitFor();
});

test("the words of the model's vocabulary complete, and others are advised against", async (t) => {
  const page = await open(t, await serveEmbedded(), { store: { view: "both" } });
  await page.getByText("Completion from the vocabulary of").waitFor();
  const field = page.getByRole("combobox", { name: "Clothing" });
  await field.focus();
  const offered = (word) => page.locator(`datalist option[value="${word}"]`);
  await offered("witch_hat").waitFor({ state: "attached" });
  assert.equal(await offered("thighhighs").count(), 0, "the model was not trained with it");
  await drop(page, "tags.csv", "text/csv", Buffer.from("witch_hat,0,9000,\nplaid_scarf,0,41000,\n"));
  await field.pressSequentially("plaid");
  assert.equal(await offered("plaid_scarf").getAttribute("label"), "41k · unknown to the model");
  assert.equal(await offered("witch_hat").getAttribute("label"), "9k");
  await field.press("End");
  await field.pressSequentially("_scarf,");
  await page.locator(".tag[data-unknown=true]", { hasText: "plaid_scarf" }).waitFor();
  const advice = page.locator(".finding.advice", { hasText: "unknown-to-model" });
  await advice.waitFor();
  assert.match(await advice.innerText(), /was not trained with `plaid_scarf`/);
  await page.locator(".cm-lintRange-info", { hasText: "plaid_scarf" }).waitFor();
  // The sizes of the training, and a word about others.
  await page.getByText("2:3", { exact: true }).click();
  await page.getByText("256 × 384").waitFor();
  await page.getByText("Free", { exact: true }).click();
  await page.getByLabel("Width").fill("128");
  await page.getByLabel("Width").blur();
  await page.locator(".estimate .notice", { hasText: "was not trained with pictures like 128x384" }).waitFor();
  await page.locator(".cm-line", { hasText: "<expression>" }).click();
  await page.keyboard.press("End");
  for (let moves = 0; moves < "</expression>".length; moves += 1) {
    await page.keyboard.press("ArrowLeft");
  }
  await page.keyboard.type(", cryi");
  await page.locator(".cm-tooltip-autocomplete li", { hasText: "crying" }).first().click();
  await page.locator(".cm-line", { hasText: ", crying</expression>" }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "vocabulary");
});

test("the server's estimate stands at the button, and what is wrong with the settings before they are submitted", async (t) => {
  const page = await open(t, studio);
  await page.getByRole("button", { name: /^Draw about/ }).waitFor();
  await page.locator(".estimate[aria-busy=false]", { hasText: "memory" }).waitFor();
  await page.getByText("Free", { exact: true }).click();
  for (const name of ["Width", "Height"]) {
    await page.getByLabel(name).fill("8192");
    await page.getByLabel(name).blur();
  }
  await page.locator(".estimate .problem").first().waitFor();
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "refused-size");
  await page.getByText("1:1", { exact: true }).click();
  await page.locator(".estimate .problem").first().waitFor({ state: "detached" });
  await page.getByRole("button", { name: /^Draw about/ }).waitFor();
});

test("solver, schedule and adapters are chosen, and stand in the request", async (t) => {
  const page = await open(t, studio);
  await page.getByText("Advanced").click();
  await page.getByLabel("Solver").selectOption("DDIM");
  assert.deepEqual(await page.getByLabel("Noise schedule").locator("option").allInnerTexts(), [
    "Default",
    "The model's own",
  ]);
  await page.getByLabel("Solver").selectOption("UniPC");
  await page.getByLabel("Noise schedule").selectOption("Exponential");
  await page.getByLabel("Guidance rescale").fill("0.7");
  await page.getByLabel("Guidance rescale").blur();
  assert.deepEqual(await page.getByLabel("Add an adapter…").locator("option").allInnerTexts(), [
    "Add an adapter…",
    "ink-lines (LoRA)",
  ]);
  await page.getByLabel("Add an adapter…").selectOption("ink-lines (LoRA)");
  await page.getByRole("spinbutton", { name: "Weight of ink-lines" }).fill("0.5");
  await draw(page, 4);
  await finished(page).waitFor();
  await page.getByRole("button", { name: "Back to the defaults" }).click();
  await page.getByRole("button", { name: "Remove ink-lines" }).click();
  assert.equal(await page.getByLabel("Guidance rescale").inputValue(), "");
  await page.getByRole("button", { name: "Edit this prompt" }).click();
  await page.getByRole("spinbutton", { name: "Weight of ink-lines" }).waitFor();
  const chosen = (name) => page.getByLabel(name).locator("option:checked").innerText();
  assert.equal(await chosen("Solver"), "UniPC");
  assert.equal(await chosen("Noise schedule"), "Exponential");
  assert.equal(await page.getByLabel("Guidance rescale").inputValue(), "0.7");
});

test("an emptied prompt comes back", async (t) => {
  const page = await open(t, studio);
  const before = await textOf(page);
  await page.getByRole("button", { name: "New" }).click();
  await page.getByText("The prompt is empty.").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("region", { name: "Character 1" }).waitFor();
  await checked(page);
  assert.equal(await textOf(page), before);
});

test("the quality is chosen with what was measured of it, drawn, and drawn again", async (t) => {
  const page = await open(t, studio);
  const quality = page.locator(".settings").getByRole("combobox", { name: "Quality", exact: true });
  const says = (text) => page.locator(".settings").getByText(text).waitFor();
  await says("Every step is computed in full.");
  await quality.selectOption("High");
  await says("Nothing was measured on this model, so nothing is promised.");
  // Of a model with a profile: `Estimate.quality`.
  const promise = [
    ...textField(1, "120 prompts <b>&"),
    ...numberField(2, 120),
    ...[floatField(3, 31), floatField(4, 25), floatField(9, 0.5)].flat(),
  ];
  await amend(page, "generation.v1.GenerationService/Estimate", field(20, promise));
  await quality.selectOption("Fast");
  await says(/PSNR 31\.0 dB, lowest 25\.0 dB, of 120 pictures · 50 % of the work is computed \(120 prompts <b>&\)/);
  await page.locator(".estimate", { hasText: "50 % of the work is computed" }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "quality");
  await draw(page, 8);
  await finished(page).waitFor();
  await quality.selectOption("Exact");
  await page.getByRole("button", { name: "Edit this prompt" }).click();
  await page.getByText("The prompt and its settings are in the editor.").waitFor();
  const chosen = () => quality.locator("option:checked").innerText();
  assert.equal(await chosen(), "Fast");
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await chosen(), "Exact");
  await page.getByRole("button", { name: "Draw again" }).click();
  await page.locator(".job.completed").nth(1).waitFor();
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile .open").first().click();
  await page.getByRole("dialog").getByText(/^Fast · \d of 8 evaluations reused earlier ones/).waitFor();
});

test("every device is shown with its job, and one that takes no jobs says so", async (t) => {
  const several = await serveWith(["--device", "cpu,cpu", "--scripted-step-ms", "200"]);
  const page = await open(t, several);
  const devices = page.getByRole("region", { name: "Devices" }).getByRole("group");
  await devices.nth(1).waitFor();
  assert.equal(await devices.count(), 2);
  const names = await devices.locator("strong").allInnerTexts();
  assert.equal(new Set(names).size, 2, names.join());
  for (const index of [0, 1]) {
    await devices.nth(index).locator(".legend").waitFor();
  }
  await draw(page, 100);
  await draw(page, 100);
  for (const index of [0, 1]) {
    await devices.nth(index).getByText(/^Drawing: /).waitFor();
  }
  await page.locator(".status", { hasText: "On cpu" }).waitFor();
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "devices");
  const [name] = /cpu:\d+/.exec(names[1]) ?? [];
  // It finishes its job first: the call would wait for that.
  const drained = call(page, "system.v1.SystemService/DrainDevice", textField(1, name));
  await devices.nth(1).getByText("Finishing its last job").waitFor();
  await drained;
  await devices.nth(1).getByText("Takes no jobs").waitFor();
  // `state` and `failure` of the first one.
  const lost = [...numberField(3, 5), ...textField(4, "<script>gone</script>")];
  await amend(page, "system.v1.SystemService/ListDevices", lost);
  await devices.first().getByText("Lost", { exact: true }).waitFor();
  await devices.first().getByText("<script>gone</script>").waitFor();
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "devices-lost");
});

test("refiner and control networks are offered by models that have them", async (t) => {
  const page = await open(t, studio);
  assert.equal(await page.getByText("Let the refiner finish").count(), 0);
  // `refiner` and `control_networks` of the model.
  const network = [...textField(1, "canny"), ...textField(2, "a".repeat(64))];
  const broken = [...textField(1, "broken"), ...textField(4, "not for this model")];
  const has = [...textField(20, `refiner@${"b".repeat(64)}`), ...field(23, network), ...field(23, broken)];
  await amend(page, "system.v1.SystemService/ListModels", has);
  await page.reload();
  await checked(page);
  await page.getByLabel("Let the refiner finish").check();
  await page.getByLabel("Share of the schedule before it").fill("0.7");
  await page.getByLabel("Share of the schedule before it").blur();
  const add = page.getByRole("combobox", { name: "Add a control image…" });
  assert.deepEqual(await add.locator("option").allInnerTexts(), ["Add a control image…", "canny"]);
  const picture = await page.screenshot({ clip: { x: 0, y: 0, width: 64, height: 64 } });
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), add.selectOption("canny")]);
  await chooser.setFiles({ name: "pose.png", mimeType: "image/png", buffer: picture });
  await page.getByRole("img", { name: "The control image of canny" }).waitFor();
  await page.getByLabel("Find its edges first (Canny)").check();
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "controls");
  const asked = page.waitForRequest((request) => request.url().endsWith("/Estimate"));
  await page.getByRole("spinbutton", { name: "Weight" }).fill("0.5");
  await page.getByRole("spinbutton", { name: "Weight" }).blur();
  const request = (await asked).postDataBuffer().toString("latin1");
  const sha256 = createHash("sha256").update(picture).digest("hex");
  assert.ok(request.includes("canny") && request.includes(sha256), "the request names the uploaded file");
});

test("a scene is drawn by another model, around what is kept of the first pass", async (t) => {
  const models = ["--model", "first=embedded", "--model", "other=embedded"];
  const page = await open(t, await serveWith([...models, "--scripted-step-ms", "60"]));
  const isWanted = page.getByLabel("A scene by another model");
  await isWanted.check();
  const model = page.getByRole("combobox", { name: "Model of the scene" });
  assert.equal(await model.inputValue(), "other");
  const prompt = page.getByLabel("Prompt of the scene", { exact: true });
  assert.equal(await prompt.inputValue(), await textOf(page), "it begins as the prompt of the first pass");
  await prompt.fill(MISTAKE);
  await page.locator(".scene .finding", { hasText: "appearence" }).getByRole("button", { name: /^Fix/ }).click();
  assert.equal(await prompt.inputValue(), MISTAKE.replaceAll("appearence", "appearance"));
  await prompt.fill("fox_ears, forest, a > b");
  await page.getByRole("button", { name: "Paint what is kept" }).click();
  await page.getByRole("application").press("Shift+ArrowRight");
  await page.getByRole("button", { name: "Keep this" }).click();
  await page.getByRole("img", { name: "What is kept" }).waitFor();
  // What the server refuses is said before the request is sent.
  await page.getByText("16:9", { exact: true }).click();
  await page.locator(".estimate .problem", { hasText: "scene.protection" }).waitFor();
  await page.getByText("1:1", { exact: true }).click();
  await page.locator(".estimate .problem").waitFor({ state: "detached" });
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "scene");
  await page.evaluate(() => {
    globalThis.passes = new Set();
    const note = () => globalThis.passes.add(document.querySelector(".status .pass")?.textContent);
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await draw(page, 20);
  await finished(page).waitFor();
  const passes = await page.evaluate(() => [...globalThis.passes].filter(Boolean));
  assert.deepEqual(passes, [" · First pass", " · Scene"]);
  await page.locator(".frames em", { hasText: "Scene" }).waitFor();
  await screenshot(page, "scene-finished");
  await isWanted.uncheck();
  await page.getByRole("button", { name: "Edit this prompt" }).click();
  await page.getByRole("img", { name: "What is kept" }).waitFor();
  // As the server has read it.
  const drawn = "<caption>fox_ears, forest, a > b</caption>";
  assert.equal((await prompt.inputValue()).trim(), drawn);
  const scene = page.locator(".scene");
  // A resolved request names what were defaults.
  await scene.getByText("Advanced").click();
  assert.equal(await scene.getByLabel("Solver").locator("option:checked").innerText(), "Euler");
  await page.getByRole("button", { name: "New", exact: true }).click();
  assert.ok(!(await isWanted.isChecked()));
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("img", { name: "What is kept" }).waitFor();
  await page.reload();
  await checked(page);
  assert.equal((await prompt.inputValue()).trim(), drawn);
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile .open").first().click();
  await page.getByRole("dialog").getByRole("heading", { name: "Scene" }).waitFor();
  await page.getByRole("dialog").getByText(drawn).waitFor();
  assert.deepEqual(await barriers(page), []);
});

/** The settings of the scene as they stand in its form. */
async function sceneSettings(page) {
  const scene = page.locator(".scene");
  await scene.waitFor();
  const advanced = scene.locator("details.advanced");
  await advanced.evaluate((element) => (element.open = true));
  const value = (role, name) => scene.getByRole(role, { name, exact: true }).inputValue();
  const chosen = (name) => scene.getByLabel(name).locator("option:checked").innerText();
  return {
    model: await value("combobox", "Model of the scene"),
    strength: await scene.getByRole("slider", { name: /^Strength/ }).inputValue(),
    steps: await value("spinbutton", "Steps"),
    guidance: await value("spinbutton", "Guidance"),
    seed: await value("textbox", "Seed"),
    size: [await value("spinbutton", "Width"), await value("spinbutton", "Height")],
    resize: await chosen("If it has another shape"),
    quality: await chosen("Quality"),
    adapter: await value("spinbutton", "Weight of ink-lines"),
    solver: await chosen("Solver"),
    schedule: await chosen("Noise schedule"),
    rescale: await value("spinbutton", "Guidance rescale"),
    system: await value("textbox", "System prompt"),
  };
}

test("every setting of a scene is chosen, and kept by undo, a reload, the history and a saved picture", async (t) => {
  const models = ["--model", "first=embedded", "--model", "other=embedded"];
  const url = await serveWith([...models, "--adapters", adapterFolder(), "--scripted-step-ms", "5"]);
  const page = await open(t, url);
  const isWanted = page.getByLabel("A scene by another model");
  await isWanted.check();
  const scene = page.locator(".scene");
  const fill = async (name, value) => {
    await scene.getByRole("spinbutton", { name, exact: true }).fill(value);
    await scene.getByRole("spinbutton", { name, exact: true }).blur();
  };
  const seed = scene.getByRole("textbox", { name: "Seed" });
  assert.equal(await seed.getAttribute("placeholder"), "One more than the first pass");
  await seed.fill("a word");
  await scene.getByText("A seed is a whole number").waitFor();
  assert.ok(await page.getByRole("button", { name: /^Draw( about .*)?$/ }).isDisabled());
  await seed.fill("99");
  await scene.getByRole("slider", { name: /^Strength/ }).fill("0.6");
  await fill("Steps", "7");
  await fill("Guidance", "3.5");
  await scene.getByText(/^That of the first pass: /).waitFor();
  await scene.getByLabel("A size of its own").check();
  await fill("Width", "320");
  await fill("Height", "192");
  await scene.getByLabel("If it has another shape").selectOption("Stretch");
  await scene.getByLabel("Quality").selectOption("High");
  await scene.getByLabel("Add an adapter…").selectOption("ink-lines (LoRA)");
  await fill("Weight of ink-lines", "0.5");
  await scene.getByText("Advanced").click();
  await scene.getByLabel("Noise schedule").selectOption("Karras");
  await scene.getByLabel("Solver").selectOption("DDIM");
  // DDIM has no other schedule, so the chosen one is the default again.
  assert.equal(await scene.getByLabel("Noise schedule").locator("option:checked").innerText(), "Default");
  await scene.getByLabel("Solver").selectOption("UniPC");
  await scene.getByLabel("Noise schedule").selectOption("Exponential");
  await fill("Guidance rescale", "0.6");
  await scene.getByLabel("System prompt").fill("Draw the forest.");
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "scene-settings");
  const chosen = {
    model: "other",
    strength: "0.6",
    steps: "7",
    guidance: "3.5",
    seed: "99",
    size: ["320", "192"],
    resize: "Stretch",
    quality: "High",
    adapter: "0.5",
    solver: "UniPC",
    schedule: "Exponential",
    rescale: "0.6",
    system: "Draw the forest.",
  };
  assert.deepEqual(await sceneSettings(page), chosen);
  await isWanted.uncheck();
  await isWanted.check();
  assert.deepEqual(await sceneSettings(page), chosen, "switched off and on again");
  await page.getByRole("button", { name: "New", exact: true }).click();
  await scene.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Undo" }).click();
  assert.deepEqual(await sceneSettings(page), chosen, "undone");
  await page.reload();
  await checked(page);
  assert.deepEqual(await sceneSettings(page), chosen, "after a reload");
  await draw(page, 4);
  await finished(page).waitFor();
  await page.waitForFunction(() => document.querySelector(".images img[data-final=true]").naturalWidth === 320);
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download" }).click(),
  ]);
  const picture = readFileSync(await saved.path());
  await isWanted.uncheck();
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile .open").first().click();
  const details = page.getByRole("dialog").locator(".detail-text");
  for (const fact of ["320 × 192", "99", "UniPC · Exponential", "ink-lines 0.5"]) {
    await details.getByText(fact, { exact: true }).waitFor();
  }
  await page.getByRole("dialog").getByRole("button", { name: "Edit this prompt" }).click();
  assert.deepEqual(await sceneSettings(page), chosen, "from the history");
  const fresh = await open(t, url);
  await drop(fresh, "scene.png", "image/png", picture);
  await fresh.getByText("Loaded scene.png").waitFor();
  assert.deepEqual(await sceneSettings(fresh), chosen, "from the saved picture");
  await draw(fresh);
  await finished(fresh).waitFor();
  // The defaults of another model.
  await scene.getByRole("combobox", { name: "Model of the scene" }).selectOption("first");
  const { solver, steps, seed: kept } = await sceneSettings(page);
  assert.deepEqual([solver, steps, kept], ["Default", "", "99"]);
});

test("an image and its mask come back with the prompt", async (t) => {
  const page = await open(t, studio);
  const before = await textOf(page);
  await drop(page, "photo.png", "image/png", await page.screenshot({ clip: { x: 0, y: 0, width: 64, height: 64 } }));
  const image = page.getByRole("img", { name: "The image to begin from: photo.png" });
  await image.waitFor();
  await page.getByRole("button", { name: "Paint a mask" }).click();
  await page.getByRole("button", { name: "Everything" }).click();
  await page.getByRole("button", { name: "Use this mask" }).click();
  const mask = page.getByRole("img", { name: "The mask" });
  await mask.waitFor();
  await page.getByRole("button", { name: "New" }).click();
  await image.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Undo" }).click();
  await image.waitFor();
  await mask.waitFor();
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".start-image img")].every((one) => one.complete && one.naturalWidth > 0),
  );
  assert.equal(await textOf(page), before);
});

test("the history shows, searches, draws again and deletes", async (t) => {
  const page = await open(t, studio, { store: { prompt: "<caption>A lighthouse.</caption>" } });
  await draw(page, 5);
  await finished(page).waitFor();
  await page.getByRole("link", { name: "History" }).click();
  await page.getByLabel("Search prompts, labels and models").fill("lighthouse");
  await page.waitForFunction(() => document.querySelectorAll(".tile").length === 1);
  await page.locator(".tile img").first().waitFor();
  assert.equal(await page.locator(".tile").count(), 1);
  await page.locator(".tile .open").first().click();
  const dialog = page.getByRole("dialog");
  await dialog.locator("img").waitFor();
  assert.match(await dialog.locator("pre").first().innerText(), /A lighthouse\./);
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "history");
  await dialog.getByRole("button", { name: "Vary" }).click();
  await page.locator(".job").nth(1).waitFor();
  await finished(page).waitFor();
  await page.getByRole("link", { name: "History" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".tile img").length === 2);
  for (const tile of await page.locator(".tile .pick").all()) {
    await tile.focus();
    await page.keyboard.press("Enter");
  }
  await page.getByRole("button", { name: "Compare (2 of 2)" }).click();
  await dialog.locator(".compare img").nth(1).waitFor();
  await dialog.getByRole("slider").press("Home");
  assert.match((await dialog.locator(".compare .over").getAttribute("style")) ?? "", /100%/);
  assert.deepEqual(await dialog.locator("tbody th").allInnerTexts(), ["seed"]);
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "compare");
  await dialog.getByRole("button", { name: "Close" }).click();
  for (const left of [1, 0]) {
    await page.locator(".tile .open").first().click();
    await dialog.getByRole("button", { name: "Close" }).click();
    await hasFocus(page, "Details: ");
    await page.locator(".tile .open").first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("button", { name: "Delete for good" }).click();
    await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, left);
    await hasFocus(page, left > 0 ? "Details: " : "History");
  }
});

test("a server with tokens asks for one, and keeps the studio closed without it", async (t) => {
  const page = await open(t, secured, { isReady: false });
  const field = page.getByLabel("Token");
  await field.waitFor();
  assert.deepEqual(await barriers(page), []);
  await field.fill("sakuga_wrong");
  await page.getByRole("button", { name: "Open the studio" }).click();
  await page.getByRole("alert").waitFor();
  await field.fill(token);
  await page.getByRole("button", { name: "Open the studio" }).click();
  await checked(page);
  await draw(page, 4);
  await finished(page).waitFor();
  await page.reload();
  await checked(page);
  assert.ok(!(await page.evaluate(() => JSON.stringify(localStorage))).includes(token), "it is kept for this tab only");
});

const HOSTILE = [
  "<script>document.title='hit'</script>",
  "<img src=x onerror=document.title='hit'>",
  "\u202egnol dna desrever\u202c",
  "\u001b[31mred\u001b[0m",
  "x".repeat(20_000),
  "{{7*7}}${7*7}",
];

test("hostile texts are shown as text", async (t) => {
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const caption = escaped(HOSTILE.join(" "));
  const tags = HOSTILE.slice(0, 3).map(escaped).join(", ");
  const text =
    `<character_1>\n<gender>1girl</gender>\n<appearance>${tags}</appearance>\n</character_1>\n` +
    `<caption>${caption}</caption>\n<bad>${HOSTILE[0]}</bad>`;
  const page = await open(t, studio, { store: { prompt: text, view: "both" } });
  await page.locator(".finding").first().waitFor();
  assert.equal(await page.locator(".tag").count(), 3);
  const drawn = caption.replaceAll("\u001b", "").slice(0, 2000);
  await drop(page, `${HOSTILE[0]}.xml`, "text/xml", Buffer.from(`<caption>${drawn}</caption>`));
  await page.getByText("Loaded <script>").waitFor();
  await checked(page);
  await draw(page, 4);
  await finished(page).waitFor();
  assert.ok((await overflow(page)) <= 0, "a long word does not make the page wider");
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile img").first().waitFor();
  await page.locator(".tile .open").first().click();
  await page.getByRole("dialog").locator("pre").first().waitFor();
  assert.ok((await overflow(page)) <= 0, "nor the history");
  assert.equal(await page.title(), "Sakuga Studio");
  assert.equal(await page.locator("img[src=x]").count(), 0);
});

test("screen readers, both appearances, three languages, from a phone to a wide screen", async (t) => {
  for (const [language, colorScheme, width] of [
    ["en", "light", 1360],
    ["ja", "dark", 900],
    ["zh", "light", 390],
    ["en", "dark", 2200],
  ]) {
    const store = { language, view: width > 1000 ? "both" : "form" };
    const page = await open(t, studio, { store, colorScheme, viewport: { width, height: 844 } });
    const name = `${language}-${colorScheme}-${width}`;
    assert.deepEqual(await barriers(page), [], name);
    assert.ok((await overflow(page)) <= 0, `${name}: the page is not wider than the screen`);
    await screenshot(page, name);
  }
});

test("everything can be reached and drawn by keyboard", async (t) => {
  const page = await open(t, studio);
  const reached = new Set();
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press("Tab");
    reached.add(
      await page.evaluate(() => {
        const at = document.activeElement;
        return (at?.getAttribute("aria-label") ?? at?.labels?.[0]?.innerText ?? at?.innerText ?? "").trim();
      }),
    );
  }
  for (const wanted of ["Clothing", "Steps", "Seed", "Language", "Appearance", "Add a character", "Draw"]) {
    assert.ok(
      [...reached].some((label) => label.startsWith(wanted)),
      `${wanted} in ${[...reached].join(" | ")}`,
    );
  }
  // What was typed counts before the field is left.
  await page.getByRole("spinbutton", { name: "Steps" }).pressSequentially("4");
  await page.keyboard.press("Control+Enter");
  await finished(page).waitFor();
  await page.locator(".frames").getByRole("button", { name: "Show step 4", exact: true }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Show step 5", exact: true }).count(), 0);
});

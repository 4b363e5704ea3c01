// What is in sight on tablets and phones, and what stands where there is no picture.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  barriers,
  begin,
  checked,
  draw,
  drop,
  end,
  finished,
  freePort,
  open,
  overflow,
  screenshot,
  serveAt,
  serveWith,
  textOf,
} from "./browser.mjs";

const TABLET = { width: 820, height: 1180 };
const PHONE = { width: 390, height: 844 };

let studio;

before(async () => {
  ({ studio } = await begin());
});

after(end);

/** Asserts that all of an element is on the screen. */
async function inSight(page, element, name) {
  const { height, width } = page.viewportSize();
  const box = await element.boundingBox();
  const isInside = box.y >= 0 && box.x >= 0 && box.y + box.height <= height && box.x + box.width <= width;
  assert.ok(isInside, `${name}: ${JSON.stringify(box)}`);
}

test("on a tablet the picture stays in sight next to the form, and covers nothing", async (t) => {
  for (const viewport of [TABLET, { width: TABLET.height, height: TABLET.width }]) {
    const page = await open(t, studio, { viewport });
    await draw(page, 30);
    await finished(page).waitFor();
    await page.getByLabel("A scene by another model").check();
    await page.locator(".scene").waitFor();
    for (const part of ["top", "bottom"]) {
      await page.evaluate((part) => scrollTo(0, part === "top" ? 0 : document.body.scrollHeight), part);
      await inSight(page, page.locator(".sheet"), `the picture at the ${part}`);
      await inSight(page, page.getByRole("button", { name: "Download" }), `what is done with it at the ${part}`);
      const covered = await page.evaluate(() => {
        const middle = document.querySelector(".middle").getBoundingClientRect();
        const others = [...document.querySelectorAll(".prompt, aside")].map((element) => element.getBoundingClientRect());
        return others.some((other) => other.right > middle.left && other.bottom > middle.top && other.top < middle.bottom);
      });
      assert.ok(!covered, `the picture covers a part of the form at the ${part}`);
      await screenshot(page, `tablet-${viewport.width}-${part}`);
    }
    assert.ok((await overflow(page)) <= 0);
    assert.deepEqual(await barriers(page), []);
    await page.getByLabel("A scene by another model").uncheck();
  }
});

test("a lost connection is said wherever one has scrolled to, and moves nothing", async (t) => {
  const port = await freePort();
  const { url, kill } = await serveAt(port, "lost");
  const page = await open(t, url, { viewport: PHONE });
  await page.mouse.wheel(0, 500);
  const place = () => page.locator(".prompt").boundingBox();
  await page.waitForFunction(() => scrollY > 0);
  const before = await place();
  await kill();
  const alert = page.getByRole("alert").filter({ hasText: "No connection" });
  await alert.waitFor();
  await inSight(page, alert, "the message");
  assert.deepEqual(await place(), before);
  await screenshot(page, "phone-lost");
  await serveAt(port, "lost");
  await alert.waitFor({ state: "detached" });
});

test("a text without elements is shown and edited in the form", async (t) => {
  const page = await open(t, studio, { store: { view: "form" } });
  await drop(page, "tags.txt", "text/plain", Buffer.from("1girl, fox ears"));
  const text = page.getByRole("textbox", { name: "Text of the prompt" });
  await text.waitFor();
  assert.equal(await text.inputValue(), "1girl, fox ears");
  await text.fill("1girl, cat ears");
  await checked(page);
  assert.deepEqual(await barriers(page), []);
  await screenshot(page, "plain");
  await page.getByRole("button", { name: "Turn it into XML" }).click();
  await page.getByRole("region", { name: "Whole picture" }).waitFor();
  assert.match(await textOf(page), /cat.ears/);
});

test("a job without a picture has a sign of its state, and is removed by touch", async (t) => {
  const page = await open(t, await serveWith(["--scripted-step-ms", "300"]), {
    viewport: PHONE,
    hasTouch: true,
    isMobile: true,
  });
  await draw(page, 200);
  await draw(page);
  await page.locator(".job.queued .blank .icon").waitFor();
  await page.locator(".job.queued .choose").click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.locator(".job.cancelled .blank .icon").waitFor();
  const dismiss = page.locator(".job.cancelled").getByRole("button", { name: "Remove from this page" });
  assert.equal(await dismiss.evaluate((button) => getComputedStyle(button).opacity), "1");
  await screenshot(page, "phone-cancelled");
  await dismiss.click();
  await page.locator(".job.cancelled").waitFor({ state: "detached" });
  await page.locator(".job.running .choose").click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.locator(".job.cancelled").waitFor();
});

test("on a phone the image to begin from and the question before a deletion come into view", async (t) => {
  const page = await open(t, studio, { viewport: PHONE });
  await draw(page, 6);
  await finished(page).waitFor();
  await page.getByRole("button", { name: "Begin from this" }).click();
  await page.getByText("The next pictures begin from this image.").waitFor();
  const image = page.locator("#start-image");
  await image.waitFor();
  await page.waitForFunction(() => document.getElementById("start-image").getBoundingClientRect().top < innerHeight);
  await inSight(page, image, "the image");
  await screenshot(page, "phone-begin");
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile .open").first().click();
  const dialog = page.getByRole("dialog");
  await dialog.locator("img").waitFor();
  await dialog.getByRole("button", { name: "Delete", exact: true }).click();
  const question = dialog.getByRole("group", { name: "Delete" });
  await page.waitForFunction(() => {
    const { bottom } = document.querySelector("[role=dialog] [role=group]").getBoundingClientRect();
    return bottom <= innerHeight;
  });
  await inSight(page, question, "the question");
  await screenshot(page, "phone-delete");
  await dialog.getByRole("button", { name: "Delete for good" }).click();
  await dialog.waitFor({ state: "detached" });
});

test("a mask is painted with a finger", async (t) => {
  const page = await open(t, studio, { viewport: PHONE, hasTouch: true, isMobile: true });
  await draw(page, 4);
  await finished(page).waitFor();
  await page.getByRole("button", { name: "Begin from this" }).click();
  await page.getByRole("button", { name: "Paint a mask" }).click();
  const board = page.getByRole("application");
  const { x, y, width, height } = await board.boundingBox();
  const session = await page.context().newCDPSession(page);
  const touch = (type, ...points) => session.send("Input.dispatchTouchEvent", { type, touchPoints: points });
  await touch("touchStart", { x: x + width / 4, y: y + height / 4 });
  for (let part = 1; part <= 8; part += 1) {
    await touch("touchMove", { x: x + width / 4, y: y + height / 4 + (part * height) / 20 });
  }
  await touch("touchEnd");
  const painted = await board.evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const isWhite = (column, row) => {
      const [left, top] = [Math.round(column * canvas.width), Math.round(row * canvas.height)];
      return data[4 * (top * canvas.width + left) + 3] > 127;
    };
    return [0.3, 0.45, 0.6].map((row) => isWhite(0.25, row)).concat(isWhite(0.75, 0.45));
  });
  assert.deepEqual(painted, [true, true, true, false]);
  assert.equal((await board.boundingBox()).y, y, "the page does not move under the finger");
  await page.getByRole("button", { name: "Use this mask" }).click();
  await page.getByRole("img", { name: "The mask" }).waitFor();
});

test("two pictures are compared field by field, with short names of their images", async (t) => {
  const page = await open(t, studio);
  await draw(page, 6);
  await finished(page).waitFor();
  await page.getByRole("button", { name: "Begin from this" }).click();
  await page.locator("#start-image").waitFor();
  await draw(page);
  await page.locator(".job.completed").nth(1).waitFor();
  await page.getByRole("link", { name: "History" }).click();
  await page.locator(".tile img").nth(1).waitFor();
  for (const index of [0, 1]) {
    await page.locator(".tile .pick").nth(index).focus();
    await page.keyboard.press("Enter");
  }
  await page.getByRole("button", { name: "Compare (2 of 2)" }).click();
  const table = page.getByRole("dialog").getByRole("table");
  await table.getByRole("row", { name: "init.strength" }).waitFor();
  const widths = await table.locator("thead th").evaluateAll((cells) => cells.map((cell) => cell.offsetWidth));
  assert.ok(Math.abs(widths[1] - widths[2]) <= 2, `both sides are as wide: ${widths}`);
  const image = table.getByRole("row", { name: "init.image.asset" }).getByRole("cell").first();
  assert.match(await image.innerText(), /^[0-9a-f]{12}…$/);
  assert.match(await image.getAttribute("title"), /^[0-9a-f]{64}$/);
  await screenshot(page, "compare-image");
});

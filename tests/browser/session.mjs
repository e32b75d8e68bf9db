// Claims about a session: it is seen, steered, played, named, thrown away and brought back.
import { assert, banner, logIn, newest, press, start, visit } from "./visitor.mjs";

const HOSTILE = "<script>alert(1)</script>{{7*7}}";

/** Levels that move, and that are of now: frames go on being drawn, and none is older than the page would call old. */
async function metersMove(page) {
  const drawn = () => page.evaluate(() => document.querySelector("rk-meters").drawn.sequence);
  await page.waitForFunction(() => document.querySelector("rk-meters")?.drawn?.sequence > 0);
  const before = await drawn();
  await page.waitForFunction((before) => document.querySelector("rk-meters").drawn.sequence >= before + 10, before);
  assert(await page.locator(".m-age").isHidden(), "the levels say that they are old");
  await page.locator('rk-conn[data-state="live"]').waitFor({ state: "attached" });
  const levels = await page.locator("rk-meters .m-level").allTextContents();
  assert(levels.length === 4, `there are ${levels.length} rows of levels, not 4`);
  assert(levels.some((text) => /−\d/.test(text)), `no voice is heard: ${levels}`);
}

async function steer({ page }) {
  await page.goto("/");
  await banner(page, "Recording");
  // Of this very document: it is lost when the page is loaded again.
  await page.evaluate(() => { window.stayed = true; });
  await press(page, "Mark");
  await page.locator("#flash", { hasText: "Marked" }).waitFor();
  await press(page, "Pause");
  await banner(page, "Paused");
  await press(page, "Resume");
  await banner(page, "Recording");
  await press(page, "Stop");
  await page.locator("#banner.banner-recording").waitFor({ state: "detached" });
  await page.locator("#transport .keys").waitFor({ state: "detached" });
  assert(await page.evaluate(() => window.stayed === true), "the page was loaded again");
  const marks = page.locator("#marks li.mark");
  await page.goto(await newest(page));
  assert((await marks.count()) >= 2, "the mark and the pause are not listed with the recording");
}

/** An answer that was drawn before the recording ran, and comes after the stream told that it does, has the last word in nothing. */
async function lateAnswer({ page }) {
  await stopAll({ page });
  const stale = await (await page.request.get("/")).text();
  await page.route("**/recordings/start", async (route) => {
    await route.fetch();
    await banner(page, "Recording");
    await route.fulfill({ status: 200, contentType: "text/html", body: stale });
  });
  await page.evaluate(() => {
    const isAnswer = (event) => event.detail.ctx.sourceElement.id !== "live";
    window.said = [];
    document.addEventListener("htmx:after:swap", (event) => {
      if (isAnswer(event)) window.said.push(document.querySelector("#banner .banner-word").textContent.trim());
    });
  });
  await start(page, "Told before it was answered");
  await page.waitForFunction(() => window.said.length > 0);
  assert((await page.evaluate(() => window.said)).join() === "Not recording", "the answer was not late: this claims nothing");
  await banner(page, "Recording");
  await page.locator('rk-conn[data-state="live"]').waitFor({ state: "attached" });
  await page.unroute("**/recordings/start");
  await stopAll({ page });
}

/** Columns of the canvas that differ from their left neighbour: a time line without peaks has next to none. */
const unevenColumns = () => {
  const canvas = document.querySelector("rk-wave canvas");
  if (!canvas?.width) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const column = (x) => {
    let sum = 0;
    for (let y = 0; y < canvas.height; y++) {
      const at = (y * canvas.width + x) * 4;
      sum = (sum * 31 + data[at] + data[at + 1] * 3 + data[at + 2] * 5 + data[at + 3] * 7) % 1_000_003;
    }
    return sum;
  };
  let uneven = 0;
  for (let x = 1; x < canvas.width; x++) if (column(x) !== column(x - 1)) uneven++;
  return uneven;
};

async function play({ page }) {
  await page.goto(await newest(page));
  await page.locator(".recording-state .state:not(.state-recording, .state-paused, .state-finishing)").first().waitFor();
  await page.waitForFunction(`(${unevenColumns})() > 100`);
  const at = (seconds) => page.waitForFunction((seconds) => document.querySelector("rk-player audio").currentTime > seconds, seconds);
  await page.locator("rk-player .p-play").click();
  await at(0.3);
  const length = await page.evaluate(() => document.querySelector("rk-player audio").duration);
  assert(Number.isFinite(length) && length > 1, `the length is ${length}`);
  const middle = length / 2;
  const box = await page.locator("rk-wave canvas").boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + 40);
  await at(middle * 0.9);
  await at(Math.min(middle + 0.3, length - 0.1));
  assert((await page.locator("rk-player .warn").textContent()) === "", "the player tells of trouble");
}

/** Opens the page of a recording that has just begun. */
async function openRunning(page, title) {
  await stopAll({ page });
  await start(page, title);
  await banner(page, "Recording");
  await page.goto(await newest(page));
  await page.locator("h1.rec-title", { hasText: title }).waitFor();
  await page.locator("rk-player[data-live]").waitFor();
}

async function playWhileRecording({ page }) {
  await openRunning(page, "Heard while it is made");
  await page.locator("rk-player[data-live] .p-play").click();
  await page.waitForFunction(() => document.querySelector("rk-player audio").currentTime > 0.3);
  await stopAll({ page });
}

async function growing({ page }) {
  await openRunning(page, "Seen to grow");
  const length = await page.evaluate(() => Number(document.querySelector("rk-player").dataset.seconds));
  await page.waitForFunction((length) => Number(document.querySelector("rk-player").dataset.seconds) > length + 2, length);
  await stopAll({ page });
}

/** Nothing runs: what every claim begins with, and the next one after a claim that did not hold. */
export async function stopAll({ page }) {
  await page.goto("/");
  const keys = page.locator("#transport .keys");
  await page.locator("#banner").waitFor();
  while (await keys.count()) {
    const running = await page.locator("#transport .running").first().getAttribute("id");
    await press(page, "Stop");
    await page.locator(`#${running}`).waitFor({ state: "detached" });
  }
}

async function edit({ page }) {
  const url = await newest(page);
  await page.goto(url);
  await page.getByLabel("Title").fill("Morning session");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("h1.rec-title", { hasText: "Morning session" }).waitFor();
  await page.getByRole("button", { name: "Move to the bin" }).click();
  const flash = page.locator("#flash", { hasText: "in the bin" });
  await flash.waitFor();
  await page.goto("/recordings");
  assert((await page.locator(`#recordings a[href="${url}"]`).count()) === 0, "a recording in the bin is still listed");
}

async function undo({ page }) {
  const url = await newest(page);
  await page.goto(url);
  await page.getByRole("button", { name: "Move to the bin" }).click();
  await page.locator("#flash").getByRole("button", { name: "Undo" }).click();
  await page.locator("#flash", { hasText: "is back" }).waitFor();
  await page.goto("/recordings");
  assert((await page.locator(`#recordings a[href="${url}"]`).count()) === 1, "it is not listed again");
}

async function hostile({ page }) {
  await stopAll({ page });
  await start(page, HOSTILE);
  await page.locator("#banner .banner-title", { hasText: HOSTILE }).waitFor();
  await press(page, "Stop");
  await page.locator("#transport .keys").waitFor({ state: "detached" });
  const own = await newest(page);
  for (const path of ["/", "/recordings", `/recordings?q=${encodeURIComponent(HOSTILE)}`, own, "/audit"]) {
    await page.goto(path);
    await page.getByText(HOSTILE).first().waitFor({ state: "attached" });
    const scripts = await page.locator("script:not([src])").count();
    assert(scripts === 0, `${path} has ${scripts} scripts of somebody's words`);
  }
}

/** A browser that runs no script does the same work, one page at a time. */
async function withoutScript({ browser, demo, complaints }) {
  const page = await visit(browser, demo, complaints, { javaScriptEnabled: false });
  await logIn(page, demo);
  await start(page, "Made without script");
  await page.goto("/");
  // Nothing morphs here: the page asks for itself again every few seconds.
  await banner(page, "Recording");
  await press(page, "Stop");
  await page.goto("/recordings");
  await page.locator("#recordings .rec-main", { hasText: "Made without script" }).click();
  await page.locator("h1.rec-title", { hasText: "Made without script" }).waitFor();
  const link = await page.locator("rk-player audio").getAttribute("src");
  const audio = await page.request.get(link);
  assert(audio.ok(), `the sound answers ${audio.status()}`);
  assert(/^audio\//.test(audio.headers()["content-type"]), `the sound is ${audio.headers()["content-type"]}`);
  assert((await audio.body()).length > 1000, "the sound is empty");
  await page.context().close();
}

export const session = [
  ["logging in shows a recording and levels that move", async ({ browser, demo, complaints }) => {
    const page = await visit(browser, demo, complaints);
    await logIn(page, demo);
    await banner(page, "Recording");
    await metersMove(page);
    await page.context().close();
  }],
  ["mark, pause, resume and stop are followed without loading the page again", steer],
  ["a recording's waveform is drawn, it plays and it seeks", play],
  ["a recording can be heard while it is made", playWhileRecording],
  ["the page of a running recording grows with it", growing],
  ["what the stream told is not taken back by an answer that comes later", lateAnswer],
  ["a hostile title is only words", hostile],
  ["a delete is undone by one press", undo],
  ["a title is edited, and what is in the bin is not listed", edit],
  ["without script one can log in, start, stop, find and hear", withoutScript],
];

// Claims about the wall's levels, and about sound that is heard live. What other nodes tell is made up here: several real ones are tried in tests/e2e.
import { assert } from "./visitor.mjs";

const HZ = 4;
const LEVELS = "**/api/v1/fleet/levels";

/** Shows the wall with so many cards, made of the first; levels are told by `tell(socket, ids)`. */
async function wallOf(page, rooms, tell) {
  await page.routeWebSocket(LEVELS, (socket) => {
    const ids = Array.from({ length: rooms }, (_, room) => `01993f4e-7c1a-7000-8000-${String(room).padStart(12, "0")}`);
    socket.send(JSON.stringify({ nodes: ids, rate_hz: HZ }));
    tell(socket, ids);
  });
  await page.goto("/wall");
  await page.locator("#wall .card").first().waitFor();
  await page.evaluate((rooms) => {
    // What comes by the page's own stream would put the one real card back.
    document.getElementById("live")?.remove();
    const wall = document.getElementById("wall");
    const first = wall.querySelector(".card");
    const cards = Array.from({ length: rooms }, (_, room) => {
      const card = first.cloneNode(true);
      card.id = `card-01993f4e-7c1a-7000-8000-${String(room).padStart(12, "0")}`;
      card.querySelector("rk-levels").replaceChildren();
      // What a message costs is measured: clocks that go would be counted with it.
      card.querySelector("rk-elapsed")?.remove();
      return card;
    });
    wall.replaceChildren(...cards);
  }, rooms);
}

/** A message: milliseconds, then for each room its groups of [peak, rms, flags], or null. */
function message(ms, rooms) {
  const bytes = rooms.flatMap((groups) => (groups ? [groups.length, ...groups.flat()] : [255]));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(ms);
  return Buffer.concat([head, Buffer.from(bytes)]);
}

const word = (page, room) => page.locator(`#card-01993f4e-7c1a-7000-8000-${String(room).padStart(12, "0")} .l-text`);

async function levelsMove({ page }) {
  await page.goto("/wall");
  const level = page.locator("rk-levels .l-text").first();
  await level.filter({ hasText: /−\d+ dB/ }).waitFor();
  const ticks = await page.evaluate(() => document.querySelector("rk-levels").cost.ticks);
  await page.waitForFunction((ticks) => document.querySelector("rk-levels").cost.ticks > ticks + 8, ticks);
}

async function heard({ page }) {
  await page.goto("/wall");
  const link = page.locator("rk-hear a").first();
  await link.click();
  await page.locator("rk-hear a", { hasText: "Stop listening" }).waitFor();
  await page.waitForFunction(() => /behind/.test(document.querySelector("rk-hear a").title));
  await link.click();
  await page.locator("rk-hear a", { hasText: /^\s*Listen\b/ }).waitFor();
  assert((await page.locator("rk-hear .h-why").first().textContent()) === "", "it says that something went wrong");
}

/** The same on Now, where channels are chosen. */
async function heardHere({ page }) {
  await page.goto("/");
  await page.locator("details.listen summary").click();
  await page.getByRole("button", { name: "Listen now" }).click();
  await page.locator("rk-listen", { hasText: /Listening, \d+\.\d s behind/ }).waitFor();
  await page.getByRole("button", { name: "Stop listening" }).click();
  await page.getByRole("button", { name: "Listen now" }).waitFor();
}

/** One message and no more: a level, a clip, a dead room, one that is not reached. */
async function nothingIsFrozen({ page }) {
  await wallOf(page, 4, (socket) => {
    socket.send(message(0, [[[243, 231, 8]], [[255, 241, 1]], [[1, 1, 2]], null]));
  });
  await word(page, 0).filter({ hasText: "−6 dB" }).waitFor();
  await word(page, 1).filter({ hasText: "Clipped 0 dB" }).waitFor();
  await word(page, 2).filter({ hasText: "No sound" }).waitFor();
  await word(page, 3).filter({ hasText: "–" }).waitFor();
  for (const room of [0, 1, 2]) await word(page, room).filter({ hasText: /^–$/ }).waitFor();
  await page.unrouteAll();
}

/** Milliseconds that the page's main thread was busy so far, by kind. */
async function busy(client) {
  const { metrics } = await client.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value * 1000]));
}

/** Five hundred rooms of eight channels: all are told, those on the screen are drawn. Says what a message costs. */
async function manyRooms({ page }) {
  let timer = 0;
  let begin = () => undefined;
  await wallOf(page, 500, (socket, ids) => {
    const began = Date.now();
    const level = (ms, room, group) => [200 + ((ms / 250 + room + group * 7) % 50), 180, 8];
    const say = () => {
      const ms = Date.now() - began;
      socket.send(message(ms, ids.map((_, room) => Array.from({ length: 8 }, (_, group) => level(ms, room, group)))));
    };
    begin = () => { timer = setInterval(say, 1000 / HZ); };
  });
  try {
    const client = await page.context().newCDPSession(page);
    // Time of the thread, not of the wall: other work on this machine does not count.
    await client.send("Performance.enable", { timeDomain: "threadTicks" });
    const cost = () => page.evaluate(() => document.querySelector("rk-levels").cost);
    // Looked at now and then: a look in each frame would make frames.
    const ticks = (n) => page.waitForFunction((n) => document.querySelector("rk-levels").cost.ticks >= n, n, { polling: 500 });
    // The page as it is without levels.
    const rest = () => page.evaluate(() => new Promise((done) => { setTimeout(done, 2000); }));
    await rest();
    const idleFrom = await busy(client);
    await rest();
    const idleTo = await busy(client);
    begin();
    await ticks(8);
    const [from, before] = [await busy(client), await cost()];
    await ticks(before.ticks + 16);
    const [to, after] = [await busy(client), await cost()];
    const n = after.ticks - before.ticks;
    const more = (name) => ((to[name] - from[name]) / n - (idleTo[name] - idleFrom[name]) / 8).toFixed(2);
    const script = ((after.ms - before.ms) / n).toFixed(2);
    console.log(`    500 rooms of 8 groups, a message costs the main thread ${script} ms of script (worst ${after.worstMs.toFixed(1)}), ${more("TaskDuration")} ms in all, of which style ${more("RecalcStyleDuration")}, layout ${more("LayoutDuration")}; without levels a quarter of a second costs ${((idleTo.TaskDuration - idleFrom.TaskDuration) / 8).toFixed(1)} ms`);
    await word(page, 0).filter({ hasText: /−\d+ dB/ }).waitFor();
    await word(page, 499).scrollIntoViewIfNeeded();
    await word(page, 499).filter({ hasText: /−\d+ dB/ }).waitFor();
  } finally {
    clearInterval(timer);
    await page.unrouteAll();
  }
}

/** Clocks that began at different times show their seconds in the same frames: each by itself would have all frames drawn. */
async function clocksStepTogether({ page }) {
  await page.goto("/help");
  const told = await page.evaluate(async (clocks) => {
    const place = document.querySelector("main").appendChild(document.createElement("p"));
    for (let clock = 0; clock < clocks; clock++) {
      await new Promise(requestAnimationFrame);
      place.insertAdjacentHTML("beforeend", "<rk-elapsed data-seconds='7' data-running></rk-elapsed>");
    }
    const texts = () => [...place.children].map((clock) => clock.textContent);
    const before = texts();
    let steps = 0;
    await new Promise((done) => {
      const last = Number(before[0].split(":")[2]) + 5;
      new MutationObserver(() => {
        steps++;
        if (Number(place.firstChild.textContent.split(":")[2]) >= last) done();
      }).observe(place, { childList: true, characterData: true, subtree: true });
    });
    const still = texts().filter((text, clock) => text === before[clock]).length;
    place.remove();
    return { steps, still };
  }, 60);
  assert(told.still === 0, `${told.still} clocks stand still`);
  assert(told.steps <= 30, `60 clocks changed the page ${told.steps} times in five seconds`);
}

export const wall = [
  ["clocks step together", clocksStepTogether],
  ["the wall shows levels that move", levelsMove],
  ["a room is heard from the wall and quiet again", heard],
  ["a room is heard from Now and quiet again", heardHere],
  ["levels that are not told any more become a dash", nothingIsFrozen],
  ["the wall shows the levels of five hundred rooms", manyRooms],
];

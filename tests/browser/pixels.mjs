// What pages show, and when: for the bench group `wall`. Opens pages side by side, notes what changes on each, when it was
// heard of, when it stood in the document, and the frame behind the one that showed it.
//
// Usage: pixels.mjs URL EMAIL PASSWORD (wall | PATH OF A STREAM)...
// stdin: a word a line; stdout: JSON, a line each, the first when all pages follow. The end of stdin ends all.
//   clock  {clock}: now, by the first page's clock, milliseconds since 1970
//   seen   {pages: [{seen, tasks, bytes, heap, levels}]}: since it was asked last; `heap` in bytes, of what is in use
import { createInterface } from "node:readline";
import { launch, logIn, visit } from "./visitor.mjs";

/** In the page. `heard` is when the newest message of the stream came to the script. */
const begin = () => {
  const now = () => performance.timeOrigin + performance.now();
  const watched = { seen: [], tasks: [], heard: 0, now };
  // The first of two begins the frame that shows it, the second comes when that was made.
  watched.note = (notes) => requestAnimationFrame(() => requestAnimationFrame(() => {
    const frame = now();
    for (const note of notes) watched.seen.push({ ...note, frame });
  }));
  new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) watched.tasks.push(duration); }).observe({ type: "longtask" });
  window.watched = watched;
};

/** In the page: cards whose words became others. */
const watchWall = () => {
  const { watched } = window;
  const words = (card) => `${card.className} ${[...card.querySelectorAll(".card-state, .card-title bdi, .card-incidents")].map((part) => part.textContent.trim()).join(" ")}`;
  const said = new Map([...document.querySelectorAll("#wall .card")].map((card) => [card.id, words(card)]));
  document.addEventListener("htmx:sse:before:message", () => { watched.heard = watched.now(); });
  new MutationObserver((records) => {
    const dom = watched.now();
    const cards = new Set();
    for (const { target, addedNodes } of records) {
      const element = target instanceof Element ? target : target.parentElement;
      // Levels and clocks go on by themselves.
      if (!element || element.closest("rk-levels, rk-elapsed, rk-hear")) continue;
      for (const one of [element.closest(".card"), ...addedNodes]) if (one instanceof Element && one.matches(".card")) cards.add(one);
    }
    const notes = [];
    for (const card of cards) {
      const text = words(card);
      if (said.get(card.id) === text) continue;
      said.set(card.id, text);
      notes.push({ card: card.id, text, heard: watched.heard, dom });
    }
    if (notes.length) watched.note(notes);
  }).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["class", "hidden"] });
};

/** In the page: a stream of events, each shown as it came. */
const watchStream = (path) => new Promise((opened) => {
  const { watched } = window;
  const shown = document.createElement("pre");
  document.querySelector("main").prepend(shown);
  const source = new EventSource(path);
  source.onopen = () => opened();
  for (const name of ["status", "recordings", "incidents"]) source.addEventListener(name, ({ data }) => {
    const heard = watched.now();
    shown.textContent = data;
    watched.note([{ card: name, text: data, heard, dom: watched.now() }]);
  });
});

/** Each in a window of its own: a page behind another one is drawn once a second. */
async function open(page, what) {
  const client = await page.context().newCDPSession(page);
  const counted = { events: 0, levels: 0, rooms: 0 };
  await client.send("Network.enable");
  client.on("Network.dataReceived", ({ dataLength }) => { counted.events += dataLength; });
  client.on("Network.webSocketFrameReceived", ({ response }) => {
    const bytes = Buffer.from(response.payloadData, response.opcode === 2 ? "base64" : "utf8");
    counted.levels += bytes.length;
    if (response.opcode === 2) counted.rooms = rooms(bytes);
  });
  await page.addInitScript(begin);
  await page.goto(what === "wall" ? "/wall" : "/help");
  if (what === "wall") {
    await page.locator("#wall .card").first().waitFor();
    await page.locator('rk-conn[data-state="live"]').waitFor({ state: "attached" });
    await page.evaluate(watchWall);
  } else {
    await page.evaluate(watchStream, what);
  }
  return { page, client, counted };
}

/** Of how many rooms a message has levels. */
function rooms(bytes) {
  let [at, known] = [4, 0];
  while (at < bytes.length) {
    const groups = bytes[at];
    if (groups !== 255) known++;
    at += 1 + (groups === 255 ? 0 : 3 * groups);
  }
  return known;
}

async function seen({ page, client, counted }) {
  const { events, levels, rooms } = counted;
  counted.events = counted.levels = 0;
  const told = await page.evaluate(() => {
    const { seen, tasks } = window.watched;
    [window.watched.seen, window.watched.tasks] = [[], []];
    return { seen, tasks };
  });
  await client.send("HeapProfiler.collectGarbage");
  const { usedSize } = await client.send("Runtime.getHeapUsage");
  return { ...told, bytes: { events, levels }, heap: usedSize, levels: rooms };
}

async function main() {
  const [url, email, password, ...whats] = process.argv.slice(2);
  const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
  const complaints = new Set();
  const browser = await launch();
  try {
    const first = await visit(browser, { url }, complaints);
    await logIn(first, { email, password });
    const storageState = await first.context().storageState();
    await first.context().close();
    const pages = [];
    for (const what of whats) pages.push(await open(await visit(browser, { url }, complaints, { storageState }), what));
    tell({ ready: true });
    for await (const word of createInterface({ input: process.stdin })) {
      if (word === "clock") tell({ clock: await pages[0].page.evaluate(() => window.watched.now()) });
      if (word === "seen") {
        const told = [];
        for (const page of pages) told.push(await seen(page));
        tell({ pages: told });
      }
    }
  } finally {
    await browser.close();
    for (const complaint of complaints) console.error(`a page complains: ${complaint}`);
  }
}

main().catch((error) => { console.error(error); process.exitCode = 1; });

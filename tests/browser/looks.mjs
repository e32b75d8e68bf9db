// Claims about every page: it can be read by everyone, fits a small phone, and the browser has nothing to complain about.
import { join } from "node:path";
import { assert, axe, newest, visit } from "./visitor.mjs";

const PAGES = ["/", "/recordings", "recording", "/health", "/node", "/audit", "/fleet", "/wall", "/wall?kiosk=1", "/settings", "/people", "/help", "/api", "/login"];
const SCHEMES = ["light", "dark"];
const WIDTHS = [390, 1440];
const NARROW = 320;
/** The budget of every page. */
const SHIFT_MAX = 0.02;

const name = (path) => (path === "/" ? "now" : path.replace(/^\//, ""));

/** How far what is there moves when more comes: the sum of layout shifts, as browsers measure it, and what moved. */
async function shift(eyes) {
  return eyes.evaluate(() => new Promise((resolve) => {
    let sum = 0;
    const what = new Set();
    const add = (entries) => entries.filter((entry) => !entry.hadRecentInput).forEach((entry) => {
      sum += entry.value;
      entry.sources.forEach(({ node }) => what.add(`${node?.nodeName} ${node?.id ?? ""}.${node?.className ?? ""}`));
    });
    const observer = new PerformanceObserver((list) => add(list.getEntries()));
    observer.observe({ type: "layout-shift", buffered: true });
    // Two frames: what was buffered has been told by then.
    requestAnimationFrame(() => requestAnimationFrame(() => { add(observer.takeRecords()); resolve({ sum, what: [...what] }); }));
  }));
}

/** What a page is waiting for before it is whole: its script, its levels, its time line. */
async function isWhole(page) {
  await page.waitForFunction(() => document.documentElement.classList.contains("has-script"));
  await page.waitForFunction(() => document.readyState === "complete" && [...document.images].every((image) => image.complete || image.loading === "lazy"));
  // Levels below the edge of a small screen are not drawn; that the names have come is enough.
  if (await page.locator("rk-meters").count()) await page.locator("rk-meters.is-live").waitFor();
}

/** Opens each page as the owner, `/login` as a stranger. */
async function eachPage({ browser, demo, complaints, page }, options, look) {
  const storageState = await page.context().storageState();
  const recording = await newest(page);
  for (const path of PAGES) {
    const isStranger = path === "/login";
    const eyes = await visit(browser, demo, complaints, { ...options, storageState: isStranger ? undefined : storageState });
    const answer = await eyes.goto(path === "recording" ? recording : path);
    assert(answer.ok(), `${path} answers ${answer.status()}`);
    await isWhole(eyes);
    await look(eyes, path);
    await eyes.context().close();
  }
}

async function violations(eyes) {
  await eyes.evaluate(axe);
  const { violations } = await eyes.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} at ${node.target.join(" ")}: ${node.any[0]?.message ?? node.failureSummary}`));
}

/** Both schemes of one visit: what differs between them is colour. */
const readable = (width) => async (at) => {
  const found = [];
  await eachPage(at, { viewport: { width, height: width < 600 ? 844 : 900 } }, async (eyes, path) => {
    const moved = await shift(eyes);
    if (moved.sum > SHIFT_MAX) found.push(`${path} moves by ${moved.sum.toFixed(3)} while it is loaded: ${moved.what.join(", ")}`);
    for (const colorScheme of SCHEMES) {
      await eyes.emulateMedia({ colorScheme });
      for (const line of await violations(eyes)) found.push(`${path}, ${colorScheme}: ${line}`);
      if (at.shots) await eyes.screenshot({ path: join(at.shots, `${name(path)}-${width}-${colorScheme}.png`), fullPage: true });
    }
  });
  assert(found.length === 0, found.join("\n    "));
};

async function fits(at) {
  const found = [];
  await eachPage(at, { viewport: { width: NARROW, height: 640 } }, async (eyes, path) => {
    const wide = await eyes.evaluate((narrow) => {
      const root = document.scrollingElement;
      if (root.scrollWidth <= narrow) return null;
      const far = [...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > narrow + 1);
      return `${root.scrollWidth} px, because of ${far.slice(0, 4).map((one) => `${one.tagName}.${one.className}`).join(", ")}`;
    }, NARROW);
    if (wide) found.push(`${path} is ${wide}`);
  });
  assert(found.length === 0, found.join("\n    "));
}

export const looks = [
  ...WIDTHS.map((width) => [`axe finds nothing on any page, light or dark, and none moves, ${width} px wide`, readable(width)]),
  [`no page scrolls sideways at ${NARROW} px`, fits],
  ["the browser had nothing to complain about on any page", async ({ complaints }) => {
    assert(complaints.size === 0, [...complaints].join("\n    "));
  }],
];

// A browser's visit to the node, that remembers what the browser complained about.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../web-assets/package.json", import.meta.url));
const { chromium } = require("playwright-core");
export const axe = require("axe-core").source;

const LIMIT_MS = 10_000;

export function launch() {
  const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/** A fresh context with one page. Errors, violations of the content policy and dialogs go to `complaints`. */
export async function visit(browser, { url }, complaints, options = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(LIMIT_MS);
  const complain = (what) => complaints.add(what);
  context.on("console", (message) => {
    if (message.type() !== "error" && !/Content.Security.Policy/i.test(message.text())) return;
    // A form that is refused says so on the page; the claims that provoke it wait for that.
    if (/status of (403|409|422)/.test(message.text())) return;
    complain(`${message.page()?.url()}: ${message.text()} (${message.location().url})`);
  });
  context.on("weberror", (error) => complain(`${error.page()?.url()}: ${error.error()}`));
  context.on("dialog", (dialog) => { complain(`a dialog: ${dialog.message()}`); void dialog.dismiss(); });
  context.on("response", (response) => { if (response.status() >= 500) complain(`${response.status()} ${response.url()}`); });
  return context.newPage();
}

export async function logIn(page, { email, password }) {
  await page.goto("/login");
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#banner").waitFor();
}

/** Waits until the banner of Now says this word, and no other: "Not recording" has "recording" in it. */
export async function banner(page, word) {
  const found = page.locator("#banner .banner-word", { hasText: new RegExp(`^\\s*${word}\\s*$`) });
  await found.waitFor().catch(async (error) => {
    const shown = async (id) => (await page.locator(id).allInnerTexts()).join(" ").replaceAll(/\s+/g, " ");
    throw new Error(`not "${word}" but "${await shown("#banner")}" is said; flash "${await shown("#flash")}"; ${error.message}`);
  });
}

/** Presses the key of that name beside the recorder. */
export const press = (page, name) => page.locator("#transport .keys").first().getByRole("button", { name, exact: true }).click();

/** Starts a recording from Now by the form. */
export async function start(page, title) {
  await page.locator("#start-title").fill(title);
  await page.locator("button.key-start").click();
}

/** The address of the newest recording, as the list has it. */
export async function newest(page) {
  await page.goto("/recordings");
  return page.locator("#recordings .rec-main").first().getAttribute("href");
}

export function assert(holds, what) {
  if (!holds) throw new Error(what);
}

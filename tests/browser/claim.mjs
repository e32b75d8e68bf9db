// Claims about a recorder that belongs to nobody: one is taken from its code to the first page, with script and without.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./demo.mjs";
import { assert, banner, visit } from "./visitor.mjs";

const START_MS = 60_000;
const END_MS = 20_000;
const OWNER = { name: "Ana Novak", email: "ana@example.org", password: "four plain garden words here" };

/** A child that is ended by its own process; {child, gone, said(), end()}. */
function begin(binary, words) {
  const child = spawn(binary, words, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (bytes) => { said += bytes; });
  const gone = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", (error) => { said += `${error}\n`; resolve(); });
  });
  const end = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await gone;
    clearTimeout(timer);
  };
  return { child, gone, said: () => said, end };
}

/** An unclaimed node beside the demo, on its sound server; {url, code, end}. */
async function startNode({ binary, demo }) {
  const folder = mkdtempSync(join(tmpdir(), "rakkr-claim-"));
  const [http, https] = [await freePort(), await freePort()];
  // A recorder of its own, as a unit would run it: one that the node starts goes on when the node ends.
  const capture = begin(binary, ["capture", "--data-dir", folder, "--jack-server", demo.server, "--connect", "voices:out_1,voices:out_2"]);
  const node = begin(binary, ["node", "--data-dir", folder, "--no-capture", "--http", `127.0.0.1:${http}`, "--listen", `127.0.0.1:${https}`]);
  const end = async () => {
    await Promise.all([node.end(), capture.end()]);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const ready = new Promise((resolve, reject) => {
    node.child.stderr.on("data", () => {
      const [, code] = /claim code: (\S+)/.exec(node.said()) ?? [];
      if (code) resolve({ url: `http://127.0.0.1:${http}`, code, end });
    });
    for (const { gone, said } of [node, capture]) gone.then(() => reject(new Error(`no node is ready, it said:\n${said()}`)));
    setTimeout(() => reject(new Error(`no node after ${START_MS} ms, it said:\n${node.said()}`)), START_MS).unref();
  });
  return ready.catch(async (error) => { await end(); throw error; });
}

/** The wizard's steps, as far as they are the same with script and without. `before` goes to the first page. */
async function wizard(page, { code }, before) {
  await before();
  await page.getByLabel("Your name").fill(OWNER.name);
  await page.getByLabel("E-mail").fill(OWNER.email);
  await page.getByLabel("Password", { exact: true }).fill("too short");
  await page.getByRole("button", { name: "Claim it" }).click();
  await page.locator("#e-password").waitFor();
  assert((await page.getByLabel("Claim code").inputValue()).replace(/-/g, "") === code.replace(/-/g, ""), "the code must be typed again");
  await page.getByLabel("Password", { exact: true }).fill(OWNER.password);
  await page.getByRole("button", { name: "Claim it" }).click();
  await page.getByRole("heading", { name: "Which room is it in?" }).waitFor();
  await page.getByLabel("Room", { exact: true }).fill("Lecture hall B");
  await page.getByLabel("Time zone").fill("Mars/Olympus");
  await page.getByLabel("Name of the recorder").fill("hall-b");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator("#e-time_zone").waitFor();
  await page.getByLabel("Time zone").fill("Europe/Ljubljana");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "Speak into each microphone" }).waitFor();
}

/** From the channels to the first page of a recorder that is claimed; what stands in `heard` has been recorded. */
async function finish(page, heard) {
  await heard.waitFor({ timeout: 40_000 });
  assert(/sound on 2 of 2 channels/.test(await page.locator("#claim-test").innerText()), "not both channels are heard");
  assert(/Lectern: peak/.test(await page.locator("#claim-test").innerText()), "the channels are not called by their names");
  const audio = await page.request.get(await page.locator("#claim-test audio").getAttribute("src"));
  assert(audio.ok() && (await audio.body()).length > 10_000, `the test cannot be heard: ${audio.status()}`);
  await page.getByRole("button", { name: "It sounds right" }).click();
  const recovery = (await page.locator(".recovery").innerText()).trim();
  assert(recovery.length > 12, `the recovery code is ${recovery}`);
  await page.getByRole("button", { name: "I have it" }).click();
  await banner(page, "Not recording");
  assert((await page.locator(".brand").innerText()).includes("Lecture hall B"), "the room has another name");
  return recovery;
}

/** Every page of the node goes before the node does: a page would tell that it is away. */
async function leave({ browser }, node) {
  const its = browser.contexts().filter((context) => context.pages().some((page) => page.url().startsWith(node.url)));
  await Promise.all(its.map((context) => context.close()));
  await node.end();
}

async function withScript(at) {
  const node = await startNode(at);
  try {
    const page = await visit(at.browser, node, at.complaints, { viewport: { width: 390, height: 844 } });
    await wizard(page, node, async () => {
      await page.goto(`/claim#${node.code}`);
      await page.waitForFunction(() => document.querySelector('input[name="code"]')?.value !== "" && location.hash === "");
    });
    await page.locator("rk-meters.is-live").waitFor();
    await page.getByLabel("Name of channel 1").fill("Lectern");
    await page.getByLabel("Name of channel 2").fill("Gallery");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("button", { name: "Record ten seconds" }).click();
    await page.locator("#claim-test.test-recording").waitFor();
    const recovery = await finish(page, page.locator("#claim-test.test-heard"));
    await loggingIn(page, recovery);
  } finally {
    await leave(at, node);
  }
}

/** What the owner of a new recorder does next: a PIN for the room, a log-out, the printed code instead of the password. */
async function loggingIn(page, recovery) {
  await page.goto("/node");
  await page.getByLabel("Room PIN").fill("12");
  await page.getByRole("button", { name: "Save PIN" }).click();
  await page.locator("#e-pin").waitFor();
  await page.getByLabel("Room PIN").fill("482913");
  await page.getByRole("button", { name: "Save PIN" }).click();
  await page.locator("#flash", { hasText: "Saved" }).waitFor();
  await page.getByLabel("Name of the recorder").fill("hall-b-left");
  await page.getByRole("button", { name: "Save name" }).click();
  await page.getByRole("heading", { name: "hall-b-left" }).waitFor();
  await logOut(page);
  await page.getByText("Use the room's PIN").click();
  await page.getByLabel("Room PIN").fill("482913");
  await page.getByRole("button", { name: "Go on with the PIN" }).click();
  await page.locator("#start-title").waitFor();
  assert((await page.goto("/settings")).status() === 403, "the PIN opens the settings");
  await page.goto("/");
  await logOut(page);
  await page.getByLabel("E-mail").fill(OWNER.email);
  await page.getByLabel("Password", { exact: true }).fill(recovery);
  await page.getByRole("button", { name: "Log in" }).click();
  // It is used up: another one stands here once.
  assert((await page.locator(".recovery").innerText()).trim() !== recovery, "the code that was used is shown again");
  await page.getByRole("button", { name: "I have it" }).click();
  await page.locator(".brand").waitFor();
}

async function logOut(page) {
  await page.locator(".menu-button").click();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("button", { name: "Log in" }).waitFor();
}

async function withoutScript(at) {
  const node = await startNode(at);
  try {
    const page = await visit(at.browser, node, at.complaints, { javaScriptEnabled: false });
    await wizard(page, node, async () => {
      await page.goto("/");
      await page.getByLabel("Claim code").fill(node.code);
    });
    await page.getByLabel("Name of channel 1").fill("Lectern");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("button", { name: "Record ten seconds" }).click();
    // The page asks for itself again until the test is over.
    await finish(page, page.locator("#claim-test.test-heard"));
  } finally {
    await leave(at, node);
  }
}

export const claim = [
  ["a recorder is claimed on a phone, from the code to the test that is heard, and let in again", withScript],
  ["a recorder is claimed without script", withoutScript],
];

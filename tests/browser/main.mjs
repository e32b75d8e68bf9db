// Starts the demo and the browser, tries each claim in turn, and puts both away whatever happens.
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { claim } from "./claim.mjs";
import { startDemo } from "./demo.mjs";
import { looks } from "./looks.mjs";
import { manage } from "./manage.mjs";
import { session, stopAll } from "./session.mjs";
import { launch, logIn, visit } from "./visitor.mjs";
import { wall } from "./wall.mjs";

const USAGE = "Usage: tests/browser/run BINARY [--shots DIR] [--only WORD]";

/** Characters of what a claim that does not hold may say: enough to name every page of a broken style. */
const LINES_MAX = 4000;

async function main() {
  const options = { shots: { type: "string" }, only: { type: "string", default: "" } };
  const { values, positionals: [binary] } = parseArgs({ options, allowPositionals: true });
  if (!binary) throw new Error(USAGE);
  if (values.shots) mkdirSync(values.shots, { recursive: true });
  const demo = await startDemo(binary);
  let browser = null;
  // Ctrl-C ends the demo as well; the claim that was being tried fails, and the rest is not tried.
  process.once("SIGINT", () => void browser?.close());
  try {
    browser = await launch();
    const complaints = new Set();
    const page = await visit(browser, demo, complaints);
    await logIn(page, demo);
    return await tryAll({ binary, browser, demo, complaints, page, shots: values.shots }, values.only);
  } finally {
    await browser?.close();
    await demo.end();
  }
}

/** One line for each claim; how many did not hold. */
async function tryAll(at, only) {
  const claims = [...session, ...manage, ...claim, ...wall, ...looks].filter(([claim]) => claim.includes(only));
  let failed = 0;
  for (const [claim, attempt] of claims) {
    if (!at.browser.isConnected()) return failed + 1;
    const began = performance.now();
    const error = await attempt(at).then(() => null, (error) => error);
    if (error) failed++;
    console.log(`${error ? "FAIL" : "ok  "} ${claim} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    if (!error) continue;
    console.log(`    ${String(error.message).replace(/\u001b\[\d+m/g, "").slice(0, LINES_MAX)}`);
    // What it left running must not fail the next ones as well.
    await stopAll(at).catch(() => undefined);
  }
  console.log(`${claims.length} claims tried, ${failed} failed`);
  return failed;
}

main().then(
  (failed) => { process.exitCode = failed ? 1 : 0; },
  (error) => { console.error(error.message); process.exitCode = 2; },
);

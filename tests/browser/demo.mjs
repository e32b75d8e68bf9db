// `rakkr demo` as a child process: its address, its owner, and its end, however the tests go.
import { spawn } from "node:child_process";
import { createServer } from "node:net";

const START_MS = 60_000;
const END_MS = 20_000;

/** A port nobody listens on. Another program may still take it before the demo does; then the demo says so and ends. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts it and reads what it prints; {url, email, password, server, end}. `server` is the name of its sound server. */
export async function startDemo(binary) {
  const [http, https] = [await freePort(), await freePort()];
  const words = ["demo", "--channels", "4", "--http", `127.0.0.1:${http}`, "--listen", `127.0.0.1:${https}`];
  // Of its own group: a Ctrl-C at the terminal comes to us alone, and we pass it on once.
  const child = spawn(binary, words, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  let said = "";
  const gone = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", (error) => { said += `${error}\n`; resolve(); });
  });
  const end = async () => {
    child.kill("SIGINT");
    // It puts its recorder and its sound server away by itself; only if it hangs, its group is ended.
    const timer = setTimeout(() => { try { process.kill(-child.pid, "SIGKILL"); } catch { /* It has just gone. */ } }, END_MS);
    await gone;
    clearTimeout(timer);
  };
  const ready = new Promise((resolve, reject) => {
    const hear = (bytes) => {
      said += bytes;
      const [, url] = /open\s+(http:\S+)/.exec(said) ?? [];
      const [, email] = /log in\s+(\S+@\S+)/.exec(said) ?? [];
      const [, password] = /password\s+(.+)\n/.exec(said) ?? [];
      if (url && email && password && /^5\. recording/m.test(said)) resolve({ url, email, password: password.trim(), server: `rakkr-demo-${child.pid}`, end });
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    gone.then(() => reject(new Error(`the demo ended before it was ready, saying:\n${said}`)));
    setTimeout(() => reject(new Error(`no demo after ${START_MS} ms, it said:\n${said}`)), START_MS).unref();
  });
  return ready.catch(async (error) => { await end(); throw error; });
}

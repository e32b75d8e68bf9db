/**
 * `<rk-conn>`: whether what stands here is fresh. Says "Live" while the stream of events is open; when it is not, since
 * when, and that the recording does not depend on it.
 */

const SAY_AFTER_MS = 1500;

interface Told {
  connection?: { status?: number; attempt?: number };
}

const toldOf = (event: Event): Told => (event as CustomEvent<Told | null>).detail ?? {};

class Connection extends HTMLElement {
  /** The stream that came last: one that begins anew ends the one before, at its own time. */
  private current: Told["connection"];
  private away = 0;
  private timer = 0;

  connectedCallback(): void {
    if (!document.getElementById("live")) return;
    document.addEventListener("htmx:sse:after:connection", this.hasCome);
    document.addEventListener("htmx:sse:error", this.hasGone);
    document.addEventListener("htmx:sse:before:connection", this.mayHaveGone);
    document.addEventListener("htmx:sse:close", this.hasGone);
    window.addEventListener("offline", this.hasGone);
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
    document.removeEventListener("htmx:sse:after:connection", this.hasCome);
    document.removeEventListener("htmx:sse:error", this.hasGone);
    document.removeEventListener("htmx:sse:before:connection", this.mayHaveGone);
    document.removeEventListener("htmx:sse:close", this.hasGone);
    window.removeEventListener("offline", this.hasGone);
  }

  private readonly hasCome = (event: Event): void => {
    const { connection } = toldOf(event);
    this.current = connection;
    if ((connection?.status ?? 200) >= 400) return this.hasGone(event);
    clearInterval(this.timer);
    this.away = 0;
    this.dataset["state"] = "live";
    this.textContent = "Live";
    document.documentElement.classList.remove("is-away");
  };

  private readonly mayHaveGone = (event: Event): void => {
    if ((toldOf(event).connection?.attempt ?? 0) > 0) this.hasGone(event);
  };

  private readonly hasGone = (event: Event): void => {
    const { connection } = toldOf(event);
    const isAnother = connection !== undefined && this.current !== undefined && connection !== this.current;
    if (this.away || isAnother) return;
    this.away = performance.now();
    clearInterval(this.timer);
    this.timer = window.setInterval(() => this.say(), 1000);
  };

  private say(): void {
    const ms = performance.now() - this.away;
    if (ms < SAY_AFTER_MS || document.hidden) return;
    this.dataset["state"] = "away";
    document.documentElement.classList.add("is-away");
    // A status region: say it once, then only the visible count changes.
    const text = "Disconnected. Recording continues on the recorder.";
    if (this.textContent !== text) this.textContent = text;
  }
}

customElements.define("rk-conn", Connection);

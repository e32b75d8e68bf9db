/**
 * `<rk-conn>`: whether what stands here is fresh. Says "Live" while the stream of events is open; when it is not, since
 * when, and that the recording does not depend on it.
 */

const SAY_AFTER_MS = 1500;

class Connection extends HTMLElement {
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
    const status = (event as CustomEvent<{ connection?: { status?: number } }>).detail.connection?.status ?? 200;
    if (status >= 400) return this.hasGone();
    clearInterval(this.timer);
    this.away = 0;
    this.dataset["state"] = "live";
    this.textContent = "Live";
    document.documentElement.classList.remove("is-away");
  };

  private readonly mayHaveGone = (event: Event): void => {
    const attempt = (event as CustomEvent<{ connection?: { attempt?: number } }>).detail.connection?.attempt ?? 0;
    if (attempt > 0) this.hasGone();
  };

  private readonly hasGone = (): void => {
    if (this.away) return;
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

/**
 * `<rk-player>`: plays a recording, also while it is made. The browser's own `<audio>` does the sound; `<rk-wave>` shows.
 *
 * A finished recording is one file with ranges. A running one is a stream from a place: to seek is to begin another
 * stream. The server tells of growth by the event `grew` ({seconds}) on the page's stream.
 */
import { clockText, icon, make } from "./html";
import { type Place, Wave } from "./wave";

const FRESH_MS = 4000;

class Player extends HTMLElement {
  private readonly audio = make("audio", { preload: "none" });
  private readonly wave = new Wave();
  private readonly clock = make("span", { class: "p-clock num" });
  private readonly play = make("button", { type: "button", class: "button p-play", "data-keys": "Space", "aria-label": "Play" }, icon("play"));
  private readonly trouble = make("p", { class: "warn", role: "status" });
  /** Where the present stream begins on the recording's time line. */
  private base = 0;
  private channel = "";
  private hasBegun = false;
  private grownAt = performance.now();
  private watcher: MutationObserver | null = null;
  private isMade = false;

  connectedCallback(): void {
    if (this.isMade) return;
    this.isMade = true;
    this.wave.url = this.dataset["waveform"] ?? "";
    this.replaceChildren(this.wave, this.controls(), this.trouble, this.audio);
    this.base = Number(this.dataset["start"] ?? 0);
    this.wave.addEventListener("seek", (event) => this.seek((event as CustomEvent<number>).detail, this.isPlaying));
    this.wave.addEventListener("select", (event) => this.select((event as CustomEvent<[number, number] | null>).detail));
    for (const name of ["timeupdate", "play", "pause", "seeked", "loadedmetadata", "ended"]) this.audio.addEventListener(name, () => this.tell());
    this.audio.addEventListener("error", () => { if (this.audio.getAttribute("src")) this.trouble.textContent = "This browser could not play it. The download below has the same audio."; });
    document.addEventListener("grew", this.grow);
    document.addEventListener("click", this.follow);
    document.addEventListener("submit", this.fill, true);
    this.readPlaces();
    this.watcher = new MutationObserver(() => this.readPlaces());
    this.watcher.observe(document.getElementById("page") ?? document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-from", "data-to"] });
    void this.wave.grow(this.seconds);
    this.tell();
  }

  private get isLive(): boolean {
    return this.hasAttribute("data-live");
  }

  private get seconds(): number {
    return Number(this.dataset["seconds"] ?? 0);
  }

  private get isPlaying(): boolean {
    return !this.audio.paused && !this.audio.ended;
  }

  get position(): number {
    if (!this.hasBegun) return this.base;
    return this.isLive ? this.base + this.audio.currentTime : this.audio.currentTime;
  }

  private controls(): HTMLElement {
    const button = (name: string, text: string, act: () => void, keys = ""): HTMLElement =>
      make("button", { type: "button", class: "button quiet", "aria-label": text, title: text, onclick: act, "data-keys": keys || false }, icon(name));
    const step = (seconds: number, text: string): HTMLElement =>
      make("button", { type: "button", class: "button quiet", onclick: () => this.seek(this.position + seconds, this.isPlaying) }, text);
    this.play.addEventListener("click", () => (this.isPlaying ? this.audio.pause() : void this.start()));
    const rate = make("select", { "aria-label": "Speed", onchange: () => { this.audio.playbackRate = Number(rate.value); } });
    for (const value of ["1", "0.75", "1.25", "1.5", "2"]) rate.append(make("option", { value }, `${value}×`));
    const lanes = make("select", { "aria-label": "Channels to see and hear", onchange: () => this.choose(lanes.value) });
    lanes.append(make("option", { value: "-1" }, "All channels"), make("option", { value: "-2" }, "Side by side"));
    for (const box of document.querySelectorAll<HTMLInputElement>('form[data-range] input[name="channels"]'))
      lanes.append(make("option", { value: box.value }, box.closest("label")?.textContent?.trim().replace(/\s+/g, " ") ?? box.value));
    return make("div", { class: "p-controls" },
      this.play, this.clock,
      make("span", { class: "p-right" }, step(-10, "−10 s"), step(10, "+10 s"), lanes, rate, button("zoom-out", "Show more time", () => this.wave.zoom(2)), button("zoom-in", "Show less time", () => this.wave.zoom(0.5)),
        ...(this.isLive ? [make("button", { type: "button", class: "button small", onclick: () => this.seek(this.seconds - 2, true) }, "To the end")] : [])));
  }

  /** Lane choice: with one channel it is also the one that is heard. Values are channel numbers, or -1, -2. */
  private choose(value: string): void {
    const numbers = [...document.querySelectorAll<HTMLInputElement>('form[data-range] input[name="channels"]')].map((box) => box.value);
    this.wave.lane = value.startsWith("-") ? Number(value) : numbers.indexOf(value);
    const channel = value.startsWith("-") ? "" : value;
    if (channel !== this.channel) {
      this.channel = channel;
      if (this.hasBegun) {
        const [at, wasPlaying] = [this.position, this.isPlaying];
        this.hasBegun = false;
        this.base = at;
        if (wasPlaying) void this.start();
      }
    }
    this.wave.redraw();
  }

  private source(from: number): string {
    const url = new URL((this.isLive ? this.dataset["stream"] : this.dataset["media"]) ?? "", location.href);
    if (this.isLive) url.searchParams.set("from", from.toFixed(2));
    if (this.channel) url.searchParams.set("channels", this.channel);
    return url.pathname + url.search;
  }

  private async start(): Promise<void> {
    this.trouble.textContent = "";
    if (!this.hasBegun) {
      this.audio.src = this.source(this.base);
      if (!this.isLive) this.audio.currentTime = this.base;
      this.hasBegun = true;
    }
    await this.audio.play().catch(() => undefined);
    this.tell();
  }

  seek(seconds: number, isPlay: boolean): void {
    const to = Math.min(Math.max(0, seconds), Math.max(0, this.seconds - 0.05));
    if (this.hasBegun && !this.isLive) this.audio.currentTime = to;
    else {
      // A stream has no past: another one begins at the place, now if it is to play, else when play is pressed.
      if (this.hasBegun) this.audio.pause();
      this.hasBegun = false;
      this.base = to;
    }
    if (isPlay) void this.start();
    this.tell();
  }

  private tell(): void {
    this.wave.tell(this.position);
    const text = `${clockText(this.position)} / ${clockText(this.seconds)}`;
    if (this.clock.textContent !== text) this.clock.textContent = text;
    const name = this.isPlaying ? "Pause" : "Play";
    if (this.play.getAttribute("aria-label") !== name) {
      this.play.setAttribute("aria-label", name);
      this.play.replaceChildren(icon(this.isPlaying ? "pause" : "play"));
    }
  }

  private readonly grow = (event: Event): void => {
    const { data } = (event as CustomEvent<{ data: string }>).detail;
    const grown = JSON.parse(data) as { id: string; seconds: number; is_live: boolean };
    if (!(this.dataset["stream"] ?? "").includes(grown.id)) return;
    const hasEnded = this.isLive && !grown.is_live;
    // What plays goes on as a stream; the next play takes the file.
    if (hasEnded && !this.isPlaying) this.removeAttribute("data-live");
    this.dataset["seconds"] = String(grown.seconds);
    this.tell();
    if (!hasEnded && performance.now() - this.grownAt < FRESH_MS) return;
    this.grownAt = performance.now();
    void this.wave.grow(grown.seconds);
  };

  private readPlaces(): void {
    this.wave.places = [...document.querySelectorAll<HTMLElement>("#marks li[data-from]")].map((item): Place => ({
      kind: item.dataset["kind"] ?? "mark",
      from: Number(item.dataset["from"]),
      to: item.dataset["to"] ? Number(item.dataset["to"]) : null,
      label: item.querySelector(".mark-label")?.textContent ?? "",
    }));
    this.wave.redraw();
  }

  /** A mark's link plays from there instead of loading the page again. */
  private readonly follow = (event: MouseEvent): void => {
    const item = (event.target as Element).closest<HTMLElement>("#marks li[data-from]");
    if (!item || !(event.target as Element).closest("a") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.seek(Number(item.dataset["from"]), true);
  };

  /** A mark without a place is set where one listens; while it records and nobody listens, the server takes "now". */
  private readonly fill = (event: SubmitEvent): void => {
    const field = (event.target as HTMLElement).querySelector<HTMLInputElement>("input[data-playhead]");
    if (field && field.value === "" && (this.hasBegun || !this.isLive)) field.value = this.position.toFixed(2);
  };

  private select(range: [number, number] | null): void {
    const form = document.querySelector<HTMLFormElement>("form[data-range]");
    if (!form) return;
    const set = (name: string, value: string): void => {
      const field = form.elements.namedItem(name);
      if (field instanceof HTMLInputElement) field.value = value;
    };
    set("from", range ? range[0].toFixed(2) : "");
    set("to", range ? range[1].toFixed(2) : "");
    const more = form.querySelector("details");
    if (more && range) more.open = true;
  }
}

customElements.define("rk-player", Player);

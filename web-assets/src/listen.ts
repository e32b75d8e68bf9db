/**
 * `<rk-listen>`: hears chosen channels live. Media Source with fragmented MP4 stays within half a second; where that is
 * missing, the browser's own player takes an Ogg stream. Shows how far behind it is.
 */
import { icon, make } from "./html";

const MIME = 'audio/mp4; codecs="opus"';
const BEHIND_FAST_S = 0.6;
const BEHIND_JUMP_S = 2;
const KEEP_S = 20;

class Listen extends HTMLElement {
  private audio: HTMLAudioElement | null = null;
  private stopper: AbortController | null = null;
  private timer = 0;
  private readonly button = make("button", { type: "button", class: "button primary wide" }, icon("headphones"), "Listen now");
  private readonly said = make("p", { class: "sub num" });
  private isMade = false;

  connectedCallback(): void {
    if (this.isMade) return;
    this.isMade = true;
    const body = this.querySelector(".listen-body");
    const volume = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: 1, "aria-label": "Volume", oninput: () => { if (this.audio) this.audio.volume = Number(volume.value); } });
    body?.prepend(this.button);
    body?.append(volume, this.said);
    this.button.addEventListener("click", () => (this.stopper ? this.stop() : void this.start(Number(volume.value))));
    this.addEventListener("change", (event) => {
      if ((event.target as HTMLInputElement).name === "listen" && this.stopper) {
        this.stop();
        void this.start(Number(volume.value));
      }
    });
  }

  disconnectedCallback(): void {
    queueMicrotask(() => { if (!this.isConnected) this.stop(); });
  }

  private async start(volume: number): Promise<void> {
    const channels = [...this.querySelectorAll<HTMLInputElement>('input[name="listen"]:checked')].map((box) => box.value);
    if (!channels.length) return this.say("Choose a channel.");
    const stopper = new AbortController();
    this.stopper = stopper;
    this.show(true);
    this.audio = make("audio");
    this.audio.volume = volume;
    const url = (format: string): string => `${this.dataset["url"]}?channels=${channels.join(",")}&format=${format}`;
    try {
      if (typeof MediaSource !== "undefined" && MediaSource.isTypeSupported(MIME)) await this.fragments(this.audio, url("mp4"), stopper.signal);
      else {
        this.audio.src = url("ogg");
        await this.audio.play();
        this.say("Listening, some seconds behind.");
        return;
      }
      if (!stopper.signal.aborted) this.end("The stream ended.");
    } catch (error) {
      if (!stopper.signal.aborted) this.end(error instanceof Error ? error.message : "The stream broke off.");
    }
  }

  private async fragments(audio: HTMLAudioElement, url: string, signal: AbortSignal): Promise<void> {
    const source = new MediaSource();
    const address = URL.createObjectURL(source);
    audio.src = address;
    await new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
    URL.revokeObjectURL(address);
    const buffer = source.addSourceBuffer(MIME);
    const answer = await fetch(url, { signal });
    if (!answer.ok || !answer.body) throw new Error(answer.status === 403 ? "You may not listen here." : `The recorder gave no sound (${answer.status}).`);
    const reader = answer.body.getReader();
    this.timer = window.setInterval(() => this.keepUp(audio), 250);
    while (!signal.aborted) {
      const { done, value } = await reader.read();
      if (done) return;
      await this.feed(buffer, value);
      if (audio.paused && audio.buffered.length) await audio.play();
      const first = audio.buffered.length ? audio.buffered.start(0) : 0;
      if (audio.currentTime - first > KEEP_S * 2 && !buffer.updating) buffer.remove(first, audio.currentTime - KEEP_S);
    }
  }

  private async feed(buffer: SourceBuffer, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const settled = (): Promise<unknown> => new Promise((done) => buffer.addEventListener("updateend", done, { once: true }));
    if (buffer.updating) await settled();
    buffer.appendBuffer(bytes);
    await settled();
  }

  /** Near the newest audio: a little faster when behind, a jump when far behind. */
  private keepUp(audio: HTMLAudioElement): void {
    const ranges = audio.buffered;
    if (!ranges.length) return;
    const edge = ranges.end(ranges.length - 1);
    const behind = edge - audio.currentTime;
    if (behind > BEHIND_JUMP_S || audio.currentTime < ranges.start(ranges.length - 1)) audio.currentTime = Math.max(ranges.start(ranges.length - 1), edge - 0.25);
    audio.playbackRate = behind > BEHIND_FAST_S ? 1.06 : 1;
    this.say(`Listening, ${Math.max(0.1, behind).toFixed(1)} s behind.`);
  }

  private stop(): void {
    this.stopper?.abort();
    this.end("");
  }

  private end(text: string): void {
    clearInterval(this.timer);
    this.stopper?.abort();
    this.stopper = null;
    this.audio?.pause();
    this.audio?.removeAttribute("src");
    this.audio?.load();
    this.audio = null;
    this.show(false);
    this.say(text);
  }

  private show(isOn: boolean): void {
    this.button.replaceChildren(icon(isOn ? "stop" : "headphones"), isOn ? "Stop listening" : "Listen now");
    const summary = this.querySelector("summary");
    summary?.classList.toggle("is-on", isOn);
    summary?.querySelector("span")?.replaceChildren(isOn ? "Listening" : "Listen");
  }

  private say(text: string): void {
    if (this.said.textContent !== text) this.said.textContent = text;
  }
}

customElements.define("rk-listen", Listen);

/**
 * Live sound: Media Source with fragmented MP4 stays within half a second; where that is missing, the browser's own player
 * takes an Ogg stream. Says how far behind it is.
 */
import { make } from "./html";

const MIME = 'audio/mp4; codecs="opus"';
const BEHIND_FAST_S = 0.6;
const BEHIND_JUMP_S = 2;
const KEEP_S = 20;

export class Sound {
  private readonly audio = make("audio");
  private readonly stopper = new AbortController();
  private timer = 0;
  private isOver = false;

  /** `address` without its format; `ended` hears why it ended, nothing when it was stopped. */
  constructor(
    private readonly address: string,
    private readonly say: (text: string) => void,
    private readonly ended: (why: string) => void,
  ) {}

  set volume(volume: number) {
    this.audio.volume = volume;
  }

  async play(): Promise<void> {
    try {
      if (typeof MediaSource !== "undefined" && MediaSource.isTypeSupported(MIME)) await this.fragments(this.url("mp4"), this.stopper.signal);
      else {
        this.audio.src = this.url("ogg");
        await this.audio.play();
        this.say("Listening, some seconds behind.");
        return;
      }
      this.end("The stream ended.");
    } catch (error) {
      this.end(error instanceof Error ? error.message : "The stream broke off.");
    }
  }

  stop(): void {
    this.end("");
  }

  private url(format: string): string {
    return `${this.address}${this.address.includes("?") ? "&" : "?"}format=${format}`;
  }

  private async fragments(url: string, signal: AbortSignal): Promise<void> {
    const { audio } = this;
    const source = new MediaSource();
    const address = URL.createObjectURL(source);
    audio.src = address;
    await new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
    URL.revokeObjectURL(address);
    const buffer = source.addSourceBuffer(MIME);
    const answer = await fetch(url, { signal });
    if (!answer.ok || !answer.body) throw new Error(answer.status === 403 ? "You may not listen here." : `The recorder gave no sound (${answer.status}).`);
    const reader = answer.body.getReader();
    this.timer = window.setInterval(() => this.keepUp(), 250);
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
  private keepUp(): void {
    const { audio } = this;
    const ranges = audio.buffered;
    if (!ranges.length) return;
    const edge = ranges.end(ranges.length - 1);
    const behind = edge - audio.currentTime;
    if (behind > BEHIND_JUMP_S || audio.currentTime < ranges.start(ranges.length - 1)) audio.currentTime = Math.max(ranges.start(ranges.length - 1), edge - 0.25);
    audio.playbackRate = behind > BEHIND_FAST_S ? 1.06 : 1;
    this.say(`Listening, ${Math.max(0.1, behind).toFixed(1)} s behind.`);
  }

  private end(why: string): void {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.timer);
    this.stopper.abort();
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.ended(why);
  }
}

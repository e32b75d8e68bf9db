/**
 * The wall: `<rk-levels>` shows a room's levels on its card, `<rk-hear>` lets one hear it.
 *
 * One socket tells the levels of all rooms; only cards on the screen are drawn. What is older than two seconds is not
 * known, and looks so. Bars step four times a second and never glide; once a second for who wants less motion.
 */
import { fit, make, onLook, palette } from "./html";
import { CLIPPED, Message, NO_SOURCE, ZERO } from "./levels";
import { Socket } from "./socket";
import { Sound } from "./sound";

const URL_OF_LEVELS = "/api/v1/fleet/levels";
const OLD_MS = 2000;
const WORDS_MS = 1000;
const LOOK_MS = 2000;
const FLOOR_DB = -60;
const HOT_DB = -9;
const OVER_DB = -1;
const HEIGHT_PX = 32;
const COLOURS = ["meter-bg", "meter-rms", "meter-peak", "meter-hot", "meter-over", "meter-tick"] as const;
type Colours = Record<(typeof COLOURS)[number], string>;

const part = (db: number): number => Math.min(1, Math.max(0, (db - FLOOR_DB) / -FLOOR_DB));

/** What all cards share. */
class Wall {
  private socket: Socket | null = null;
  private readonly cards = new Set<Levels>();
  /** Those on the screen. */
  private shown: Levels[] = [];
  /** Of every canvas: all cards are as wide as each other. */
  private width = 0;
  private readonly message = new Message();
  private places = new Map<string, number>();
  private colours = {} as Colours;
  /** When the newest levels were of now. */
  private heardAt = Number.NEGATIVE_INFINITY;
  private quickest = Number.POSITIVE_INFINITY;
  private drawnAt = 0;
  private saidAt = 0;
  private isLooking = false;
  private isOld = true;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  /** For measurements: ticks so far, and main-thread milliseconds of all and of the dearest. */
  cost = { ticks: 0, ms: 0, worstMs: 0 };

  constructor() {
    onLook(() => { this.colours = {} as Colours; this.drawAll(true); });
    window.setInterval(() => this.lookAtAge(), OLD_MS / 4);
    // Observers of five hundred cards cost more in each frame than all bars; a look at their boxes now and then does not.
    window.setInterval(() => this.look(), LOOK_MS);
    for (const event of ["scroll", "resize"]) window.addEventListener(event, () => this.lookSoon(), { passive: true, capture: true });
  }

  add(card: Levels): void {
    this.cards.add(card);
    this.lookSoon();
    this.socket ??= new Socket(URL_OF_LEVELS, (text) => this.name(text), (bytes) => this.hear(bytes));
  }

  remove(card: Levels): void {
    this.cards.delete(card);
    this.lookSoon();
    if (this.cards.size) return;
    this.socket?.close();
    this.socket = null;
  }

  private name(text: string): void {
    const { nodes } = JSON.parse(text) as { nodes: string[] };
    this.places = new Map(nodes.map((node, place) => [node, place]));
    this.heardAt = Number.NEGATIVE_INFINITY;
    this.quickest = Number.POSITIVE_INFINITY;
  }

  private hear(bytes: ArrayBuffer): void {
    const began = performance.now();
    if (!this.message.take(bytes, this.places.size)) return;
    // The two clocks differ: what came quickest stands for "at once". 0.1 ms a message is more than they run apart.
    const way = began - this.message.ms;
    this.quickest = Math.min(this.quickest + 0.1, way);
    this.heardAt = began - (way - this.quickest);
    this.isOld = this.age(began) > OLD_MS;
    if (!this.calm.matches || began - this.drawnAt >= WORDS_MS) this.drawAll(false);
    const ms = performance.now() - began;
    this.cost = { ticks: this.cost.ticks + 1, ms: this.cost.ms + ms, worstMs: Math.max(this.cost.worstMs, ms) };
  }

  private age(now: number): number {
    return now - this.heardAt;
  }

  private lookSoon(): void {
    if (this.isLooking) return;
    this.isLooking = true;
    requestAnimationFrame(() => { this.isLooking = false; this.look(); });
  }

  /** What is on the screen, and how wide it is. */
  private look(): void {
    const shown = [...this.cards].filter((card) => card.isOnScreen);
    const width = shown[0]?.canvas.clientWidth ?? 0;
    const were = new Set(width === this.width ? this.shown : []);
    [this.shown, this.width] = [shown, width];
    for (const card of shown) if (!were.has(card)) this.draw(card, true);
  }

  /** Nothing came for a while: what stands there is not of now. */
  private lookAtAge(): void {
    const isOld = this.age(performance.now()) > OLD_MS;
    if (isOld === this.isOld) return;
    this.isOld = isOld;
    this.drawAll(true);
  }

  private drawAll(isForced: boolean): void {
    this.drawnAt = performance.now();
    // All words at once: each change of them has the page laid out anew.
    const isToSay = isForced || this.drawnAt - this.saidAt >= WORDS_MS;
    if (isToSay) this.saidAt = this.drawnAt;
    for (const card of this.shown) this.draw(card, isToSay);
  }

  private draw(card: Levels, isToSay: boolean): void {
    if (!this.colours["meter-bg"]) this.colours = palette(document.body, COLOURS);
    const place = this.places.get(card.node) ?? -1;
    const groups = this.isOld || place < 0 ? -1 : this.message.groups(place);
    card.draw(this.message, place, groups, this.width, this.colours);
    card.say(this.message, place, groups, isToSay);
  }
}

class Levels extends HTMLElement {
  readonly canvas = make("canvas", { "aria-hidden": "true" });
  private readonly text = make("span", { class: "l-text num" });

  connectedCallback(): void {
    if (!this.firstChild) this.append(this.canvas, make("span", { class: "vh" }, "Level: "), this.text);
    wall.add(this);
  }

  disconnectedCallback(): void {
    // A morph may move the element.
    queueMicrotask(() => { if (!this.isConnected) wall.remove(this); });
  }

  /** The card says whose it is: a morph may make another room's card of it. */
  get node(): string {
    return this.closest("article")?.id.replace("card-", "") ?? "";
  }

  /** The card's own box: what is inside of one that is not on the screen has none yet. */
  get isOnScreen(): boolean {
    const box = this.closest("article")?.getBoundingClientRect();
    return box !== undefined && box.bottom > 0 && box.top < innerHeight;
  }

  /** For measurements: of all cards together. */
  get cost(): Wall["cost"] {
    return wall.cost;
  }

  /** A bar a group; what has no data is an empty outline. */
  draw(message: Message, place: number, groups: number, width: number, colours: Colours): void {
    if (width <= 0) return;
    const pen = fit(this.canvas, width, HEIGHT_PX);
    if (!pen) return;
    pen.clearRect(0, 0, width, HEIGHT_PX);
    const bars = Math.max(1, groups);
    const gap = bars > 4 ? 1 : 2;
    const height = Math.min(10, Math.floor((HEIGHT_PX - gap * (bars - 1)) / bars));
    const top = Math.floor((HEIGHT_PX - bars * height - gap * (bars - 1)) / 2);
    for (let bar = 0; bar < bars; bar++) {
      const y = top + bar * (height + gap);
      const peak = groups > 0 ? message.peak(place, bar) : Number.NaN;
      if (Number.isNaN(peak)) outline(pen, { y, width, height }, colours);
      else fillBar(pen, { y, width, height }, peak, message.rms(place, bar), colours);
      if (groups > 0 && message.flags(place, bar) & CLIPPED) {
        pen.fillStyle = colours["meter-over"];
        pen.fillRect(width - 6, y, 6, height);
      }
    }
  }

  /** In words, when it is time; at once when levels come or are not known any more. */
  say(message: Message, place: number, groups: number, isToSay: boolean): void {
    const isSame = groups < 0 === (this.dataset["tone"] === "old");
    if (isSame && !isToSay) return;
    const [word, tone] = inWords(message, place, groups);
    if (this.text.textContent !== word) this.text.textContent = word;
    if (this.dataset["tone"] !== tone) this.dataset["tone"] = tone;
  }
}

interface Box {
  y: number;
  width: number;
  height: number;
}

function outline(pen: CanvasRenderingContext2D, { y, width, height }: Box, colours: Colours): void {
  pen.strokeStyle = colours["meter-tick"];
  pen.setLineDash([3, 3]);
  pen.strokeRect(0.5, y + 0.5, width - 1, height - 1);
  pen.setLineDash([]);
}

function fillBar(pen: CanvasRenderingContext2D, { y, width, height }: Box, peakDb: number, rmsDb: number, colours: Colours): void {
  const [peak, rms] = [part(peakDb), Number.isNaN(rmsDb) ? 0 : part(rmsDb)];
  const fill = (from: number, to: number, colour: string): void => {
    if (to <= from) return;
    pen.fillStyle = colour;
    pen.fillRect(width * from, y, width * (to - from), height);
  };
  fill(0, 1, colours["meter-bg"]);
  fill(0, peak, colours["meter-peak"]);
  fill(0, rms, colours["meter-rms"]);
  fill(Math.max(rms, part(HOT_DB)), peak, colours["meter-hot"]);
  fill(part(OVER_DB), peak, colours["meter-over"]);
}

function inWords(message: Message, place: number, groups: number): [word: string, tone: string] {
  if (groups < 0) return ["–", "old"];
  let [loudest, common, any] = [Number.NaN, 255, 0];
  for (let group = 0; group < groups; group++) {
    const peak = message.peak(place, group);
    if (Number.isNaN(loudest) || peak > loudest) loudest = peak;
    common &= message.flags(place, group);
    any |= message.flags(place, group);
  }
  if (groups === 0) return ["–", "old"];
  if (common & NO_SOURCE) return ["No source", "bad"];
  if (Number.isNaN(loudest)) return ["–", "old"];
  if (common & ZERO) return ["No sound", "bad"];
  const level = loudest > FLOOR_DB - 30 ? `${Math.round(loudest)} dB`.replace("-", "−") : "−∞ dB";
  return any & CLIPPED ? [`Clipped ${level}`, "bad"] : [level, "good"];
}

/** One room at a time is heard. */
let heard: Hear | null = null;

class Hear extends HTMLElement {
  private sound: Sound | null = null;
  /** Why it ended by itself. */
  private readonly why = make("span", { class: "h-why", role: "status" });

  connectedCallback(): void {
    if (this.why.isConnected) return;
    this.append(this.why);
    this.addEventListener("click", (event) => {
      const link = (event.target as Element).closest("a");
      if (!link) return;
      event.preventDefault();
      if (this.sound) this.sound.stop();
      else this.start(link);
    });
  }

  disconnectedCallback(): void {
    queueMicrotask(() => { if (!this.isConnected) this.sound?.stop(); });
  }

  private start(link: HTMLAnchorElement): void {
    heard?.sound?.stop();
    heard = this;
    this.say(link, "Stop listening", "");
    this.sound = new Sound(link.href, (text) => { link.title = text; }, (why) => {
      this.sound = null;
      this.say(link, "Listen", why);
    });
    void this.sound.play();
  }

  private say(link: HTMLAnchorElement, word: string, why: string): void {
    link.classList.toggle("is-on", word !== "Listen");
    link.querySelector("span")?.replaceChildren(word);
    link.title = "";
    this.why.textContent = why;
  }
}

const wall = new Wall();
customElements.define("rk-levels", Levels);
customElements.define("rk-hear", Hear);

/**
 * `<rk-meters>`: the meter bridge. Up to twelve channels are rows with names; more are strips, in banks that fit.
 *
 * Shows what was measured or that nothing was: levels older than a second turn grey and fall to nothing. The table the
 * server rendered inside stays for screen readers and is kept current once a second.
 */
import { CLIPPED, type Channel, Feed, type Frame, NO_SOURCE, QUIET, SPEECH, ZERO } from "./feed";
import { fit, icon, make, onLook, palette } from "./html";

const FLOOR_DB = -60;
const HOLD_MS = 1500;
const OLD_MS = 1000;
const SAY_OLD_MS = 2000;
const FALL_DB_PER_S = 26;
const OLD_FALL_DB_PER_S = 60;
const HOT_DB = -9;
const OVER_DB = -1;
const ROWS_MAX = 12;
const ROW_PX = 36;
const STRIP_PX = 190;
const SCALE_PX = 16;
const TICKS = [-48, -36, -24, -18, -12, -6, -3];
const COLOURS = ["meter-bg", "meter-rms", "meter-peak", "meter-hot", "meter-over", "meter-old", "meter-tick", "muted", "ink"] as const;

interface Cell {
  channel: Channel;
  expects: string;
  flags: number;
  hasData: boolean;
  peak: number;
  rms: number;
  hold: number;
  heldAt: number;
  isClipped: boolean;
  number?: HTMLElement;
  row?: { level: HTMLElement; state: HTMLElement; clip: HTMLButtonElement };
  table?: HTMLTableRowElement | undefined;
}

const part = (db: number): number => Math.min(1, Math.max(0, (db - FLOOR_DB) / -FLOOR_DB));
const dbText = (db: number): string => (db > FLOOR_DB - 30 ? db.toFixed(1).replace("-", "−") : "−∞");

class Meters extends HTMLElement {
  private feed: Feed | null = null;
  private cells: Cell[] = [];
  private bank = 0;
  private readonly canvas = make("canvas", { "aria-hidden": "true" });
  private readonly body = make("div", { class: "m-body" });
  private readonly tools = make("div", { class: "m-tools" });
  private readonly age = make("p", { class: "m-age", hidden: true });
  private colours = {} as Record<(typeof COLOURS)[number], string>;
  private heardAt = 0;
  private skew = Number.POSITIVE_INFINITY;
  private last = 0;
  private saidAt = 0;
  private readAt = 0;
  private loop = 0;
  private isSeen = true;
  private readonly seen = new IntersectionObserver(([entry]) => { this.isSeen = entry?.isIntersecting ?? true; });
  private readonly sized = new ResizeObserver(() => this.layOut());
  /** For measurements: the newest frame drawn and when, `performance.now()`. */
  drawn = { sequence: -1, at: 0, when: 0 };
  private newest: Frame | null = null;

  connectedCallback(): void {
    if (this.feed) return;
    this.append(this.tools, this.body, this.age);
    this.look();
    onLook(() => this.look());
    this.feed = new Feed(this.dataset["url"] ?? "", (channels) => this.take(channels), (frame) => this.hear(frame));
    this.seen.observe(this);
    this.sized.observe(this);
    this.loop = requestAnimationFrame(this.draw);
  }

  disconnectedCallback(): void {
    // A morph may move the element: only a real farewell closes the stream.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.feed?.close();
      this.feed = null;
      cancelAnimationFrame(this.loop);
      this.seen.disconnect();
      this.sized.disconnect();
    });
  }

  private look(): void {
    this.colours = palette(this, COLOURS);
  }

  private take(channels: Channel[]): void {
    const rows = [...this.querySelectorAll<HTMLTableRowElement>("tr[data-channel]")];
    this.cells = channels.map((channel) => {
      const table = rows.find((row) => row.dataset["channel"] === String(channel.number));
      const old = this.cells.find((cell) => cell.channel.number === channel.number);
      return {
        channel, table, expects: table?.dataset["expects"] ?? "signal", flags: 0, hasData: false,
        peak: FLOOR_DB - 40, rms: FLOOR_DB - 40, hold: FLOOR_DB - 40, heldAt: 0, isClipped: old?.isClipped ?? false,
      };
    });
    this.classList.toggle("is-live", channels.length > 0);
    this.layOut(true);
  }

  private get isRows(): boolean {
    return this.cells.length <= ROWS_MAX;
  }

  private get bankSize(): number {
    return this.clientWidth < 600 ? 16 : this.clientWidth < 900 ? 32 : 64;
  }

  private get shown(): Cell[] {
    if (this.isRows) return this.cells;
    return this.cells.slice(this.bank * this.bankSize, (this.bank + 1) * this.bankSize);
  }

  private shape = "";

  private layOut(isNew = false): void {
    const shape = `${this.isRows}/${this.bankSize}/${this.bank}/${this.cells.length}`;
    if (!isNew && shape === this.shape) return;
    this.shape = shape;
    if (this.bank * this.bankSize >= this.cells.length) this.bank = 0;
    this.body.className = `m-body ${this.isRows ? "m-rows" : "m-strips"}`;
    if (this.isRows) this.body.replaceChildren(this.canvas, ...this.cells.map((cell) => this.makeRow(cell)));
    else this.body.replaceChildren(this.canvas, this.makeNumbers());
    this.makeTools();
  }

  private makeRow(cell: Cell): HTMLElement {
    const level = make("span", { class: "m-level num", "aria-hidden": "true" });
    const state = make("span", { class: "m-state", "aria-hidden": "true" });
    const forget = (): void => { cell.isClipped = false; clip.hidden = true; };
    const clip = make("button", { type: "button", class: "m-clip", hidden: !cell.isClipped, onclick: forget, "aria-label": `CLIP on channel ${cell.channel.number}: forget` }, "CLIP");
    cell.row = { level, state, clip };
    const name = make("span", { class: "m-name", "aria-hidden": "true" }, make("span", { class: "num" }, String(cell.channel.number)), ` ${cell.channel.label}`);
    return make("div", { class: "m-row" }, name, state, make("span", { class: "m-bar" }), level, clip);
  }

  private makeNumbers(): HTMLElement {
    const numbers = this.shown.map((cell) => (cell.number = make("span", { title: cell.channel.label }, String(cell.channel.number))));
    return make("div", { class: "m-numbers num", "aria-hidden": "true" }, ...numbers);
  }

  private makeTools(): void {
    if (this.isRows) return this.tools.replaceChildren();
    const banks = Math.ceil(this.cells.length / this.bankSize);
    const buttons = Array.from({ length: banks > 1 ? banks : 0 }, (_, bank) => {
      const first = bank * this.bankSize + 1;
      const text = `${first}–${Math.min(first + this.bankSize - 1, this.cells.length)}`;
      const choose = (): void => { this.bank = bank; this.layOut(true); this.tools.querySelectorAll("button")[bank]?.focus(); };
      return make("button", { type: "button", class: "button small m-bank", "aria-pressed": bank === this.bank ? "true" : "false", onclick: choose }, text);
    });
    const forget = (): void => { for (const cell of this.cells) cell.isClipped = false; this.saidAt = 0; };
    this.tools.replaceChildren(...buttons, make("p", { class: "m-sum" }), make("button", { type: "button", class: "button small quiet m-forget", hidden: true, onclick: forget }));
  }

  private hear(frame: Frame): void {
    const now = performance.now();
    // The recorder's clock may differ from ours: the quickest frame so far stands for "at once".
    const behind = Date.now() - frame.at;
    if (this.newest && frame.at < this.newest.at) this.skew = behind; // Its clock was stepped back.
    this.skew = Math.min(this.skew + 0.01, behind);
    this.heardAt = now - Math.max(0, behind - this.skew);
    this.newest = frame;
    this.cells.forEach((cell, c) => {
      const [peak, rms] = [frame.peak[c] ?? Number.NaN, frame.rms[c] ?? Number.NaN];
      cell.flags = frame.flags[c] ?? 0;
      cell.hasData = !Number.isNaN(peak) && !(cell.flags & NO_SOURCE);
      if (!cell.hasData) return;
      cell.peak = Math.max(cell.peak, peak);
      cell.rms = Math.max(cell.rms, rms);
      if (peak >= cell.hold) [cell.hold, cell.heldAt] = [peak, now];
      if (cell.flags & CLIPPED) cell.isClipped = true;
    });
  }

  private readonly draw = (now: number): void => {
    this.loop = requestAnimationFrame(this.draw);
    const seconds = Math.min(0.25, (now - this.last) / 1000);
    this.last = now;
    const isOld = performance.now() - this.heardAt > OLD_MS;
    for (const cell of this.cells) {
      const fall = (isOld || !cell.hasData ? OLD_FALL_DB_PER_S : FALL_DB_PER_S) * seconds;
      cell.peak = Math.max(FLOOR_DB - 40, cell.peak - fall);
      cell.rms = Math.max(FLOOR_DB - 40, cell.rms - fall);
      if (isOld || now - cell.heldAt > HOLD_MS) cell.hold = Math.max(cell.peak, cell.hold - fall * 2);
    }
    if (now - this.saidAt > 200) this.say(now, isOld);
    if (!this.isSeen || this.cells.length === 0) return;
    if (this.isRows) this.drawRows(isOld);
    else this.drawStrips(isOld);
    if (this.newest && this.newest.sequence !== this.drawn.sequence) this.drawn = { sequence: this.newest.sequence, at: this.newest.at, when: now };
  };

  private drawRows(isOld: boolean): void {
    const bar = this.body.querySelector<HTMLElement>(".m-bar");
    if (!bar) return;
    const [left, width] = [bar.offsetLeft, bar.offsetWidth];
    const height = this.cells.length * ROW_PX + SCALE_PX;
    if (this.canvas.style.left !== `${left}px`) this.canvas.style.left = `${left}px`;
    if (this.canvas.style.width !== `${width}px`) [this.canvas.style.width, this.canvas.style.height] = [`${width}px`, `${height}px`];
    const pen = fit(this.canvas, width, height);
    if (!pen) return;
    pen.clearRect(0, 0, width, height);
    this.cells.forEach((cell, r) => this.drawBar(pen, cell, isOld, { x: 0, y: r * ROW_PX + 11, width, height: ROW_PX - 22, isUpright: false }));
    pen.fillStyle = this.colours.muted;
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    const ticks = width < 220 ? [-48, -24, -12] : TICKS;
    for (const tick of ticks) pen.fillText(String(tick).replace("-", "−"), part(tick) * width, height - 4);
  }

  private drawStrips(isOld: boolean): void {
    const width = this.body.clientWidth;
    if (this.canvas.style.height !== `${STRIP_PX}px`) [this.canvas.style.left, this.canvas.style.width, this.canvas.style.height] = ["0", "100%", `${STRIP_PX}px`];
    const pen = fit(this.canvas, width, STRIP_PX);
    if (!pen) return;
    pen.clearRect(0, 0, width, STRIP_PX);
    const step = width / this.shown.length;
    const gap = Math.max(2, Math.min(8, step * 0.25));
    this.shown.forEach((cell, s) => {
      const box = { x: s * step + gap / 2, y: 12, width: step - gap, height: STRIP_PX - 14, isUpright: true };
      this.drawBar(pen, cell, isOld, box);
      pen.fillStyle = cell.isClipped ? this.colours["meter-over"] : this.colours["meter-bg"];
      pen.fillRect(box.x, 0, box.width, 8);
    });
  }

  /** One bar: background, peak, RMS, hold, ticks. A channel without data is an empty outline, one at zero has a cross-line. */
  private drawBar(pen: CanvasRenderingContext2D, cell: Cell, isOld: boolean, box: { x: number; y: number; width: number; height: number; isUpright: boolean }): void {
    const { x, y, width, height, isUpright } = box;
    const fill = (from: number, to: number, colour: string): void => {
      if (to <= from) return;
      pen.fillStyle = colour;
      if (isUpright) pen.fillRect(x, y + height * (1 - to), width, height * (to - from));
      else pen.fillRect(x + width * from, y, width * (to - from), height);
    };
    const c = this.colours;
    if (!cell.hasData || isOld) {
      pen.strokeStyle = c["meter-tick"];
      pen.setLineDash([3, 3]);
      pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
      pen.setLineDash([]);
    } else fill(0, 1, c["meter-bg"]);
    const [peak, rms] = [part(cell.peak), part(cell.rms)];
    if (isOld || !cell.hasData) {
      fill(0, peak, c["meter-old"]);
      return;
    }
    fill(0, peak, c["meter-peak"]);
    fill(0, rms, c["meter-rms"]);
    fill(Math.max(rms, part(HOT_DB)), peak, c["meter-hot"]);
    fill(part(OVER_DB), peak, c["meter-over"]);
    pen.fillStyle = c["meter-tick"];
    for (const tick of isUpright ? [-36, -18, -9] : TICKS) {
      const at = part(tick);
      if (at < peak) continue;
      if (isUpright) pen.fillRect(x, y + height * (1 - at), width, 1);
      else pen.fillRect(x + width * at, y, 1, height);
    }
    const hold = part(cell.hold);
    if (hold > 0.005) {
      const thick = 2;
      const colour = cell.hold > OVER_DB ? c["meter-over"] : cell.hold > HOT_DB ? c["meter-hot"] : c.ink;
      pen.fillStyle = colour;
      if (isUpright) pen.fillRect(x, y + height * (1 - hold), width, thick);
      else pen.fillRect(x + width * hold - thick, y, thick, height);
    }
  }

  /** Words and numbers: five times a second for eyes, once a second for the table. */
  private say(now: number, isOld: boolean): void {
    this.saidAt = now;
    const oldMs = performance.now() - this.heardAt;
    const isSaid = this.cells.length > 0 && oldMs > SAY_OLD_MS;
    this.age.hidden = !isSaid;
    if (isSaid) this.age.replaceChildren(icon("alert"), this.heardAt ? `Levels from ${Math.round(oldMs / 1000)} s ago` : "No levels yet");
    const isRead = now - this.readAt > 1000;
    if (isRead) this.readAt = now;
    let clips = 0;
    const bad: string[] = [];
    for (const cell of this.cells) {
      const [word, tone] = stateOf(cell, isOld);
      const level = isOld || !cell.hasData ? "–" : dbText(cell.hold);
      if (cell.isClipped) clips++;
      if (tone === "bad") bad.push(String(cell.channel.number));
      if (cell.number && cell.number.dataset["tone"] !== tone) cell.number.dataset["tone"] = tone;
      if (cell.row) {
        put(cell.row.level, level);
        put(cell.row.state, word);
        if (cell.row.state.dataset["tone"] !== tone) cell.row.state.dataset["tone"] = tone;
        if (cell.row.clip.hidden === cell.isClipped) cell.row.clip.hidden = !cell.isClipped;
      }
      if (isRead && cell.table) {
        const [, peak, rms, state] = cell.table.cells;
        if (peak) put(peak, level);
        if (rms) put(rms, isOld || !cell.hasData ? "–" : dbText(cell.rms));
        if (state) put(state, word + (cell.isClipped ? ", clipped" : ""));
      }
    }
    const sum = this.tools.querySelector<HTMLElement>(".m-sum");
    if (sum) put(sum, isOld ? "" : bad.length ? `No sound on ${bad.slice(0, 8).join(", ")}${bad.length > 8 ? ` and ${bad.length - 8} more` : ""}` : `Sound or a live room on all ${this.cells.length}`);
    if (sum) sum.dataset["tone"] = bad.length ? "bad" : "";
    const forget = this.tools.querySelector<HTMLButtonElement>(".m-forget");
    if (forget) {
      forget.hidden = clips === 0;
      put(forget, `Forget ${clips} clipped`);
    }
  }
}

function put(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function stateOf(cell: Cell, isOld: boolean): [word: string, tone: string] {
  if (isOld) return ["No data", "old"];
  if (cell.flags & NO_SOURCE) return ["No source", cell.expects === "nothing" ? "dull" : "bad"];
  if (!cell.hasData) return ["No data", "old"];
  if (cell.flags & ZERO) return ["No sound", cell.expects === "nothing" ? "dull" : "bad"];
  if (cell.flags & SPEECH) return ["Speech", "speech"];
  if (cell.flags & QUIET) return ["Quiet", "dull"];
  return ["Signal", "good"];
}

customElements.define("rk-meters", Meters);

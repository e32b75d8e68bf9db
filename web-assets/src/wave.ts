/**
 * `<rk-wave>`: the time line of a recording on a canvas: peaks, gaps, pauses, marks, selection, playhead, and below it
 * the whole recording with the part that is shown. Knows no sound: it says `seek` and `select`, and is told where it is.
 */
import { clockText, fit, make, onLook, palette } from "./html";
import { type Peaks, fetchPeaks, span } from "./peaks";

export interface Place {
  kind: string;
  from: number;
  to: number | null;
  label: string;
}

const COLOURS = ["muted", "ink", "accent", "line", "amber", "surface", "meter-bg", "meter-old", "accent-wash"] as const;
const LANE_PX = 104;
const SPLIT_LANE_PX = 34;
const OVERVIEW_PX = 22;
const RULER_PX = 18;
const MIN_SPAN_S = 2;
const DRAG_PX = 6;
/** A bar and the space after it. */
const BAR_PX = 3;

export class Wave extends HTMLElement {
  private readonly canvas = make("canvas", { "aria-hidden": "true" });
  private colours = {} as Record<(typeof COLOURS)[number], string>;
  private whole: Peaks | null = null;
  private detail: Peaks | null = null;
  private asking: AbortController | null = null;
  private timer = 0;
  private isDue = false;
  private from = 0;
  private to = 1;
  private drag: { x: number; at: number; isSelect: boolean; isOverview: boolean } | null = null;
  url = "";
  duration = 0;
  position = 0;
  /** -1: all in one; -2: side by side; else the index of one channel. */
  lane = -1;
  places: Place[] = [];
  selection: [number, number] | null = null;
  private readonly sized = new ResizeObserver(() => { this.ask(); this.redraw(); });

  connectedCallback(): void {
    this.append(this.canvas);
    this.tabIndex = 0;
    this.setAttribute("role", "slider");
    this.setAttribute("aria-label", "Position");
    this.look();
    onLook(() => this.look());
    this.sized.observe(this);
    this.addEventListener("keydown", this.key);
    this.canvas.addEventListener("pointerdown", this.press);
    this.canvas.addEventListener("pointermove", this.move);
    this.canvas.addEventListener("pointerup", this.release);
    this.canvas.addEventListener("pointercancel", () => { this.drag = null; });
    this.canvas.addEventListener("wheel", this.wheel, { passive: false });
  }

  private look(): void {
    this.colours = palette(this, COLOURS);
    this.redraw();
  }

  /** A new length, at load or while it grows. Keeps the view; a view of the whole stays one. */
  async grow(duration: number): Promise<void> {
    const wasWhole = this.to >= this.duration - 0.01 && this.from <= 0.01;
    this.duration = Math.max(duration, 0.1);
    if (wasWhole || this.to > this.duration) [this.from, this.to] = [0, this.duration];
    const asked = new AbortController();
    this.whole = (await fetchPeaks(this.url, 0, this.duration, 1200, asked.signal).catch(() => null)) ?? this.whole;
    this.ask();
    this.redraw();
  }

  tell(position: number): void {
    this.position = position;
    this.setAttribute("aria-valuemin", "0");
    this.setAttribute("aria-valuemax", String(Math.round(this.duration)));
    this.setAttribute("aria-valuenow", String(Math.round(position)));
    this.setAttribute("aria-valuetext", `${clockText(position)} of ${clockText(this.duration)}`);
    // The view turns the page when the playhead leaves it.
    if (!this.drag && this.to - this.from < this.duration && (position > this.to || position < this.from)) this.show(position - (this.to - this.from) * 0.1, this.to - this.from);
    this.redraw();
  }

  zoom(factor: number, around = this.position): void {
    const length = Math.min(this.duration, Math.max(MIN_SPAN_S, (this.to - this.from) * factor));
    const share = (Math.min(this.to, Math.max(this.from, around)) - this.from) / (this.to - this.from);
    this.show(around - length * share, length);
  }

  private show(from: number, length: number): void {
    this.from = Math.max(0, Math.min(this.duration - length, from));
    this.to = this.from + length;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask(), 120);
    this.redraw();
  }

  /** Finer peaks for what is shown, if it is not the whole. */
  private ask(): void {
    this.asking?.abort();
    if (!this.url || this.to - this.from > this.duration * 0.98) {
      this.detail = null;
      return this.redraw();
    }
    const asked = new AbortController();
    this.asking = asked;
    const margin = (this.to - this.from) * 0.5;
    const points = this.clientWidth * 2 * Math.min(devicePixelRatio, 2);
    fetchPeaks(this.url, Math.max(0, this.from - margin), Math.min(this.duration, this.to + margin), points, asked.signal)
      .then((peaks) => {
        if (peaks && !asked.signal.aborted) this.detail = peaks;
        this.redraw();
      })
      .catch(() => undefined);
  }

  private get lanes(): number[] {
    const channels = this.whole?.channels ?? 1;
    return this.lane === -2 ? Array.from({ length: channels }, (_, c) => c) : [this.lane];
  }

  private get laneHeight(): number {
    return this.lane === -2 ? SPLIT_LANE_PX : LANE_PX;
  }

  redraw(): void {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.isDue = false;
    if (!this.isConnected) return;
    const width = this.clientWidth;
    const main = this.lanes.length * this.laneHeight;
    const height = main + RULER_PX + OVERVIEW_PX;
    this.canvas.style.height = `${height}px`;
    const pen = fit(this.canvas, width, height);
    if (!pen) return;
    pen.clearRect(0, 0, width, height);
    const x = (seconds: number): number => ((seconds - this.from) / (this.to - this.from)) * width;
    if (this.selection) {
      pen.fillStyle = this.colours["accent-wash"];
      pen.fillRect(x(this.selection[0]), 0, x(this.selection[1]) - x(this.selection[0]), main);
    }
    this.drawPlaces(pen, x, main, true);
    this.lanes.forEach((lane, l) => this.drawLane(pen, lane, l * this.laneHeight, this.laneHeight, width, this.from, this.to, this.detail ?? this.whole, x(this.position)));
    this.drawPlaces(pen, x, main, false);
    this.drawRuler(pen, x, main, width);
    this.drawOverview(pen, main + RULER_PX, width);
    pen.fillStyle = this.colours.ink;
    const at = x(this.position);
    if (at >= -1 && at <= width + 1) pen.fillRect(at - 1, 0, 2, main);
  }

  private drawLane(pen: CanvasRenderingContext2D, lane: number, top: number, height: number, width: number, from: number, to: number, peaks: Peaks | null, played: number): void {
    const middle = top + height / 2;
    const half = height / 2 - 3;
    const step = (to - from) / width;
    for (let px = 0; px < width; px += BAR_PX) {
      const [low, high] = peaks ? span(peaks, lane, from + px * step, from + (px + BAR_PX) * step) : [0, 0];
      pen.fillStyle = px < played ? this.colours.accent : this.colours.muted;
      pen.fillRect(px, middle - high * half, BAR_PX - 1, Math.max(1, (high - low) * half));
    }
  }

  /** Gaps and pauses as hatched ground, marks as flags. */
  private drawPlaces(pen: CanvasRenderingContext2D, x: (s: number) => number, height: number, isGround: boolean): void {
    for (const place of this.places) {
      const at = x(place.from);
      if (place.to !== null && isGround) {
        const width = Math.max(3, x(place.to) - at);
        pen.fillStyle = this.colours["meter-bg"];
        pen.fillRect(at, 0, width, height);
        pen.strokeStyle = this.colours.amber;
        pen.lineWidth = 1;
        pen.save();
        pen.beginPath();
        pen.rect(at, 0, width, height);
        pen.clip();
        const slope = place.kind === "gap" ? 1 : -1;
        pen.beginPath();
        for (let h = -height; h < width + height; h += 8) {
          pen.moveTo(at + h, slope > 0 ? height : 0);
          pen.lineTo(at + h + height, slope > 0 ? 0 : height);
        }
        pen.stroke();
        pen.restore();
      } else if (place.to === null && !isGround) {
        pen.fillStyle = this.colours.accent;
        pen.fillRect(at - 0.75, 0, 1.5, height);
        pen.beginPath();
        pen.moveTo(at, 0);
        pen.lineTo(at + 9, 0);
        pen.lineTo(at + 6, 4.5);
        pen.lineTo(at + 9, 9);
        pen.lineTo(at, 9);
        pen.fill();
      }
    }
  }

  private drawRuler(pen: CanvasRenderingContext2D, x: (s: number) => number, top: number, width: number): void {
    const steps = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400];
    const step = steps.find((s) => (s / (this.to - this.from)) * width > 84) ?? 14400;
    pen.fillStyle = this.colours.muted;
    pen.font = "11px system-ui, sans-serif";
    for (let s = Math.ceil(this.from / step) * step; s <= this.to; s += step) {
      const at = x(s);
      if (at > width - 34) break;
      pen.fillRect(at, top + 1, 1, 4);
      pen.fillText(step < 1 ? s.toFixed(1) : clockText(s, this.duration < 3600), at + 3, top + 12);
    }
  }

  private drawOverview(pen: CanvasRenderingContext2D, top: number, width: number): void {
    const scale = width / this.duration;
    pen.fillStyle = this.colours["meter-bg"];
    pen.fillRect(0, top, width, OVERVIEW_PX);
    pen.fillStyle = this.colours.surface;
    pen.fillRect(this.from * scale, top, Math.max(3, (this.to - this.from) * scale), OVERVIEW_PX);
    this.drawLane(pen, -1, top, OVERVIEW_PX, width, 0, this.duration, this.whole, this.position * scale);
    pen.strokeStyle = this.colours.muted;
    pen.strokeRect(this.from * scale + 0.5, top + 0.5, Math.max(3, (this.to - this.from) * scale) - 1, OVERVIEW_PX - 1);
    for (const place of this.places) {
      pen.fillStyle = place.to === null ? this.colours.accent : this.colours.amber;
      pen.fillRect(place.from * scale, top, Math.max(2, place.to === null ? 2 : (place.to - place.from) * scale), 4);
    }
  }

  private timeAt(event: MouseEvent): { seconds: number; isOverview: boolean } {
    const box = this.canvas.getBoundingClientRect();
    const isOverview = event.clientY - box.top > this.lanes.length * this.laneHeight + RULER_PX;
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return { seconds: isOverview ? share * this.duration : this.from + share * (this.to - this.from), isOverview };
  }

  private readonly press = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const { seconds, isOverview } = this.timeAt(event);
    this.drag = { x: event.clientX, at: seconds, isSelect: false, isOverview };
    if (isOverview) this.show(seconds - (this.to - this.from) / 2, this.to - this.from);
  };

  private readonly move = (event: PointerEvent): void => {
    const drag = this.drag;
    if (!drag) return;
    const { seconds } = this.timeAt(event);
    if (drag.isOverview) return this.show(seconds - (this.to - this.from) / 2, this.to - this.from);
    // A finger scrolls the page; only a mouse or a pen draws a selection.
    if (event.pointerType === "touch") return;
    if (Math.abs(event.clientX - drag.x) > DRAG_PX) drag.isSelect = true;
    if (!drag.isSelect) return;
    if (!this.canvas.hasPointerCapture(event.pointerId)) this.canvas.setPointerCapture(event.pointerId);
    this.select(Math.min(drag.at, seconds), Math.max(drag.at, seconds));
  };

  private readonly release = (event: PointerEvent): void => {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.isSelect) return;
    if (!drag.isOverview || this.to - this.from >= this.duration * 0.98) this.seek(this.timeAt(event).seconds);
  };

  private readonly wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    if (event.ctrlKey) this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(event).seconds);
    else this.show(this.from + (event.deltaX / this.clientWidth) * (this.to - this.from), this.to - this.from);
  };

  private readonly key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 5, ArrowLeft: -5, ArrowUp: 30, ArrowDown: -30, PageUp: 60, PageDown: -60 }[event.key];
    if (step) this.seek(this.position + step);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.duration);
    else if (event.key === "+") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  private seek(seconds: number): void {
    this.dispatchEvent(new CustomEvent("seek", { detail: Math.min(this.duration, Math.max(0, seconds)) }));
  }

  select(from: number, to: number): void {
    this.selection = to > from ? [from, to] : null;
    this.dispatchEvent(new CustomEvent("select", { detail: this.selection }));
    this.redraw();
  }
}

customElements.define("rk-wave", Wave);

/**
 * Peaks for drawing: `GET …/waveform?from=&to=&points=` answers audiowaveform `.dat` version 2 of the level that fits
 * (https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md); the header `Waveform-First` says which point of
 * that level comes first.
 */

export interface Peaks {
  channels: number;
  /** Seconds of the first point, and of one point. */
  from: number;
  step: number;
  length: number;
  /** min, max interleaved by channel, -1 to 1 when divided by `full`. */
  values: Int8Array | Int16Array;
  full: number;
}

const HEADER_BYTES = 24;
const IS_8_BIT = 1;

/** Reads a `.dat` of version 2; null if it is not one, or shorter than it says. */
export function readPeaks(bytes: ArrayBuffer, first: number): Peaks | null {
  if (bytes.byteLength < HEADER_BYTES) return null;
  const view = new DataView(bytes);
  const [version, flags, rate, perPoint] = [view.getInt32(0, true), view.getUint32(4, true), view.getInt32(8, true), view.getInt32(12, true)];
  const [length, channels] = [view.getUint32(16, true), view.getInt32(20, true)];
  if (version !== 2 || rate <= 0 || perPoint <= 0 || channels <= 0) return null;
  const count = length * channels * 2;
  const is8 = (flags & IS_8_BIT) !== 0;
  if (bytes.byteLength < HEADER_BYTES + count * (is8 ? 1 : 2)) return null;
  const values = is8 ? new Int8Array(bytes, HEADER_BYTES, count) : new Int16Array(bytes, HEADER_BYTES, count);
  const step = perPoint / rate;
  return { channels, from: first * step, step, length, values, full: is8 ? 128 : 32768 };
}

export async function fetchPeaks(url: string, from: number, to: number, points: number, signal: AbortSignal): Promise<Peaks | null> {
  const asked = new URL(url, location.href);
  asked.searchParams.set("from", from.toFixed(3));
  asked.searchParams.set("to", to.toFixed(3));
  asked.searchParams.set("points", String(Math.max(16, Math.round(points))));
  const answer = await fetch(asked, { signal });
  if (!answer.ok) return null;
  return readPeaks(await answer.arrayBuffer(), Number(answer.headers.get("Waveform-First") ?? 0));
}

/** Lowest and highest value of one channel (or of all, -1) between two times. */
export function span(peaks: Peaks, channel: number, from: number, to: number): [low: number, high: number] {
  const first = Math.max(0, Math.floor((from - peaks.from) / peaks.step));
  const last = Math.min(peaks.length, Math.max(first + 1, Math.ceil((to - peaks.from) / peaks.step)));
  const [c0, c1] = channel < 0 ? [0, peaks.channels] : [channel, channel + 1];
  let [low, high] = [0, 0];
  for (let p = first; p < last; p++) {
    for (let c = c0; c < c1; c++) {
      const at = (p * peaks.channels + c) * 2;
      low = Math.min(low, peaks.values[at] ?? 0);
      high = Math.max(high, peaks.values[at + 1] ?? 0);
    }
  }
  return [low / peaks.full, high / peaks.full];
}

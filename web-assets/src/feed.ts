/**
 * The meter stream: one WebSocket for all who draw on this page. Speaks the binary form of `/api/v1/meters`.
 *
 * First a JSON text message {channels: [{number, label}], rate_hz}; then binary frames, little-endian: u32 sequence,
 * f64 unix ms of the measured audio's end, per channel i16 peak and i16 RMS in 1/100 dBFS (-32768: no data), then per
 * channel u8 flags.
 */
import { Socket } from "./socket";

export const CLIPPED = 1;
export const ZERO = 2;
export const NO_SOURCE = 4;
export const SPEECH = 8;
export const QUIET = 16;

export interface Channel {
  number: number;
  label: string;
}

export interface Frame {
  sequence: number;
  /** Unix milliseconds of the audio's end, by the recorder's clock. */
  at: number;
  /** dBFS; NaN is no data. */
  peak: Float32Array;
  rms: Float32Array;
  flags: Uint8Array;
}

const NO_DATA = -32768;
const HEADER_BYTES = 12;
const BYTES_PER_CHANNEL = 5;

/** Reads one binary frame; null if its length does not fit. */
export function readFrame(bytes: ArrayBuffer, channels: number): Frame | null {
  if (bytes.byteLength !== HEADER_BYTES + channels * BYTES_PER_CHANNEL) return null;
  const view = new DataView(bytes);
  const level = (offset: number): number => {
    const raw = view.getInt16(offset, true);
    return raw === NO_DATA ? Number.NaN : raw / 100;
  };
  const peak = new Float32Array(channels);
  const rms = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    peak[c] = level(HEADER_BYTES + c * 4);
    rms[c] = level(HEADER_BYTES + c * 4 + 2);
  }
  const flags = new Uint8Array(bytes, HEADER_BYTES + channels * 4, channels);
  return { sequence: view.getUint32(0, true), at: view.getFloat64(4, true), peak, rms, flags };
}

/** The meters of one node while the page is visible. */
export class Feed {
  private channels = 0;
  private readonly socket: Socket;

  constructor(
    url: string,
    private readonly onChannels: (channels: Channel[]) => void,
    private readonly onFrame: (frame: Frame) => void,
  ) {
    this.socket = new Socket(url, (text) => this.hearChannels(text), (bytes) => this.hearFrame(bytes));
  }

  close(): void {
    this.socket.close();
  }

  private hearChannels(text: string): void {
    const { channels } = JSON.parse(text) as { channels: Channel[] };
    this.channels = channels.length;
    this.onChannels(channels);
  }

  private hearFrame(bytes: ArrayBuffer): void {
    const frame = readFrame(bytes, this.channels);
    if (frame) this.onFrame(frame);
  }
}

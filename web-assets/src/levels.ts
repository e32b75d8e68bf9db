/**
 * The binary form of `/api/v1/fleet/levels`: u32 milliseconds since the socket was opened (little-endian); for each node
 * that was named a byte with the number of its groups (255: nothing is known of it), then three bytes a group: peak, RMS
 * (0: no data, else half decibels below 255, which is 0 dBFS), flags.
 */

export const CLIPPED = 1;
export const ZERO = 2;
export const NO_SOURCE = 4;

const HEADER_BYTES = 4;
const UNKNOWN = 255;
const GROUP_BYTES = 3;

/** Where each node's part begins in the last message; read in place, for there are hundreds four times a second. */
export class Message {
  private bytes = new Uint8Array(0);
  private starts = new Int32Array(0);

  /** Takes a message about so many nodes; false if its length does not fit. */
  take(buffer: ArrayBuffer, nodes: number): boolean {
    const bytes = new Uint8Array(buffer);
    const starts = this.starts.length === nodes ? this.starts : new Int32Array(nodes);
    let at = HEADER_BYTES;
    for (let node = 0; node < nodes; node++) {
      starts[node] = at;
      const groups = bytes[at] ?? UNKNOWN;
      at += 1 + (groups === UNKNOWN ? 0 : groups * GROUP_BYTES);
    }
    if (at !== bytes.length) return false;
    [this.bytes, this.starts] = [bytes, starts];
    return true;
  }

  /** By the node's clock. */
  get ms(): number {
    return this.bytes.length ? new DataView(this.bytes.buffer).getUint32(0, true) : 0;
  }

  /** How many groups; -1 if nothing is known. */
  groups(node: number): number {
    const groups = this.bytes[this.starts[node] ?? 0] ?? UNKNOWN;
    return groups === UNKNOWN ? -1 : groups;
  }

  /** dBFS; NaN is no data. */
  peak(node: number, group: number): number {
    return level(this.byte(node, group, 0));
  }

  rms(node: number, group: number): number {
    return level(this.byte(node, group, 1));
  }

  flags(node: number, group: number): number {
    return this.byte(node, group, 2);
  }

  private byte(node: number, group: number, which: number): number {
    return this.bytes[(this.starts[node] ?? 0) + 1 + group * GROUP_BYTES + which] ?? 0;
  }
}

const level = (byte: number): number => (byte === 0 ? Number.NaN : (byte - 255) / 2);

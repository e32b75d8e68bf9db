/** Keeps a WebSocket open while the page is visible; 0.5 s, doubling to 8 s, between attempts. */
const RETRY_MS = 500;
const RETRY_MAX_MS = 8000;

export class Socket {
  private socket: WebSocket | null = null;
  private retryMs = RETRY_MS;
  private timer = 0;

  constructor(
    private readonly url: string,
    private readonly onText: (text: string) => void,
    private readonly onBytes: (bytes: ArrayBuffer) => void,
  ) {
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.look);
    this.end();
  }

  private readonly look = (): void => (document.hidden ? this.end() : this.open());

  private end(): void {
    clearTimeout(this.timer);
    const old = this.socket;
    this.socket = null;
    old?.close();
  }

  private open(): void {
    if (this.socket) return;
    const socket = new WebSocket(new URL(this.url, location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      // What an old socket still has to say is not of now.
      if (this.socket !== socket) return;
      this.retryMs = RETRY_MS;
      if (typeof event.data === "string") this.onText(event.data);
      else this.onBytes(event.data);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.timer = window.setTimeout(() => this.open(), this.retryMs);
      this.retryMs = Math.min(this.retryMs * 2, RETRY_MAX_MS);
    };
  }
}

/** `<rk-elapsed data-seconds data-running>` and `<rk-countdown data-seconds>`: times that move without the server. */
import { clockText } from "./html";

const BEAT_MS = 250;

abstract class Ticking extends HTMLElement {
  static readonly observedAttributes = ["data-seconds", "data-running"];
  /** All that run step together: two hundred clocks by themselves would have the page laid out anew in every frame. */
  private static readonly running = new Set<Ticking>();
  private static beat = 0;
  private from = 0;

  connectedCallback(): void {
    this.begin();
  }

  disconnectedCallback(): void {
    this.rest();
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.begin();
  }

  protected abstract show(seconds: number): void;
  protected abstract get isRunning(): boolean;

  private begin(): void {
    // Monotonic time: the browser's wall clock may be anything. By whole seconds: then all clocks of a page change at once, and
    // it is laid out once a second. What the node told was cut to seconds as well.
    this.from = Math.floor(performance.now() / 1000) * 1000;
    this.tick();
    if (!this.isRunning) return this.rest();
    Ticking.running.add(this);
    Ticking.beat ||= window.setInterval(() => Ticking.running.forEach((one) => one.tick()), BEAT_MS);
  }

  private rest(): void {
    Ticking.running.delete(this);
    if (Ticking.running.size) return;
    clearInterval(Ticking.beat);
    Ticking.beat = 0;
  }

  private tick(): void {
    const passed = this.isRunning ? (performance.now() - this.from) / 1000 : 0;
    this.show(Number(this.dataset["seconds"] ?? 0) + passed * this.direction);
  }

  protected abstract readonly direction: 1 | -1;
}

class Elapsed extends Ticking {
  protected readonly direction = 1;
  protected get isRunning(): boolean {
    return this.hasAttribute("data-running");
  }
  protected show(seconds: number): void {
    const text = clockText(seconds);
    if (this.textContent !== text) this.textContent = text;
  }
}

class Countdown extends Ticking {
  protected readonly direction = -1;
  protected get isRunning(): boolean {
    return true;
  }
  protected show(seconds: number): void {
    const text = `${Math.max(0, Math.ceil(seconds))} s`;
    if (this.textContent !== text) this.textContent = text;
  }
}

customElements.define("rk-elapsed", Elapsed);
customElements.define("rk-countdown", Countdown);

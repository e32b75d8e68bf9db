/** `<rk-elapsed data-seconds data-running>` and `<rk-countdown data-seconds>`: times that move without the server. */
import { clockText } from "./html";

abstract class Ticking extends HTMLElement {
  static readonly observedAttributes = ["data-seconds", "data-running"];
  private from = 0;
  private timer = 0;

  connectedCallback(): void {
    this.begin();
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.begin();
  }

  protected abstract show(seconds: number): void;
  protected abstract get isRunning(): boolean;

  private begin(): void {
    // Monotonic time: the browser's wall clock may be anything.
    this.from = performance.now();
    clearInterval(this.timer);
    this.tick();
    if (this.isRunning) this.timer = window.setInterval(() => this.tick(), 250);
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

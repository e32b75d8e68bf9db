/** `<rk-listen>`: hears chosen channels live. Shows how far behind it is. */
import { icon, make } from "./html";
import { Sound } from "./sound";

class Listen extends HTMLElement {
  private sound: Sound | null = null;
  private readonly button = make("button", { type: "button", class: "button primary wide" }, icon("headphones"), "Listen now");
  private readonly said = make("p", { class: "sub num" });
  private readonly volume = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: 1, "aria-label": "Volume", oninput: () => this.turn() });
  private isMade = false;

  connectedCallback(): void {
    if (this.isMade) return;
    this.isMade = true;
    const body = this.querySelector(".listen-body");
    body?.prepend(this.button);
    body?.append(this.volume, this.said);
    this.button.addEventListener("click", () => (this.sound ? this.sound.stop() : this.start()));
    this.addEventListener("change", (event) => {
      if ((event.target as HTMLInputElement).name === "listen" && this.sound) {
        this.sound.stop();
        this.start();
      }
    });
  }

  disconnectedCallback(): void {
    queueMicrotask(() => { if (!this.isConnected) this.sound?.stop(); });
  }

  private start(): void {
    const channels = [...this.querySelectorAll<HTMLInputElement>('input[name="listen"]:checked')].map((box) => box.value);
    if (!channels.length) return this.say("Choose a channel.");
    const address = `${this.dataset["url"]}?channels=${channels.join(",")}`;
    this.sound = new Sound(address, (text) => this.say(text), (why) => {
      this.sound = null;
      this.show(false);
      this.say(why);
    });
    this.turn();
    this.show(true);
    void this.sound.play();
  }

  private turn(): void {
    if (this.sound) this.sound.volume = Number(this.volume.value);
  }

  private show(isOn: boolean): void {
    this.button.replaceChildren(icon(isOn ? "stop" : "headphones"), isOn ? "Stop listening" : "Listen now");
    const summary = this.querySelector("summary");
    summary?.classList.toggle("is-on", isOn);
    summary?.querySelector("span")?.replaceChildren(isOn ? "Listening" : "Listen");
  }

  private say(text: string): void {
    if (this.said.textContent !== text) this.said.textContent = text;
  }
}

customElements.define("rk-listen", Listen);

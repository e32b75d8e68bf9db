/** Every page: htmx with its stream, the age of what is shown, ticking times, keys and the palette. */
import "htmx.org/dist/htmx.esm.js";
import "htmx.org/dist/ext/hx-sse.js";
import "./times";
import "./connection";
import "./stream";
import { icon, make } from "./html";
import { startKeys } from "./keys";

document.documentElement.classList.add("has-script");
startKeys();

// A form that was to answer with its own page and led to another one: go there as a link would.
document.addEventListener("htmx:before:response", (event) => {
  const { raw } = (event as CustomEvent<{ ctx: { response: { raw: Response } } }>).detail.ctx.response;
  if (!raw.redirected || new URL(raw.url).pathname === location.pathname) return;
  event.preventDefault();
  location.assign(raw.url);
});

// What could not be sent must not look as if it had been done.
document.addEventListener("htmx:error", (event) => {
  const source = (event as CustomEvent<{ ctx?: { sourceElement?: Element } }>).detail.ctx?.sourceElement;
  if (!(source instanceof HTMLFormElement)) return;
  const text = "The recorder was not reached: nothing was changed. Try again when the connection is back.";
  document.getElementById("flash")?.replaceChildren(make("div", { class: "flash flash-error" }, icon("flash-error"), make("p", {}, text)));
});

// A text to be carried elsewhere. Where the browser forbids it, the text is marked, to be copied by hand.
async function copy(button: HTMLElement): Promise<void> {
  const from = document.getElementById(button.dataset["copies"] ?? "");
  if (!from) return;
  try {
    await navigator.clipboard.writeText((from.textContent ?? "").trim());
    button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(from);
  }
}

// Menus close when the world outside them is pressed, or with Escape.
const menus = (): NodeListOf<HTMLDetailsElement> => document.querySelectorAll("details.menu[open], details.listen[open]");
document.addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target as Node)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});
document.addEventListener("click", (event) => {
  if ((event.target as Element).closest('[data-does="print"]')) window.print();
  const copier = (event.target as Element).closest<HTMLElement>("[data-copies]");
  if (copier) void copy(copier);
});

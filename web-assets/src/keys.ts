/**
 * Keys and the palette. A key is written where it works, `data-keys="g r"` on a link, button or field, and only there:
 * the sheet that `?` shows is read from the page, so it cannot lie. `/` opens the palette unless the page has a search.
 */
import { icon, make } from "./html";

const SETTING = "rakkr-keys";
const CHORD_MS = 1200;

interface Bound {
  keys: string;
  text: string;
  element: HTMLElement;
}

function isOn(): boolean {
  try {
    return localStorage.getItem(SETTING) !== "off";
  } catch {
    return true;
  }
}

function textOf(element: HTMLElement): string {
  if (element instanceof HTMLInputElement) return element.placeholder || element.labels?.[0]?.textContent?.trim() || "Search";
  const said = element.getAttribute("aria-label");
  if (said) return said;
  const copy = element.cloneNode(true) as HTMLElement;
  for (const hidden of copy.querySelectorAll(".vh, .badge")) hidden.remove();
  return copy.textContent?.trim().replace(/\s+/g, " ") ?? "";
}

function isReachable(element: HTMLElement): boolean {
  return !(element as HTMLButtonElement).disabled && element.checkVisibility?.({ visibilityProperty: true }) !== false;
}

/** What the page offers by key now. */
function bound(): Bound[] {
  return [...document.querySelectorAll<HTMLElement>("[data-keys]")].map((element) => ({
    keys: element.dataset["keys"] ?? "", text: textOf(element), element,
  }));
}

function run(element: HTMLElement): void {
  if (element instanceof HTMLInputElement) {
    element.focus();
    element.select();
  } else element.click();
}

const OWN: [string, string][] = [["/", "Search, or go anywhere"], ["?", "This sheet"], ["j  k", "Next, previous in a list"], ["Enter", "Open it"], ["Esc", "Close"]];

let sheet: HTMLDialogElement | null = null;

function openSheet(): void {
  sheet?.remove();
  const seen = new Set<string>();
  const here = bound().filter(({ keys, element }) => keys !== "/" && isReachable(element) && !seen.has(keys) && seen.add(keys));
  const line = (keys: string, text: string): HTMLElement =>
    make("li", {}, make("span", {}, ...keys.split(" ").filter(Boolean).map((key) => make("kbd", {}, key))), text);
  sheet = dialog("Keys", make("ul", { class: "sheet" }, ...here.map((b) => line(b.keys, b.text)), ...OWN.map(([k, t]) => line(k, t))));
  sheet.showModal();
}

function dialog(title: string, ...children: Node[]): HTMLDialogElement {
  const made = make("dialog", { class: "dialog", "aria-label": title },
    make("header", { class: "bar" }, make("h2", {}, title), make("button", { type: "button", class: "button small quiet", onclick: () => made.close() }, icon("close"), "Close")),
    ...children);
  made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
  document.body.append(made);
  return made;
}

let palette: HTMLDialogElement | null = null;

/** Everything the page can do or go to, and what the typed words find among the recordings. */
function openPalette(): void {
  palette?.remove();
  const list = make("ul", { class: "palette", role: "listbox", id: "palette-list", "aria-label": "Commands" });
  const field = make("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-label": "Search, or go anywhere", placeholder: "Search, or go anywhere", autocomplete: "off" });
  palette = dialog("Go to", field, list);
  let chosen = 0;
  let offers: { text: string; hint: string; act: () => void }[] = [];
  const fill = (): void => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const seen = new Set<string>();
    const all = [...document.querySelectorAll<HTMLElement>(".rail a, .menu-body a, .menu-body button, [data-keys], .rec-main, .more-link")]
      .filter((element) => !(element instanceof HTMLInputElement) && !(element as HTMLButtonElement).disabled)
      .map((element) => ({ text: textOf(element), hint: element.dataset["keys"] ?? "", act: () => run(element) }))
      .filter(({ text }) => text !== "" && !seen.has(text) && seen.add(text));
    offers = all.filter(({ text }) => words.every((word) => text.toLowerCase().includes(word))).slice(0, 8);
    if (words.length) offers.push({ text: `Search recordings for “${field.value.trim()}”`, hint: "", act: () => location.assign(`/recordings?q=${encodeURIComponent(field.value.trim())}`) });
    chosen = Math.min(chosen, Math.max(0, offers.length - 1));
    list.replaceChildren(...offers.map((offer, o) =>
      make("li", { role: "option", id: `offer-${o}`, "aria-selected": o === chosen ? "true" : "false", onclick: () => go(o) },
        make("span", {}, offer.text), ...offer.hint.split(" ").filter(Boolean).map((key) => make("kbd", {}, key)))));
    field.setAttribute("aria-activedescendant", offers.length ? `offer-${chosen}` : "");
  };
  const go = (o: number): void => {
    palette?.close();
    offers[o]?.act();
  };
  field.addEventListener("input", () => { chosen = 0; fill(); });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      chosen = (chosen + step + offers.length) % Math.max(1, offers.length);
      fill();
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(chosen);
    }
  });
  fill();
  palette.showModal();
  field.focus();
}

function moveInList(step: number): boolean {
  const links = [...document.querySelectorAll<HTMLElement>("[data-list] .rec-main, [data-list] a")].filter((link, l, all) => all.indexOf(link) === l);
  if (!links.length) return false;
  const at = links.indexOf(document.activeElement as HTMLElement);
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
  return true;
}

export function startKeys(): void {
  let chord = "";
  let since = 0;
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      return openPalette();
    }
    if (event.ctrlKey || event.metaKey || !isOn() || document.querySelector("dialog[open]")) return;
    if (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) {
      if (event.key === "Escape") target.blur();
      return;
    }
    // Space and Enter already mean something on what they press.
    if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary")) return;
    const now = performance.now();
    const key = event.key === " " ? "Space" : event.key;
    const typed = chord && now - since < CHORD_MS ? `${chord} ${key}` : key;
    chord = "";
    if (typed === "?") return openSheet();
    const all = bound().filter(({ element }) => isReachable(element));
    const hit = all.find(({ keys }) => keys === typed);
    if (hit) {
      event.preventDefault();
      return run(hit.element);
    }
    if (typed === "/") {
      event.preventDefault();
      return openPalette();
    }
    if ((typed === "j" || typed === "k") && moveInList(typed === "j" ? 1 : -1)) return event.preventDefault();
    if (all.some(({ keys }) => keys.startsWith(`${typed} `))) [chord, since] = [typed, now];
  });
  document.addEventListener("click", (event) => {
    if ((event.target as Element).closest('[data-opens="keys"]')) openSheet();
  });
  const box = document.querySelector<HTMLInputElement>('[data-setting="keys"]');
  if (box) {
    box.checked = isOn();
    box.addEventListener("change", () => localStorage.setItem(SETTING, box.checked ? "on" : "off"));
  }
}

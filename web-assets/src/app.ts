/** Every page: htmx with its stream, the age of what is shown, ticking times, keys and the palette. */
import "htmx.org/dist/htmx.esm.js";
import "htmx.org/dist/ext/hx-sse.js";
import "./times";
import "./connection";
import { startKeys } from "./keys";

document.documentElement.classList.add("has-script");
startKeys();

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
});

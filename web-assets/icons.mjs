// Writes static/icons.svg: the pictures the templates name, from lucide (ISC licence) and a few shapes of our own.
// Run by hand when a picture is added: `node icons.mjs`. The result is committed, so a build without npm has pictures.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const lucide = {
  now: "audio-lines", recordings: "library", health: "heart-pulse", node: "server", audit: "scroll-text", settings: "sliders-horizontal",
  user: "circle-user-round", help: "circle-help", code: "braces", keyboard: "keyboard", logout: "log-out", search: "search",
  extend: "clock-plus", mark: "bookmark-plus", pause: "pause", headphones: "headphones", lock: "lock", key: "key-round",
  clock: "clock", alert: "triangle-alert", check: "check", close: "x", undo: "undo-2", next: "chevron-right", newest: "chevrons-up",
  play: "play", print: "printer", download: "download", edit: "pencil", trash: "trash-2", tag: "tag", folder: "folder", 
  "zoom-in": "zoom-in", "zoom-out": "zoom-out", more: "ellipsis", disk: "hard-drive", 
  refresh: "refresh-cw", info: "info", gap: "unplug",  people: "users", token: "key-square", room: "door-open", theme: "sun-moon",
  "sound-good": "volume-2", "sound-part": "volume-1", "sound-none": "volume-x", "sound-unknown": "circle-help",
  "flash-success": "circle-check", "flash-info": "info", "flash-error": "triangle-alert",
  "check-good": "circle-check", "check-warning": "triangle-alert", "check-bad": "octagon-x", "check-unknown": "circle-dashed",
  fleet: "network", wall: "layout-grid", copy: "copy", crown: "crown",
  "severity-info": "info", "severity-warning": "triangle-alert",
};
const own = {
  rakkr: '<path d="M4 13v-2M8 16V8M12 20V4M16 16V8M20 13v-2"/>',
  record: '<circle cx="12" cy="12" r="7" fill="currentColor" stroke="none"/>',
  stop: '<rect x="5" y="5" width="14" height="14" rx="2" fill="currentColor" stroke="none"/>',
  "lamp-recording": '<circle cx="12" cy="12" r="9" fill="currentColor" stroke="none"/>',
  "lamp-idle": '<circle cx="12" cy="12" r="8" stroke-width="2.5"/>',
  "lamp-paused": '<path d="M6 4h4v16H6zM14 4h4v16h-4z" fill="currentColor" stroke="none"/>',
  "lamp-trouble": '<path d="M12 2.5 22.5 21h-21z" fill="currentColor" stroke-width="1.5"/><path d="M12 9v5.5M12 17.6v.1" stroke="var(--knock,#000)" stroke-width="2.4"/>',
  "lamp-offline": '<circle cx="12" cy="12" r="8" stroke-width="2.5"/><path d="M6.5 17.5l11-11" stroke-width="2.5"/>',
  "severity-critical": '<path d="M7.6 2h8.8L22 7.6v8.8L16.4 22H7.6L2 16.4V7.6z" fill="currentColor" stroke="none"/><path d="M12 7v6M12 16.6v.1" stroke="var(--knock,#fff)" stroke-width="2.4"/>',
  "state-recording": '<circle cx="12" cy="12" r="8" fill="currentColor" stroke="none"/>',
  "state-paused": '<path d="M6 4h4v16H6zM14 4h4v16h-4z" fill="currentColor" stroke="none"/>',
  "state-ready": '<path d="M20 6 9 17l-5-5" stroke-width="2.5"/>',
  "state-finishing": '<circle cx="12" cy="12" r="8" stroke-dasharray="4 3"/>',
  "state-incomplete": '<path d="M4 4h6v16H4zM14 4h6v16h-6z" stroke-dasharray="3 3"/>',
  "state-failed": '<path d="M6 6l12 12M18 6 6 18" stroke-width="2.8"/>',
  "state-scheduled": '<circle cx="12" cy="12" r="8"/><path d="M12 8v4l3 2"/>',
  "state-deleted": '<path d="M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13"/>',
};
const symbol = (name, inner) =>
  `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`;
const inner = (name) =>
  readFileSync(join(here, `node_modules/lucide-static/icons/${name}.svg`), "utf8")
    .replace(/<!--[\s\S]*?-->/g, "").replace(/<svg[\s\S]*?>/, "").replace("</svg>", "").replace(/\s+/g, " ").replace(/ \/>/g, "/>").trim();
const symbols = [...Object.entries(lucide).map(([name, file]) => symbol(name, inner(file))), ...Object.entries(own).map(([name, path]) => symbol(name, path))];
const notice = "<!-- Most pictures: Lucide, ISC License, (c) Lucide Contributors; some from Feather, MIT License, (c) Cole Bemis. -->";
writeFileSync(join(here, "static/icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">${notice}\n${symbols.join("\n")}\n</svg>\n`);

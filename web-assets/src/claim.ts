/** The claim wizard, and joining: the code or the invitation from the QR's URL fragment (which no server ever sees), the browser's time zone as a proposal. */

const code = document.querySelector<HTMLInputElement>('input[name="code"]');
const fragment = decodeURIComponent(location.hash.slice(1)).replace(/^code=/, "");
if (code && /^[0-9A-Za-z-]{6,16}$/.test(fragment)) {
  if (!code.value) code.value = fragment.toUpperCase();
  history.replaceState(null, "", location.pathname);
  document.querySelector<HTMLInputElement>('input[name="name"]')?.focus();
}

const token = document.querySelector<HTMLTextAreaElement>('textarea[name="token"]');
if (token && /^[0-9A-Za-z_-]{100,8000}$/.test(fragment)) {
  if (!token.value) token.value = fragment;
  history.replaceState(null, "", location.pathname);
}

const zone = document.querySelector<HTMLInputElement>("input[data-zone]");
if (zone && (zone.value === "" || zone.value === "UTC")) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;

export {};

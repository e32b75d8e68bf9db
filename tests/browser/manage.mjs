// Claims about what is done seldom: recordings are searched, wrong settings refused, people let in and out, a backup taken.
import { stopAll } from "./session.mjs";
import { assert, banner, logIn, newest, press, start, visit } from "./visitor.mjs";

async function search({ page }) {
  await stopAll({ page });
  await start(page, "Zebra crossing inquiry");
  await banner(page, "Recording");
  assert(await page.locator("#transport .keys").getByRole("button", { name: "+15 min" }).isDisabled(), "what has no end can be lengthened");
  await stopAll({ page });
  await page.locator("#transport summary").click();
  await page.getByLabel("Ends").selectOption({ label: "After 30 minutes" });
  await start(page, "Zebra stripes");
  const ends = page.locator("#transport .ends", { hasText: "Ends by itself at" });
  const before = await ends.innerText();
  await press(page, "+15 min");
  await page.waitForFunction((before) => !(document.querySelector("#transport .ends")?.innerText ?? before).includes(before), before);
  await stopAll({ page });
  const rows = page.locator("#recordings .rec-title");
  await page.goto("/recordings");
  await page.getByLabel("Search titles, notes and marks").fill("zebra inq");
  await page.getByRole("button", { name: "Search" }).click();
  await page.waitForURL(/q=zebra/);
  assert((await rows.allInnerTexts()).join() === "Zebra crossing inquiry", `the search finds ${await rows.allInnerTexts()}`);
  await page.getByText("Filters", { exact: true }).click();
  await page.getByLabel("State").selectOption({ label: "Failed" });
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("Nothing matches “zebra inq”").waitFor();
  await page.getByRole("link", { name: "Clear" }).click();
  await page.waitForURL(/recordings$/);
  assert((await rows.count()) > 1, "without filters there is more than one");
  await page.getByRole("link", { name: "Today" }).click();
  await page.waitForURL(/from=/);
  assert((await rows.count()) > 1, "nothing is of today");
}

/** The list does not move under a finger: it says that there is more. */
async function news({ browser, demo, complaints, page }) {
  await stopAll({ page });
  const other = await visit(browser, demo, complaints, { storageState: await page.context().storageState() });
  await other.goto("/recordings");
  const before = await other.locator("#recordings .rec-main").first().getAttribute("href");
  await other.locator('rk-conn[data-state="live"]').waitFor({ state: "attached" });
  await start(page, "Begun elsewhere");
  await banner(page, "Recording");
  await other.getByRole("link", { name: "1 new recording: show" }).click();
  await other.locator("#recordings .rec-title", { hasText: "Begun elsewhere" }).first().waitFor();
  assert((await other.locator("#recordings .rec-main").first().getAttribute("href")) !== before, "the new one is not the first");
  assert(await other.locator("#news").isHidden(), "what is shown is still called new");
  await other.context().close();
  await stopAll({ page });
}

/** Channels are called what people call them, on the page of a recording as well. */
async function names({ page }) {
  await page.goto(await newest(page));
  const told = await page.locator("#levels-h + .scroll tbody th").allInnerTexts();
  assert(told.join().includes("Lectern") && !told.join().includes("voices:"), `the channels are called ${told}`);
  const [recording] = (await (await page.request.get("/api/v1/recordings?limit=1")).json()).items;
  assert(recording.channels[0].label === "Lectern" && recording.channels[0].port === "voices:out_1", JSON.stringify(recording.channels[0]));
}

async function wrongSettings({ page }) {
  await page.goto("/settings");
  const field = page.locator("input[name^=after_]").first();
  const [name, before] = [await field.getAttribute("name"), await field.inputValue()];
  await field.fill("soon");
  await page.locator("#watch-h ~ form").getByRole("button", { name: "Save" }).click();
  await page.locator(`input[name="${name}"][aria-invalid="true"]`).waitFor();
  assert((await field.inputValue()) === "soon", "what was typed is gone");
  assert(/settings$/.test(page.url()), `the address of the page is ${page.url()}`);
  await page.goto("/settings");
  assert((await field.inputValue()) === before, "a wrong value was kept");
  await page.getByLabel("Time zone").fill("Mars/Olympus");
  await page.locator("#room-h ~ form").getByRole("button", { name: "Save" }).click();
  await page.locator("#e-time_zone").waitFor();
}

async function people({ browser, demo, complaints, page }) {
  const guest = { email: "vera@example.org", password: "nine quiet words in a row" };
  await page.goto("/people");
  await page.getByLabel("Name", { exact: true }).first().fill("Vera Viewer");
  await page.getByLabel("E-mail").fill(guest.email);
  await page.getByLabel("First password").fill("short");
  await page.getByLabel("Role", { exact: true }).selectOption({ label: "Viewer" });
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.locator("#e-password").waitFor();
  await page.getByLabel("First password").fill(guest.password);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const row = page.locator(".person", { hasText: "Vera Viewer" });
  await row.waitFor();
  const eyes = await visit(browser, { ...demo, ...guest }, complaints);
  await logIn(eyes, guest);
  assert(await eyes.locator("button.key-start").isDisabled(), "a viewer can start");
  await row.getByRole("button", { name: "Disable" }).click();
  await row.getByRole("button", { name: "Enable" }).waitFor();
  await eyes.goto("/recordings");
  await eyes.getByRole("button", { name: "Log in" }).waitFor();
  await eyes.context().close();
}

async function token({ page, demo }) {
  await page.goto("/people");
  await page.locator("#f-token_name").fill("Wall display");
  await page.locator('input[name="scopes"]').first().check();
  await page.getByRole("button", { name: "Make a token" }).click();
  const value = (await page.locator(".token").innerText()).trim();
  const ask = () => fetch(`${demo.url}api/v1/auth/me`, { headers: { authorization: `Bearer ${value}` } });
  assert((await ask()).ok, "the token opens nothing");
  await page.reload();
  assert((await page.locator(".token").count()) === 0, "the token is shown again");
  await page.locator("#tokens-h ~ ul li", { hasText: "Wall display" }).getByRole("button", { name: "Revoke" }).click();
  await page.locator("#tokens-h ~ ul li", { hasText: "Wall display" }).waitFor({ state: "detached" });
  assert((await ask()).status === 401, "a revoked token still opens");
}

async function backup({ page }) {
  await page.goto("/node");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download a backup" }).click()]);
  assert(/\.backup$/.test(download.suggestedFilename()), `it is called ${download.suggestedFilename()}`);
  assert((await download.failure()) === null, `the backup failed: ${await download.failure()}`);
}

export const manage = [
  ["a recording is lengthened, and found by the beginnings of its words and by filters", search],
  ["a list that is looked at tells of a new recording", news],
  ["channels of a recording are called by their names", names],
  ["a wrong setting is told beside its field and not kept", wrongSettings],
  ["a person is added, looks, and is shut out by one press", people],
  ["a token is shown once and ends when it is revoked", token],
  ["a backup is taken from the page", backup],
];

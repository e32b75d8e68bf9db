/**
 * The answers of forms and the stream of the page, in order. An answer is drawn before it arrives; what the stream told in
 * between is newer, and it tells nothing twice. So it begins anew then, and tells all.
 */
import htmx from "htmx.org/dist/htmx.esm.js";

interface Context {
  sourceElement: Element;
}

interface Connection {
  reader: { cancel(): Promise<void> } | null;
}

/** Messages of the stream so far. */
let told = 0;
let connection: Connection | null = null;
/** What had been told when a form was sent. */
const toldBefore = new WeakMap<Context, number>();

const contextOf = (event: Event): Context => (event as CustomEvent<{ ctx: Context }>).detail.ctx;

document.addEventListener("htmx:sse:before:message", (event) => {
  told++;
  connection = (event as CustomEvent<{ connection: Connection }>).detail.connection;
});
document.addEventListener("htmx:before:request", (event) => {
  const context = contextOf(event);
  if (context.sourceElement instanceof HTMLFormElement) toldBefore.set(context, told);
});
document.addEventListener("htmx:after:swap", (event) => {
  if ((toldBefore.get(contextOf(event)) ?? told) !== told) beginAnew();
});

function beginAnew(): void {
  const live = document.getElementById("live");
  if (!live) return;
  // htmx dials again for an element that is still there, after a rest: another one in its place is a stream of its own at once.
  const next = live.cloneNode() as HTMLElement;
  live.replaceWith(next);
  void connection?.reader?.cancel();
  htmx.process(next);
}

declare module "htmx.org/dist/htmx.esm.js" {
  const htmx: { process(element: Element): void; trigger(element: Element, name: string, detail?: object): boolean };
  export default htmx;
}
declare module "htmx.org/dist/ext/hx-sse.js";

// Builds what browsers get: src/*.ts and static/app.css into dist/ with hashed names, and dist/manifest.json
// (plain name -> hashed name) for the `asset()` of the templates. `npm run build`; `-- --watch` is not needed: it takes 50 ms.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

const entries = ["app", "meters", "player", "listen", "claim", "wall"].map((name) => join(here, "src", `${name}.ts`));
const result = await build({
  absWorkingDir: here,
  entryPoints: [...entries, join(here, "static/app.css")],
  outdir: dist,
  entryNames: "[name].[hash]",
  chunkNames: "chunk.[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  target: ["es2022", "chrome117", "firefox120", "safari17.5"],
  metafile: true,
  logLevel: "warning",
  legalComments: "none",
});

const manifest = {};
for (const [path, output] of Object.entries(result.metafile.outputs)) {
  if (!output.entryPoint) continue;
  const ending = output.entryPoint.endsWith(".css") ? "css" : "js";
  manifest[`${basename(output.entryPoint).replace(/\.(ts|css)$/, "")}.${ending}`] = basename(path);
}
for (const name of readdirSync(join(here, "static")).filter((name) => /\.(svg|png)$/.test(name))) {
  const hash = createHash("sha256").update(readFileSync(join(here, "static", name))).digest("hex").slice(0, 8).toUpperCase();
  const hashed = name.replace(/\.(\w+)$/, `.${hash}.$1`);
  copyFileSync(join(here, "static", name), join(dist, hashed));
  manifest[name] = hashed;
}
const sorted = Object.fromEntries(Object.entries(manifest).sort());
writeFileSync(join(dist, "manifest.json"), `${JSON.stringify(sorted, null, 2)}\n`);

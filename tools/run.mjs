// Runs a TypeScript file on Node 20, which cannot strip types itself:
// `node tools/run.mjs FILE.ts ARGS…`. The file is bundled into node_modules/.cache and imported.
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const [entry, ...args] = process.argv.slice(2);
if (entry === undefined) {
  console.error("usage: node tools/run.mjs FILE.ts [ARG…]");
  process.exit(2);
}
const outdir = resolve("node_modules/.cache/tablewalk");
mkdirSync(outdir, { recursive: true });
const outfile = `${outdir}/${entry.replace(/[^a-z0-9]/gi, "-")}-${process.pid}.mjs`;
await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  packages: "external",
  // Examples import the package by its name; here they get the sources.
  alias: { tablewalk: resolve("src/vswitch/index.ts") },
  logLevel: "warning",
  sourcemap: "inline",
});
process.argv = [process.argv[0] ?? "node", entry, ...args];
await import(pathToFileURL(outfile).href);

#!/usr/bin/env node
// The program `tablewalk` as it is installed: dist/bin/tablewalk.mjs.
// The code is one script beside it, which starts quicker with the code that V8 compiled for it when
// it was built (`program.cache`). Another version of V8 refuses that and compiles for itself.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

const filename = fileURLToPath(new URL("program.cjs", import.meta.url));

function compiled() {
  try {
    return readFileSync(new URL("program.cache", import.meta.url));
  } catch {
    return undefined;
  }
}

// The bundle is plain ASCII, and reading it as Latin-1 is quicker than as UTF-8.
const source = readFileSync(filename, "latin1");
const script = new vm.Script(source, { filename, cachedData: compiled() });
if (process.env.TABLEWALK_BUILD_CACHE !== undefined) {
  const { writeFileSync } = await import("node:fs");
  process.on("exit", () => {
    writeFileSync(new URL("program.cache", import.meta.url), script.createCachedData());
  });
}
script.runInThisContext()(createRequire(filename), { exports: {} });

// Bundles the command line program with esbuild, because one file starts in a fraction of the time
// that a tree of ES modules takes to load.
// `node tools/bundle.mjs` makes dist/bin: the launcher, the program, and the program as V8 compiled
// it while it traced a packet through examples/warm-up.flows.
// `node tools/bundle.mjs OUTFILE` makes one file that runs by itself.
import { execFileSync } from "node:child_process";
import { chmod, copyFile, rm } from "node:fs/promises";
import { build } from "esbuild";

const common = {
  entryPoints: ["src/cli/main.ts"],
  bundle: true,
  platform: "node",
  target: "node20",
  sourcemap: false,
  charset: "ascii",
  legalComments: "none",
  logLevel: "warning",
};

async function buildProgram() {
  await build({
    ...common,
    outfile: "dist/bin/program.cjs",
    format: "cjs",
    // A script has no loader of modules of its own: what is loaded late comes through require().
    supported: { "dynamic-import": false },
    banner: { js: "(function (require, module) {" },
    footer: { js: "})" },
  });
  await copyFile("tools/launcher.mjs", "dist/bin/tablewalk.mjs");
  await chmod("dist/bin/tablewalk.mjs", 0o755);
  await rm("dist/bin/program.cache", { force: true });
  const argv = [
    "dist/bin/tablewalk.mjs",
    "trace",
    "--from",
    "tools/warm-up.flows",
    "in_port=1,tcp",
  ];
  execFileSync(process.execPath, argv, {
    env: { ...process.env, TABLEWALK_BUILD_CACHE: "1" },
    stdio: ["ignore", "ignore", "ignore"],
  });
}

const [outfile] = process.argv.slice(2);
if (outfile === undefined) {
  await buildProgram();
} else {
  await build({ ...common, outfile, format: "esm", banner: { js: "#!/usr/bin/env node" } });
}

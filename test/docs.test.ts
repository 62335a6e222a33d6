// The documents say what is: README commands, links between pages, reference pages for every table.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { FIELDS } from "../src/flow/fields.ts";
import { ACTION_KINDS, ACTIONS } from "../src/openflow/actions/table.ts";
import { COMMANDS } from "../src/vswitch/commands.ts";
import { TABLEWALK_VERSION } from "../src/vswitch/version.ts";

const read = (path: string) => readFileSync(path, "utf8");
const FILES = ["src", "test", "tools", "bench", "docs", "examples"].flatMap((dir) =>
  readdirSync(dir, { recursive: true, encoding: "utf8" }).map((f) => join(dir, f)),
);
FILES.push(...readdirSync("."));
const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].concat(
  ["docs", "docs/decisions"].flatMap((d) =>
    readdirSync(d)
      .filter((f) => f.endsWith(".md"))
      .map((f) => `${d}/${f}`),
  ),
);

test("the README's first two sh blocks are one line each: the example and the tests", () => {
  const blocks = [...read("README.md").matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((m) => m[1]);
  expect(blocks[0]).toMatch(/^npm ci .* trace --from examples\/\S+ \S+\n$/);
  expect(blocks[1]).toMatch(/^npm ci .* npm test\n$/);
});

test("the trace in the README is the recorded one", () => {
  const recorded = new Set(read("examples/host-dump/trace-delivered.txt").split("\n"));
  const shown = [...read("README.md").matchAll(/^ {4}(.*)$/gm)].map((m) => m[1] ?? "");
  expect(shown.filter((l) => l !== "…" && !recorded.has(l))).toEqual([]);
  expect(shown.length).toBeGreaterThan(20);
});

test.each(pages)("%s links to what is there", (page) => {
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((m) => m[1] ?? "");
  expect(links.filter((l) => !existsSync(join(dirname(page), l)))).toEqual([]);
});

test.each(pages)("%s names files that are there", (page) => {
  const named = [...read(page).matchAll(/`([\w./*-]+\.(?:ts|mjs|json|sh))`/g)].map(
    (m) => m[1] ?? "",
  );
  const isThere = (name: string) => {
    const pattern = name.replace(/[.]/g, "\\.").replace(/\*/g, "[^/]*");
    return FILES.some((f) => new RegExp(`(^|/)${pattern}$`).test(f));
  };
  expect(named.filter((n) => !isThere(n))).toEqual([]);
});

test("the map of the architecture has every folder of src", () => {
  const map = read("docs/architecture.md");
  const folders = [...new Set(FILES.map((f) => /^src\/([^/]+)\//.exec(f)?.[1] ?? "lib"))].filter(
    (f) => !map.includes(`| \`${f}\` |`),
  );
  expect(folders).toEqual([]);
});

describe("every row is in its reference page", () => {
  test("fields", () => {
    const text = read("docs/fields.md");
    expect(
      FIELDS.filter((f) => !/^(x*reg|tun_metadata)\d+$/.test(f.name) || f.name.endsWith("g0"))
        .map((f) => f.name)
        .filter((n) => !text.includes(`\`${n}\``)),
    ).toEqual([]);
  });
  test("actions", () => {
    const text = read("docs/actions.md");
    expect(ACTION_KINDS.map((k) => ACTIONS[k].name).filter((n) => !text.includes(n))).toEqual([]);
  });
  test("commands", () => {
    const text = read("docs/commands.md");
    const listed = COMMANDS.filter((c) => c.usage !== undefined);
    expect(listed.map((c) => c.name).filter((n) => !text.includes(n))).toEqual([]);
  });
});

test("the program's version is the package's", () => {
  const { version } = JSON.parse(read("package.json")) as { version: string };
  expect(TABLEWALK_VERSION).toBe(version);
});

// The package as its users see it: every entry of `exports` has a source that can be imported.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

interface Entry {
  readonly types: string;
  readonly default: string;
}

const { exports: entries } = JSON.parse(readFileSync("package.json", "utf8")) as {
  exports: Record<string, Entry>;
};

/** What each layer has that its users cannot do without. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  ".": ["Switch", "VSwitch", "runCommandLine", "COMMANDS", "CableHost", "frameOf", "openHostDump"],
  "./lib": ["ManualClock", "SeededRng", "MemoryFileSystem", "parseHex"],
  "./packet": ["PacketBuf", "PcapDecoder"],
  "./flow": ["FIELDS", "K", "newKey", "extract", "flowCompose", "newMatch"],
  "./datapath": ["Classifier", "Datapath", "Conntrack", "executeActions", "parseOdpFlow"],
  "./openflow": ["ACTIONS", "parseFlow", "formatFlow", "formatMatch", "ofpPrint"],
  "./ovsdb": ["Database", "VSWITCH_SCHEMA"],
};

describe("package.json", () => {
  test("lists every entry with types and code of one source", () => {
    expect(Object.keys(entries)).toEqual(Object.keys(SHOWN));
    for (const { types, default: code } of Object.values(entries)) {
      expect(types).toBe(code.replace(/\.js$/, ".d.ts"));
    }
  });

  test.each(Object.entries(entries))("%s can be imported", async (name, entry) => {
    const source = entry.default.replace("./dist/", "../src/").replace(/\.js$/, ".ts");
    const layer: object = await import(source);
    expect((SHOWN[name] ?? []).filter((n) => !(n in layer))).toEqual([]);
  });
});

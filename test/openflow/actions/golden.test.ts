// The wire forms and texts that the real ovs-ofctl gave for every kind of action in every version
// (test/golden/actions.txt, made by tools/golden-actions.ts).

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OF_VERSIONS, type OfVersion } from "../../../src/flow/of-version.ts";
import { Cursor, formatHex, parseHex, Writer } from "../../../src/lib/bytes.ts";
import { formatActions } from "../../../src/openflow/actions/actions.ts";
import { pullInstructions, putInstructions } from "../../../src/openflow/actions/codec.ts";
import { parseFlow } from "../../../src/openflow/flow-text.ts";
import type { Action } from "../../../src/openflow/actions/types.ts";

interface Golden {
  readonly flow: string;
  readonly lines: { version: OfVersion; hex: string; text: string }[];
}

function readGolden(): Golden[] {
  const golden: Golden[] = [];
  for (const line of readFileSync("test/golden/actions.txt", "utf8").split("\n")) {
    const m = /^ {2}(\d) (\S+) (.*)$/.exec(line);
    if (m !== null) {
      const version = OF_VERSIONS[Number(m[1])] as OfVersion;
      golden
        .at(-1)
        ?.lines.push({ version, hex: m[2] === "-" ? "" : (m[2] ?? ""), text: m[3] ?? "" });
    } else if (line !== "" && !line.startsWith("#")) {
      golden.push({ flow: line, lines: [] });
    }
  }
  return golden;
}

function actionsOf(flow: string): readonly Action[] {
  const r = parseFlow(flow, 0, { ports: null, tables: null, log: null });
  if (!r.ok) {
    throw new Error(r.error.message);
  }
  return r.value.fm.actions;
}

describe("golden", () => {
  for (const { flow, lines } of readGolden()) {
    it(flow, () => {
      expect(lines.length).toBeGreaterThan(0);
      for (const { version, hex, text } of lines) {
        const w = new Writer();
        putInstructions(actionsOf(flow), w, version);
        expect(formatHex(w.bytes()), `version ${version}`).toBe(hex);
        const bytes = parseHex(hex) ?? new Uint8Array(0);
        const back = pullInstructions(new Cursor(bytes), bytes.length, version, { debug: false });
        expect(typeof back === "string" ? back : formatActions(back)).toBe(text);
      }
    });
  }
});

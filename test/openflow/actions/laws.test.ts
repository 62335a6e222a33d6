// Laws of the action table, over random texts of every kind and random bytes.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newMatch } from "../../../src/flow/match.ts";
import { OF_VERSIONS, OFP, P } from "../../../src/flow/of-version.ts";
import { Cursor, formatHex, Writer } from "../../../src/lib/bytes.ts";
import {
  actionSetToList,
  actionsEqual,
  checkActions,
  formatActions,
  parseActions,
  parseInstructions,
} from "../../../src/openflow/actions/actions.ts";
import {
  actionBitmapFromOpenflow,
  actionBitmapToOpenflow,
  pullActions,
  pullInstructions,
  putInstructions,
} from "../../../src/openflow/actions/codec.ts";
import { RAW_ACTIONS } from "../../../src/openflow/actions/raw-actions.ts";
import { ACTION_KINDS, ACTIONS } from "../../../src/openflow/actions/table.ts";
import { ACTION_DECODE_DEPTH_MAX, type Action } from "../../../src/openflow/actions/types.ts";
import { ACTION_TEXT, actionsText } from "../../arbitraries/actions.ts";

/** The text of a list that parses, or undefined. */
function reparsed(actions: readonly Action[]): string | undefined {
  const r = parseInstructions(formatActions(actions));
  return r.ok ? formatActions(r.value.actions) : undefined;
}

function bytesOf(actions: readonly Action[], version: (typeof OF_VERSIONS)[number]): Uint8Array {
  const w = new Writer();
  putInstructions(actions, w, version);
  return w.bytes();
}

/** Open vSwitch prints flags that it does not know, and an empty mask, but cannot read them. */
const UNREADABLE = /\[Unknown\]|set_field:ANY/;

describe("text", () => {
  for (const kind of ACTION_KINDS) {
    it(`${kind}: printing and parsing is the identity`, () => {
      fc.assert(
        fc.property(ACTION_TEXT[kind], (text) => {
          const r = parseInstructions(text);
          const printed = r.ok ? formatActions(r.value.actions) : "";
          if (r.ok && !UNREADABLE.test(printed)) {
            expect(reparsed(r.value.actions)).toBe(printed);
          }
        }),
        { numRuns: Number(process.env.TW_RUNS ?? 60) },
      );
    });
  }

  it("any text parses or fails with a text", () => {
    const junk = fc.string({ unit: fc.constantFrom(...'()[],:=->.# \t019axfz/+-"'.split("")) });
    const broken = fc
      .tuple(actionsText, fc.nat(), junk)
      .map(([t, at, j]) => t.slice(0, at % (t.length + 1)) + j + t.slice(at % (t.length + 1)));
    fc.assert(
      fc.property(fc.oneof(broken, junk), (text) => {
        for (const r of [parseActions(text), parseInstructions(text)]) {
          if (!r.ok) {
            expect(r.error.message).not.toBe("");
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("nesting has a limit", () => {
    const nest = (n: number) => `${"clone(".repeat(n)}1${")".repeat(n)}`;
    expect(parseActions(nest(99)).ok).toBe(true);
    const deep = parseActions(nest(100));
    expect(deep.ok ? "" : deep.error.message).toBe("Action nested too deeply");
    const deeper = parseActions("clone(".repeat(100000));
    expect(deeper.ok ? "" : deeper.error.message).toBe("Action nested too deeply");
  });
});

describe("wire", () => {
  for (const version of OF_VERSIONS) {
    it(`version ${version}: decoding and encoding is the identity`, () => {
      fc.assert(
        fc.property(actionsText, (text) => {
          const r = parseInstructions(text);
          if (!r.ok) {
            return;
          }
          const first = bytesOf(r.value.actions, version);
          const decoded = pullInstructions(new Cursor(first), first.length, version);
          if (typeof decoded !== "string") {
            const second = bytesOf(decoded, version);
            const again = pullInstructions(new Cursor(second), second.length, version);
            // What was decoded once travels unchanged from then on.
            expect(typeof again === "string" ? again : formatActions(again)).toBe(
              formatActions(decoded),
            );
            expect(formatHex(bytesOf(again as Action[], version))).toBe(formatHex(second));
          }
        }),
        { numRuns: 300 },
      );
    });
  }

  it("any bytes decode or give an error", () => {
    const mutated = fc
      .tuple(
        actionsText,
        fc.constantFrom(...OF_VERSIONS),
        fc.array(fc.tuple(fc.nat(), fc.nat(255))),
      )
      .map(([text, version, edits]) => {
        const r = parseInstructions(text);
        const bytes = r.ok ? bytesOf(r.value.actions, version) : new Uint8Array(16);
        for (const [at, value] of edits) {
          bytes[at % (bytes.length || 1)] = value;
        }
        return { bytes, version };
      });
    fc.assert(
      fc.property(mutated, ({ bytes, version }) => {
        for (const pull of [pullActions, pullInstructions]) {
          const r = pull(new Cursor(bytes), bytes.length, version);
          if (typeof r !== "string") {
            formatActions(r);
            checkActions(r, { match: newMatch(), maxPorts: 0xff00, tableId: 0, nTables: 255 });
          }
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("bytes nested without end stop at the limit", () => {
    // A clone in a clone in a clone..., each 16 bytes, in one 64 kB list.
    const bytes = new Uint8Array(65520);
    const view = new DataView(bytes.buffer);
    for (let ofs = 0; ofs < bytes.length; ofs += 16) {
      view.setUint16(ofs, 0xffff);
      view.setUint16(ofs + 2, bytes.length - ofs);
      view.setUint32(ofs + 4, 0x2320);
      view.setUint16(ofs + 8, 42);
    }
    const at = (levels: number) => {
      const tail = bytes.slice(bytes.length - 16 * levels);
      const r = pullActions(new Cursor(tail), tail.length, OFP.v13);
      return typeof r === "string" ? r : "decoded";
    };
    // The innermost list is empty and counts as a level.
    expect(at(ACTION_DECODE_DEPTH_MAX - 1)).toBe("decoded");
    expect(at(ACTION_DECODE_DEPTH_MAX)).toBe("OFPBAC_TOO_MANY");
    expect(at(4095)).toBe("OFPBAC_TOO_MANY");
  });
});

describe("table", () => {
  it("every raw action has one decoder", () => {
    const decoded = Object.values(ACTIONS).flatMap((row) => Object.keys(row.decoders));
    expect(decoded.sort()).toEqual([...new Set(RAW_ACTIONS.map((r) => r.name))].sort());
  });

  it("keywords are unique", () => {
    const words = Object.values(ACTIONS).flatMap((row) => Object.keys(row.parsers));
    expect(new Set(words).size).toBe(words.length);
  });

  it("a list equals itself and no other", () => {
    fc.assert(
      fc.property(actionsText, actionsText, (a, b) => {
        const [x, y, z] = [parseInstructions(a), parseInstructions(a), parseInstructions(b)];
        if (x.ok && y.ok && z.ok) {
          expect(actionsEqual(x.value.actions, y.value.actions)).toBe(true);
          const same = formatActions(x.value.actions) === formatActions(z.value.actions);
          expect(same || !actionsEqual(x.value.actions, z.value.actions)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("feature bitmaps of standard actions", () => {
    const all = new Set(ACTION_KINDS);
    const bits = OF_VERSIONS.map((v) => actionBitmapToOpenflow(all, v).toString(16));
    expect(bits).toEqual(["fff", "1ffe7ff", "3ff8001", "3ff8001", "3ff8001", "3ff8001"]);
    for (const v of OF_VERSIONS) {
      const kinds = actionBitmapFromOpenflow(actionBitmapToOpenflow(all, v), v);
      expect(actionBitmapToOpenflow(kinds, v)).toBe(actionBitmapToOpenflow(all, v));
    }
  });

  it("the check leaves the match as it was", () => {
    fc.assert(
      fc.property(actionsText, (text) => {
        const r = parseInstructions(text);
        if (r.ok) {
          const match = newMatch();
          const options = { match, maxPorts: 0xff00, tableId: 255, nTables: 255 };
          const { usable } = checkActions(r.value.actions, options);
          expect(usable & ~P.ANY).toBe(0);
          expect(match.flow).toEqual(newMatch().flow);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("action set", () => {
  const run = (text: string) => {
    const r = parseActions(text);
    return r.ok ? formatActions(actionSetToList(r.value.actions)) : r.error.message;
  };
  const CASES: readonly [string, string][] = [
    ["set_field:1->reg0,mod_nw_ttl:5", "drop"],
    ["output:1,output:2", "output:2"],
    ["group:1,output:2", "group:1"],
    ["output:2,resubmit(,3)", "output:2"],
    ["output:1,push_vlan:0x8100,pop_vlan,dec_ttl", "pop_vlan,push_vlan:0x8100,dec_ttl,output:1"],
    [
      "set_field:2->reg1,push_mpls:0x8847,set_field:1->reg0,3,push_mpls:0x8848",
      "push_mpls:0x8848,set_field:0x2->reg1,set_field:0x1->reg0,output:3",
    ],
  ];
  for (const [set, list] of CASES) {
    it(`${set} runs as ${list}`, () => {
      expect(run(set)).toBe(list);
    });
  }
});

// Matches as text and on the wire, against what Open vSwitch made of the same texts.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MaskPool } from "../../src/flow/mask-pool.ts";
import { matchEqual, newMatch } from "../../src/flow/match.ts";
import { normalizeMatch } from "../../src/flow/match-normalize.ts";
import { expandMiniMatch } from "../../src/flow/minimatch.ts";
import { newKey } from "../../src/flow/flow-key.ts";
import type { OfVersion } from "../../src/flow/of-version.ts";
import { Cursor, Writer } from "../../src/lib/bytes.ts";
import { parseFlow } from "../../src/openflow/flow-text.ts";
import { formatFlow } from "../../src/openflow/flow-format.ts";
import { NO_CONTEXT, parseExactFlow } from "../../src/openflow/match-parse.ts";
import { formatMatch } from "../../src/openflow/match-text.ts";
import { encodeFlowMod } from "../../src/openflow/messages/flow-mod.ts";
import { ofpPrint } from "../../src/openflow/messages/print.ts";
import { OFPFC } from "../../src/openflow/messages/types-flow.ts";
import { protocolsToString } from "../../src/openflow/messages/version.ts";
import { nxPullMatch, oxmDecodeMatch, oxmPullMatch } from "../../src/openflow/oxm.ts";
import { nxPutMatch, oxmPutMatch } from "../../src/openflow/oxm-put.ts";
import {
  formatNxMatch,
  formatOxmMatch,
  padTo8,
  parseNxMatch,
  wrapOxm,
} from "../../src/openflow/oxm-text.ts";
import { damaged, matchText, nxMatchText, seeded } from "../arbitraries/matches.ts";

/** Groups of one line and the indented ones, or the one that answers it, behind it. */
function golden(name: string): { text: string; answers: string[] }[] {
  const rows: { text: string; answers: string[] }[] = [];
  for (const line of readFileSync(`test/golden/${name}`, "utf8").split("\n").slice(2, -1)) {
    const last = rows[rows.length - 1];
    if (
      last !== undefined &&
      (line.startsWith("  ") || /^[=!] |^=$|^$/.test(line)) &&
      !isText(rows, line)
    ) {
      last.answers.push(line.startsWith("  ") ? line.slice(2) : line);
    } else {
      rows.push({ text: line, answers: [] });
    }
  }
  return rows;
}

/** An answer of an error has no more lines, one with "=" has three, the rest of a match is text. */
function isText(rows: { answers: string[] }[], line: string): boolean {
  const got = rows[rows.length - 1]?.answers ?? [];
  const first = got[0];
  if (first === undefined) {
    return !line.startsWith("=") && !line.startsWith("!") && !line.startsWith("  ");
  }
  return first.startsWith("!") || (first.startsWith("=") && got.length === 4);
}

/** What is left of a match in a form of the wire: chosen protocol bits, then the text. */
function shown(text: string, allowed: number): string {
  const r = parseFlow(`${text} actions=drop`, OFPFC.ADD, NO_CONTEXT);
  if (!r.ok) {
    return `! ${r.error.message}`;
  }
  const usable = r.value.usable & allowed;
  if (usable === 0) {
    return "! no usable protocol";
  }
  const out = ofpPrint(encodeFlowMod(r.value.fm, usable & -usable, 1), 0);
  const failed = /decode error: (\w+)/.exec(out)?.[1];
  const match = /\): ADD (?:table:255 ?)?(.*?) ?actions=drop$/m.exec(out)?.[1];
  return failed === undefined ? (match ?? "?") : `! ${failed}`;
}

const NXM = 0b1100;
const OF13 = 1 << 6;
const OF15 = 1 << 8;

describe("matches recorded from ovs-ofctl parse-flow", () => {
  const rows = golden("matches.txt");
  it("are many", () => {
    expect(rows.length).toBeGreaterThan(600);
  });

  it("give the same texts, usable protocols and errors", () => {
    for (const { text, answers } of rows) {
      const first = answers[0] ?? "";
      const r = parseFlow(`${text} actions=drop`, OFPFC.ADD, NO_CONTEXT);
      if (first.startsWith("!")) {
        expect(r.ok ? "" : `! ${r.error.message}`, text).toBe(first);
        continue;
      }
      expect(r.ok ? `= ${protocolsToString(r.value.usable)}` : r.error.message, text).toBe(first);
      const mine = [NXM, OF13, OF15].map((p) => shown(text, p));
      expect(mine, text).toEqual(answers.slice(1));
    }
  });
});

describe("NXM and OXM recorded from ovs-ofctl parse-nx-match", () => {
  it("are read, refused and written alike", () => {
    const lines = readFileSync("test/golden/nxm.txt", "utf8").split("\n").slice(2, -1);
    for (let i = 0; i + 3 < lines.length; i += 4) {
      const text = lines[i] ?? "";
      const mine = [throughNxm(text, true), throughNxm(text, false), throughOxm(text, 5)];
      expect(mine, text).toEqual(lines.slice(i + 1, i + 4).map((l) => l.slice(2)));
    }
  });
});

function entries(text: string): Uint8Array {
  const r = parseNxMatch(text);
  if (!r.ok) {
    throw new Error(r.error.message);
  }
  return r.value;
}

function throughNxm(text: string, strict: boolean): string {
  const bytes = entries(text);
  const padded = padTo8(bytes.length);
  padded.set(bytes);
  const m = nxPullMatch(new Cursor(padded), bytes.length, { loose: !strict, cookie: true });
  if (typeof m === "string") {
    return `nx_pull_match() returned error ${m}`;
  }
  const w = new Writer();
  const n = nxPutMatch(w, m.match, m.cookie, m.cookieMask);
  return formatNxMatch(w.bytes().subarray(0, n));
}

function throughOxm(text: string, version: OfVersion): string {
  const m = oxmPullMatch(new Cursor(wrapOxm(entries(text))), { loose: true });
  if (typeof m === "string") {
    return `nx_pull_match() returned error ${m}`;
  }
  const w = new Writer();
  const n = oxmPutMatch(w, m, version);
  return formatOxmMatch(w.bytes(), n);
}

describe("laws", () => {
  const seeds = fc.nat();

  it("what a match shows is read back as the same match", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const a = parseFlow(`${matchText(seeded(seed))} actions=drop`, OFPFC.ADD, NO_CONTEXT);
        if (!a.ok) {
          return;
        }
        // Through the wire first: it drops what no packet can have and text cannot say.
        const w = new Writer();
        oxmPutMatch(w, a.value.fm.match, 6);
        const m = oxmPullMatch(new Cursor(w.bytes()));
        if (typeof m === "string" || [m.flow, m.wc].some((k) => k.subarray(5, 40).some((x) => x))) {
          return; // Tunnel fields are not all shown.
        }
        const b = parseFlow(`${formatMatch(m)} actions=drop`, OFPFC.ADD, NO_CONTEXT);
        expect(b.ok && formatMatch(b.value.fm.match)).toBe(formatMatch(m));
      }),
      { numRuns: 500 },
    );
  });

  it("decode after encode is the identity on what was decoded", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const m = oxmDecodeMatch(entries(nxMatchText(seeded(seed))));
        if (typeof m === "string") {
          return;
        }
        const w = new Writer();
        const n = nxPutMatch(w, m);
        const back = nxPullMatch(new Cursor(w.bytes()), n);
        expect(typeof back !== "string" && formatMatch(back.match)).toBe(formatMatch(m));
      }),
      { numRuns: 500 },
    );
  });

  it("normalising twice changes nothing more", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const a = parseFlow(`${matchText(seeded(seed))} actions=drop`, OFPFC.ADD, NO_CONTEXT);
        if (a.ok) {
          normalizeMatch(a.value.fm.match);
          expect(normalizeMatch(a.value.fm.match)).toBe(false);
        }
      }),
    );
  });

  it("packing and unpacking gives the match back, equal masks as one object", () => {
    const pool = new MaskPool();
    fc.assert(
      fc.property(seeds, (seed) => {
        const a = parseFlow(`${matchText(seeded(seed))} actions=drop`, OFPFC.ADD, NO_CONTEXT);
        if (!a.ok) {
          return;
        }
        const m = a.value.fm.match;
        const mini = pool.pack(m);
        const back = { ...newMatch(), flow: newKey(), wc: newKey() };
        expandMiniMatch(mini, back.flow, back.wc);
        expect(matchEqual(back, m)).toBe(true);
        expect(pool.pack(m).mask).toBe(mini.mask);
        expect(pool.intern({ words: mini.mask.words.slice(), bits: mini.mask.bits.slice() })).toBe(
          mini.mask,
        );
      }),
    );
  });
});

describe("bad input", () => {
  it("never throws, as text", () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), (seed, noise) => {
        const r = seeded(seed);
        parseFlow(`${damaged(r, matchText(r))}${noise}`, r(3) - 2 + OFPFC.ADD, NO_CONTEXT);
        parseFlow(`${noise}actions=${noise}`, OFPFC.ADD, NO_CONTEXT);
        parseExactFlow(damaged(r, matchText(r)), null, NO_CONTEXT);
        parseNxMatch(damaged(r, nxMatchText(r)) + noise);
      }),
      { numRuns: 1000 },
    );
  });

  it("never throws, as bytes", () => {
    fc.assert(
      fc.property(fc.nat(), fc.uint8Array({ maxLength: 64 }), (seed, noise) => {
        const r = seeded(seed);
        const good = entries(nxMatchText(r));
        const bytes = Uint8Array.from([...good.subarray(0, r(good.length + 1)), ...noise]);
        for (const loose of [true, false]) {
          oxmDecodeMatch(bytes, { loose });
          oxmPullMatch(new Cursor(wrapOxm(bytes)), { loose });
          nxPullMatch(new Cursor(bytes), bytes.length, { loose, cookie: true });
        }
        formatNxMatch(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("exact flows", () => {
  const show = (text: string) => {
    const r = parseExactFlow(text, null, NO_CONTEXT);
    return r.ok ? formatFlow(r.value.flow) : `! ${r.error.message}`;
  };
  const ETH = "dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00";
  it("are shown with all that their packet has", () => {
    expect(show("in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80")).toBe(
      `tcp,in_port=1,vlan_tci=0x0000,${ETH},nw_src=10.0.0.1,nw_dst=0.0.0.0,` +
        "nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=80,tcp_flags=0",
    );
    expect(show("dl_vlan=5,arp,in_port=2")).toBe(
      `arp,in_port=2,dl_vlan=5,dl_vlan_pcp=0,vlan_tci1=0x0000,${ETH},arp_spa=0.0.0.0,` +
        "arp_tpa=0.0.0.0,arp_op=0,arp_sha=00:00:00:00:00:00,arp_tha=00:00:00:00:00:00",
    );
  });
  it("are refused with the reason", () => {
    expect(show("foo=1")).toBe("! foo=1: unknown field foo");
    expect(show("tcp_dst=5")).toBe("! tcp_dst=5: prerequisites not met for setting tcp_dst");
    expect(show("ip,arp")).toBe("! ip,arp: Ethernet type set multiple times");
    expect(show("reg0=1,reg0=2")).toBe("! reg0=1,reg0=2: field reg0 set multiple times");
    expect(show("reg0=x")).toBe("! reg0=x: bad value for reg0 (x: bad syntax for reg0 value)");
    expect(show("ip,nw_src=1.2.3.0/24")).toBe(
      "! ip,nw_src=1.2.3.0/24: bad value for nw_src (1.2.3.0/24: wildcards not allowed here)",
    );
  });
});

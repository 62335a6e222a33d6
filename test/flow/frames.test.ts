// Extraction, composition and hashes against frames and hashes recorded from Open vSwitch, and the
// laws that hold for any frame.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { flowCompose, packetExpand } from "../../src/flow/compose.ts";
import { EXTRACT, extract, extractTracked } from "../../src/flow/extract.ts";
import { flowHash5tuple, flowHashFields, HASH_FIELDS } from "../../src/flow/flow-hash.ts";
import { get, getU, K, newKey } from "../../src/flow/flow-key.ts";
import { formatHex, parseHex } from "../../src/lib/bytes.ts";
import { csumContinue, csumFinish } from "../../src/lib/checksum.ts";
import { ipv4PseudoCsum, ipv6PseudoCsum } from "../../src/packet/ip.ts";
import { NO_OFS, PacketBuf, PT } from "../../src/packet/packet.ts";
import { anyFrame, goodFrame } from "../arbitraries/frames.ts";

const ROWS = readFileSync("test/golden/compose-and-hash.txt", "utf8")
  .split("\n")
  .filter((l) => l !== "" && !l.startsWith("#"))
  .map((l) => {
    const [flow = "", hex = "", hashes = ""] = l.split("\t");
    return { flow, hex, hashes: hashes.split(" ") };
  });

function packet(hex: string): PacketBuf {
  const bytes = parseHex(hex);
  if (bytes === undefined) {
    throw new Error(`bad hex ${hex}`);
  }
  return PacketBuf.of(bytes);
}

function keyOf(p: PacketBuf) {
  const key = newKey();
  extract(p, key);
  return key;
}

describe("recorded frames", () => {
  // An extension header that is cut off leaves nothing to compose from.
  const whole = ROWS.filter((r) => !r.flow.includes("nw_proto=0"));
  it.each(whole)("compose(extract(frame)) is the frame: $flow", ({ hex }) => {
    const p = packet(hex);
    const key = keyOf(p);
    const q = new PacketBuf();
    flowCompose(q, key, 64);
    expect(formatHex(q.data())).toBe(hex);
    expect(keyOf(q)).toEqual(key);
  });

  it.each(ROWS)("hashes as OVS: $flow", ({ hex, hashes }) => {
    const key = keyOf(packet(hex));
    key[K.in_port.word] = 1;
    const ours = [0, 1024].flatMap((basis) =>
      HASH_FIELDS.map((f) => (flowHashFields(key, f, basis) & 0xffff).toString(16)),
    );
    expect(ours).toEqual(hashes);
  });

  it.each(ROWS)("transport checksums are right: $flow", ({ hex }) => {
    const p = packet(hex);
    const key = keyOf(p);
    const dlType = get(key, K.dl_type);
    const proto = get(key, K.nw_proto);
    const summed = [6, 17, 58].includes(proto) && get(key, K.nw_frag) < 2;
    if ((dlType !== 0x800 && dlType !== 0x86dd) || !summed) {
      return;
    }
    const pseudo =
      dlType === 0x800 ? ipv4PseudoCsum(p.bytes, p.l3()) : ipv6PseudoCsum(p.bytes, p.l3());
    expect(csumFinish(csumContinue(pseudo, p.bytes, p.l4(), p.end))).toBe(0);
  });

  it("cut at every length, the key agrees with the whole one as far as it goes", () => {
    for (const { hex } of ROWS) {
      const whole = packet(hex);
      const full = keyOf(whole);
      for (let n = 0; n < whole.size; n++) {
        const p = PacketBuf.of(whole.data().subarray(0, n));
        const key = keyOf(p);
        let bad = -1;
        for (let w = 0; w < key.length; w++) {
          // A word is either what the whole frame gives or (partly) missing; LLC, where the type
          // depends on what follows, is not among the recorded frames that carry addresses.
          const missing = (full[w] ?? 0) & ~(key[w] ?? 0);
          bad = key[w] === full[w] || missing !== 0 || key[w] === 0 ? bad : w;
        }
        expect(bad).toBe(-1);
        expect(p.l4Ofs === NO_OFS || p.l4Ofs <= n).toBe(true);
        expect(p.l4Bytes()).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it("expands like OVS", () => {
    const row = ROWS.find((r) => r.flow.startsWith("tcp,"));
    const key = keyOf(packet(row?.hex ?? ""));
    const p = new PacketBuf();
    flowCompose(p, key, 0);
    packetExpand(p, key, 200);
    expect(p.size).toBe(200);
    const again = keyOf(p);
    expect(again).toEqual(key);
    expect(csumFinish(csumContinue(ipv4PseudoCsum(p.bytes, p.l3()), p.bytes, p.l4(), p.end))).toBe(
      0,
    );
  });
});

/** `hex` -> "slot=value ..." for the slots asked for. */
function slots(hex: string, names: readonly (keyof typeof K)[], vlanLimit = 2): string {
  const key = newKey();
  extract(packet(hex), key, vlanLimit);
  return names.map((n) => `${n}=${getU(key, K[n]).toString(16)}`).join(" ");
}

const ETH = "0a0b0c0d0e0f 020304050607";

describe("links", () => {
  it.each([
    ["short", "0a0b0c0d0e0f0203040506", "dl_type=0 vlan_tci=0"],
    ["length without LLC", `${ETH} 0010`, "dl_type=5ff vlan_tci=0"],
    ["LLC of another kind", `${ETH} 0010 4242030000000800`, "dl_type=5ff vlan_tci=0"],
    ["SNAP", `${ETH} 0010 aaaa030000000806`, "dl_type=806 vlan_tci=0"],
    ["SNAP with a length", `${ETH} 0010 aaaa030000000500`, "dl_type=5ff vlan_tci=0"],
    ["SNAP of another body", `${ETH} 0010 aaaa030000f80806`, "dl_type=5ff vlan_tci=0"],
    ["VLAN", `${ETH} 8100 2005 1234`, "dl_type=1234 vlan_tci=3005"],
    ["two VLANs", `${ETH} 88a8 0001 8100 0002 1234`, "dl_type=1234 vlan_tci=1001"],
    ["three VLANs", `${ETH} 8100 0001 8100 0002 8100 0003 1234`, "dl_type=8100 vlan_tci=1001"],
    ["VLAN, cut", `${ETH} 8100 0001`, "dl_type=8100 vlan_tci=0"],
  ])("%s", (_name, hex, want) => {
    expect(slots(hex, ["dl_type", "vlan_tci"])).toBe(want);
  });

  it("parses as many VLAN headers as the limit says", () => {
    const hex = `${ETH} 8100 0001 8100 0002 1234`;
    expect(slots(hex, ["dl_type", "vlan_tci", "vlan_tci1"], 0)).toBe(
      "dl_type=8100 vlan_tci=0 vlan_tci1=0",
    );
    expect(slots(hex, ["dl_type", "vlan_tci", "vlan_tci1"], 1)).toBe(
      "dl_type=8100 vlan_tci=1001 vlan_tci1=0",
    );
    expect(slots(hex, ["dl_type", "vlan_tci", "vlan_tci1"], 2)).toBe(
      "dl_type=1234 vlan_tci=1001 vlan_tci1=1002",
    );
  });

  it("keeps three MPLS entries and finds the end of a longer stack", () => {
    const p = packet(`${ETH} 8847 00001040 00002040 00003040 00004140 4500`);
    const key = keyOf(p);
    expect([p.l25Ofs, p.l3Ofs]).toEqual([14, 30]);
    expect(key.slice(K.mpls_lse.word, K.mpls_lse.word + 3)).toEqual(
      Uint32Array.of(0x1040, 0x2040, 0x3040),
    );
  });

  it("takes the type of a packet without Ethernet from its packet type", () => {
    const p = packet("45000014000000004001 0000 0a000001 0a000002");
    p.packetType = PT.IPV4;
    const key = keyOf(p);
    expect([get(key, K.dl_type), getU(key, K.nw_dst), p.l3Ofs, p.l4Ofs]).toEqual([
      0x800, 0x0a000002, 0, 20,
    ]);
  });
});

describe("IPv4 and IPv6", () => {
  const v4 = (tail: string, len: number, frag = "0000", proto = "06") =>
    `${ETH} 0800 4500${len.toString(16).padStart(4, "0")}0000${frag}40${proto}0000 01020304 05060708 ${tail}`;
  const tcp = "00500051 00000000 00000000 5012 0000 0000 0000";
  it.each([
    ["tcp", v4(tcp, 40), "nw_proto=6 tp_src=50 tcp_flags=12 nw_frag=0"],
    ["padded", v4(`${tcp} 0000`, 40), "nw_proto=6 tp_src=50 tcp_flags=12 nw_frag=0"],
    ["longer than the frame", v4(tcp, 41), "nw_proto=0 tp_src=0 tcp_flags=0 nw_frag=0"],
    ["header only", v4(tcp, 20), "nw_proto=6 tp_src=0 tcp_flags=0 nw_frag=0"],
    ["first fragment", v4(tcp, 40, "2000"), "nw_proto=6 tp_src=50 tcp_flags=12 nw_frag=1"],
    ["later fragment", v4(tcp, 40, "0001"), "nw_proto=6 tp_src=0 tcp_flags=0 nw_frag=3"],
    [
      "tcp with a wrong offset",
      v4(tcp.replace("5012", "4012"), 40),
      "nw_proto=6 tp_src=0 tcp_flags=0 nw_frag=0",
    ],
  ])("%s", (_name, hex, want) => {
    expect(slots(hex, ["nw_proto", "tp_src", "tcp_flags", "nw_frag"])).toBe(want);
  });

  const v6 = (next: string, body: string) => {
    const n = body.replace(/ /g, "").length / 2;
    const plen = n.toString(16).padStart(4, "0");
    return `${ETH} 86dd 6b012345 ${plen} ${next} 40 ${"11".repeat(16)} ${"22".repeat(16)} ${body}`;
  };
  const udp = "0007 0009 0008 0000";
  it.each([
    ["udp", v6("11", udp), "nw_proto=11 tp_dst=9 nw_frag=0 ipv6_label=12345 nw_tos=b0"],
    ["hop by hop", v6("00", `1100 000000000000 ${udp}`), "nw_proto=11 tp_dst=9 nw_frag=0"],
    ["destination options", v6("3c", `1100 000000000000 ${udp}`), "nw_proto=11 tp_dst=9 nw_frag=0"],
    ["authentication", v6("33", `1100 000000000000 ${udp}`), "nw_proto=11 tp_dst=9 nw_frag=0"],
    ["first fragment", v6("2c", `1100 0001 00000000 ${udp}`), "nw_proto=11 tp_dst=9 nw_frag=1"],
    ["atomic fragment", v6("2c", `1100 0000 00000000 ${udp}`), "nw_proto=11 tp_dst=9 nw_frag=0"],
    ["later fragment", v6("2c", `1100 0008 00000000 ${udp}`), "nw_proto=2c tp_dst=0 nw_frag=3"],
    ["extension cut", v6("00", "1101 000000000000"), "nw_proto=0 tp_dst=0 nw_frag=0"],
  ])("%s", (_name, hex, want) => {
    const names = want.split(" ").map((w) => w.split("=")[0] as keyof typeof K);
    expect(slots(hex, names)).toBe(want);
  });

  it("forgets the addresses of a solicitation that gives one twice", () => {
    const lla = "0101 0a0b0c0d0e0f";
    const ns = (opts: string) => v6("3a", `87000000 00000000 ${"33".repeat(16)} ${opts}`);
    const names = ["arp_sha", "tcp_flags"] as const;
    const sha = (hex: string) => {
      const key = keyOf(packet(hex));
      return [key[K.arp_sha.word], key[K.nd_target.word], get(key, K.tcp_flags)];
    };
    expect(names.length).toBe(2);
    expect(sha(ns(lla))).toEqual([0x0a0b, 0x33333333, 1]);
    expect(sha(ns(`${lla} ${lla}`))).toEqual([0, 0, 1]);
    expect(sha(ns(`0500 000000000000 ${lla}`))).toEqual([0, 0x33333333, 0]);
  });

  it("says why it stopped", () => {
    const key = newKey();
    expect(extract(packet(`${ETH} 0800 45`), key)).toBe(EXTRACT.IPV4_TOO_SHORT);
    expect(extract(packet(v4(tcp, 41)), key)).toBe(EXTRACT.IPV4_LEN_ERROR);
    expect(extract(packet(`${ETH} 86dd 60`), key)).toBe(EXTRACT.IPV6_TOO_SHORT);
    expect(extract(packet(v6("11", udp).slice(0, -2)), key)).toBe(EXTRACT.IPV6_LEN_ERROR);
    expect(extract(packet(v4(tcp, 40)), key)).toBe(EXTRACT.OK);
  });
});

describe("any frame", () => {
  const frame = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(
        fc.constantFrom(...ROWS),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([row, edits]) => {
        const bytes = parseHex(row.hex)?.slice() ?? new Uint8Array(0);
        for (const [at, v] of edits) {
          if (at < bytes.length) {
            bytes[at] = v;
          }
        }
        return bytes;
      }),
  );
  it("extracts without reading or pointing beyond its end", () => {
    fc.assert(
      fc.property(frame, fc.constantFrom(PT.ETH, PT.IPV4, PT.IPV6, PT.MPLS, PT.NSH), (b, pt) => {
        const p = PacketBuf.of(b, pt);
        // What lies behind the end must not matter.
        p.bytes.fill(0xa5, p.end);
        const key = newKey();
        extract(p, key);
        p.bytes.fill(0x5a, p.end);
        const again = newKey();
        extract(p, again);
        expect(again).toEqual(key);
        expect(p.l4Bytes()).toBeGreaterThanOrEqual(0);
        expect(p.l4Ofs).toBeLessThanOrEqual(p.size);
        flowHash5tuple(key, 0);
        for (const f of HASH_FIELDS) {
          flowHashFields(key, f, 0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("has the same key after connection tracking whether it is extracted or brought up to date", () => {
    const u32 = fc.nat(0xffffffff);
    const tracked = fc.record({
      ctState: fc.constantFrom(0x21, 0x22, 0x2a, 0x30),
      ctZone: fc.nat(3),
      ctMark: u32,
      ctOrigIpv6: fc.boolean(),
      ctOrigProto: fc.constantFrom(0, 6, 17, 58),
      ctOrigTpSrc: fc.nat(0xffff),
      ctOrigTpDst: fc.nat(0xffff),
      recircId: u32,
    });
    const words = fc.array(u32, { minLength: 12, maxLength: 12 });
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(goodFrame, anyFrame), tracked, words, (b, md, w) => {
        const p = PacketBuf.of(b);
        p.md.init(1);
        const before = newKey();
        extract(p, before);
        Object.assign(p.md, md);
        p.md.ctLabel.set(w.slice(0, 4));
        p.md.ctOrigAddr.set(w.slice(4));
        const key = newKey().fill(0xa5a5a5a5);
        if (extractTracked(p, before, key)) {
          taken++;
          const want = newKey();
          extract(p, want);
          expect(key).toEqual(want);
        }
      }),
      { numRuns: 500 },
    );
    expect(taken).toBeGreaterThan(50);
  });
});

// Packets: the buffer's own laws, and header edits that keep checksums right.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { flowCompose } from "../../src/flow/compose.ts";
import { extract } from "../../src/flow/extract.ts";
import { get, K, newKey } from "../../src/flow/flow-key.ts";
import { formatHex, parseHex, putU16 } from "../../src/lib/bytes.ts";
import { csum, csumContinue, csumFinish } from "../../src/lib/checksum.ts";
import * as P from "../../src/packet/index.ts";

const hex = (p: P.PacketBuf) => formatHex(p.data());
const of = (text: string) => P.PacketBuf.of(parseHex(text) ?? new Uint8Array(0));

/** The frame of a flow given as slot values, with header offsets set. */
function frame(values: Readonly<Record<string, number>>, l7 = 11): P.PacketBuf {
  const key = newKey();
  for (const [name, v] of Object.entries(values)) {
    const slot = K[name as keyof typeof K];
    key[slot.word] = (key[slot.word] as number) | (v << slot.shift);
  }
  const p = new P.PacketBuf();
  flowCompose(p, key, l7);
  extract(p, newKey());
  return p;
}

function l4CsumOk(p: P.PacketBuf): boolean {
  const v4 = (p.bytes[p.l3()] as number) >>> 4 === 4;
  const pseudo = v4 ? P.ipv4PseudoCsum(p.bytes, p.l3()) : P.ipv6PseudoCsum(p.bytes, p.l3());
  return csumFinish(csumContinue(pseudo, p.bytes, p.l4(), p.l4() + p.l4Bytes())) === 0;
}

const ipCsumOk = (p: P.PacketBuf) => csum(p.bytes, p.l3(), p.l3() + 20) === 0;

describe("the buffer", () => {
  it("push and pull are inverse, put appends, whatever the headroom", () => {
    const bytes = fc.uint8Array({ maxLength: 64 });
    fc.assert(
      fc.property(bytes, bytes, fc.nat(8), (a, b, headroom) => {
        const p = P.PacketBuf.of(a, P.PT.ETH, headroom);
        p.pushBytes(b);
        p.putBytes(a);
        expect(hex(p)).toBe(formatHex(b) + formatHex(a) + formatHex(a));
        const q = p.clone();
        p.pull(b.length);
        expect(hex(p)).toBe(formatHex(a) + formatHex(a));
        expect(hex(q)).toBe(formatHex(b) + formatHex(a) + formatHex(a));
      }),
    );
  });
  it("cuts at the next output", () => {
    const p = of("010203040506");
    p.setCut(4);
    expect([p.size, p.sendBytes()]).toEqual([6, 4]);
    p.applyCut();
    expect(hex(p)).toBe("01020304");
    p.setCut(10);
    expect(p.cutBytes).toBe(0);
  });
});

describe("VLAN and MPLS", () => {
  const base = { dl_type: 0x800, nw_proto: 17, dl_src: 1, nw_ttl: 9 };
  it("pushes and pops VLAN headers", () => {
    const p = frame(base);
    const before = hex(p);
    P.ethPushVlan(p, 0x88a8, 0x3005);
    expect(hex(p).slice(24, 36)).toBe("88a820050800");
    expect(p.l3Ofs).toBe(18);
    P.ethPopVlan(p);
    expect([hex(p), p.l3Ofs]).toEqual([before, 14]);
    P.ethPopVlan(p);
    expect(hex(p)).toBe(before);
  });
  it("pushes and pops labels behind VLAN headers", () => {
    const p = frame(base);
    P.ethPushVlan(p, 0x8100, 5);
    const before = hex(p);
    P.pushMpls(p, 0x8847, P.mplsLse(100, 1, 1, 64));
    P.pushMpls(p, 0x8847, P.mplsLse(200, 0, 0, 63));
    expect(hex(p).slice(24, 52)).toBe("8100000588470 00c803f00064340".replace(" ", ""));
    expect([p.l25Ofs, p.l3Ofs]).toEqual([18, 26]);
    P.popMpls(p, 0x8847);
    P.setMplsLse(p, P.mplsLse(100, 1, 1, 64));
    P.popMpls(p, 0x800);
    expect([hex(p), p.l25Ofs, p.l3Ofs]).toEqual([before, P.NO_OFS, 18]);
  });
  it("wraps a whole frame in a label and takes it out again", () => {
    const p = frame(base);
    const before = hex(p);
    P.addMpls(p, 0x8847, P.mplsLse(7, 0, 1, 1), false);
    expect(p.packetType).toBe(P.PT.MPLS);
    P.popMpls(p, P.ETH_TYPE.TEB);
    expect([hex(p), p.packetType]).toEqual([before, P.PT.ETH]);
  });
  it("takes the Ethernet header off and puts one on", () => {
    const p = frame(base);
    const before = hex(p);
    P.popEth(p);
    expect([p.packetType, p.l3Ofs]).toEqual([P.PT.IPV4, 0]);
    P.pushEth(p, { dstHi: 0, dstLo: 0, srcHi: 1, srcLo: 0 });
    expect(hex(p)).toBe(before);
  });
});

describe("NSH", () => {
  it("pushes and pops, and refuses what it does not know", () => {
    const p = of("45000014");
    p.packetType = P.PT.IPV4;
    const header = new Uint8Array(24);
    putU16(header, 0, P.nshFirstWord(0, 63, 24));
    header[2] = 1;
    expect(P.pushNsh(p, header)).toBe(true);
    expect([p.packetType, p.bytes[p.start + 3]]).toEqual([P.PT.NSH, P.NSH_P.IPV4]);
    P.setNsh(
      p,
      { flags: 0, ttl: 5, pathHdr: 0x107, context: [0, 0, 9, 0] },
      { flags: 0, ttl: 63, pathHdr: 0xffffffff, context: [0, 0, 0xffffffff, 0] },
    );
    expect(hex(p).slice(0, 16)).toBe("0146010100000107");
    expect(P.popNsh(p)).toBe(true);
    expect([hex(p), p.packetType]).toEqual(["45000014", P.PT.IPV4]);
    p.packetType = P.PT.UNKNOWN;
    expect(P.pushNsh(p, header)).toBe(false);
  });
});

describe("setting fields keeps checksums", () => {
  const u16 = fc.nat(0xffff);
  const u32 = fc.nat(0xffffffff);
  it("IPv4 with TCP and UDP", () => {
    fc.assert(
      fc.property(u32, u32, fc.nat(255), fc.nat(255), u16, u16, fc.constantFrom(6, 17), (...a) => {
        const [src, dst, tos, ttl, sport, dport, proto] = a;
        const p = frame({ dl_type: 0x800, nw_proto: proto, nw_src: 7, nw_ttl: 1, tp_src: 3 });
        P.setIpv4(p, { src, dst, tos, ttl });
        (proto === 6 ? P.setTcpPorts : P.setUdpPorts)(p, sport, dport);
        expect([ipCsumOk(p), l4CsumOk(p)]).toEqual([true, true]);
        const key = newKey();
        extract(p, key);
        expect([get(key, K.nw_src) >>> 0, get(key, K.nw_dst) >>> 0, get(key, K.tp_dst)]).toEqual([
          src,
          dst,
          dport,
        ]);
      }),
    );
  });
  it("IPv6 with TCP, UDP and ICMPv6", () => {
    const addrs = fc.array(u32, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(addrs, fc.nat(255), fc.nat(0xfffff), fc.constantFrom(6, 17, 58), (...a) => {
        const [words, tc, label, proto] = a;
        const p = frame({ dl_type: 0x86dd, nw_proto: proto, tp_src: 128 });
        P.setIpv6(p, { addrs: words, tc, label, hlim: 3 });
        expect(l4CsumOk(p)).toBe(true);
        const key = newKey();
        extract(p, key);
        expect([...key.slice(K.ipv6_src.word, K.ipv6_src.word + 4)]).toEqual(words.slice(0, 4));
        expect([get(key, K.nw_tos), get(key, K.ipv6_label)]).toEqual([tc, label]);
      }),
    );
  });
  it("an unsummed UDP packet stays unsummed", () => {
    const p = frame({ dl_type: 0x800, nw_proto: 17 });
    putU16(p.bytes, p.l4() + P.UDP.CSUM, 0);
    P.setUdpPorts(p, 1, 2);
    P.setIpv4(p, { src: 1, dst: 2, tos: 0, ttl: 0 });
    expect(hex(p).slice(80, 84)).toBe("0000");
  });
  it("SCTP keeps a wrong checksum wrong by the same difference", () => {
    const p = frame({ dl_type: 0x800, nw_proto: 132, tp_src: 5 });
    const before = hex(p);
    P.setSctpPorts(p, 9, 10);
    expect(hex(p)).not.toBe(before);
    P.setSctpPorts(p, 5, 0);
    expect(hex(p)).toBe(before);
  });
  it("ICMP types, ND targets and addresses, congestion marks", () => {
    const p = frame({ dl_type: 0x800, nw_proto: 1, tp_src: 8 });
    P.setIcmp(p, 0, 0);
    P.setEcnCe(p, false);
    expect([csum(p.bytes, p.l4(), p.end), ipCsumOk(p)]).toEqual([0, true]);
    const nd = frame({ dl_type: 0x86dd, nw_proto: 58, tp_src: 135, arp_sha: 3 }, 0);
    P.setNd(nd, { target: [1, 2, 3, 4], sllHi: 5, sllLo: 6, tllHi: 0, tllLo: 0 });
    expect(l4CsumOk(nd)).toBe(true);
    P.setNdExt(nd, 0x80000000, 2);
    expect(l4CsumOk(nd)).toBe(true);
    const key = newKey();
    extract(nd, key);
    expect([key[K.nd_target.word + 3], key[K.igmp_group_ip4.word], get(key, K.tcp_flags)]).toEqual([
      4, 0x80000000, 2,
    ]);
  });
});

describe("composed messages", () => {
  it("neighbour discovery as RFC 4861 has it", () => {
    const p = new P.PacketBuf();
    P.composeNdNs(p, [0x0a00, 1], [0xfe800000, 0, 0, 1], [0xfe800000, 0, 0, 0x12345678]);
    expect(hex(p).slice(0, 28)).toBe("3333ff3456780a000000000186dd");
    expect(l4CsumOk(p)).toBe(true);
    const eth = { dstHi: 1, dstLo: 2, srcHi: 3, srcLo: 4 };
    P.composeNdNa(p, eth, [1, 2, 3, 4], [5, 6, 7, 8], 0x60000000);
    expect(l4CsumOk(p)).toBe(true);
  });
  it("ARP and reverse ARP", () => {
    const p = new P.PacketBuf();
    P.composeRarp(p, 0x5054, 0x00000001);
    expect(hex(p)).toBe(
      "ffffffffffff5054000000018035000108000604000350540000000100000000" + "50540000000100000000",
    );
  });
});

// Conntrack: equals a naive list of connections; translations undo each other; fragments in any
// order equal the whole packet; dumps read back; nothing throws.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Conntrack } from "../../src/datapath/conntrack.ts";
import { parseConn } from "../../src/datapath/ct-dump.ts";
import { isFtpAnnouncement, parseFtp } from "../../src/datapath/ct-ftp.ts";
import type { CtAction } from "../../src/datapath/ct-provider.ts";
import { formatConn } from "../../src/datapath/ct-text.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { PacketBatch } from "../../src/datapath/packet-batch.ts";
import { extract } from "../../src/flow/extract.ts";
import { CT_STATE_NAMES, formatFlags } from "../../src/flow/flag-text.ts";
import { flowCompose } from "../../src/flow/compose.ts";
import { get, K, newKey, set } from "../../src/flow/flow-key.ts";
import { formatIpv4 } from "../../src/lib/address.ts";
import { formatHex, putU16 } from "../../src/lib/bytes.ts";
import { csum, csumContinue, csumFinish } from "../../src/lib/checksum.ts";
import { SeededRng } from "../../src/lib/env.ts";
import { ipv4PseudoCsum } from "../../src/packet/ip.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { anyFrame, keyWith, packetOf } from "../arbitraries/frames.ts";

const UDP = 17;
const TCP = 6;
const ICMP = 1;

function tracker(): Conntrack {
  return new Conntrack({ rng: new SeededRng(7), policies: () => undefined, warn: () => {} });
}

function ctAction(text: string): CtAction {
  const action = parseOdpActions(text, null)?.[0];
  if (action?.kind !== "ct") {
    throw new Error(`no ct action: ${text}`);
  }
  return action;
}

interface End {
  readonly ip: number;
  readonly port: number;
}

/** A packet of a protocol; `extra` sets more slots, such as tcp_flags. */
function packet(
  proto: number,
  src: End,
  dst: End,
  extra: Readonly<Record<string, number>> = {},
  l7 = 8,
): PacketBuf {
  const key = keyWith({
    dl_type: 0x0800,
    nw_proto: proto,
    nw_ttl: 64,
    nw_src: src.ip,
    nw_dst: dst.ip,
    tp_src: src.port,
    tp_dst: dst.port,
    ...extra,
  });
  const p = new PacketBuf();
  flowCompose(p, key, l7);
  return packetOf(p.data().slice());
}

/** Sends packets through `ct(...)`; gives those that come out. */
function track(ct: Conntrack, packets: PacketBuf[], action: string, nowMs: number): PacketBuf[] {
  const batch = new PacketBatch();
  batch.packets.push(...packets);
  const key = newKey();
  extract(packets[0] ?? new PacketBuf(), key);
  set(key, K.tp_src, 0);
  set(key, K.tp_dst, 0);
  ct.execute(batch, ctAction(action), key, nowMs);
  return batch.packets;
}

function stateOf(p: PacketBuf): string {
  return formatFlags(CT_STATE_NAMES, p.md.ctState);
}

function ends(p: PacketBuf): string {
  const key = newKey();
  extract(p, key);
  const ip = (v: number) => formatIpv4(v >>> 0);
  const [src, dst] = [get(key, K.nw_src), get(key, K.nw_dst)].map(ip);
  return `${src}:${get(key, K.tp_src)}>${dst}:${get(key, K.tp_dst)}`;
}

/** Checksums of IPv4 and of what it carries are right. */
function sumsAreRight(p: PacketBuf): boolean {
  const b = p.bytes;
  const [l3, l4] = [p.l3(), p.l4()];
  const end = p.end - p.l2PadBytes;
  return csum(b, l3, l4) === 0 && csumFinish(csumContinue(ipv4PseudoCsum(b, l3), b, l4, end)) === 0;
}

const [A, B, N] = [0x0a010101, 0x0a010102, 0x0a090909];

describe("states", () => {
  // Each line: flags of TCP, direction, and the state that the packet gets.
  const STORIES: Readonly<Record<string, string>> = {
    handshake: "S> new|trk, SA< est|rpl|trk, A> est|trk, PA< est|rpl|trk",
    "picked up in the middle": "A> new|trk, A< est|rpl|trk, PA> est|trk",
    "an answer without a question": "SA> inv|trk",
    "no flags": "-> inv|trk",
    "reset and begun again": "S> new|trk, RA< est|rpl|trk, S> new|trk",
  };
  const BITS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16, "-": 0 };
  for (const [name, story] of Object.entries(STORIES)) {
    it(`TCP: ${name}`, () => {
      const ct = tracker();
      const said = story.split(", ").map((line) => {
        const [, letters = "", dir] = /^([A-Z-]+)([<>])/.exec(line) ?? [];
        const flags = [...letters].reduce((f, c) => f | (BITS[c] ?? 0), 0);
        const [a, b] = [
          { ip: A, port: 1000 },
          { ip: B, port: 80 },
        ];
        const p = dir === ">" ? packet(TCP, a, b, { tcp_flags: flags }, 0) : null;
        const q = p ?? packet(TCP, b, a, { tcp_flags: flags }, 0);
        track(ct, [q], "ct(commit,zone=1)", 0);
        return `${letters}${dir} ${stateOf(q)}`;
      });
      expect(said.join(", ")).toBe(story);
    });
  }

  it("an ICMP error is related to what it quotes", () => {
    const ct = tracker();
    const query = packet(UDP, { ip: A, port: 5 }, { ip: B, port: 6 });
    track(ct, [query], "ct(commit)", 0);
    const quoted = query.data().slice(query.l3Ofs, query.l3Ofs + 28);
    const error = packet(ICMP, { ip: B, port: 3 }, { ip: A, port: 3 }, {}, 0);
    const at = error.l4() + 8;
    const more = at + quoted.length - error.end;
    if (more > 0) {
      error.put(more);
    }
    error.bytes.set(quoted, at);
    const ip = error.l3();
    putU16(error.bytes, ip + 2, 20 + 8 + quoted.length);
    putU16(error.bytes, ip + 10, 0);
    putU16(error.bytes, ip + 10, csum(error.bytes, ip, ip + 20));
    const l4 = error.l4();
    putU16(error.bytes, l4 + 2, 0);
    putU16(error.bytes, l4 + 2, csum(error.bytes, l4, at + quoted.length));
    const whole = packetOf(error.data().slice());
    track(ct, [whole], "ct()", 0);
    expect(stateOf(whole)).toBe("rel|rpl|trk");
  });
});

/** What a naive list remembers of a UDP connection. */
interface NaiveConn {
  readonly zone: number;
  readonly from: string;
  readonly to: string;
  state: 0 | 1 | 2;
  expiresMs: number;
}

type Op =
  | { op: "send"; from: number; to: number; zone: number; commit: boolean; force: boolean }
  | { op: "wait"; ms: number }
  | { op: "flush"; zone: number };

class NaiveTracker {
  private conns: NaiveConn[] = [];

  send(from: string, to: string, op: Op & { op: "send" }, nowMs: number): string {
    this.conns = this.conns.filter((c) => nowMs < c.expiresMs);
    const of = (c: NaiveConn, a: string, b: string) => c.from === a && c.to === b;
    let conn = this.conns.find((c) => c.zone === op.zone && (of(c, from, to) || of(c, to, from)));
    const reply = conn !== undefined && !of(conn, from, to);
    if (conn !== undefined && reply && op.force) {
      this.conns = this.conns.filter((c) => c !== conn);
      conn = undefined;
    }
    if (conn === undefined) {
      if (op.commit) {
        this.conns.push({ zone: op.zone, from, to, state: 0, expiresMs: nowMs + 60000 });
      }
      return "new|trk";
    }
    conn.state = reply ? 2 : conn.state === 0 ? 1 : conn.state;
    conn.expiresMs = nowMs + (conn.state === 2 ? 30000 : 60000);
    return conn.state !== 2 ? "new|trk" : reply ? "est|rpl|trk" : "est|trk";
  }

  flush(zone: number): void {
    this.conns = this.conns.filter((c) => c.zone !== zone);
  }

  count(nowMs: number): number {
    return this.conns.filter((c) => nowMs < c.expiresMs).length;
  }
}

const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constant("send" as const),
        from: fc.nat(3),
        to: fc.nat(3),
        zone: fc.nat(1),
        commit: fc.boolean(),
        force: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constant("wait" as const),
        ms: fc.constantFrom(1000, 29999, 30000, 60000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ op: fc.constant("flush" as const), zone: fc.nat(1) }),
    },
  ),
  { maxLength: 40 },
);

describe("laws", () => {
  it("equals a naive list of connections", () => {
    fc.assert(
      fc.property(ops, (list) => {
        const ct = tracker();
        const naive = new NaiveTracker();
        let nowMs = 0;
        for (const op of list) {
          if (op.op === "wait") {
            nowMs += op.ms;
            ct.run(nowMs, true);
          } else if (op.op === "flush") {
            ct.flush(op.zone);
            naive.flush(op.zone);
          } else if (op.from !== op.to) {
            const p = packet(
              UDP,
              { ip: A + op.from, port: 10 + op.from },
              { ip: A + op.to, port: 10 + op.to },
            );
            const how = op.force ? "force_commit," : op.commit ? "commit," : "";
            track(ct, [p], `ct(${how}zone=${op.zone})`, nowMs);
            const commit = op.commit || op.force;
            const expected = naive.send(`${op.from}`, `${op.to}`, { ...op, commit }, nowMs);
            expect(stateOf(p)).toBe(expected);
          }
          expect([...ct.list(null, nowMs)].length).toBe(naive.count(nowMs));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("a translation and its reply undo each other, with right checksums", () => {
    const nat = fc.constantFrom(
      `src=${formatIpv4(N)}`,
      `src=${formatIpv4(N)}:7000-7003`,
      `dst=${formatIpv4(N)}`,
      `dst=${formatIpv4(N)}:8080`,
      "src",
      "dst",
    );
    const protos = fc.constantFrom(TCP, UDP);
    const port = fc.integer({ min: 1, max: 65535 });
    fc.assert(
      fc.property(protos, nat, port, port, fc.nat(40), (proto, how, sport, dport, l7) => {
        const ct = tracker();
        const [a, b] = [
          { ip: A, port: sport },
          { ip: B, port: dport },
        ];
        const flags = proto === TCP ? { tcp_flags: 2 } : {};
        const first = packet(proto, a, b, flags, l7);
        const before = ends(first);
        track(ct, [first], `ct(commit,nat(${how}))`, 0);
        expect(sumsAreRight(first)).toBe(true);
        const [from = "", to = ""] = ends(first).split(">");
        const end = (text: string): End => {
          const [ip = "", p = ""] = text.split(":");
          const bytes = ip.split(".").map(Number);
          return { ip: bytes.reduce((v, x) => v * 256 + x, 0), port: Number(p) };
        };
        const back = packet(proto, end(to), end(from), proto === TCP ? { tcp_flags: 18 } : {});
        track(ct, [back], "ct(nat)", 0);
        expect(stateOf(back)).toMatch(/^est\|rpl\|trk/);
        expect(ends(back)).toBe(before.split(">").reverse().join(">"));
        expect(sumsAreRight(back)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it("fragments in any order get what the whole packet gets", () => {
    const order = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });
    fc.assert(
      fc.property(order, (indexes) => {
        const ct = tracker();
        const whole = packet(UDP, { ip: A, port: 5 }, { ip: B, port: 6 }, {}, 2900);
        const parts = indexes.map((i) => fragment(whole, i, 1200));
        const out = parts.flatMap((p) => track(ct, [p], "ct(commit,zone=3)", 0));
        expect(out.map((p) => formatHex(p.data()))).toEqual(
          [0, 1, 2].map((i) => formatHex(fragment(whole, i, 1200).data())),
        );
        expect(new Set(out.map(stateOf))).toEqual(new Set(["new|trk"]));
        expect(ct.ipf.nFrags).toBe(0);
        expect(ct.count).toBe(1);
      }),
    );
  });

  it("takes any frame", () => {
    const how = fc.constantFrom(
      "ct()",
      "ct(commit,helper=ftp)",
      "ct(commit,nat(src=10.9.9.9))",
      "ct(force_commit,helper=tftp,nat(dst=10.9.9.9:80))",
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(anyFrame, how), { maxLength: 8 }), (list) => {
        const ct = tracker();
        for (const [i, [frame, action]] of list.entries()) {
          track(ct, [packetOf(frame)], action, i);
        }
        ct.flush(null);
        expect(ct.count).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

/** The fragment of a packet with `bytes` of payload each. */
function fragment(whole: PacketBuf, index: number, bytes: number): PacketBuf {
  const p = whole.clone();
  const l3 = p.l3();
  const from = p.l4() + index * bytes;
  const part = p.bytes.slice(from, Math.min(from + bytes, p.end));
  const last = from + bytes >= p.end;
  p.bytes.set(part, p.l4());
  p.end = p.l4() + part.length;
  putU16(p.bytes, l3 + 2, 20 + part.length);
  putU16(p.bytes, l3 + 6, (last ? 0 : 0x2000) | ((index * bytes) / 8));
  putU16(p.bytes, l3 + 10, 0);
  putU16(p.bytes, l3 + 10, csum(p.bytes, l3, l3 + 20));
  return packetOf(p.data().slice());
}

describe("dumps", () => {
  const LINES = [
    "tcp,orig=(src=10.1.1.1,dst=10.1.1.2,sport=1,dport=2),reply=(src=10.1.1.2,dst=10.9.9.9,sport=2,dport=7)",
    "udp,orig=(src=::1,dst=fe80::2,sport=1,dport=2),reply=(src=fe80::2,dst=::1,sport=2,dport=1),zone=5,mark=7",
    "icmp,orig=(src=1.1.1.1,dst=1.1.1.2,id=9,type=8,code=0),reply=(src=1.1.1.2,dst=1.1.1.1,id=9,type=0,code=0)",
    "132,orig=(src=1.1.1.1,dst=1.1.1.2,sport=0,dport=0),reply=(src=1.1.1.2,dst=1.1.1.1,sport=0,dport=0),labels=0x1200",
  ];
  const options = { verbose: false, stats: false, nowMs: 0 };
  for (const line of LINES) {
    it(`reads back: ${line.slice(0, 60)}`, () => {
      const full = line.startsWith("tcp") ? `${line},protoinfo=(state=ESTABLISHED)` : line;
      const read = parseConn(full.replace(/^132/, "sctp"), 0);
      expect(read.ok && formatConn(read.value, options).replace(/^sctp/, "132")).toBe(full);
    });
  }

  it("a kernel's line, with what this switch does not have", () => {
    const line =
      "tcp,orig=(src=1.1.1.1,dst=1.1.1.2,sport=1,dport=2,packets=3,bytes=4),reply=(src=1.1.1.2," +
      "dst=1.1.1.1,sport=2,dport=1),start=2020-01-01T00:00:00.000,id=77,zone=9,status=SEEN_REPLY|" +
      "CONFIRMED,timeout=100,protoinfo=(state_orig=ESTABLISHED,state_reply=TIME_WAIT,wscale_orig=7)";
    const read = parseConn(line, 0);
    expect(read.ok && formatConn(read.value, { ...options, stats: true })).toBe(
      "tcp,orig=(src=1.1.1.1,dst=1.1.1.2,sport=1,dport=2),reply=(src=1.1.1.2,dst=1.1.1.1,sport=2," +
        "dport=1),zone=9,timeout=100,protoinfo=(state=TIME_WAIT)",
    );
  });

  it("never throws", () => {
    const damaged = fc
      .tuple(fc.constantFrom(...LINES), fc.nat(120), fc.string({ maxLength: 5 }))
      .map(([line, at, s]) => line.slice(0, at) + s + line.slice(at + 2));
    fc.assert(
      fc.property(fc.oneof(damaged, fc.string()), (text) => {
        const read = parseConn(text, 0);
        expect(read.ok || read.error.message.length > 0).toBe(true);
      }),
    );
  });
});

describe("FTP", () => {
  const TEXTS: Readonly<Record<string, string>> = {
    "PORT 10,1,1,1,195,81\r": "10.1.1.1 50001 at 5+8",
    "port 10,1,1,1,1,2": "10.1.1.1 258 at 5+8",
    "227 Entering Passive Mode (10,1,1,2,0,21).\r": "10.1.1.2 21 at 27+8",
    "PORT 10,1,1,1,256,1": "bad",
    "PORT 10,1,1,1,1": "bad",
    "PORT 10.1.1.1": "bad",
    "USER x": "other",
  };
  for (const [text, expected] of Object.entries(TEXTS)) {
    it(`IPv4: ${text.trim()}`, () => {
      const a = parseFtp(text, false);
      const place = a === null ? "" : `at ${a.at}+${a.length}`;
      const said = a === null ? "bad" : `${formatIpv4(a.addr?.[0] ?? 0)} ${a.port} ${place}`;
      expect(isFtpAnnouncement(text, false) ? said : "other").toBe(expected);
    });
  }

  const TEXTS6: Readonly<Record<string, string>> = {
    "EPRT |2|fd00::1|50001|\r": "50001 at 8+7",
    "EPRT |1|fd00::1|50001|": "bad",
    "229 Extended Passive Mode Entered (|||5000|)": "5000 at 0+0",
    "229 Extended Passive Mode Entered (|||70000|)": "bad",
    EPSV: "other",
  };
  for (const [text, expected] of Object.entries(TEXTS6)) {
    it(`IPv6: ${text.trim()}`, () => {
      const a = parseFtp(text, true);
      const said = a === null ? "bad" : `${a.port} at ${a.at}+${a.length}`;
      expect(isFtpAnnouncement(text, true) ? said : "other").toBe(expected);
    });
  }
});

// Datapath actions on bytes: checksums stay right, pairs of actions undo each other, nothing throws.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ExecuteEnv, executeActions } from "../../src/datapath/execute.ts";
import { DP_COUNTERS, DP_LOSSES } from "../../src/datapath/dp-counters.ts";
import type { OdpAction } from "../../src/datapath/odp-action.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { PacketBatch } from "../../src/datapath/packet-batch.ts";
import { extract } from "../../src/flow/extract.ts";
import { get, K, newKey } from "../../src/flow/flow-key.ts";
import { formatHex, parseHex } from "../../src/lib/bytes.ts";
import { csum, csumContinue, csumFinish } from "../../src/lib/checksum.ts";
import { Counters } from "../../src/lib/counters.ts";
import { SeededRng } from "../../src/lib/env.ts";
import { ipv4PseudoCsum, ipv6PseudoCsum } from "../../src/packet/ip.ts";
import { NO_OFS, PacketBuf } from "../../src/packet/packet.ts";
import { anyFrame, goodFrame, packetOf } from "../arbitraries/frames.ts";

/** Notes what leaves: "port:hex". */
class Recorder implements ExecuteEnv {
  readonly counters = new Counters(DP_COUNTERS);
  readonly losses = new Counters(DP_LOSSES);
  readonly rng = new SeededRng(1);
  readonly out: string[] = [];

  output(batch: PacketBatch, port: number): void {
    for (const p of batch.packets) {
      this.out.push(`${port}:${formatHex(p.data().subarray(0, p.sendBytes()))}`);
    }
  }
  lbOutput(): void {}
  tunnelPush(): void {}
  tunnelPop(): void {}
  recirculate(): void {}
  userspace(batch: PacketBatch): void {
    this.output(batch, -1);
  }
  conntrack(): void {}
  ctClear(): void {}
  meter(): void {}
}

/** Actions that have no text which could be read back. */
const UNREADABLE: Readonly<Record<string, OdpAction>> = {
  push_mpls: { kind: "push_mpls", lse: 0x00010340, ethType: 0x8847 },
  pop_mpls: { kind: "pop_mpls", ethType: 0x0800 },
  add_mpls: { kind: "add_mpls", lse: 0x00010340, ethType: 0x8847, tunFlags: 0 },
  push_eth: {
    kind: "push_eth",
    src: Uint32Array.of(0x0200, 1),
    dst: Uint32Array.of(0x0200, 2),
  },
  pop_eth: { kind: "pop_eth" },
  pop_nsh: { kind: "pop_nsh" },
  hash: { kind: "hash", alg: "l4", basis: 0 },
};

function actions(texts: readonly string[]): OdpAction[] {
  return texts.flatMap((text) => {
    const list = text in UNREADABLE ? [UNREADABLE[text] as OdpAction] : parseOdpActions(text, null);
    if (list === null) {
      throw new Error(`bad actions ${text}`);
    }
    return list;
  });
}

function run(p: PacketBuf, ...texts: readonly string[]): string[] {
  const env = new Recorder();
  executeActions(env, PacketBatch.of(p), false, actions(texts), newKey());
  return env.out;
}

/** Null if right or if there is nothing to check. */
function wrongChecksum(p: PacketBuf): string | null {
  const key = newKey();
  extract(p, key, 2);
  const v4 = get(key, K.dl_type) === 0x0800;
  if (p.l3Ofs === NO_OFS || (!v4 && get(key, K.dl_type) !== 0x86dd)) {
    return null;
  }
  if (v4 && csum(p.bytes, p.l3(), p.l3() + 20) !== 0) {
    return "ip";
  }
  const proto = get(key, K.nw_proto);
  if (p.l4Ofs === NO_OFS || get(key, K.nw_frag) !== 0 || (proto !== 6 && proto !== 17)) {
    return null;
  }
  const at = p.l4() + (proto === 6 ? 16 : 6);
  const pseudo = v4 ? ipv4PseudoCsum(p.bytes, p.l3()) : ipv6PseudoCsum(p.bytes, p.l3());
  const sum = csumFinish(csumContinue(pseudo, p.bytes, p.l4(), p.l4() + p.l4Bytes()));
  const absent = proto === 17 && p.bytes[at] === 0 && p.bytes[at + 1] === 0;
  return sum === 0 || absent ? null : `l4 ${proto}`;
}

/** Whether a translation would give the packet such an action. */
function fits(p: PacketBuf, edit: string): boolean {
  const key = newKey();
  extract(p, key, 2);
  const proto = get(key, K.nw_frag) === 3 ? 0 : get(key, K.nw_proto);
  const what = /^set\((\w+)/.exec(edit)?.[1] ?? "";
  const wanted: Readonly<Record<string, boolean>> = {
    ipv4: get(key, K.dl_type) === 0x0800,
    ipv6: get(key, K.dl_type) === 0x86dd,
    tcp: proto === 6,
    udp: proto === 17,
    sctp: proto === 132,
  };
  return wanted[what] ?? true;
}

const n = (max: number) => fc.nat(max).map(String);
const EDITS = fc.oneof(
  n(255).map((v) => `set(eth(src=02:00:00:00:00:${Number(v).toString(16).padStart(2, "0")}))`),
  fc.tuple(n(255), n(255)).map(([a, b]) => `set(ipv4(src=10.${a}.0.${b}/255.255.0.255))`),
  n(255).map((a) => `set(ipv4(dst=10.9.8.${a},tos=0x${(Number(a) & 0xfc).toString(16)}/0xfc))`),
  n(255).map((t) => `set(ipv4(ttl=${t}))`),
  n(255).map((a) => `set(ipv6(src=fe80::${a},hlimit=${a}))`),
  n(255).map((a) => `set(ipv6(dst=2001:db8::${a}/ffff::ff,tclass=0x${Number(a).toString(16)}))`),
  n(0xfffff).map((l) => `set(ipv6(label=0x${Number(l).toString(16)}))`),
  fc.tuple(n(65535), n(65535)).map(([a, b]) => `set(tcp(src=${a},dst=${b}))`),
  fc.tuple(n(65535), n(65535)).map(([a, b]) => `set(udp(src=${a}/0xff0f,dst=${b}))`),
  n(65535).map((a) => `set(sctp(src=${a}))`),
  n(4095).map((v) => `push_vlan(vid=${v},pcp=3)`),
  fc.constant("pop_vlan"),
);
const PUSH_NSH =
  "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x123,si=255,c1=0x1,c2=0x2,c3=0x3,c4=0x4)";
const STRUCTURE = fc.constantFrom(
  ...Object.keys(UNREADABLE),
  PUSH_NSH,
  "trunc(60)",
  "set(mpls(label=7,tc=0,ttl=3,bos=1))",
  "set(arp(sip=1.2.3.4,tip=5.6.7.8,op=2,sha=02:00:00:00:00:01,tha=02:00:00:00:00:02))",
  "set(icmpv6(type=135))",
  "set(nd(target=fe80::1,sll=02:00:00:00:00:01))",
  "set(tunnel(tun_id=0x1,src=1.1.1.1,dst=2.2.2.2,ttl=64))",
  "set(skb_mark(0x5))",
  "clone(pop_vlan,1)",
  "sample(sample=50%,actions(2))",
  "check_pkt_len(size=90,gt(3),le(pop_vlan,4))",
);

describe("execute", () => {
  it("keeps checksums right, whatever is set", () => {
    fc.assert(
      fc.property(goodFrame, fc.array(EDITS, { minLength: 1, maxLength: 6 }), (frame, edits) => {
        const p = packetOf(frame);
        expect(wrongChecksum(p)).toBeNull();
        for (const edit of edits.filter((e) => fits(p, e))) {
          run(p, edit);
        }
        expect(wrongChecksum(p)).toBeNull();
      }),
      { numRuns: 600 },
    );
  });

  it("never throws and never grows without end, whatever comes", () => {
    const any = fc.array(fc.oneof(EDITS, STRUCTURE), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(anyFrame, any, (frame, list) => {
        const p = packetOf(frame);
        run(p, ...list);
        expect(p.size).toBeLessThanOrEqual(frame.length + 8 * 32);
        extract(p, newKey(), 2);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ["push_vlan(vid=5,pcp=1)", "pop_vlan"],
    [PUSH_NSH, "pop_nsh"],
  ])("%s is undone by %s", (there, back) => {
    fc.assert(
      fc.property(goodFrame, (frame) => {
        const p = packetOf(frame);
        run(p, there);
        expect(formatHex(p.data())).not.toBe(formatHex(frame));
        run(p, back);
        expect(formatHex(p.data())).toBe(formatHex(frame));
      }),
    );
  });

  it("puts labels on and takes them off", () => {
    fc.assert(
      fc.property(goodFrame, (frame) => {
        const p = packetOf(frame);
        const key = newKey();
        extract(p, key);
        if (get(key, K.dl_type) !== 0x0800 || get(key, K.vlan_tci) !== 0) {
          return;
        }
        run(p, "push_mpls");
        expect(p.size).toBe(frame.length + 4);
        run(p, "pop_mpls");
        expect(formatHex(p.data())).toBe(formatHex(frame));
      }),
    );
  });
});

describe("control of actions", () => {
  const FRAME = `50540000000250540000000188cc${"00".repeat(46)}`;
  const of = () => packetOf(parseHex(FRAME) ?? new Uint8Array(0));
  const cut = (bytes: number) => FRAME.slice(0, 2 * bytes);

  it("cuts the next output only", () => {
    expect(run(of(), "trunc(20),1,2")).toEqual([`1:${cut(20)}`, `2:${FRAME}`]);
    expect(run(of(), "trunc(20),userspace(pid=0),2")).toEqual([`-1:${cut(20)}`, `2:${FRAME}`]);
  });
  it("keeps what a clone does to itself", () => {
    expect(run(of(), "clone(push_vlan(vid=1,pcp=0),1),2")).toEqual([
      `1:${FRAME.slice(0, 24)}81000001${FRAME.slice(24)}`,
      `2:${FRAME}`,
    ]);
  });
  it("branches on the length", () => {
    expect(run(of(), "check_pkt_len(size=59,gt(1),le(2)),3")).toEqual([`1:${FRAME}`, `3:${FRAME}`]);
    expect(run(of(), "check_pkt_len(size=60,gt(1),le(2))")).toEqual([`2:${FRAME}`]);
  });
  it("samples always or never", () => {
    expect(run(of(), "sample(sample=100%,actions(1)),2")).toHaveLength(2);
    expect(run(of(), "sample(sample=0%,actions(1)),2")).toHaveLength(1);
  });
  it("counts what it drops", () => {
    const env = new Recorder();
    executeActions(env, PacketBatch.of(of()), true, [{ kind: "drop", error: 0 }], newKey());
    expect(env.counters.get("drop_action_of_pipeline")).toBe(1);
    expect(env.out).toEqual([]);
  });
  it("does not follow nested actions for ever", () => {
    let list: OdpAction[] = [{ kind: "output", port: 1 }];
    for (let i = 0; i < 100; i++) {
      list = [{ kind: "clone", actions: list }];
    }
    const env = new Recorder();
    executeActions(env, PacketBatch.of(of()), true, list, newKey());
    expect(env.out).toEqual([]);
  });
});

it("a packet that is changed after a copy was made leaves the copy alone", () => {
  fc.assert(
    fc.property(goodFrame, EDITS, (frame, edit) => {
      const p = packetOf(frame);
      const q = p.clone();
      run(p, edit);
      expect(formatHex(q.data())).toBe(formatHex(frame));
      expect(PacketBuf.of(frame).size).toBe(q.size);
    }),
  );
});

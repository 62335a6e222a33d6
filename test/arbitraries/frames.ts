// Arbitrary frames: well-formed ones of every protocol that the switch parses, damaged ones, noise.

import fc from "fast-check";
import { flowCompose } from "../../src/flow/compose.ts";
import { extract } from "../../src/flow/extract.ts";
import { type FlowKey, K, newKey } from "../../src/flow/flow-key.ts";
import { PacketBuf } from "../../src/packet/packet.ts";

type Values = Readonly<Record<string, number>>;

const MACS: readonly (readonly number[])[] = [
  [0x5054, 1],
  [0x5054, 2],
  [0xffff, 0xffffffff],
  [0x0100, 0x5e000005],
];

/** A key with the given slots (of up to 32 bits) set. */
export function keyWith(values: Values): FlowKey {
  const key = newKey();
  for (const [name, v] of Object.entries(values)) {
    const slot = K[name as keyof typeof K];
    key[slot.word] = ((key[slot.word] as number) | (v << slot.shift)) >>> 0;
  }
  return key;
}

const mac = fc.constantFrom(...MACS);
const vlan = fc.constantFrom<Values>(
  {},
  {},
  { vlan_tpid: 0x8100, vlan_tci: 0x1000 | 7 },
  { vlan_tpid: 0x88a8, vlan_tci: 0x1000 | 9, vlan_tpid1: 0x8100, vlan_tci1: 0x3000 | 5 },
);
const port = fc.constantFrom(1, 80, 443, 4789, 65535);
const l4 = fc.tuple(fc.constantFrom(6, 17, 132), port, port).map(
  ([nw_proto, tp_src, tp_dst]): Values => ({
    nw_proto,
    tp_src,
    tp_dst,
    tcp_flags: nw_proto === 6 ? 0x012 : 0,
  }),
);
const address = fc.constantFrom(0x0a000001, 0x0a000002, 0xc0a80101, 0xe0000005);
const ip = fc
  .tuple(fc.constantFrom(0, 0x20, 0x03, 0xff), fc.constantFrom(64, 1, 255), address, address)
  .map(([nw_tos, nw_ttl, a, b]): Values => ({ nw_tos, nw_ttl, nw_src: a, nw_dst: b }));

const network = fc.oneof(
  fc.tuple(ip, l4).map(([a, b]): Values => ({ dl_type: 0x0800, ...a, ...b })),
  ip.map((a): Values => ({ dl_type: 0x0800, ...a, nw_proto: 1, tp_src: 8 })),
  fc.tuple(ip, l4).map(([a, b]): Values => ({ dl_type: 0x86dd, ...a, nw_src: 0, nw_dst: 0, ...b })),
  ip.map((a): Values => ({ dl_type: 0x0800, ...a, nw_proto: 17, nw_frag: 3 })),
  fc.constant<Values>({ dl_type: 0x0806, nw_proto: 1, nw_src: 0x0a000001, nw_dst: 0x0a000002 }),
  fc.constant<Values>({ dl_type: 0x8847, mpls_lse: 0x00007040, mpls_lse1: 0x00008140 }),
  fc.constant<Values>({ dl_type: 0x88cc }),
);

/** Well-formed frames with right checksums. */
export const goodFrame: fc.Arbitrary<Uint8Array> = fc
  .tuple(mac, mac, vlan, network, fc.nat(60))
  .map(([dst, src, tags, net, l7]) => {
    const key = keyWith({ ...tags, ...net });
    key.set(dst, K.dl_dst.word);
    key.set(src, K.dl_src.word);
    if (net.dl_type === 0x86dd) {
      key.set([0x20010db8, 0, 0, 1], K.ipv6_src.word);
      key.set([0x20010db8, 0, 0, 2], K.ipv6_dst.word);
    }
    const p = new PacketBuf();
    flowCompose(p, key, l7);
    return p.data().slice();
  });

/** Frames as they may come: good ones, cut or with bytes changed, and noise. */
export const anyFrame: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 3, arbitrary: goodFrame },
  {
    weight: 2,
    arbitrary: fc.tuple(goodFrame, fc.nat(200)).map(([f, n]) => f.slice(0, n % (f.length + 1))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(goodFrame, fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }))
      .map(([f, changes]) => {
        const out = f.slice();
        for (const [at, v] of changes) {
          out[at % out.length] = v;
        }
        return out;
      }),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 120 }) },
);

/** A packet of a frame, with its header offsets found. */
export function packetOf(frame: Uint8Array): PacketBuf {
  const p = PacketBuf.of(frame);
  extract(p, newKey());
  return p;
}

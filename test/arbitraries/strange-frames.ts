// Frames that hosts send now and then, and what bridges tell each other: link protocols, spanning
// trees, neighbour discovery, extension headers, fragments of IPv6, label stacks, service headers,
// options of IPv4 and TCP, tags upon tags, LLC.
//
// Each maker gives a frame that is right but for its checksums; damage comes later (traffic.ts).

import { mendSums, put16 } from "./layers.ts";
import type { Pick } from "./matches.ts";
import {
  arp,
  ethernet,
  type Host,
  hostOf,
  ip4,
  ip6,
  join,
  put32,
  sctp,
  tcp,
  text,
  udp,
} from "./packets.ts";

const HOSTS = 6;
/** Ethernet and IPv6. */
const IP6_HEADERS = 54;
/** Where a packet is cut, a multiple of 8. */
const FRAGMENT_BYTES = 800;
const IP4 = 0x0800;
const IP6 = 0x86dd;
const SLOW = Uint8Array.of(1, 0x80, 0xc2, 0, 0, 2);
const STP_GROUP = Uint8Array.of(1, 0x80, 0xc2, 0, 0, 0);
const LLDP_GROUP = Uint8Array.of(1, 0x80, 0xc2, 0, 0, 0x0e);
const CFM_GROUP = Uint8Array.of(1, 0x80, 0xc2, 0, 0, 0x30);
const ALL_NODES = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);

const pick = <T>(r: Pick, list: readonly T[]): T => list[r(list.length)] as T;
const zeros = (n: number) => new Uint8Array(n);
const noise = (r: Pick, n: number) => Uint8Array.from({ length: n }, () => r(256));
const to = (dst: Host, mac: Uint8Array): Host => ({ ...dst, mac });

/** A packet of the network layer with right checksums, which nothing could mend once it is inside. */
function mended(src: Host, dst: Host, type: number, packet: Uint8Array): Uint8Array {
  const framed = join(ethernet(src, dst, [], type), packet);
  mendSums(framed);
  return framed.slice(framed.length - packet.length);
}

type Maker = (r: Pick, src: Host, dst: Host) => Uint8Array;

/** A word of 16 bits. */
function short(v: number): Uint8Array {
  return Uint8Array.of(v >>> 8, v & 255);
}

function lacp(r: Pick, src: Host, dst: Host): Uint8Array {
  const info = (kind: number) =>
    join(
      Uint8Array.of(kind, 20, 0x80, 0, ...(kind === 1 ? src : dst).mac, 0, 1 + r(2)),
      Uint8Array.of(0x80, 0, 0, 1 + r(3), pick(r, [0x3d, 0x05, 0x45, r(256)]), 0, 0, 0),
    );
  const collector = join(Uint8Array.of(3, 16), zeros(14));
  const pdu = join(Uint8Array.of(pick(r, [1, 1, 1, 2, 9]), 1), info(1), info(2), collector);
  return join(ethernet(src, to(dst, SLOW), [], 0x8809), pdu, zeros(52));
}

function ccm(r: Pick, src: Host, dst: Host): Uint8Array {
  const head = Uint8Array.of(pick(r, [0, 0x20, 0xe0]), 1, pick(r, [1, 4, 0x84, 7]), 70);
  const seq = noise(r, 4);
  const body = join(head, seq, Uint8Array.of(0, 1 + r(3)), text("ovs".padEnd(48, "\0")), zeros(16));
  return join(ethernet(src, to(dst, CFM_GROUP), [], 0x8902), body);
}

function bfd(r: Pick, src: Host, dst: Host): Uint8Array {
  const state = r(4);
  const msg = Uint8Array.of(0x20, (state << 6) | pick(r, [0, 0x20, 0x10, 0x04]), 3, 24);
  const body = join(msg, noise(r, 4), zeros(3), Uint8Array.of(r(3)), zeros(12));
  put32(body, 12, 1_000_000);
  put32(body, 16, 1_000_000);
  return join(ethernet(src, dst, [], IP4), ip4(src, dst, 17, udp(49152, 3784, body), [0xc0, 255]));
}

function bpdu(r: Pick, src: Host, dst: Host): Uint8Array {
  const kind = pick(r, [0, 2, 0x80]);
  const id = Uint8Array.of(pick(r, [0x80, 0x10]), 0, ...src.mac);
  const times = Uint8Array.of(0, r(3), 20, 0, 2, 0, 15, 0);
  const cost = Uint8Array.of(0, 0, 0, r(30));
  const config = join(Uint8Array.of(r(256)), id, cost, id, Uint8Array.of(0x80, 1 + r(3)), times);
  const body = kind === 0x80 ? zeros(0) : kind === 2 ? join(config, zeros(1)) : config;
  const pdu = join(Uint8Array.of(0x42, 0x42, 3, 0, 0, kind === 2 ? 2 : 0, kind), body);
  return join(ethernet(src, to(dst, STP_GROUP), [], pdu.length), pdu, zeros(8));
}

function lldp(r: Pick, src: Host, dst: Host): Uint8Array {
  const tlv = (type: number, body: Uint8Array) => join(short((type << 9) | body.length), body);
  const org = (sub: number, n: number) => tlv(127, join(Uint8Array.of(0, 4, 13, sub), noise(r, n)));
  const extra = [
    tlv(5, text("host")),
    tlv(6, noise(r, r(40))),
    tlv(4, text("eth0")),
    tlv(7, Uint8Array.of(0, 4, 0, 4)),
    tlv(8, join(Uint8Array.of(5, 1), src.ip4, Uint8Array.of(2, 0, 0, 0, 1, 0))),
    org(11, 35),
    org(12, 5 * r(4) + 32),
    tlv(127, join(Uint8Array.of(0, 0x80, 0xc2, 1), noise(r, 2))),
    tlv(127, join(Uint8Array.of(0, 0x12, 0x0f, 1 + r(4)), noise(r, 5))),
  ];
  const some = extra.filter(() => r(3) === 0);
  const first = [
    tlv(1, join(Uint8Array.of(4), src.mac)),
    tlv(2, join(Uint8Array.of(pick(r, [3, 5, 7])), src.mac)),
  ];
  const list = join(...first, tlv(3, short(pick(r, [0, 120]))), ...some, short(0));
  return join(ethernet(src, to(dst, LLDP_GROUP), [], 0x88cc), list);
}

/** Neighbour and router discovery, with options. */
function discovery(r: Pick, src: Host, dst: Host): Uint8Array {
  const type = pick(r, [135, 136, 135, 136, 133, 134]);
  const option = Uint8Array.of(pick(r, [1, 2, 3, 5]), pick(r, [1, 1, 1, 2]), ...src.mac);
  const middle = type >= 135 ? dst.ip6 : type === 134 ? zeros(8) : zeros(0);
  const flags = Uint8Array.of(type === 136 ? pick(r, [0x60, 0xe0, 0]) : 0, 0, 0, 0);
  const options = r(4) === 0 ? zeros(0) : r(3) === 0 ? join(option, option) : option;
  const body = join(Uint8Array.of(type, 0, 0, 0), flags, middle, options);
  const there = r(2) === 0 ? to(dst, ALL_NODES) : dst;
  const net = ip6(src, dst, 58, body);
  net[7] = pick(r, [255, 255, 255, 64]);
  return join(ethernet(src, there, [], IP6), net);
}

/** Who listens to what (MLD), with a hop-by-hop option before it. */
function listeners(r: Pick, src: Host, dst: Host): Uint8Array {
  const group = Uint8Array.of(0xff, 2, ...zeros(13), 1 + r(3));
  const v2 = r(2) === 0;
  const record = join(Uint8Array.of(1 + r(6), 0, 0, 0), group);
  const mld = v2
    ? join(Uint8Array.of(143, 0, 0, 0, 0, 0, 0, 1), record)
    : join(Uint8Array.of(pick(r, [130, 131, 132]), 0, 0, 0, 0, 0, 0, 0), group);
  const alert = Uint8Array.of(58, 0, 5, 2, 0, 0, 1, 0);
  const there = to({ ...dst, ip6: group }, Uint8Array.of(0x33, 0x33, 0, 0, 0, group[15] ?? 1));
  const net = ip6(src, there, 0, join(alert, mld));
  net[7] = 1;
  return join(ethernet(src, there, [], IP6), net);
}

const upper = (r: Pick): readonly [number, Uint8Array] =>
  pick(r, [
    [17, udp(1000 + r(4), 53, zeros(r(60)))] as const,
    [6, tcp({ sport: 1000 + r(4), dport: 80, seq: 1000, ack: 0, flags: 2 }, zeros(0))] as const,
    [132, sctp(1000 + r(4), 80, zeros(16))] as const,
    [58, Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1)] as const,
    [59, zeros(0)] as const,
  ]);

/** A chain of extension headers. */
function extensions(r: Pick, src: Host, dst: Host): Uint8Array {
  const [last, body] = upper(r);
  let next = last;
  let rest = body;
  for (let n = 1 + r(4); n > 0; n--) {
    const kind = pick(r, [0, 43, 60, 51, 135, 44]);
    const more = kind === 44 ? 0 : r(2);
    const bytes = kind === 51 ? 4 * (more + 2) : 8 * (1 + more);
    const head = zeros(bytes);
    head.set([next, kind === 44 ? 0 : more]);
    if (kind === 43) {
      head[3] = r(2); // segments left
    }
    rest = join(head, rest);
    next = kind;
  }
  return join(ethernet(src, dst, [], IP6), ip6(src, dst, next, rest));
}

/** One piece of a packet of IPv6, of two that fit together if they have the same id. */
function fragment6(r: Pick, src: Host, dst: Host): Uint8Array {
  const id = r(3);
  const framed = join(
    ethernet(src, dst, [], IP6),
    ip6(src, dst, 17, udp(1000 + id, 53, zeros(1200))),
  );
  mendSums(framed);
  const whole = framed.slice(IP6_HEADERS);
  const first = r(2) === 0;
  const piece = first ? whole.slice(0, FRAGMENT_BYTES) : whole.slice(FRAGMENT_BYTES);
  const place = short(first ? 1 : FRAGMENT_BYTES);
  const head = join(Uint8Array.of(17, 0), place, zeros(3), Uint8Array.of(id));
  const before = r(5) === 0 ? Uint8Array.of(44, 0, 1, 4, 0, 0, 0, 0) : zeros(0);
  const next = before.length > 0 ? 60 : 44;
  return join(ethernet(src, dst, [], IP6), ip6(src, dst, next, join(before, head, piece)));
}

function labels(r: Pick, src: Host, dst: Host): Uint8Array {
  const n = 1 + r(4);
  const stack = zeros(4 * n);
  for (let i = 0; i < n; i++) {
    const bottom = i === n - 1 && r(8) > 0 ? 0x100 : 0;
    put32(stack, 4 * i, (r(80) << 12) | (r(8) << 9) | bottom | pick(r, [64, 1, 0]));
  }
  const [proto, body] = upper(r);
  const net =
    r(3) === 0
      ? mended(src, dst, IP6, ip6(src, dst, proto, body))
      : mended(src, dst, IP4, ip4(src, dst, proto, body));
  return join(ethernet(src, dst, [], pick(r, [0x8847, 0x8847, 0x8848])), stack, net);
}

function service(r: Pick, src: Host, dst: Host): Uint8Array {
  const [proto, body] = upper(r);
  const inner = mended(src, dst, IP4, ip4(src, dst, proto, body));
  const md2 = r(3) === 0;
  const md = md2 ? join(Uint8Array.of(0, 1, 2, 4), noise(r, 4)) : noise(r, 16);
  const [next, payload] = pick(r, [
    [1, inner] as const,
    [3, join(ethernet(src, dst, [], IP4), inner)] as const,
    [2, mended(src, dst, IP6, ip6(src, dst, proto, body))] as const,
    [5, Uint8Array.of(0, 1, 1, 64)] as const,
  ]);
  const words = (8 + md.length) / 4;
  const base = Uint8Array.of(0, 0xc0 | words, md2 ? 2 : 1, next, 0, 0x12, 0x34, pick(r, [255, 1]));
  const head = r(6) === 0 ? join(base.fill(r(256), 0, 2), md) : join(base, md);
  return join(ethernet(src, dst, [], 0x894f), head, payload);
}

/** Options behind the header of IPv4, of TCP, or of both. */
function options(r: Pick, src: Host, dst: Host): Uint8Array {
  const list = pick(r, [
    [2, 4, 5, 0xb4, 3, 3, r(15), 1],
    [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
    [4, 2, 1, 3, 3, 200, 0, 0],
    [3, 0, 1, 1],
  ]);
  const flags = pick(r, [2, 2, 0x12, 0x10]);
  const ack = flags === 2 ? 0 : 1001;
  const plain = tcp({ sport: 1000 + r(4), dport: 80, seq: 1000, ack, flags }, zeros(0));
  const segment = r(4) === 0 ? plain : join(plain, Uint8Array.from(list));
  segment[12] = segment.length << 2;
  const net = ip4(src, dst, 6, segment);
  if (r(3) === 0) {
    const more = join(net.slice(0, 20), Uint8Array.of(1, 1, 1, 0), net.slice(20));
    more[0] = 0x46;
    put16(more, 2, more.length);
    return join(ethernet(src, dst, [], IP4), more);
  }
  return join(ethernet(src, dst, [], IP4), net);
}

/** Three tags and more, of both types. */
function tags(r: Pick, src: Host, dst: Host): Uint8Array {
  const some = Array.from(
    { length: 1 + r(5) },
    () => (r(8) << 13) | (r(2) << 12) | pick(r, [0, 5, 7]),
  );
  const [proto, body] = upper(r);
  return join(ethernet(src, dst, some, IP4), ip4(src, dst, proto, body));
}

/** An Ethernet type behind LLC and SNAP, or another LLC header. */
function snap(r: Pick, src: Host, dst: Host): Uint8Array {
  const [proto, body] = upper(r);
  const net = mended(src, dst, IP4, ip4(src, dst, proto, body));
  const oui = pick(r, [0, 0, 0, 0xf8]);
  const llc = join(Uint8Array.of(0xaa, 0xaa, pick(r, [3, 3, 3, 7]), 0, 0, oui), short(IP4), net);
  return join(ethernet(src, dst, [], r(5) === 0 ? 40 : llc.length), llc);
}

function odd(r: Pick, src: Host, dst: Host): Uint8Array {
  const net = (proto: number, body: Uint8Array) =>
    join(ethernet(src, dst, [], IP4), ip4(src, dst, proto, body));
  switch (r(6)) {
    case 0:
      return join(ethernet(src, dst, [], 0x8035), arp(src, dst, pick(r, [3, 4])));
    case 1:
      return join(ethernet(src, dst, [], 0x0806), arp(src, src, 1)); // gratuitous
    case 2:
      return join(ethernet(src, dst, [], 0x0806), arp(src, dst, pick(r, [0, 3, 8, 256, 9999])));
    case 3:
      return net(pick(r, [50, 51, 89, 112, 4, 41, 0, 255]), noise(r, r(40)));
    case 4:
      return net(1, join(Uint8Array.of(pick(r, [13, 15, 17, 9, 10]), 0, 0, 0), noise(r, 16)));
    default:
      return join(
        ethernet(src, dst, [], pick(r, [0x88f7, 0x8906, 0x88e5, 0x05dc, 0x0600])),
        noise(r, 50),
      );
  }
}

/** Commands and answers that helpers look for, in segments that a connection could have. */
function helped(r: Pick, src: Host, dst: Host): Uint8Array {
  const line = pick(r, [
    "PORT 10,0,0,1,4,1\r\n",
    "EPRT |2|2001:db8::1|1025|\r\n",
    "227 Entering Passive Mode (10,0,0,2,4,2)\r\n",
    "229 Entering Extended Passive Mode (|||1026|)\r\n",
    "port 10,0,0,1,4,256\r\n",
    "EPRT |1|10.0.0.1|1025|\r\n",
    "EPSV\r\n",
    "PASV\r\n",
  ]);
  const [v6, answer] = [r(2) === 0, line.startsWith("22")];
  const [sport, dport] = answer ? [21, 1000 + r(4)] : [1000 + r(4), 21];
  const segment = tcp({ sport, dport, seq: 1001, ack: 1001, flags: 0x18 }, text(line));
  const net = v6 ? ip6(src, dst, 6, segment) : ip4(src, dst, 6, segment);
  return join(ethernet(src, dst, [], v6 ? IP6 : IP4), net);
}

const MAKERS: readonly Maker[] = [
  lacp,
  ccm,
  bfd,
  bpdu,
  lldp,
  discovery,
  discovery,
  listeners,
  extensions,
  extensions,
  fragment6,
  fragment6,
  fragment6,
  labels,
  labels,
  service,
  options,
  options,
  tags,
  snap,
  odd,
  helped,
  helped,
];

/** One of these frames, from a host to another, with right checksums. */
export function strangeFrame(r: Pick): Uint8Array {
  const a = 1 + r(HOSTS);
  const b = 1 + ((a + r(HOSTS - 1)) % HOSTS);
  const frame = pick(r, MAKERS)(r, hostOf(a), hostOf(b));
  mendSums(frame);
  return frame;
}

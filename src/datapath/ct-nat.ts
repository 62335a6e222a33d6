// Address translation: choosing a free tuple for a new connection, and changing packets.
//
// The key of a connection's replies says where they come from and go to; translating a packet of
// one direction means to give it the reverse of the other direction's key. ICMP errors have the
// packet that they quote translated back. (ovs: lib/conntrack.c nat_packet, nat_get_unique_tuple)

import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { putU16 } from "../lib/bytes.ts";
import { csum } from "../lib/checksum.ts";
import type { Rng } from "../lib/env.ts";
import { hashAdd, hashFinish } from "../lib/hash.ts";
import { ICMP } from "../packet/icmp-header.ts";
import { IP_PROTO, IPV4, IPV6, setIpv4Addr, setIpv6Addr } from "../packet/ip.ts";
import { setTcpPorts, setUdpPorts, TCP, UDP } from "../packet/l4.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { type Conn, NAT_ACTION } from "./ct-conn.ts";
import { CS } from "../flow/flow-is.ts";
import { csumUpperLayer6, parseIpv6Ext } from "./ct-extract.ts";
import { type ConnKey, DST, SRC } from "./ct-key.ts";
import type { OdpNat } from "./odp-action.ts";

/** Ports tried at first in a large range; then half of that from a random one, down to 16. */
export const NAT_PORT_ATTEMPTS_MAX = 128;
const NAT_PORT_ATTEMPTS_MIN = 16;
const EPHEMERAL = { MIN: 1024, MAX: 65535 } as const;
/** Widest range of addresses that is looked at. */
const ADDRESS_RANGE_MAX = 0xfffffffe;

/** A translation as the datapath's action asks for it (ovs: struct nat_action_info_t). */
export interface NatInfo {
  readonly action: number;
  /** Words of an address; all zero for none. */
  readonly min: Uint32Array;
  readonly max: Uint32Array;
  readonly minPort: number;
  readonly maxPort: number;
}

export function natInfoOf(nat: OdpNat): NatInfo {
  let action = nat.type === "src" ? NAT_ACTION.SRC : nat.type === "dst" ? NAT_ACTION.DST : 0;
  if (nat.portMin !== 0 || nat.portMax !== 0) {
    action |= (action & NAT_ACTION.SRC) !== 0 ? NAT_ACTION.SRC_PORT : 0;
    action |= (action & NAT_ACTION.DST) !== 0 ? NAT_ACTION.DST_PORT : 0;
  }
  return {
    action,
    min: four(nat.min),
    max: four(nat.max ?? nat.min),
    minPort: nat.portMin,
    maxPort: nat.portMax !== 0 ? nat.portMax : nat.portMin,
  };
}

function four(words: Uint32Array | null): Uint32Array {
  const out = new Uint32Array(4);
  if (words !== null) {
    out.set(words.subarray(0, 4));
  }
  return out;
}

/** The other direction's translation. */
function reverseAction(action: number): number {
  if ((action & NAT_ACTION.SRC) !== 0) {
    return (action & ~NAT_ACTION.SRC) | NAT_ACTION.DST;
  }
  return (action & NAT_ACTION.DST) !== 0 ? (action & ~NAT_ACTION.DST) | NAT_ACTION.SRC : action;
}

/** Sets the ports that the reverse of a key has. */
function setPorts(p: PacketBuf, key: ConnKey): void {
  if (key.proto === IP_PROTO.TCP && p.l4Bytes() >= TCP.HEADER_BYTES) {
    setTcpPorts(p, key.dstPort, key.srcPort);
  } else if (key.proto === IP_PROTO.TCP) {
    // An ICMP error may quote no more than the ports; there is no checksum to keep right.
    setBarePorts(p, key);
  } else if (key.proto === IP_PROTO.UDP && p.l4Bytes() >= UDP.HEADER_BYTES) {
    setUdpPorts(p, key.dstPort, key.srcPort);
  }
}

function setBarePorts(p: PacketBuf, key: ConnKey): void {
  if (p.l4Bytes() >= 4) {
    putU16(p.bytes, p.l4(), key.dstPort);
    putU16(p.bytes, p.l4() + 2, key.srcPort);
  }
}

function setAddress(p: PacketBuf, key: ConnKey, action: number): void {
  const src = (action & NAT_ACTION.SRC) !== 0;
  if (!src && (action & NAT_ACTION.DST) === 0) {
    return;
  }
  const from = src ? DST : SRC;
  if (key.dlType === ETH_TYPE.IP) {
    setIpv4Addr(p, src ? IPV4.SRC : IPV4.DST, key.addr[from] as number);
  } else {
    const at = p.l3() + (src ? IPV6.SRC : IPV6.DST);
    setIpv6Addr(p, key.proto, at, { words: key.addr, from, keepCsum: false });
  }
}

/** Translates a packet of a connection. */
export function natPacket(p: PacketBuf, conn: Conn, reply: boolean, related: boolean): void {
  const key = reply ? conn.key : conn.revKey;
  const action = reply ? reverseAction(conn.natAction) : conn.natAction;
  if ((action & NAT_ACTION.SRC) !== 0) {
    p.md.ctState |= CS.snat;
  } else if ((action & NAT_ACTION.DST) !== 0) {
    p.md.ctState |= CS.dnat;
  }
  setAddress(p, key, action);
  if ((action & (NAT_ACTION.SRC | NAT_ACTION.DST)) !== 0) {
    if (related) {
      natQuoted(p, key, reverseAction(action));
    } else {
      setPorts(p, key);
    }
  }
}

/** Translates the packet that an ICMP error quotes, and sums the error anew. */
function natQuoted(p: PacketBuf, key: ConnKey, action: number): void {
  const b = p.bytes;
  const { l3Ofs, l4Ofs } = p;
  const l3 = p.l3();
  const icmp = p.l4();
  const end = p.end - p.l2PadBytes;
  const v4 = key.dlType === ETH_TYPE.IP;
  const innerL3 = icmp + (v4 ? ICMP.V4_BYTES : ICMP.V6_DATA_BYTES);
  let innerL4 = innerL3 + ((b[innerL3] ?? 0) & 15) * 4;
  if (!v4) {
    const at = innerL3 + IPV6.HEADER_BYTES;
    innerL4 = parseIpv6Ext(b, at, end, b[innerL3 + IPV6.NEXT] ?? 0)?.at ?? at;
  }
  p.l3Ofs = innerL3 - p.start;
  p.l4Ofs = innerL4 - p.start;
  const rev = key.clone().reverse();
  setPorts(p, rev);
  setAddress(p, rev, action);
  putU16(b, icmp + ICMP.CSUM, 0);
  const sum = v4 ? csum(b, icmp, end) : csumUpperLayer6(b, l3, icmp, end, IP_PROTO.ICMPV6);
  putU16(b, icmp + ICMP.CSUM, sum);
  p.l3Ofs = l3Ofs;
  p.l4Ofs = l4Ofs;
}

/** What the search for a free tuple needs of the tracker. */
export interface NatEnv {
  readonly basis: number;
  readonly rng: Rng;
  /** Whether a connection has this key in one of its directions. */
  readonly taken: (key: ConnKey) => boolean;
}

function rangeHash(conn: Conn, info: NatInfo, basis: number): number {
  let h = basis;
  for (const words of [info.min, info.max, conn.key.addr]) {
    for (const w of words) {
      h = hashAdd(h, w);
    }
  }
  const { key } = conn;
  h = hashAdd(h, ((info.maxPort << 16) | info.minPort) >>> 0);
  h = hashAdd(h, ((key.srcPort << 16) | key.dstPort) >>> 0);
  h = hashAdd(h, ((key.dlType << 8) | key.proto) >>> 0);
  return hashFinish(hashAdd(h, key.zone), 0);
}

/** A range of ports and where the search in it begins. */
interface PortRange {
  curr: number;
  readonly min: number;
  readonly max: number;
}

function inRange(hash: number, min: number, max: number): PortRange {
  return { min, max, curr: min + (hash % (max - min + 1)) };
}

function sourcePorts(info: NatInfo, key: ConnKey, hash: number): PortRange {
  const keeps =
    (info.action & (NAT_ACTION.SRC | NAT_ACTION.SRC_PORT)) === NAT_ACTION.SRC ||
    (info.action & NAT_ACTION.DST) !== 0;
  if (!keeps) {
    return inRange(hash, info.minPort, info.maxPort);
  }
  const curr = key.srcPort;
  if (curr < 512) {
    return { curr, min: 1, max: 511 };
  }
  return curr < EPHEMERAL.MIN
    ? { curr, min: 600, max: EPHEMERAL.MIN - 1 }
    : { curr, min: EPHEMERAL.MIN, max: EPHEMERAL.MAX };
}

function destPorts(info: NatInfo, key: ConnKey, hash: number): PortRange {
  return (info.action & NAT_ACTION.DST_PORT) !== 0
    ? inRange(hash, info.minPort, info.maxPort)
    : { curr: key.dstPort, min: key.dstPort, max: key.dstPort };
}

/** An address of the range, by hash; without a range the packet's own, or none at all. */
function chooseAddress(conn: Conn, info: NatInfo, hash: number): Uint32Array {
  const { key } = conn;
  if (info.min.every((w) => w === 0)) {
    const from = (info.action & NAT_ACTION.SRC) !== 0 ? SRC : DST;
    return info.action === 0 ? new Uint32Array(4) : key.addr.slice(from, from + 4);
  }
  const addr = info.min.slice();
  if (key.dlType === ETH_TYPE.IP) {
    const range = ((info.max[0] ?? 0) - (info.min[0] ?? 0) + 1) >>> 0;
    addr[0] = ((info.min[0] ?? 0) + (range === 0 ? hash : hash % range)) >>> 0;
    return addr;
  }
  addWords(addr, hash % (ipv6Delta(info.min, info.max) + 1));
  return addr;
}

/** How many addresses beyond the first a range has, as far as that is looked at. */
function ipv6Delta(min: Uint32Array, max: Uint32Array): number {
  let d = 0n;
  for (let i = 0; i < 4; i++) {
    d = (d << 32n) + BigInt(max[i] ?? 0) - BigInt(min[i] ?? 0);
  }
  return d < 0n || d > BigInt(ADDRESS_RANGE_MAX) ? ADDRESS_RANGE_MAX : Number(d);
}

function addWords(addr: Uint32Array, n: number): void {
  let carry = n;
  for (let i = 3; i >= 0 && carry > 0; i--) {
    const sum = (addr[i] ?? 0) + carry;
    addr[i] = sum >>> 0;
    carry = sum > 0xffffffff ? 1 : 0;
  }
}

/** Tries ports of a range until the tuple is free; gives back the first port if none is. */
function findPort(
  key: ConnKey,
  range: PortRange,
  set: (port: number) => void,
  env: NatEnv,
): boolean {
  const { min, max } = range;
  const size = max - min + 1;
  const first = range.curr;
  let curr = range.curr;
  let attempts = Math.min(size, NAT_PORT_ATTEMPTS_MAX);
  for (;;) {
    const within = curr >= min && curr <= max;
    const tries = Math.min(attempts, within ? size : size + 1);
    for (let i = 0; i < tries; i++) {
      set(curr);
      if (!env.taken(key)) {
        return true;
      }
      curr = curr < min || curr >= max ? min : curr + 1;
    }
    if (attempts >= size || attempts < NAT_PORT_ATTEMPTS_MIN) {
      set(first);
      return false;
    }
    attempts >>= 1;
    curr = min + (env.rng.u32() % size);
  }
}

/** Finds what the replies of a new connection look like; false if no tuple is free. */
export function uniqueTuple(conn: Conn, info: NatInfo, env: NatEnv): boolean {
  const hash = rangeHash(conn, info, env.basis);
  const rev = conn.revKey;
  const ports = conn.key.proto === IP_PROTO.TCP || conn.key.proto === IP_PROTO.UDP;
  const source = sourcePorts(info, conn.key, hash);
  const dest = destPorts(info, conn.key, hash);
  if (ports) {
    rev.srcPort = dest.curr;
    rev.dstPort = source.curr;
  }
  const at = (info.action & NAT_ACTION.SRC) !== 0 ? DST : SRC;
  rev.setAddr(at, chooseAddress(conn, info, hash), 0);
  if (!ports) {
    return !env.taken(rev);
  }
  const setDest = (port: number) => {
    rev.srcPort = port;
  };
  const setSource = (port: number) => {
    rev.dstPort = port;
  };
  const byDest = (info.action & NAT_ACTION.DST_PORT) !== 0 && findPort(rev, dest, setDest, env);
  return byDest || findPort(rev, source, setSource, env);
}

// Fragments: waiting until a packet is complete, so that it can be tracked as a whole.
//
// Fragments of one packet form a list. When first and last are there and nothing is missing, the
// packet put together goes through conntrack in their stead; afterwards the fragments, in order and
// with its metadata and addresses, go on. What stays incomplete goes on as invalid after a while,
// or is given up. Limits: FRAGS_MAX fragments at a time (may be changed), IPF_FRAGS_MAX_BOUND at
// most. (ovs: lib/ipf.c)

import { CS } from "../flow/flow-is.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { getU16, getU32 } from "../lib/bytes.ts";
import { csum } from "../lib/checksum.ts";
import { IPV4, IPV4_FRAG, IPV6, IPV6_FRAG } from "../packet/ip.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import type { CtCounters } from "./ct-counters.ts";
import { parseIpv6Ext } from "./ct-extract.ts";
import { copyReassembled, type Fragment, reassemble } from "./ipf-reassemble.ts";
import { BATCH_PACKETS_MAX, type PacketBatch } from "./packet-batch.ts";

export const IPF_FRAGS_MAX = 1000;
export const IPF_FRAGS_MAX_BOUND = 5000;
export const IPF_MIN_FRAG = { V4: 1200, V6: 1280, BOUND: 400 } as const;
/** How long a list waits; afterwards its fragments go on with the next packets of conntrack. */
export const IPF_LIST_TIMEOUT_MS = 15000;
/** How much later a list whose fragments could not go on is given up. */
export const IPF_PURGE_MS = 10000;
const IPV6_LIST_MAX = 65535;
const IPV4_HEADER_MAX = 60;
/** Lists that expire with one batch. */
const EXPIRED_LISTS_MAX = 1;

const STATE_NAMES = {
  unused: "unused",
  failed: "reassemble fail",
  other: "other frag",
  first: "first frag",
  last: "last frag",
  firstLast: "first/last frag",
  complete: "complete",
} as const;
type ListState = keyof typeof STATE_NAMES;

/** What tells the fragments of one packet from others. */
interface FragKey {
  readonly addr: readonly number[];
  readonly recircId: number;
  readonly ipId: number;
  readonly dlType: number;
  readonly zone: number;
  readonly proto: number;
}

interface FragList {
  readonly key: FragKey;
  readonly text: string;
  readonly frags: Fragment[];
  expirationMs: number;
  sent: number;
  state: ListState;
  /** The packet put together, until conntrack has seen it. */
  whole: PacketBuf | null;
  /** It is in conntrack. */
  entered: boolean;
}

/** Where a fragment belongs. */
interface FragPlace {
  readonly key: FragKey;
  readonly start: number;
  readonly end: number;
  readonly first: boolean;
  readonly last: boolean;
}

/** What `dpctl/ipf-get-status` shows of each IP version. */
export class IpfCounts {
  accepted = 0;
  completed = 0;
  expired = 0;
  tooSmall = 0;
  overlapped = 0;
  purged = 0;
}

export interface IpfFamily {
  enabled: boolean;
  minFrag: number;
  readonly counts: IpfCounts;
}

export class Ipf {
  readonly v4: IpfFamily = { enabled: true, minFrag: IPF_MIN_FRAG.V4, counts: new IpfCounts() };
  readonly v6: IpfFamily = { enabled: true, minFrag: IPF_MIN_FRAG.V6, counts: new IpfCounts() };
  maxFrags = IPF_FRAGS_MAX;
  nFrags = 0;
  private readonly lists = new Map<string, FragList>();
  private expiring: FragList[] = [];
  private complete: FragList[] = [];
  private whole: FragList[] = [];
  private readonly counters: CtCounters;
  private readonly warn: (text: string, packet: Uint8Array) => void;

  /** `warn` gets the beginning of a packet that cannot be put together. */
  constructor(counters: CtCounters, warn: (text: string, packet: Uint8Array) => void) {
    this.counters = counters;
    this.warn = warn;
  }

  private get active(): boolean {
    return this.v4.enabled || this.v6.enabled || this.nFrags > 0;
  }

  /** Takes fragments out of a batch and puts complete packets in. */
  before(batch: PacketBatch, dlType: number, zone: number, nowMs: number): void {
    if (this.v4.enabled || this.v6.enabled) {
      this.takeOut(batch.packets, dlType, zone, nowMs);
    }
    if (this.active) {
      for (const list of this.whole) {
        this.enter(list, batch);
      }
    }
  }

  /** Without closures, since every packet of conntrack passes here. */
  private takeOut(packets: PacketBuf[], dlType: number, zone: number, nowMs: number): void {
    let n = 0;
    for (let i = 0; i < packets.length; i++) {
      const p = packets[i] as PacketBuf;
      if (!this.isFragment(p, dlType) || !this.take(p, dlType, zone, nowMs)) {
        packets[n++] = p;
      }
    }
    if (n < packets.length) {
      packets.length = n;
    }
  }

  /** Lets a complete packet into conntrack, once. */
  private enter(list: FragList, batch: PacketBatch): void {
    if (list.whole !== null && !list.entered && batch.packets.length < BATCH_PACKETS_MAX) {
      batch.packets.push(list.whole);
      list.entered = true;
    }
  }

  /** Puts fragments back in place of complete packets, and those that waited too long. */
  after(batch: PacketBatch, dlType: number, nowMs: number): void {
    if (this.lists.size === 0) {
      return;
    }
    const v6 = dlType === ETH_TYPE.IPV6;
    this.whole = this.whole.filter((list) => !this.finish(list, batch, v6));
    this.complete = sendFrom(this.complete, this.complete.length, (l) =>
      this.send(l, batch, v6, true, nowMs),
    );
    this.expiring = sendFrom(
      this.expiring,
      EXPIRED_LISTS_MAX,
      (l) => nowMs > l.expirationMs && this.send(l, batch, v6, false, nowMs),
    );
  }

  private finish(list: FragList, batch: PacketBatch, v6: boolean): boolean {
    const { whole } = list;
    if (whole === null || batch.filter((p) => p !== whole) === 0) {
      return false;
    }
    copyReassembled(whole, list.frags, v6);
    list.whole = null;
    this.complete.push(list);
    return true;
  }

  private family(v6: boolean): IpfFamily {
    return v6 ? this.v6 : this.v4;
  }

  /** Sends the fragments of a list; true if all are gone, and then the list with them. */
  private send(
    list: FragList,
    batch: PacketBatch,
    v6: boolean,
    completed: boolean,
    nowMs: number,
  ): boolean {
    if (this.purge(list, nowMs)) {
      this.lists.delete(list.text);
      return true;
    }
    const { counts } = this.family(v6);
    for (;;) {
      const frag = list.frags[list.sent];
      if (frag === undefined || batch.packets.length >= BATCH_PACKETS_MAX) {
        return false;
      }
      batch.packets.push(frag.p);
      list.sent++;
      this.nFrags--;
      if (completed) {
        counts.completed++;
      } else {
        counts.expired++;
        frag.p.md.ctState = CS.inv;
      }
      if (list.sent === list.frags.length) {
        this.lists.delete(list.text);
        return true;
      }
    }
  }

  /** Gives up a list that is much too old. */
  private purge(list: FragList, nowMs: number): boolean {
    if (nowMs < list.expirationMs + IPF_PURGE_MS) {
      return false;
    }
    const left = list.frags.length - list.sent;
    this.nFrags -= left;
    this.counters.inc("ipf_stuck_frag_list_purged", left);
    this.family(list.key.dlType === ETH_TYPE.IPV6).counts.purged += left;
    list.sent = list.frags.length;
    return true;
  }

  /** Gives up old lists. */
  clean(nowMs: number): void {
    const keep = (list: FragList) => {
      const old = this.purge(list, nowMs);
      if (old) {
        this.lists.delete(list.text);
      }
      return !old;
    };
    this.expiring = this.expiring.filter(keep);
    this.complete = this.complete.filter(keep);
  }

  private isFragment(p: PacketBuf, dlType: number): boolean {
    if (dlType === ETH_TYPE.IP) {
      return this.isV4Fragment(p);
    }
    return dlType === ETH_TYPE.IPV6 && this.isV6Fragment(p);
  }

  private isV4Fragment(p: PacketBuf): boolean {
    const b = p.bytes;
    const size = l3Bytes(p);
    if (!p.isEth() || p.l3Ofs === NO_OFS || size < IPV4.HEADER_BYTES) {
      return invalid(p);
    }
    const l3 = p.l3();
    const frag = getU16(b, l3 + IPV4.FRAG_OFF);
    if ((frag & (IPV4_FRAG.MF | IPV4_FRAG.OFS_MASK)) === 0) {
      return false;
    }
    const headerBytes = ((b[l3 + IPV4.VER_IHL] ?? 0) & 15) * 4;
    const lengthOk = getU16(b, l3 + IPV4.TOT_LEN) === size;
    if (!lengthOk || headerBytes < IPV4.HEADER_BYTES || size < headerBytes) {
      return invalid(p);
    }
    if (csum(b, l3, l3 + headerBytes) !== 0) {
      this.counters.inc("ipf_l3csum_err");
      return invalid(p);
    }
    const last = (frag & IPV4_FRAG.OFS_MASK) !== 0 && (frag & IPV4_FRAG.MF) === 0;
    return this.bigEnough(p, size, last, this.v4);
  }

  private isV6Fragment(p: PacketBuf): boolean {
    const b = p.bytes;
    const size = l3Bytes(p);
    if (!p.isEth() || p.l3Ofs === NO_OFS || p.l4Ofs === NO_OFS || size < IPV6.HEADER_BYTES) {
      return invalid(p);
    }
    const l3 = p.l3();
    const ext = parseIpv6Ext(b, l3 + IPV6.HEADER_BYTES, l3 + size, b[l3 + IPV6.NEXT] ?? 0);
    if (ext === null || !ext.fragment || ext.fragAt < 0) {
      return false;
    }
    if (getU16(b, l3 + IPV6.PLEN) + IPV6.HEADER_BYTES !== size) {
      return invalid(p);
    }
    const offlg = getU16(b, ext.fragAt + IPV6_FRAG.OFFLG);
    if ((offlg & (IPV6_FRAG.OFS_MASK | IPV6_FRAG.MORE)) === 0) {
      return false;
    }
    const last = (offlg & IPV6_FRAG.OFS_MASK) !== 0 && (offlg & IPV6_FRAG.MORE) === 0;
    return this.bigEnough(p, size, last, this.v6);
  }

  private bigEnough(p: PacketBuf, size: number, last: boolean, family: IpfFamily): boolean {
    if (!last && size < family.minFrag) {
      family.counts.tooSmall++;
      return invalid(p);
    }
    return true;
  }

  /** Keeps a fragment; false if it must go on by itself. */
  private take(p: PacketBuf, dlType: number, zone: number, nowMs: number): boolean {
    const v6 = dlType === ETH_TYPE.IPV6;
    if (!this.family(v6).enabled || this.nFrags >= this.maxFrags) {
      return false;
    }
    const place = v6 ? placeOfV6(p, zone) : placeOfV4(p, zone);
    const text = JSON.stringify(place.key);
    let list = this.lists.get(text);
    if (list === undefined) {
      const { key } = place;
      const expirationMs = nowMs + IPF_LIST_TIMEOUT_MS;
      const [sent, whole, entered] = [0, null, false];
      list = { key, text, frags: [], expirationMs, sent, state: "unused", whole, entered };
      this.lists.set(text, list);
      this.expiring.push(list);
    } else if (list.state === "failed" || list.state === "complete") {
      return false;
    } else if (list.frags.length >= this.listMax(v6)) {
      return false;
    }
    return this.add(list, p, place, v6);
  }

  private listMax(v6: boolean): number {
    const header = IPV4_HEADER_MAX;
    return v6 ? IPV6_LIST_MAX : Math.ceil((65535 - header) / (this.v4.minFrag - header));
  }

  private add(list: FragList, p: PacketBuf, place: FragPlace, v6: boolean): boolean {
    const { start, end } = place;
    const { counts } = this.family(v6);
    const within = (x: number, f: Fragment) => x >= f.start && x <= f.end;
    if (list.frags.some((f) => within(start, f) || within(end, f))) {
      counts.overlapped++;
      return invalid(p);
    }
    list.frags.push({ p: p.clone(), start, end });
    this.nFrags++;
    counts.accepted++;
    this.advance(list, place, v6);
    return true;
  }

  private advance(list: FragList, place: FragPlace, v6: boolean): void {
    list.state = nextState(list.state, place.first, place.last);
    if (list.state !== "firstLast") {
      return;
    }
    list.frags.sort((a, b) => a.start - b.start);
    const gap = list.frags.some((f, i) => i > 0 && (list.frags[i - 1]?.end ?? 0) + 1 !== f.start);
    if (gap) {
      return;
    }
    const whole = reassemble(list.frags, v6, this.warn);
    if (whole === null) {
      list.state = "failed";
      return;
    }
    list.state = "complete";
    list.whole = whole;
    this.whole.push(list);
    this.expiring = this.expiring.filter((l) => l !== list);
  }

  /** What `dpctl/ipf-get-status -m` shows of each list. */
  dump(format: (addr: readonly number[], dlType: number) => string): string[] {
    return [...this.lists.values()].map(({ key, frags, state }) => {
      const half = key.addr.length / 2;
      const src = format(key.addr.slice(0, half), key.dlType);
      const dst = format(key.addr.slice(half), key.dlType);
      return (
        `(src=${src},dst=${dst},recirc_id=${key.recircId},ip_id=${key.ipId},` +
        `dl_type=0x${key.dlType.toString(16)},zone=${key.zone},nw_proto=${key.proto},` +
        `num_fragments=${frags.length},state=${STATE_NAMES[state]})`
      );
    });
  }
}

/** Bytes from the network header on, without padding. */
function l3Bytes(p: PacketBuf): number {
  return p.l3Ofs === NO_OFS ? 0 : p.end - p.l3() - p.l2PadBytes;
}

function invalid(p: PacketBuf): false {
  p.md.ctState = CS.inv;
  return false;
}

/** Takes lists from the front while they go, at most `max`; gives the rest. */
function sendFrom(lists: FragList[], max: number, send: (l: FragList) => boolean): FragList[] {
  let n = 0;
  while (n < Math.min(max, lists.length) && send(lists[n] as FragList)) {
    n++;
  }
  return lists.slice(n);
}

function nextState(state: ListState, first: boolean, last: boolean): ListState {
  switch (state) {
    case "first":
      return last ? "firstLast" : "first";
    case "last":
      return first ? "firstLast" : "last";
    case "firstLast":
      return "firstLast";
    default:
      return first ? "first" : last ? "last" : "other";
  }
}

function placeOfV4(p: PacketBuf, zone: number): FragPlace {
  const b = p.bytes;
  const l3 = p.l3();
  const frag = getU16(b, l3 + IPV4.FRAG_OFF);
  const start = (frag & IPV4_FRAG.OFS_MASK) * 8;
  const headerBytes = ((b[l3 + IPV4.VER_IHL] ?? 0) & 15) * 4;
  const more = (frag & IPV4_FRAG.MF) !== 0;
  return {
    key: {
      addr: [getU32(b, l3 + IPV4.SRC), getU32(b, l3 + IPV4.DST)],
      recircId: p.md.recircId,
      ipId: getU16(b, l3 + IPV4.ID),
      dlType: ETH_TYPE.IP,
      zone,
      proto: b[l3 + IPV4.PROTO] ?? 0,
    },
    start: start & 0xffff,
    end: (start + getU16(b, l3 + IPV4.TOT_LEN) - headerBytes - 1) & 0xffff,
    first: start === 0 && more,
    last: start !== 0 && !more,
  };
}

function placeOfV6(p: PacketBuf, zone: number): FragPlace {
  const b = p.bytes;
  const l3 = p.l3();
  const from = l3 + IPV6.HEADER_BYTES;
  const ext = parseIpv6Ext(b, from, l3 + l3Bytes(p), b[l3 + IPV6.NEXT] ?? 0);
  const at = ext?.fragAt ?? from;
  const offlg = getU16(b, at + IPV6_FRAG.OFFLG);
  const offset = offlg & IPV6_FRAG.OFS_MASK;
  const start = offset + IPV6_FRAG.BYTES;
  const more = (offlg & IPV6_FRAG.MORE) !== 0;
  const addr: number[] = [];
  for (let i = 0; i < 8; i++) {
    addr.push(getU32(b, l3 + IPV6.SRC + 4 * i));
  }
  return {
    key: {
      addr,
      recircId: p.md.recircId,
      ipId: getU32(b, at + IPV6_FRAG.ID),
      dlType: ETH_TYPE.IPV6,
      zone,
      proto: 0,
    },
    start: start & 0xffff,
    end: (start + p.l4Bytes() - 1) & 0xffff,
    first: offset === 0 && more,
    last: offset !== 0 && !more,
  };
}

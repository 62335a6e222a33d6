// The exact-match cache: megaflows that packets with the very same key took before.
//
// Two places of a fixed table are asked, both chosen by a hash of the packet's addresses and ports,
// and the whole key is compared. Keys lie one after the other in one typed array, without the words
// that a received packet leaves 0: metadata and registers of OpenFlow, and the tunnel's unless there
// is one. Their words are in an order of their own, so that those of a usual packet lie together.
// Hashes are signed 32-bit numbers, which V8 keeps without allocating.
// ovs: lib/dpif-netdev-private-dfc.h emc_lookup, lib/dpif-netdev.c emc_insert.

import { ETH_TYPE } from "../packet/ethernet.ts";
import type { FlowKey } from "../flow/flow-key.ts";
import { K, KEY_WORDS, type Slot } from "../flow/slots.ts";
import type { Megaflow } from "./megaflow.ts";

/** Entries of the exact-match cache, a power of two (ovs: EM_FLOW_HASH_ENTRIES). */
export const EMC_ENTRIES = 8192;
/** Probes of the exact-match cache (ovs: EM_FLOW_HASH_SEGS). */
const PROBES = 2;
const PROBE_SHIFT = 13;
/** Words of the tunnel slots; without an address all of them are 0. */
const TUNNEL_WORDS = K.metadata.word;
const TUN_DST = K.tun_dst.word;
const TUN_DST6 = K.tun_ipv6_dst.word;
/** From here to the end are the words of a packet; the registers between have no use here. */
const FIRST_WORD = K.skb_priority.word;
const WORDS = KEY_WORDS - FIRST_WORD;
const DL_TYPE = K.dl_type.word;
const S_DL_TYPE = K.dl_type.shift;

/** The words that hold some slots, in their order. */
function wordsOf(slots: readonly Slot[]): number[] {
  const words = new Set<number>();
  for (const s of slots) {
    for (let i = 0; i < s.words; i++) {
      words.add(s.word + i);
    }
  }
  return [...words].sort((a, b) => a - b);
}

/**
 * All that extraction may write for IPv4 without connection; for packets whose Ethertypes agree
 * and are IPv4 the other words are 0 in both keys.
 */
const IPV4_WORDS = wordsOf([
  K.skb_priority,
  K.pkt_mark,
  K.dp_hash,
  K.in_port,
  K.recirc_id,
  K.ct_state,
  K.packet_type,
  K.dl_dst,
  K.dl_src,
  K.dl_type,
  K.vlan_tci,
  K.vlan_tci1,
  K.nw_src,
  K.nw_dst,
  K.nw_proto,
  K.tcp_flags,
  K.tp_src,
  K.igmp_group_ip4,
]);
/** What a connection adds. */
const IPV4_CT_WORDS = wordsOf([K.ct_mark, K.ct_label, K.ct_nw_src, K.ct_nw_dst, K.ct_tp_src]);
/** The words of the key in the order in which they are kept. */
const ORDER = Uint8Array.from(
  new Set([
    ...IPV4_WORDS,
    ...IPV4_CT_WORDS,
    ...Array.from({ length: WORDS }, (_, i) => FIRST_WORD + i),
  ]),
);
const IPV4_END = IPV4_WORDS.length;
const IPV4_CT_END = IPV4_END + IPV4_CT_WORDS.length;
/** Where the word with ct_state is kept. */
const CT = ORDER.indexOf(K.ct_state.word);

export class ExactMatchCache {
  private readonly flows: (Megaflow | null)[] = new Array<Megaflow | null>(EMC_ENTRIES).fill(null);
  private readonly hashes = new Int32Array(EMC_ENTRIES);
  /** The keys, from FIRST_WORD on; allocated with the first packet. */
  private keys: Uint32Array | null = null;
  /** The whole keys of tunnelled packets. */
  private readonly tunnelled: (FlowKey | null)[] = new Array<FlowKey | null>(EMC_ENTRIES).fill(
    null,
  );

  /** A megaflow that a packet with the very same key took before, or null. */
  lookup(key: FlowKey, hash: number): Megaflow | null {
    for (let probe = 0; probe < PROBES; probe++) {
      const i = indexOf(hash, probe);
      if (this.hashes[i] === hash) {
        const f = this.flows[i] as Megaflow | null;
        if (f?.alive && this.same(i, key)) {
          return f;
        }
      }
    }
    return null;
  }

  insert(key: FlowKey, hash: number, f: Megaflow): void {
    this.keys ??= new Uint32Array(EMC_ENTRIES * WORDS);
    let victim = indexOf(hash, 0);
    for (let probe = 0; probe < PROBES; probe++) {
      const i = indexOf(hash, probe);
      const old = this.flows[i];
      if (!old?.alive || (this.hashes[i] === hash && this.same(i, key))) {
        victim = i;
        break;
      }
    }
    this.flows[victim] = f;
    this.hashes[victim] = hash;
    const at = victim * WORDS;
    for (let i = 0; i < WORDS; i++) {
      this.keys[at + i] = key[ORDER[i] as number] as number;
    }
    this.tunnelled[victim] = hasTunnel(key) ? key.slice() : null;
  }

  private same(i: number, key: FlowKey): boolean {
    const { keys } = this;
    const whole = this.tunnelled[i] as FlowKey | null;
    if (keys === null || (whole !== null ? !sameTunnel(whole, key) : hasTunnel(key))) {
      return false;
    }
    const at = i * WORDS;
    if ((key[DL_TYPE] as number) >>> S_DL_TYPE !== ETH_TYPE.IP) {
      return sameUpTo(WORDS, keys, at, key);
    }
    return sameUpTo(keys[at + CT] === 0 ? IPV4_END : IPV4_CT_END, keys, at, key);
  }
}

function indexOf(hash: number, probe: number): number {
  return (hash >>> (PROBE_SHIFT * probe)) & (EMC_ENTRIES - 1);
}

/** Compares the first `end` words that are kept; all of them, as they differ but rarely. */
function sameUpTo(end: number, keys: Uint32Array, at: number, key: FlowKey): boolean {
  let diff = 0;
  for (let i = 0; i < end; i++) {
    diff |= (keys[at + i] as number) ^ (key[ORDER[i] as number] as number);
  }
  return diff === 0;
}

function sameTunnel(a: FlowKey, b: FlowKey): boolean {
  for (let i = 0; i < TUNNEL_WORDS; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

function hasTunnel(key: FlowKey): boolean {
  return (
    ((key[TUN_DST] as number) |
      (key[TUN_DST6] as number) |
      (key[TUN_DST6 + 1] as number) |
      (key[TUN_DST6 + 2] as number) |
      (key[TUN_DST6 + 3] as number)) !==
    0
  );
}

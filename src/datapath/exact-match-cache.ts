// The exact-match cache: megaflows that packets with the very same key took before.
//
// Two places of a fixed table are asked, both chosen by a hash of the packet's addresses and ports,
// and the whole key is compared. Keys are kept without the words that a received packet leaves 0:
// metadata and registers of OpenFlow, and the tunnel's unless there is one. Their words are in an
// order of their own, so that those of a usual packet lie near each other: with the hash they fill
// two cache lines, and what other packets need besides lies in an array apart.
// Hashes are signed 32-bit numbers, which V8 keeps without allocating.
// ovs: lib/dpif-netdev-private-dfc.h emc_lookup, lib/dpif-netdev.c emc_insert.

import { ETH_TYPE } from "../packet/ethernet.ts";
import { assert } from "../lib/errors.ts";
import type { FlowKey } from "../flow/flow-key.ts";
import { K, KEY_WORDS, type Slot } from "../flow/slots.ts";
import type { Megaflow } from "./megaflow.ts";

/** Entries of the exact-match cache, a power of two (ovs: EM_FLOW_HASH_ENTRIES). */
export const EMC_ENTRIES = 8192;
/** Probes of the exact-match cache (ovs: EM_FLOW_HASH_SEGS). */
const PROBES = 2;
const PROBE_SHIFT = 13;
/** Two hashes that differ by this have neighbouring places, for both probes. */
export const EMC_NEXT = 1 | (1 << PROBE_SHIFT);
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
/** An entry has so many words near: the hash, whether there is a tunnel, and the first of the key. */
const NEAR_WORDS = 32;
const HASH = 0;
const TUNNELLED = 1;
const NEAR_KEY = 2;
const NEAR_END = NEAR_WORDS - NEAR_KEY;
const FAR_WORDS = WORDS - NEAR_END;
assert(IPV4_CT_END <= NEAR_END, "an IPv4 packet's words are near");

export class ExactMatchCache {
  private readonly flows: (Megaflow | null)[] = new Array<Megaflow | null>(EMC_ENTRIES).fill(null);
  // Allocated with the first packet.
  private near = new Int32Array(0);
  private far = new Int32Array(0);
  /** The whole keys of tunnelled packets. */
  private readonly tunnels = new Map<number, FlowKey>();

  /** A megaflow that a packet with the very same key took before, or null. */
  lookup(key: FlowKey, hash: number): Megaflow | null {
    for (let probe = 0; probe < PROBES; probe++) {
      const i = indexOf(hash, probe);
      if (this.near[i * NEAR_WORDS + HASH] === hash) {
        const f = this.flows[i] as Megaflow | null;
        if (f?.alive && this.same(i, key)) {
          return f;
        }
      }
    }
    return null;
  }

  insert(key: FlowKey, hash: number, f: Megaflow): void {
    if (this.near.length === 0) {
      this.near = new Int32Array(EMC_ENTRIES * NEAR_WORDS);
      this.far = new Int32Array(EMC_ENTRIES * FAR_WORDS);
    }
    let victim = indexOf(hash, 0);
    for (let probe = 0; probe < PROBES; probe++) {
      const i = indexOf(hash, probe);
      const old = this.flows[i];
      if (!old?.alive || (this.near[i * NEAR_WORDS + HASH] === hash && this.same(i, key))) {
        victim = i;
        break;
      }
    }
    this.flows[victim] = f;
    this.keep(victim, key, hash);
  }

  private keep(i: number, key: FlowKey, hash: number): void {
    const { near, far } = this;
    const at = i * NEAR_WORDS;
    near[at + HASH] = hash;
    for (let k = 0; k < NEAR_END; k++) {
      near[at + NEAR_KEY + k] = key[ORDER[k] as number] as number;
    }
    for (let k = 0; k < FAR_WORDS; k++) {
      far[i * FAR_WORDS + k] = key[ORDER[NEAR_END + k] as number] as number;
    }
    const tunnelled = hasTunnel(key);
    near[at + TUNNELLED] = tunnelled ? 1 : 0;
    if (tunnelled) {
      this.tunnels.set(i, key.slice());
    } else {
      this.tunnels.delete(i);
    }
  }

  private same(i: number, key: FlowKey): boolean {
    const { near, far } = this;
    const at = i * NEAR_WORDS;
    const tunnelled = near[at + TUNNELLED] !== 0;
    if (tunnelled !== hasTunnel(key) || (tunnelled && !sameTunnel(this.tunnels.get(i), key))) {
      return false;
    }
    if ((key[DL_TYPE] as number) >>> S_DL_TYPE === ETH_TYPE.IP) {
      const end = near[at + NEAR_KEY + CT] === 0 ? IPV4_END : IPV4_CT_END;
      return sameWords(near, at + NEAR_KEY, key, 0, end);
    }
    return (
      sameWords(near, at + NEAR_KEY, key, 0, NEAR_END) &&
      sameWords(far, i * FAR_WORDS - NEAR_END, key, NEAR_END, WORDS)
    );
  }
}

function indexOf(hash: number, probe: number): number {
  return (hash >>> (PROBE_SHIFT * probe)) & (EMC_ENTRIES - 1);
}

/**
 * Compares the words [from, to) of the order, of which word 0 is kept at `at` or would be; all of
 * them, as they differ rarely.
 */
function sameWords(kept: Int32Array, at: number, key: FlowKey, from: number, to: number): boolean {
  let diff = 0;
  for (let i = from; i < to; i++) {
    diff |= (kept[at + i] as number) ^ (key[ORDER[i] as number] as number);
  }
  return diff === 0;
}

function sameTunnel(a: FlowKey | undefined, b: FlowKey): boolean {
  for (let i = 0; i < TUNNEL_WORDS; i++) {
    if (a?.[i] !== b[i]) {
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

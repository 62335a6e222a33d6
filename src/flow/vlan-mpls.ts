// VLAN headers and MPLS label stacks in a FlowKey: count, push, pop, set.
//
// A key holds VLAN_HEADER_COUNT VLAN headers, outermost first, each in one word (TPID in the upper,
// TCI in the lower half), and MPLS_LSE_COUNT label stack entries in consecutive words.
// `wc`, where given, is the mask of translation: bits whose value decided something are set in it.
// ovs: lib/flow.c flow_push_vlan_uninit, flow_pop_vlan, flow_push_mpls, flow_pop_mpls.

import { ETH_TYPE, isEthTypeMpls, isEthTypeVlan } from "../packet/ethernet.ts";
import { MPLS } from "../packet/mpls.ts";
import { VLAN_CFI, VLAN_PCP_MASK, VLAN_PCP_SHIFT, VLAN_VID_MASK } from "../packet/vlan.ts";
import { type FlowKey, get, K, KEY_WORDS, orBits, set } from "./flow-key.ts";
import { MPLS_LSE_COUNT, STAGE_END, VLAN_HEADER_COUNT } from "./slots.ts";

export {
  ETH_TYPE,
  isEthTypeMpls,
  isEthTypeVlan,
  MPLS,
  VLAN_CFI,
  VLAN_PCP_MASK,
  VLAN_PCP_SHIFT,
  VLAN_VID_MASK,
};

const VLAN0 = K.vlan_tpid.word;
const LSE0 = K.mpls_lse.word;
const IP_DSCP_MASK = 0xfc;
const MPLS_DEFAULT_TTL = 64;

function word(key: FlowKey, i: number): number {
  return key[i] as number;
}

/** Number of VLAN headers. */
export function countVlanHeaders(key: FlowKey): number {
  let n = 0;
  while (n < VLAN_HEADER_COUNT && (word(key, VLAN0 + n) & VLAN_CFI) !== 0) {
    n++;
  }
  return n;
}

/** TPID (upper half) and TCI (lower half) of header `i`, outermost first. */
export function vlanQtag(key: FlowKey, i: number): number {
  return word(key, VLAN0 + i);
}

/** Removes the outermost VLAN header, if there is one. */
export function popVlan(key: FlowKey, wc: FlowKey | null): void {
  const n = countVlanHeaders(key);
  if (n > 1) {
    wc?.fill(0xffffffff, VLAN0 + 1, VLAN0 + n);
    key.copyWithin(VLAN0, VLAN0 + 1, VLAN0 + n);
  }
  if (n > 0) {
    key[VLAN0 + n - 1] = 0;
  }
}

/** Makes room for a new outermost VLAN header, which is left all zero. */
export function pushVlanUninit(key: FlowKey, wc: FlowKey | null): void {
  if (wc !== null) {
    wc.fill(0xffffffff, VLAN0, VLAN0 + countVlanHeaders(key));
  }
  key.copyWithin(VLAN0 + 1, VLAN0, VLAN0 + VLAN_HEADER_COUNT - 1);
  key[VLAN0] = 0;
}

/** Sets the VLAN id of the outermost header, which is made if need be (dl_vlan semantics). */
export function setDlVlan(key: FlowKey, vid: number, headerId: number): void {
  const slot = headerId === 0 ? K.vlan_tci : K.vlan_tci1;
  const tci = get(key, slot);
  set(key, slot, (tci & ~VLAN_VID_MASK) | (vid & VLAN_VID_MASK) | VLAN_CFI);
}

/** Gives every VLAN header that has no TPID the one of 802.1Q (ovs: flow_fix_vlan_tpid). */
export function fixVlanTpid(key: FlowKey): void {
  if (get(key, K.vlan_tpid) === 0 && get(key, K.vlan_tci) !== 0) {
    set(key, K.vlan_tpid, ETH_TYPE.VLAN_8021Q);
  }
}

/**
 * Number of label stack entries. The bottom-of-stack bits that were looked at are set in `wc`.
 */
export function countMplsLabels(key: FlowKey, wc: FlowKey | null): number {
  if (!isEthTypeMpls(get(key, K.dl_type))) {
    return 0;
  }
  let n = 0;
  for (let i = 0; i < MPLS_LSE_COUNT; i++) {
    if (wc !== null) {
      wc[LSE0 + i] = word(wc, LSE0 + i) | MPLS.BOS_MASK;
    }
    const lse = word(key, LSE0 + i);
    if ((lse & MPLS.BOS_MASK) !== 0) {
      return i + 1;
    }
    if (lse !== 0) {
      n++;
    }
  }
  return n;
}

/** Number of entries, counted from the bottom, that two stacks have in common. */
export function countCommonMplsLabels(a: FlowKey, an: number, b: FlowKey, bn: number): number {
  const min = Math.min(an, bn);
  let common = 0;
  while (common < min && a[LSE0 + an - 1 - common] === b[LSE0 + bn - 1 - common]) {
    common++;
  }
  return common;
}

/** The packet type decides where there is no Ethernet header. */
function isIpAny(key: FlowKey): boolean {
  const pt = key[K.packet_type.word] as number;
  const t = pt === 0 ? get(key, K.dl_type) : pt >>> 16 === 1 ? pt & 0xffff : 0;
  return t === ETH_TYPE.IP || t === ETH_TYPE.IPV6;
}

/**
 * Pushes a label stack entry on `n` others. The first takes traffic class and TTL from the IP
 * header; `clearL3` drops everything behind the new label from the key.
 */
export function pushMpls(
  key: FlowKey,
  n: number,
  ethType: number,
  wc: FlowKey | null,
  clearL3: boolean,
): void {
  if (n > 0) {
    wc?.fill(0xffffffff, LSE0, LSE0 + n);
    key.copyWithin(LSE0 + 1, LSE0, LSE0 + n);
    key[LSE0] = (word(key, LSE0 + 1) & ~MPLS.BOS_MASK) >>> 0;
  } else {
    const label = get(key, K.dl_type) === ETH_TYPE.IPV6 ? 2 : 0;
    let tc = 0;
    let ttl: number = MPLS_DEFAULT_TTL;
    if (isIpAny(key)) {
      tc = (get(key, K.nw_tos) & IP_DSCP_MASK) >> 2;
      if (wc !== null) {
        orBits(wc, K.nw_tos, IP_DSCP_MASK);
        orBits(wc, K.nw_ttl, 0xff);
      }
      ttl = get(key, K.nw_ttl) === 0 ? ttl : get(key, K.nw_ttl);
    }
    key[LSE0] = makeLse(label, tc, 1, ttl);
    if (clearL3) {
      key.fill(0, STAGE_END[1], KEY_WORDS);
      set(key, K.dp_hash, 0);
    }
  }
  set(key, K.dl_type, ethType);
}

/** A label stack entry; each part is cut to its width. */
export function makeLse(label: number, tc: number, bos: number, ttl: number): number {
  return (
    ((label << MPLS.LABEL_SHIFT) |
      ((tc << MPLS.TC_SHIFT) & MPLS.TC_MASK) |
      ((bos & 1) << MPLS.BOS_SHIFT) |
      (ttl & MPLS.TTL_MASK)) >>>
    0
  );
}

/**
 * Pops the outermost of `n` entries and gives the key a new Ethertype. False if that cannot be
 * done: there is none, or the entry below the deepest that a key can hold is not known.
 */
export function popMpls(key: FlowKey, n: number, ethType: number, wc: FlowKey | null): boolean {
  if (n === 0) {
    return false;
  }
  const last = LSE0 + n - 1;
  if (n === MPLS_LSE_COUNT) {
    if (wc !== null) {
      wc[last] = word(wc, last) | MPLS.BOS_MASK;
    }
    if ((word(key, last) & MPLS.BOS_MASK) === 0) {
      return false;
    }
  }
  wc?.fill(0xffffffff, LSE0 + 1, LSE0 + n);
  key.copyWithin(LSE0, LSE0 + 1, LSE0 + n);
  key[last] = 0;
  set(key, K.dl_type, ethType);
  return true;
}

/** Label stack entry `i`, outermost first. */
export function mplsLse(key: FlowKey, i: number): number {
  return word(key, LSE0 + i);
}

export function setMplsLse(key: FlowKey, i: number, lse: number): void {
  key[LSE0 + i] = lse;
}

// Match: what a flow matches, as a value and a mask over the whole key.
//
// Setters keep the invariant that bits outside the mask are 0. A match is a working form: flow
// tables keep MiniMatch (minimatch.ts), whose masks are shared through a MaskPool (mask-pool.ts).
// (ovs: include/openvswitch/match.h, lib/match.c, lib/meta-flow.c mf_set)

import {
  type FieldValue,
  fieldGet,
  fieldPrereqsOk,
  isAllOnes,
  isAllZero,
  newValue,
  OFP10_VLAN_NONE,
  setDlVlan,
  setVlanPcp,
  setVlanVid,
  topWordMask,
} from "./field-value.ts";
import { VLAN } from "./flow-is.ts";
import { F, type Field } from "./fields.ts";
import { clear, type FlowKey, get, K, KEY_WORDS, newKey, set, type Slot } from "./flow-key.ts";
import { portFromOfp11 } from "./ofp-port.ts";
import { P, type Protocols } from "./of-version.ts";
import { copyBits, setBits, type Subfield } from "./subfield.ts";
import {
  type TunMdAllocation,
  type TunMdLoc,
  type TunTable,
  tunMdPresent,
  tunMdSignificantBytes,
  tunMdTail,
  writeTunMd,
} from "./tun-metadata.ts";
import { TUN_METADATA_BYTES } from "./slots.ts";

/** Priority of a flow that says none. */
export const OFP_DEFAULT_PRIORITY = 0x8000;

export interface Match {
  readonly flow: FlowKey;
  readonly wc: FlowKey;
  /** The TLV map that places tunnel options, if there is one. */
  tab: TunTable | null;
  /** Where tunnel options lie if there is no map. */
  tunMd: TunMdAllocation | null;
}

/** A match that every packet meets (ovs: match_init_catchall). */
export function newMatch(tab: TunTable | null = null): Match {
  return { flow: newKey(), wc: newKey(), tab, tunMd: null };
}

export function cloneMatch(m: Match): Match {
  const tunMd =
    m.tunMd === null
      ? null
      : { allocOffset: m.tunMd.allocOffset, entries: new Map(m.tunMd.entries) };
  return { flow: m.flow.slice(), wc: m.wc.slice(), tab: m.tab, tunMd };
}

/** A match of the masked bits of a key. */
export function matchOf(flow: FlowKey, wc: FlowKey, tab: TunTable | null = null): Match {
  const m: Match = { flow: flow.slice(), wc: wc.slice(), tab, tunMd: null };
  zeroWildcarded(m);
  return m;
}

/** Clears the bits that the mask leaves out (ovs: match_zero_wildcarded_fields). */
export function zeroWildcarded(m: Match): void {
  for (let i = 0; i < KEY_WORDS; i++) {
    m.flow[i] = (m.flow[i] as number) & (m.wc[i] as number);
  }
}

/** Whether two matches are the same (ovs: match_equal). */
export function matchEqual(a: Match, b: Match): boolean {
  for (let i = 0; i < KEY_WORDS; i++) {
    if (a.wc[i] !== b.wc[i] || a.flow[i] !== b.flow[i]) {
      return false;
    }
  }
  return true;
}

/** Matches a slot of at most 32 bits; `mask` defaults to all of it. */
export function matchSlot(m: Match, slot: Slot, value: number, mask: number = slot.max): void {
  set(m.flow, slot, value & mask);
  set(m.wc, slot, mask);
}

/** Matches only Ethernet frames unless a packet type is matched (match_set_default_packet_type). */
export function setDefaultPacketType(m: Match): void {
  if (m.wc[K.packet_type.word] === 0) {
    matchSlot(m, K.packet_type, 0);
  }
}

/** Whether exactly Ethernet frames are matched (ovs: match_has_default_packet_type). */
export function hasDefaultPacketType(m: Match): boolean {
  return m.flow[K.packet_type.word] === 0 && m.wc[K.packet_type.word] === 0xffffffff;
}

/**
 * Whether the fields that only the switch itself matches are wild or as in any fresh packet
 * (ovs: match_has_default_hidden_fields).
 */
export function hasDefaultHiddenFields(m: Pick<Match, "flow" | "wc">): boolean {
  const recircMask = m.wc[K.recirc_id.word] as number;
  return (
    m.flow[K.recirc_id.word] === 0 &&
    (recircMask === 0 || recircMask === 0xffffffff) &&
    m.wc[K.dp_hash.word] === 0
  );
}

/** A field with prerequisites implies an Ethernet frame (ovs: match_add_ethernet_prereq). */
export function addEthernetPrereq(m: Match, field: Field): void {
  if (field.prereq !== "none") {
    setDefaultPacketType(m);
  }
}

/** The result of setting a field: where it can be expressed, or why it could not be set. */
export interface MatchSet {
  readonly protocols: Protocols;
  readonly error?: string;
}

/** Fields whose setters take the value as the mask too, an oddity of Open vSwitch. */
const VALUE_AS_MASK = new Set<Field>([
  F.tun_erspan_ver,
  F.tun_erspan_dir,
  F.tun_erspan_hwid,
  F.tun_gtpu_flags,
  F.tun_gtpu_msgtype,
]);

/**
 * Matches a field; `mask` null means exactly. The caller has checked the prerequisites and that
 * the field takes the mask. (ovs: mf_set)
 */
export function matchSetField(
  field: Field,
  value: FieldValue,
  mask: FieldValue | null,
  m: Match,
): MatchSet {
  if (mask === null || isAllOnes(field, mask)) {
    if (field.tunMetadata >= 0) {
      return withError(field.usableExact, setTunMetadata(field, value, null, m));
    }
    setExact(field, value, m);
    return { protocols: field.usableExact };
  }
  if (field.tunMetadata < 0 && isAllZero(mask)) {
    matchSetWild(field, m);
    return { protocols: P.ANY };
  }
  if (!field.maskable) {
    return { protocols: P.NONE };
  }
  const error = field.tunMetadata >= 0 ? setTunMetadata(field, value, mask, m) : undefined;
  if (field.tunMetadata < 0) {
    setMasked(field, value, mask, m);
  }
  const cidr = field.usableBitwise === field.usableCidr || isCidrWord(mask[0] as number);
  return withError(cidr ? field.usableCidr : field.usableBitwise, error);
}

function withError(protocols: Protocols, error: string | undefined): MatchSet {
  return error === undefined ? { protocols } : { protocols, error };
}

function isCidrWord(mask: number): boolean {
  const inverse = ~mask >>> 0;
  return (inverse & (inverse + 1)) === 0;
}

function setExact(field: Field, value: FieldValue, m: Match): void {
  const n = value[0] as number;
  const slot = field.slot;
  if (field.words > 1) {
    setWide(field, value, null, m);
    return;
  }
  switch (field.name) {
    case "dl_vlan":
      setDlVlan(m.flow, n);
      setTciMask(m, n === OFP10_VLAN_NONE ? 0xffff : VLAN.VID_MASK | VLAN.CFI);
      return;
    case "vlan_vid":
      setVlanVidMasked(m, n, VLAN.VID_MASK | VLAN.CFI);
      return;
    case "dl_vlan_pcp":
    case "vlan_pcp":
      setVlanPcp(m.flow, n);
      setTciMask(m, VLAN.PCP_MASK | VLAN.CFI);
      return;
    case "in_port":
      set(m.flow, slot, n);
      set(m.wc, slot, 0xffff);
      return;
    case "in_port_oxm":
    case "actset_output":
      set(m.flow, slot, portFromOfp11(n) ?? 0xffff);
      set(m.wc, slot, 0xffff);
      return;
    case "ip_frag":
      set(m.flow, slot, n);
      set(m.wc, slot, get(m.wc, slot) | 3);
      return;
    default: {
      const bits = partBits(field);
      if (VALUE_AS_MASK.has(field)) {
        matchSlot(m, slot, n, n);
      } else if (bits === 0) {
        matchSlot(m, slot, n);
      } else {
        setPart(field, n, bits, m);
      }
    }
  }
}

/** Bits, in the slot, of a field that shares its slot with others; 0 for one that has it whole. */
function partBits(field: Field): number {
  switch (field.slot.name) {
    case "nw_tos":
      return field === F.nw_tos ? 0xfc : (2 ** field.bits - 1) << field.lsb;
    case "mpls_lse":
    case "nsh_path_hdr":
      return ((2 ** field.bits - 1) << field.lsb) >>> 0;
    case "tun_flags":
      return 1;
    default:
      return 0;
  }
}

function setPart(field: Field, n: number, bits: number, m: Match): void {
  const { slot, lsb } = field;
  set(m.flow, slot, (get(m.flow, slot) & ~bits) | ((n << lsb) & bits));
  set(m.wc, slot, get(m.wc, slot) | bits);
}

function setTciMask(m: Match, bits: number): void {
  set(m.wc, K.vlan_tci, get(m.wc, K.vlan_tci) | bits);
}

function setVlanVidMasked(m: Match, vid: number, mask: number): void {
  const bits = mask & (VLAN.VID_MASK | VLAN.CFI);
  setVlanVid(m.flow, vid & bits);
  set(m.wc, K.vlan_tci, bits | (get(m.wc, K.vlan_tci) & VLAN.PCP_MASK));
}

function setWide(field: Field, value: FieldValue, mask: FieldValue | null, m: Match): void {
  const top = topWordMask(field);
  for (let i = 0; i < field.words; i++) {
    const bits = mask === null ? (i === 0 ? top : 0xffffffff) : (mask[i] as number);
    m.flow[field.slot.word + i] = (value[i] as number) & bits;
    m.wc[field.slot.word + i] = bits;
  }
}

function setMasked(field: Field, value: FieldValue, mask: FieldValue, m: Match): void {
  const n = value[0] as number;
  const bits = mask[0] as number;
  if (field.words > 1) {
    setWide(field, value, mask, m);
  } else if (field === F.vlan_vid) {
    setVlanVidMasked(m, n, bits);
  } else if (field === F.tun_flags) {
    matchSlot(m, field.slot, n, bits & 1);
  } else if (field === F.ipv6_label && (bits & 0xfffff) === 0xfffff) {
    matchSlot(m, field.slot, n);
  } else if (VALUE_AS_MASK.has(field)) {
    set(m.flow, field.slot, n & bits);
    set(m.wc, field.slot, n);
  } else {
    matchSlot(m, field.slot, n, bits);
  }
}

/** Wildcards a field (ovs: mf_set_wild). */
function matchSetWild(field: Field, m: Match): void {
  const slot = field.slot;
  const vid = VLAN.VID_MASK | VLAN.CFI;
  switch (field.name) {
    case "dl_vlan":
    case "vlan_vid":
      keepTciBits(m, VLAN.PCP_MASK, vid & ~VLAN.CFI);
      return;
    case "dl_vlan_pcp":
    case "vlan_pcp":
      keepTciBits(m, VLAN.VID_MASK, VLAN.PCP_MASK);
      return;
    default: {
      const bits = partBits(field);
      if (field.words > 1) {
        m.flow.fill(0, slot.word, slot.word + field.words);
        m.wc.fill(0, slot.word, slot.word + field.words);
      } else if (bits === 0) {
        clear(m.flow, slot);
        clear(m.wc, slot);
      } else {
        set(m.flow, slot, get(m.flow, slot) & ~bits);
        set(m.wc, slot, get(m.wc, slot) & ~bits);
      }
    }
  }
}

/** Drops `gone` from the tag's mask; without any of the `kept` bits there is no tag to match. */
function keepTciBits(m: Match, kept: number, gone: number): void {
  if ((get(m.wc, K.vlan_tci) & kept) !== 0) {
    set(m.wc, K.vlan_tci, get(m.wc, K.vlan_tci) & ~gone);
    set(m.flow, K.vlan_tci, get(m.flow, K.vlan_tci) & ~gone);
  } else {
    matchSlot(m, K.vlan_tci, 0, 0);
  }
}

/** Whether the mask has no bit of a field (ovs: mf_is_all_wild). */
export function isFieldWild(field: Field, m: Match): boolean {
  if (field.tunMetadata >= 0) {
    return !tunMdPresent(m.wc, field.tunMetadata);
  }
  return isAllZero(fieldGet(field, m.wc));
}

/** Whether a match meets a field's prerequisites (ovs: mf_are_match_prereqs_ok). */
export function matchPrereqsOk(field: Field, m: Match): boolean {
  return fieldPrereqsOk(field, m.flow, null, m.wc);
}

/** Value and mask of a field in a match (ovs: mf_get). */
export function matchGetField(field: Field, m: Match): { value: FieldValue; mask: FieldValue } {
  return { value: fieldGet(field, m.flow, m.tab), mask: fieldGet(field, m.wc, m.tab) };
}

/** Matches a subfield exactly (ovs: mf_write_subfield). */
export function matchSetSubfield(sf: Subfield, x: FieldValue, m: Match): MatchSet {
  const { value, mask } = matchGetField(sf.field, m);
  copyBits({ v: x, ofs: 0 }, { v: value, ofs: sf.ofs }, sf.bits);
  setBits(mask, sf.ofs, sf.bits);
  return matchSetField(sf.field, value, mask, m);
}

/** Finds or makes room for an option in a match (ovs: metadata_loc_from_match). */
function tunMdPlace(
  field: Field,
  bytes: number,
  masked: boolean,
  m: Match,
): { loc: TunMdLoc } | { error?: string } {
  const index = field.tunMetadata;
  if (m.tab !== null) {
    const loc = m.tab.loc(index);
    return loc === undefined ? {} : { loc };
  }
  const used = m.tunMd?.allocOffset ?? 0;
  if (used + bytes > TUN_METADATA_BYTES) {
    const sizes = `(used ${used + bytes}, max ${TUN_METADATA_BYTES})`;
    return { error: `field ${field.name} exceeds maximum size for tunnel metadata ${sizes}` };
  }
  if (tunMdPresent(m.wc, index)) {
    return { error: `field ${field.name} set multiple times` };
  }
  m.tunMd ??= { allocOffset: 0, entries: new Map() };
  const loc: TunMdLoc = { bytes, pieces: [{ offset: used, bytes }] };
  m.tunMd.entries.set(index, { loc, masked });
  m.tunMd.allocOffset += bytes;
  return { loc };
}

/** Matches a tunnel option; the result is an error text (ovs: tun_metadata_set_match). */
export function setTunMetadata(
  field: Field,
  value: FieldValue | null,
  mask: FieldValue | null,
  m: Match,
): string | undefined {
  const masked = mask !== null && !isAllOnes(field, mask);
  const own = value === null ? field.bytes : tunMdSignificantBytes(value);
  const bytes = masked ? Math.max(own, tunMdSignificantBytes(mask)) : own;
  const place = tunMdPlace(field, bytes, masked, m);
  if (!("loc" in place)) {
    return place.error;
  }
  const { loc } = place;
  const maskBody =
    value === null
      ? new Uint8Array(loc.bytes)
      : mask === null
        ? new Uint8Array(loc.bytes).fill(0xff)
        : tunMdTail(mask, loc.bytes);
  const body = tunMdTail(value ?? newValue(field), loc.bytes).map((b, i) => b & (maskBody[i] ?? 0));
  writeTunMd(m.flow, loc, field.tunMetadata, body);
  writeTunMd(m.wc, loc, field.tunMetadata, maskBody);
  return undefined;
}

/** Where option `index` of a match lies and whether it has a mask. */
export function tunMdLocOf(m: Match, index: number): { loc: TunMdLoc; masked: boolean } | null {
  if (m.tunMd !== null) {
    return m.tunMd.entries.get(index) ?? { loc: { bytes: 0, pieces: [] }, masked: false };
  }
  const loc = m.tab?.loc(index);
  if (loc === undefined) {
    return m.tab === null ? null : { loc: { bytes: 0, pieces: [] }, masked: true };
  }
  let ones = true;
  for (const p of loc.pieces) {
    for (let i = 0; i < p.bytes; i++) {
      const w = m.wc[K.tun_md_opts.word + ((p.offset + i) >> 2)] as number;
      ones &&= ((w >>> (24 - 8 * ((p.offset + i) & 3))) & 0xff) === 0xff;
    }
  }
  // An option without data can only be asked for, which counts as masked.
  return { loc, masked: loc.bytes === 0 || !ones };
}

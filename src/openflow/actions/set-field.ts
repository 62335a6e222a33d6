// Row of the action table: set_field and load, which differ only in how they were written.
//
// Before OpenFlow 1.2 a set_field travels as the old action for its field, if there is one and the
// whole field is set, else as extension reg_load; a partial one does so up to 1.4. What came as
// reg_load or reg_load2 (`raw`) stays that until 1.5, which has only set_field. A reg_load holds at
// most 64 adjacent bits, so a mask with gaps becomes several. (ovs: lib/ofp-actions.c encode_SET_FIELD)

import { parseIntString } from "../../flow/field-text.ts";
import {
  type FieldValue,
  fieldIsValueValid,
  fieldPrereqsOk,
  isAllOnes,
  newValue,
} from "../../flow/field-value.ts";
import { F, type Field, fieldByName, type FieldName } from "../../flow/fields.ts";
import { get, K, set } from "../../flow/flow-key.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import type { Subfield } from "../../flow/subfield.ts";
import { ETH_TYPE, VLAN_CFI, VLAN_VID_MASK } from "../../flow/vlan-mpls.ts";
import type { Writer } from "../../lib/bytes.ts";
import { copyBits, fillBits, scanBits, zeroBits } from "../../lib/word-bits.ts";
import type { OfpErr } from "../messages/errors.ts";
import { fieldFromNxmHeader, nxmHeader, pullOxmEntry } from "../oxm-field.ts";
import {
  checkTarget,
  formatSubfield,
  mfFormat,
  readSubfield,
  readValueAndMask,
  splitArrow,
} from "./field-ops.ts";
import { putDlAddr, putSetEcn } from "./headers.ts";
import { ofsBits } from "./output.ts";
import { NARL, putRegLoad, putRegLoad2, putSetField } from "./set-field-wire.ts";
import { formatHex64 } from "./text.ts";
import type {
  ActionDecoder,
  ActionDef,
  ActionOf,
  CheckContext,
  DecodeContext,
  ParseContext,
  ParseOutcome,
} from "./types.ts";
import { putRaw, type RawView } from "./wire.ts";

type SetField = ActionOf<"set_field">;

/** A reg_load of some bits of a field, the rest untouched. (ovs: ofpact_put_reg_load) */
function regLoad(dst: Subfield, bits: FieldValue): SetField {
  const value = newValue(dst.field);
  copyBits(bits, 0, value, dst.ofs, dst.bits);
  return {
    kind: "set_field",
    field: dst.field,
    value,
    mask: sharedMask(dst),
    flowHasVlan: false,
    raw: "nx_reg_load",
  };
}

/** Masks of parts of fields; flows by the million load the same few. */
const MASKS = new Map<number, FieldValue>();
const MASKS_MAX = 10_000;
/** No field is longer. */
const FIELD_BITS_MAX = 1024;

/** The ones of a part of a field, for everybody to look at. */
function sharedMask({ field, ofs, bits }: Subfield): FieldValue {
  const key = (field.id * FIELD_BITS_MAX + ofs) * (FIELD_BITS_MAX + 1) + bits;
  let mask = MASKS.get(key);
  if (mask === undefined) {
    mask = newValue(field);
    fillBits(mask, ofs, bits);
    if (MASKS.size < MASKS_MAX) {
      MASKS.set(key, mask);
    }
  }
  return mask;
}

function parseSetField(arg: string, pp: ParseContext): ParseOutcome {
  const parts = splitArrow(arg);
  if (typeof parts === "string") {
    return parts;
  }
  const field = fieldByName(parts.key);
  if (field === undefined) {
    return `${parts.key} is not a valid OXM field name`;
  }
  if (!field.writable) {
    return `${parts.key} is read-only`;
  }
  const vm = readValueAndMask(field, parts.value, pp.ports, pp.log);
  if (typeof vm === "string") {
    return vm;
  }
  if (!fieldIsValueValid(field, vm.value)) {
    return `${parts.value} is not a valid value for field ${parts.key}`;
  }
  pp.usable &= field.usableExact;
  const { value } = vm;
  const all = { field, ofs: 0, bits: field.bytes * 8 };
  const mask = isAllOnes(field, vm.mask) ? sharedMask(all) : vm.mask;
  pp.out.push({ kind: "set_field", field, value, mask, flowHasVlan: false });
  return null;
}

function parseLoad(arg: string, pp: ParseContext): ParseOutcome {
  const parts = splitArrow(arg);
  if (typeof parts === "string") {
    return parts;
  }
  const dst = readSubfield(parts.key);
  if (typeof dst === "string") {
    return dst;
  }
  const value = newValue(dst.field);
  if (parseIntString(parts.value, 0, dst.field.bytes, value).error !== "") {
    return `${arg}: cannot parse integer value`;
  }
  if (!zeroBits(value, dst.bits, dst.field.bytes * 8 - dst.bits)) {
    return `${arg}: value ${mfFormat(dst.field, value)} does not fit into ${dst.bits} bits`;
  }
  pp.out.push(regLoad(dst, value));
  return null;
}

/** Calls `visit` for each run of at most 64 masked bits, from the lowest. (ovs: next_load_segment) */
function eachLoad(a: SetField, visit: (dst: Subfield, value: FieldValue) => void): void {
  const { field, mask } = a;
  let from = 0;
  while (from < field.bits) {
    const ofs = scanBits(mask, 1, from, field.bits);
    if (ofs >= field.bits) {
      return;
    }
    const end = scanBits(mask, 0, ofs + 1, Math.min(ofs + 64, field.bits));
    const value = new Uint32Array(2);
    copyBits(a.value, ofs, value, 0, end - ofs);
    visit({ field, ofs, bits: end - ofs }, value);
    from = end;
  }
}

function format(a: SetField, ports: Parameters<typeof mfFormat>[3]): string {
  if (a.raw !== "nx_reg_load") {
    return `set_field:${mfFormat(a.field, a.value, a.mask, ports)}->${a.field.name}`;
  }
  const loads: string[] = [];
  eachLoad(a, (dst, value) => {
    loads.push(`load:${formatHex64(value)}->${formatSubfield(dst)}`);
  });
  return loads.join(",");
}

function encode(a: SetField, out: Writer, version: OfVersion): void {
  if (version >= OFP.v15) {
    putSetField(out, version, a.field, a.value, a.mask);
  } else if (a.raw === "nx_reg_load" || a.raw === "nx_reg_load2") {
    putLoads(a, out, version);
  } else if (version < OFP.v12) {
    putLegacy(a, out, version);
  } else if (isAllOnes(a.field, a.mask)) {
    putSetField(out, version, a.field, a.value, a.mask);
  } else {
    putLoads(a, out, version);
  }
}

function putLoads(a: SetField, out: Writer, version: OfVersion): void {
  if (a.raw === "nx_reg_load2" || nxmHeader(a.field) === 0 || a.field.tunMetadata >= 0) {
    putRegLoad2(out, version, a.field, a.value, a.mask);
  } else {
    eachLoad(a, (dst, value) => putRegLoad(out, version, dst, value));
  }
}

type Legacy = (a: SetField, n: number, out: Writer, version: OfVersion) => void;

/** The actions of OpenFlow 1.0 and 1.1 that set a field; `n` is its value's low word. */
const LEGACY: Readonly<Partial<Record<FieldName, Legacy>>> = {
  vlan_tci: (a, n, out, v) => putLegacyTci(a, n, out, v),
  vlan_vid: (_a, n, out, v) => putVid(out, v, n & VLAN_VID_MASK),
  vlan_pcp: (_a, n, out, v) => putPcp(out, v, n),
  eth_src: (a, _n, out, v) => putDlAddr(out, "set_dl_src", v, a.value),
  eth_dst: (a, _n, out, v) => putDlAddr(out, "set_dl_dst", v, a.value),
  ip_src: (_a, n, out, v) => {
    putRaw(out, "set_nw_src", v, n);
  },
  ip_dst: (_a, n, out, v) => {
    putRaw(out, "set_nw_dst", v, n);
  },
  nw_tos: (_a, n, out, v) => {
    putRaw(out, "set_nw_tos", v, n);
  },
  ip_dscp: (_a, n, out, v) => {
    putRaw(out, "set_nw_tos", v, n << 2);
  },
  nw_ecn: (_a, n, out, v) => putSetEcn(out, v, n),
  tcp_src: putTpSrc,
  udp_src: putTpSrc,
  tcp_dst: putTpDst,
  udp_dst: putTpDst,
};

function putTpSrc(_a: SetField, n: number, out: Writer, version: OfVersion): void {
  putRaw(out, "set_tp_src", version, n);
}

function putTpDst(_a: SetField, n: number, out: Writer, version: OfVersion): void {
  putRaw(out, "set_tp_dst", version, n);
}

function putVid(out: Writer, version: OfVersion, vid: number): void {
  putRaw(out, version === OFP.v10 ? "of10_set_vlan_vid" : "of11_set_vlan_vid", version, vid);
}

function putPcp(out: Writer, version: OfVersion, pcp: number): void {
  putRaw(out, version === OFP.v10 ? "of10_set_vlan_pcp" : "of11_set_vlan_pcp", version, pcp);
}

/** A whole TCI: with the CFI bit a VLAN header is added or changed, without it removed. */
function putLegacyTci(a: SetField, tci: number, out: Writer, version: OfVersion): void {
  if ((tci & VLAN_CFI) === 0) {
    putRaw(out, version === OFP.v10 ? "of10_strip_vlan" : "of11_pop_vlan", version);
    return;
  }
  if (version !== OFP.v10 && !a.flowHasVlan) {
    putRaw(out, "of11_push_vlan", version, ETH_TYPE.VLAN_8021Q);
  }
  putVid(out, version, tci & VLAN_VID_MASK);
  putPcp(out, version, (tci >>> 13) & 7);
}

function putLegacy(a: SetField, out: Writer, version: OfVersion): void {
  const legacy = LEGACY[a.field.name];
  if (legacy === undefined) {
    putLoads(a, out, version);
  } else {
    legacy(a, a.value[a.value.length - 1] ?? 0, out, version);
  }
}

/** Where the OXM entry begins. */
const ENTRY = { SET_FIELD: 4, REG_LOAD2: 10 } as const;

function decodeSetField(mayMask: boolean): ActionDecoder {
  return (raw, dc) => {
    const e = pullOxmEntry(raw.bytes, ENTRY.SET_FIELD, dc, mayMask);
    if (typeof e === "string") {
      return e === "OFPBMC_BAD_MASK" ? "OFPBAC_BAD_SET_MASK" : e;
    }
    const { field, value, mask } = e;
    if (!raw.zero(e.end) || field.id === F.in_port_oxm.id) {
      return "OFPBAC_BAD_SET_ARGUMENT";
    }
    if (!field.writable) {
      return notWritable(field, dc);
    }
    // OpenFlow 1.5 wants the "present" bit of a VLAN id in both value and mask.
    const present = ((value[0] ?? 0) & (mask[0] ?? 0) & VLAN_CFI) !== 0;
    if (!fieldIsValueValid(field, value) || (field.id === F.vlan_vid.id && !present)) {
      const text = mfFormat(field, value);
      dc.log?.("WARN", "ofp_actions", `Invalid value for set field ${field.name}: ${text}`);
      return "OFPBAC_BAD_SET_ARGUMENT";
    }
    dc.out.push({ kind: "set_field", field, value, mask, flowHasVlan: false });
    return null;
  };
}

function notWritable(field: Field, dc: DecodeContext): OfpErr {
  dc.log?.("WARN", "ofp_actions", `destination field ${field.name} is not writable`);
  return "OFPBAC_BAD_SET_ARGUMENT";
}

function decodeRegLoad(raw: RawView, dc: DecodeContext): OfpErr | null {
  const field = fieldFromNxmHeader(raw.u32(NARL.DST), dc);
  if (typeof field === "string") {
    return field;
  }
  const dst = { field, ...ofsBits(raw, NARL.OFS_NBITS) };
  const error = checkTarget(dst, null, dc.log);
  if (error !== null) {
    return error;
  }
  const value = raw.u64(NARL.VALUE);
  if (!zeroBits(value, dst.bits, 64 - dst.bits)) {
    return "OFPBAC_BAD_ARGUMENT";
  }
  dc.out.push(regLoad(dst, value));
  return null;
}

function decodeRegLoad2(raw: RawView, dc: DecodeContext): OfpErr | null {
  const e = pullOxmEntry(raw.bytes, ENTRY.REG_LOAD2, dc, true);
  if (typeof e === "string") {
    return e;
  }
  if (!raw.zero(e.end)) {
    return "OFPBAC_BAD_SET_ARGUMENT";
  }
  if (!e.field.writable) {
    return notWritable(e.field, dc);
  }
  const { field, value, mask } = e;
  dc.out.push({ kind: "set_field", field, value, mask, flowHasVlan: false, raw: "nx_reg_load2" });
  return null;
}

function check(a: SetField, cc: CheckContext): OfpErr | null {
  const { flow } = cc.match;
  const tci = get(flow, K.vlan_tci);
  const tagged = (tci & VLAN_CFI) !== 0;
  if (!fieldPrereqsOk(a.field, flow) || (a.field.id === F.vlan_vid.id && !tagged)) {
    cc.log?.("WARN", "ofp_actions", `set_field ${a.field.name} lacks correct prerequisites`);
    return "OFPBAC_MATCH_INCONSISTENT";
  }
  a.flowHasVlan = tagged;
  if (a.field.id === F.vlan_tci.id) {
    set(flow, K.vlan_tci, a.value[0] ?? 0);
  }
  return null;
}

export const set_field: ActionDef<"set_field"> = {
  kind: "set_field",
  name: "set_field",
  parsers: { set_field: parseSetField, load: parseLoad },
  format: (a, fp) => format(a, fp.ports),
  encode,
  decoders: {
    of12_set_field: decodeSetField(false),
    of15_set_field: decodeSetField(true),
    nx_reg_load: decodeRegLoad,
    nx_reg_load2: decodeRegLoad2,
  },
  check,
  setClass: "set",
  doc: "Sets a field, or with a mask or as load some of its bits, to a value.",
};

// The wire forms of learn.
//
// After a fixed part come specs: a 16-bit header (width, kind of source and of target), then what
// the kinds call for: fields as 32-bit header and offset, given bits in whole 16-bit units. A zero
// header, or the end of the action, ends the list. (ovs: lib/ofp-actions.c decode_LEARN_specs)

import type { OfVersion } from "../../flow/of-version.ts";
import type { Subfield } from "../../flow/subfield.ts";
import type { Writer } from "../../lib/bytes.ts";
import type { OfpErr } from "../messages/errors.ts";
import {
  fieldFromNxmHeader,
  nxmHeader,
  pullOxmHeader,
  putOxmHeader,
  putValueBytes,
  valueFromBytes,
} from "../oxm-field.ts";
import { type ActionOf, type DecodeContext, type LearnSpec, NX_LEARN_F } from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

type Learn = ActionOf<"learn">;

/** Layout of both forms: byte offsets; the short one ends before LIMIT. */
const NAL = {
  IDLE: 10,
  HARD: 12,
  PRIORITY: 14,
  COOKIE: 16,
  FLAGS: 24,
  TABLE: 26,
  PAD: 27,
  FIN_IDLE: 28,
  FIN_HARD: 30,
  SPECS: 32,
  LIMIT: 32,
  RESULT_OFS: 36,
  PAD2: 38,
  SPECS2: 40,
} as const;

/** Header of a spec. */
const SPEC = {
  N_BITS_MASK: 0x3ff,
  SRC_IMMEDIATE: 1 << 13,
  DST_SHIFT: 11,
  DST_MASK: 3,
} as const;
const DST_TYPES: readonly LearnSpec["dstType"][] = ["match", "load", "output"];
/** A field: header and offset. */
const SUBFIELD_BYTES = 6;

export function encodeLearn(a: Learn, out: Writer, version: OfVersion): void {
  const writeResult = (a.flags & NX_LEARN_F.WRITE_RESULT) !== 0;
  const long = a.raw === "nx_learn2" || a.limit !== 0 || writeResult;
  const start = putRaw(out, long ? "nx_learn2" : "nx_learn", version);
  out.patchU16(start + NAL.IDLE, a.idleTimeoutS);
  out.patchU16(start + NAL.HARD, a.hardTimeoutS);
  out.patchU16(start + NAL.PRIORITY, a.priority);
  out.patchU32(start + NAL.COOKIE, a.cookie[0] ?? 0);
  out.patchU32(start + NAL.COOKIE + 4, a.cookie[1] ?? 0);
  out.patchU16(start + NAL.FLAGS, a.flags);
  out.patchU8(start + NAL.TABLE, a.tableId);
  out.patchU16(start + NAL.FIN_IDLE, a.finIdleTimeoutS);
  out.patchU16(start + NAL.FIN_HARD, a.finHardTimeoutS);
  if (long) {
    out.patchU32(start + NAL.LIMIT, a.limit);
    out.patchU16(start + NAL.RESULT_OFS, a.resultDst?.ofs ?? 0);
  }
  if (writeResult && a.resultDst !== null) {
    putOxmHeader(out, a.resultDst.field, 0);
  }
  for (const spec of a.specs) {
    putSpec(out, spec);
  }
  padAction(out, start);
}

function putSpec(out: Writer, spec: LearnSpec): void {
  const src = spec.srcType === "immediate" ? SPEC.SRC_IMMEDIATE : 0;
  out.u16(spec.nBits | src | (DST_TYPES.indexOf(spec.dstType) << SPEC.DST_SHIFT));
  if (spec.src !== null) {
    putSubfield(out, spec.src);
  } else if (spec.imm !== null) {
    putValueBytes(out, spec.imm, 2 * Math.ceil(spec.nBits / 16));
  }
  if (spec.dst !== null) {
    putSubfield(out, spec.dst);
  }
}

function putSubfield(out: Writer, sf: Subfield): void {
  out.u32(nxmHeader(sf.field)).u16(sf.ofs);
}

export function decodeLearn(
  name: "nx_learn" | "nx_learn2",
  raw: RawView,
  dc: DecodeContext,
): OfpErr | null {
  const long = name === "nx_learn2";
  if (long && raw.u16(NAL.PAD2) !== 0) {
    return "NXBAC_MUST_BE_ZERO";
  }
  const flags = raw.u16(NAL.FLAGS);
  const known =
    NX_LEARN_F.SEND_FLOW_REM | NX_LEARN_F.DELETE_LEARNED | (long ? NX_LEARN_F.WRITE_RESULT : 0);
  const tableId = raw.u8(NAL.TABLE);
  if (raw.u8(NAL.PAD) !== 0 || tableId === 255 || (flags & ~known) !== 0) {
    return "OFPBAC_BAD_ARGUMENT";
  }
  const result = long ? decodeResult(raw, flags, dc) : { dst: null, end: NAL.SPECS };
  if (typeof result === "string") {
    return result;
  }
  const specs: LearnSpec[] = [];
  const error = decodeSpecs(raw, result.end, specs, dc);
  dc.out.push({
    kind: "learn",
    idleTimeoutS: raw.u16(NAL.IDLE),
    hardTimeoutS: raw.u16(NAL.HARD),
    priority: raw.u16(NAL.PRIORITY),
    tableId,
    flags,
    cookie: raw.u64(NAL.COOKIE),
    finIdleTimeoutS: raw.u16(NAL.FIN_IDLE),
    finHardTimeoutS: raw.u16(NAL.FIN_HARD),
    limit: long ? raw.u32(NAL.LIMIT) : 0,
    resultDst: result.dst,
    specs,
    raw: name,
  });
  return error;
}

/** The bit that says whether a flow was learned, and where the specs begin. */
function decodeResult(
  raw: RawView,
  flags: number,
  dc: DecodeContext,
): { dst: Subfield | null; end: number } | OfpErr {
  const ofs = raw.u16(NAL.RESULT_OFS);
  if ((flags & NX_LEARN_F.WRITE_RESULT) === 0) {
    return ofs === 0 ? { dst: null, end: NAL.SPECS2 } : "OFPBAC_BAD_ARGUMENT";
  }
  const h = pullOxmHeader(raw.bytes, NAL.SPECS2, dc);
  if (typeof h === "string") {
    return h;
  }
  if (!h.field.writable) {
    return "OFPBAC_BAD_SET_ARGUMENT";
  }
  return { dst: { field: h.field, ofs, bits: 1 }, end: h.end };
}

function decodeSpecs(
  raw: RawView,
  from: number,
  specs: LearnSpec[],
  dc: DecodeContext,
): OfpErr | null {
  let ofs = from;
  while (ofs < raw.length) {
    const header = raw.u16(ofs);
    ofs += 2;
    if (header === 0) {
      break;
    }
    const spec = decodeSpec(raw, header, ofs, dc);
    if (typeof spec === "string") {
      return spec;
    }
    specs.push(spec.spec);
    ofs = spec.end;
  }
  return raw.zero(ofs) ? null : "OFPBAC_BAD_ARGUMENT";
}

function decodeSpec(
  raw: RawView,
  header: number,
  from: number,
  dc: DecodeContext,
): { spec: LearnSpec; end: number } | OfpErr {
  const immediate = (header & SPEC.SRC_IMMEDIATE) !== 0;
  const dstType = DST_TYPES[(header >>> SPEC.DST_SHIFT) & SPEC.DST_MASK];
  const nBits = header & SPEC.N_BITS_MASK;
  if (dstType === undefined || (dstType === "output" && immediate)) {
    return "OFPBAC_BAD_ARGUMENT";
  }
  const immBytes = 2 * Math.ceil(nBits / 16);
  const hasDst = dstType !== "output";
  const need = (immediate ? immBytes : SUBFIELD_BYTES) + (hasDst ? SUBFIELD_BYTES : 0);
  if (raw.length - from < need) {
    return "OFPBAC_BAD_LEN";
  }
  let ofs = from;
  const src = immediate ? null : decodeSubfield(raw, ofs, nBits, dc);
  if (typeof src === "string") {
    return src;
  }
  const significant = Math.ceil(nBits / 8);
  const imm = immediate
    ? valueFromBytes(raw.bytes, ofs + immBytes - significant, significant, Math.ceil(nBits / 32))
    : null;
  ofs += immediate ? immBytes : SUBFIELD_BYTES;
  const dst = hasDst ? decodeSubfield(raw, ofs, nBits, dc) : null;
  if (typeof dst === "string") {
    return dst;
  }
  const srcType = immediate ? "immediate" : "field";
  return { spec: { srcType, dstType, nBits, src, dst, imm }, end: from + need };
}

function decodeSubfield(
  raw: RawView,
  ofs: number,
  bits: number,
  dc: DecodeContext,
): Subfield | OfpErr {
  const field = fieldFromNxmHeader(raw.u32(ofs), dc);
  return typeof field === "string" ? field : { field, ofs: raw.u16(ofs + 4), bits };
}

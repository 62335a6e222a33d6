// One field on the wire: NXM and OXM headers, and entries of header, value and mask.
//
// A header is 32 bits: class, field number, "has mask", length of the payload. Of class 0xffff 32
// more bits with the experimenter's id follow and count as payload. A field may have several
// headers; an encoder takes the last one that its OpenFlow version knows, NXM taking "version 0".
// Values are FieldValues; on the wire those of variable-width fields lose their leading zeros.
//
// References: OpenFlow 1.5.1, 7.2.3 "Flow Match Fields"; ovs: lib/nx-match.c nx_put_header,
// nx_pull_header, nx_put_entry, nx_pull_entry.

import {
  FIELDS,
  type Field,
  fieldByOxm,
  OXM_EXPERIMENTER_CLASS,
  type OxmHeader,
} from "../flow/fields.ts";
import type { FieldValue } from "../flow/field-value.ts";
import type { OfVersion } from "../flow/of-version.ts";
import type { LogSink } from "../flow/ofp-port.ts";
import {
  isMappedField,
  isUnmappedField,
  mappedField,
  noteTlvField,
  type TlvBitmap,
  type VlMffMap,
} from "../flow/vl-mff-map.ts";
import { getU32, type Writer } from "../lib/bytes.ts";
import { hashUint64 } from "../lib/hash.ts";
import type { OfpErr } from "./messages/errors.ts";

/** The "version" that asks for a field's NXM header, or its earliest one. */
export type OxmVersion = OfVersion | 0;

/** Bytes of a header, without and with an experimenter id. */
const HEADER_BYTES = 4;
const EXPERIMENTER_BYTES = 4;
/** Lengths from here on never name a known field. */
const LENGTH_BIT_7 = 0x80;

/** The header that a version uses for a field, or null (ovs: nxm_field_by_mf_id). */
export function oxmHeader(field: Field, version: OxmVersion): OxmHeader | null {
  let best: OxmHeader | null = null;
  for (const h of field.oxm) {
    if (best === null || version >= h.version) {
      best = h;
    }
  }
  return best;
}

/**
 * Goes out for a field that has no header, such as dl_vlan: what reads it finds in_port, or a
 * length that is wrong. Actions on such fields can be written as text all the same.
 */
const NO_HEADER: OxmHeader = {
  name: "",
  vendor: 0,
  class: 0,
  field: 0,
  length: 0,
  version: 0,
  ovs: "",
};

/** The first 32 bits of a header. */
function headerWord(h: OxmHeader, hasMask: boolean, payloadBytes: number): number {
  return ((h.class << 16) | (h.field << 9) | (hasMask ? 0x100 : 0) | payloadBytes) >>> 0;
}

/**
 * A field's 32-bit NXM header; 0 if it has none or needs an experimenter id. Of a mapped field the
 * length is that of its option. (ovs: mf_nxm_header, nxm_header_from_mff)
 */
export function nxmHeader(field: Field): number {
  const h = oxmHeader(field, 0);
  if (h === null || h.vendor !== 0) {
    return 0;
  }
  return headerWord(h, false, isMappedField(field) ? field.bytes : h.length);
}

/** Appends the header of a field (ovs: nx_put_mff_header). */
export function putOxmHeader(
  out: Writer,
  field: Field,
  version: OxmVersion,
  hasMask = false,
): void {
  const h = oxmHeader(field, version) ?? NO_HEADER;
  const experimenter = h.vendor === 0 ? 0 : EXPERIMENTER_BYTES;
  putHeader(out, h, hasMask, isMappedField(field) ? field.bytes : h.length - experimenter);
}

function putHeader(out: Writer, h: OxmHeader, hasMask: boolean, valueBytes: number): void {
  const experimenter = h.vendor === 0 ? 0 : EXPERIMENTER_BYTES;
  out.u32(headerWord(h, hasMask, experimenter + valueBytes * (hasMask ? 2 : 1)));
  if (experimenter > 0) {
    out.u32(h.vendor);
  }
}

/** Appends header, value and, unless all its bits are 1, mask (ovs: nx_put_entry). */
export function putOxmEntry(
  out: Writer,
  field: Field,
  version: OxmVersion,
  value: FieldValue,
  mask: FieldValue | null,
): void {
  const h = oxmHeader(field, version) ?? NO_HEADER;
  const masked = mask !== null && !isAllOnes(mask, field.bytes);
  let bytes = significantBytes(field, value);
  if (masked) {
    bytes = Math.max(bytes, significantBytes(field, mask));
  }
  putHeader(out, h, masked, bytes);
  putValueBytes(out, value, bytes);
  if (masked) {
    putValueBytes(out, mask, bytes);
  }
}

/** Appends header and given bytes, whatever width the field has (ovs: nxm_put_entry_raw). */
export function putRawOxmEntry(
  out: Writer,
  field: Field,
  version: OxmVersion,
  value: Uint8Array,
  mask: Uint8Array | null,
): void {
  const h = oxmHeader(field, version) ?? NO_HEADER;
  putHeader(out, h, mask !== null, value.length);
  out.put(value);
  if (mask !== null) {
    out.put(mask);
  }
}

/** Bytes of a value that stand on the wire: all, or for variable widths those after leading 0s. */
function significantBytes(field: Field, value: FieldValue): number {
  if (field.tunMetadata < 0) {
    return field.bytes;
  }
  let n = field.bytes;
  while (n > 0 && valueByte(value, n - 1) === 0) {
    n--;
  }
  return n;
}

/** Byte `i` of a value, counted from the least significant. */
function valueByte(value: FieldValue, i: number): number {
  return ((value[value.length - 1 - (i >> 2)] ?? 0) >>> ((i & 3) * 8)) & 0xff;
}

/** True if the low `bytes` bytes of a mask have all bits set. */
export function isAllOnes(mask: FieldValue, bytes: number): boolean {
  for (let i = 0; i < bytes; i++) {
    if (valueByte(mask, i) !== 0xff) {
      return false;
    }
  }
  return true;
}

/** Appends the low `bytes` bytes of a value, most significant first. */
export function putValueBytes(out: Writer, value: FieldValue, bytes: number): void {
  const at = out.reserve(bytes);
  for (let i = 0; i < bytes; i++) {
    out.patchU8(at + bytes - 1 - i, valueByte(value, i));
  }
}

/** A value of `words` words from `count` bytes; bytes that do not fit, the first ones, are lost. */
export function valueFromBytes(
  bytes: Uint8Array,
  ofs: number,
  count: number,
  words: number,
): FieldValue {
  const value = new Uint32Array(words);
  for (let i = 0; i < count && i < words * 4; i++) {
    const w = words - 1 - (i >> 2);
    value[w] = (value[w] ?? 0) | ((bytes[ofs + count - 1 - i] ?? 0) << ((i & 3) * 8));
  }
  return value;
}

/** A header as it was read. */
export interface PulledHeader {
  /** Null if no field has it. */
  readonly field: Field | null;
  readonly hasMask: boolean;
  /** Bytes of value and mask that follow. */
  readonly payloadBytes: number;
  /** Where they begin. */
  readonly end: number;
  readonly vendor: number;
  readonly class: number;
  readonly fieldNumber: number;
}

/** Reads a header, of a known field or not; null if it is cut off or impossible. */
export function readOxmHeader(bytes: Uint8Array, ofs: number): PulledHeader | null {
  if (bytes.length - ofs < HEADER_BYTES) {
    return null;
  }
  const word = getU32(bytes, ofs);
  const cls = word >>> 16;
  const experimenter = cls === OXM_EXPERIMENTER_CLASS ? EXPERIMENTER_BYTES : 0;
  const length = word & 0xff;
  if (bytes.length - ofs < HEADER_BYTES + experimenter || length < experimenter) {
    return null;
  }
  const vendor = experimenter > 0 ? getU32(bytes, ofs + HEADER_BYTES) : 0;
  return describe(word, vendor, ofs + HEADER_BYTES + experimenter);
}

function describe(word: number, vendor: number, end: number): PulledHeader {
  const cls = word >>> 16;
  const experimenter = cls === OXM_EXPERIMENTER_CLASS ? EXPERIMENTER_BYTES : 0;
  const hasMask = (word & 0x100) !== 0;
  const fieldNumber = (word >>> 9) & 0x7f;
  const payloadBytes = (word & 0xff) - experimenter;
  const valueBytes = hasMask ? payloadBytes >> 1 : payloadBytes;
  const known = fieldByOxm(vendor, cls, fieldNumber);
  // Of a length only seven bits are set apart from the field's name (ovs: nxm_no_len).
  const fits =
    known !== undefined &&
    valueBytes + experimenter < LENGTH_BIT_7 &&
    (known.field.tunMetadata >= 0 || valueBytes + experimenter === known.header.length);
  return {
    field: fits ? known.field : null,
    hasMask,
    payloadBytes,
    end,
    vendor,
    class: cls,
    fieldNumber,
  };
}

/** The bridge's view of fields, and where their use is noted. */
export interface OxmContext {
  readonly tun: VlMffMap | null;
  readonly tlvBitmap: TlvBitmap;
  /** Told of entries that contradict themselves. */
  readonly log?: LogSink | null;
}

/** What Open vSwitch logs of an entry whose value has bits that its mask leaves out. */
export function rejectedText(bytes: Uint8Array, pos: number, vendor: number): string {
  const cls = ((bytes[pos] as number) << 8) | (bytes[pos + 1] as number);
  const field = (bytes[pos + 2] as number) >> 1;
  const id = vendor === 0 ? "0" : `0x${vendor.toString(16)}`;
  const header = `${id}:${cls}:${field}:${(bytes[pos + 2] as number) & 1}:${bytes[pos + 3]}`;
  const why = "with 1-bits in value for bits wildcarded by the mask.";
  return `Rejecting NXM/OXM entry ${header} ${why}`;
}

/** A field that a header of 32 bits names, without mask (ovs: mf_vl_mff_mf_from_nxm_header). */
export function fieldFromNxmHeader(word: number, cx: OxmContext): Field | OfpErr {
  const { field } = describe(word, 0, 0);
  if (field === null || word >>> 16 === OXM_EXPERIMENTER_CLASS) {
    return "OFPBAC_BAD_SET_TYPE";
  }
  return bridgeField(field, cx);
}

function bridgeField(field: Field, cx: OxmContext): Field | OfpErr {
  const f = mappedField(field, cx.tun);
  if (isUnmappedField(f, cx.tun)) {
    return "NXFMFC_INVALID_TLV_FIELD";
  }
  noteTlvField(f, cx.tlvBitmap);
  return f;
}

/** Reads a header that must have no mask (ovs: mf_vl_mff_nx_pull_header). */
export function pullOxmHeader(
  bytes: Uint8Array,
  ofs: number,
  cx: OxmContext,
): { readonly field: Field; readonly end: number } | OfpErr {
  const h = readOxmHeader(bytes, ofs);
  if (h === null) {
    return "OFPBMC_BAD_LEN";
  }
  if (h.field === null) {
    return "OFPBMC_BAD_FIELD";
  }
  if (isUnmappedField(mappedField(h.field, cx.tun), cx.tun)) {
    return "NXFMFC_INVALID_TLV_FIELD";
  }
  if (h.hasMask) {
    return "OFPBMC_BAD_MASK";
  }
  const field = bridgeField(h.field, cx);
  return typeof field === "string" ? field : { field, end: h.end };
}

/** Lengths of the headers in each bucket of Open vSwitch's table of headers. */
let headerBuckets: ReadonlyMap<number, ReadonlySet<number>> | undefined;
/** Mask of that hash table, given how many headers it holds (ovs: lib/hmap.h). */
const HEADER_BUCKET_MASK = FIELDS.reduce((n, f) => n + f.oxm.length, 0) >= 256 ? 255 : 127;

/** Bucket of a header, of whose length only bit 7 counts. */
function headerBucket(vendor: number, cls: number, field: number, length: number): number {
  const word = ((cls << 16) | (field << 9) | (length & LENGTH_BIT_7)) >>> 0;
  return hashUint64(word, vendor) & HEADER_BUCKET_MASK;
}

function makeHeaderBuckets(): Map<number, Set<number>> {
  const buckets = new Map<number, Set<number>>();
  for (const h of FIELDS.flatMap((f) => f.oxm)) {
    const b = headerBucket(h.vendor, h.class, h.field, h.length);
    buckets.set(b, (buckets.get(b) ?? new Set()).add(h.length));
  }
  return buckets;
}

/**
 * "Bad length" if the field exists with another length. Open vSwitch also says so of a field that
 * does not exist if another header of another length is in the same bucket of its hash table, and
 * what a controller sees is that. (ovs: nxm_field_by_header)
 */
function unknownFieldError(h: PulledHeader): OfpErr {
  const experimenter = h.class === OXM_EXPERIMENTER_CLASS ? EXPERIMENTER_BYTES : 0;
  const valueBytes = h.hasMask ? h.payloadBytes >> 1 : h.payloadBytes;
  const length = valueBytes + experimenter;
  headerBuckets ??= makeHeaderBuckets();
  const lengths =
    headerBuckets.get(headerBucket(h.vendor, h.class, h.fieldNumber, length)) ?? new Set();
  const other = length > 0 && [...lengths].some((n) => n !== length);
  return other ? "OFPBAC_BAD_SET_LEN" : "OFPBAC_BAD_SET_TYPE";
}

/** An entry as it was read. */
export interface PulledEntry {
  readonly field: Field;
  readonly value: FieldValue;
  /** All ones where the entry has no mask. */
  readonly mask: FieldValue;
  readonly end: number;
}

/**
 * Reads header, value and mask of an action's operand (ovs: mf_vl_mff_nx_pull_entry). Without
 * `mayMask` an entry with a mask is an error.
 */
export function pullOxmEntry(
  bytes: Uint8Array,
  ofs: number,
  cx: OxmContext,
  mayMask: boolean,
): PulledEntry | OfpErr {
  const h = readOxmHeader(bytes, ofs);
  if (h === null) {
    return "OFPBMC_BAD_LEN";
  }
  if (h.field === null) {
    return unknownFieldError(h);
  }
  const field = mappedField(h.field, cx.tun);
  if (isUnmappedField(field, cx.tun)) {
    return "NXFMFC_INVALID_TLV_FIELD";
  }
  const end = h.end + h.payloadBytes;
  if (end > bytes.length) {
    return "OFPBMC_BAD_LEN";
  }
  const width = h.hasMask ? h.payloadBytes >> 1 : h.payloadBytes;
  for (let i = 0; h.hasMask && i < width; i++) {
    if (((bytes[h.end + i] ?? 0) & ~(bytes[h.end + width + i] ?? 0)) !== 0) {
      cx.log?.("WARN", "nx_match", rejectedText(bytes, ofs, h.vendor));
      return "OFPBMC_BAD_WILDCARDS";
    }
  }
  if (h.hasMask && !mayMask) {
    return "OFPBMC_BAD_MASK";
  }
  noteTlvField(field, cx.tlvBitmap);
  const value = valueFromBytes(bytes, h.end, width, field.words);
  const mask = h.hasMask
    ? valueFromBytes(bytes, h.end + width, width, field.words)
    : onesOf(field.bytes, field.words);
  return { field, value, mask, end };
}

/** A value whose low `bytes` bytes have all bits set. */
export function onesOf(bytes: number, words: number): FieldValue {
  const value = new Uint32Array(words).fill(0xffffffff);
  const extra = words * 4 - bytes;
  if (extra > 0) {
    value[0] = 0xffffffff >>> (extra * 8);
  }
  return value;
}

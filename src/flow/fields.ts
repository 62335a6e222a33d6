// THE FIELD TABLE: one row per match field, as users and the wire name them.
//
// A field is a view of a slot (slots.ts): `tcp_src` and `icmp_type` look at the same storage, and
// `ip_dscp` at six bits of it. Parsers, formatters, the NXM/OXM codec, action operands, prerequisite
// checks and docs/fields.md all interpret this table; nothing else may list fields. Code that runs per
// packet uses the slots' numbers instead.
//
// Invariants
// - FIELDS stands in the order of Open vSwitch's field numbers; `id` is the index. Some output is
//   ordered by it.
// - Every name and alias is unique (asserted on load).
// (ovs: include/openvswitch/meta-flow.h, build-aux/extract-ofp-fields, ovs-fields(7))

import type { FieldFormat, FieldRow, Prereq } from "./field-row.ts";
import { L2_ROWS } from "./fields-l2.ts";
import { L3_ROWS } from "./fields-l3.ts";
import { L4_ROWS } from "./fields-l4.ts";
import { METADATA_ROWS } from "./fields-metadata.ts";
import { OFP, type OfVersion, P, type Protocols } from "./of-version.ts";
import { K, REG_COUNT, type Slot, type SlotName } from "./slots.ts";

export type { FieldFormat, FieldRow, Prereq } from "./field-row.ts";

/** Tunnel options that a bridge can map, `tun_metadata0` to `tun_metadata63`. */
export const TUN_METADATA_COUNT = 64;
/** Largest body of one tunnel option. */
export const TUN_METADATA_OPT_BYTES = 124;

type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";
type Upto15 = Digit | `1${"0" | "1" | "2" | "3" | "4" | "5"}`;
type Upto63 = Digit | `${"1" | "2" | "3" | "4" | "5"}${Digit}` | `6${"0" | "1" | "2" | "3"}`;
type FamilyName =
  | `reg${Upto15}`
  | `xreg${"0" | "1" | "2" | "3" | "4" | "5" | "6" | "7"}`
  | `xxreg${"0" | "1" | "2" | "3"}`
  | `tun_metadata${Upto63}`;
type RowName =
  | (typeof METADATA_ROWS)[number]["name"]
  | (typeof L2_ROWS)[number]["name"]
  | (typeof L3_ROWS)[number]["name"]
  | (typeof L4_ROWS)[number]["name"];

/** The preferred name of a field. */
export type FieldName = RowName | FamilyName;

/** A field's name on the wire. */
export interface OxmHeader {
  readonly name: string;
  /** Experimenter id, 0 if the class is none. */
  readonly vendor: number;
  readonly class: number;
  readonly field: number;
  /** Payload bytes without mask, with the experimenter id where there is one. */
  readonly length: number;
  /** First OpenFlow version that has this header; 0 for extensions, which all versions accept. */
  readonly version: OfVersion | 0;
  /** The Open vSwitch release that brought it. */
  readonly ovs: string;
}

export interface Field {
  /** Index in FIELDS: Open vSwitch's field number. */
  readonly id: number;
  readonly name: FieldName;
  /** The other accepted name, "" if none. */
  readonly aka: string;
  /** Size on the wire. */
  readonly bytes: number;
  /** Significant low-order bits. */
  readonly bits: number;
  /** Words of a FieldValue: ceil(bytes / 4). */
  readonly words: number;
  readonly slot: Slot;
  /** Position of the lowest bit in the slot. */
  readonly lsb: number;
  readonly maskable: boolean;
  readonly format: FieldFormat;
  readonly prereq: Prereq;
  readonly writable: boolean;
  /** Ordered by OpenFlow version, extensions first. */
  readonly oxm: readonly OxmHeader[];
  /** The protocols that can express an exact match, a prefix mask, any mask. */
  readonly usableExact: Protocols;
  readonly usableCidr: Protocols;
  readonly usableBitwise: Protocols;
  readonly prefix: boolean;
  /** N of `tun_metadata<N>`, else -1. Its length depends on the bridge's TLV map. */
  readonly tunMetadata: number;
  readonly doc: string;
}

/** Classes of NXM and OXM headers by the prefix of the header's name; the longest prefix counts. */
export const OXM_CLASSES = [
  { prefix: "NXM_OF_", vendor: 0, class: 0x0000 },
  { prefix: "NXM_NX_", vendor: 0, class: 0x0001 },
  { prefix: "ERICOXM_OF_", vendor: 0, class: 0x1000 },
  { prefix: "OXM_OF_", vendor: 0, class: 0x8000 },
  { prefix: "OXM_OF_PKT_REG", vendor: 0, class: 0x8001 },
  { prefix: "NXOXM_ET_", vendor: 0x00002320, class: 0xffff },
  { prefix: "NXOXM_NSH_", vendor: 0x005ad650, class: 0xffff },
  { prefix: "ONFOXM_ET_", vendor: 0x4f4e4600, class: 0xffff },
] as const;
/** Class of headers that carry an experimenter id before the payload. */
export const OXM_EXPERIMENTER_CLASS = 0xffff;

/** Everything but the name, so that a computed name can be typed apart. */
type Rest = Omit<FieldRow, "name" | "slot">;
type NamedRow = FieldRow & { readonly name: FieldName };

/** `prefix0` to `prefix<count - 1>`. The template literal type cannot follow a loop variable. */
function family(prefix: string, count: number, make: (i: number) => Rest & { slot: string }) {
  const rows: NamedRow[] = [];
  for (let i = 0; i < count; i++) {
    // The counts below are those of FamilyName and SlotName.
    rows.push({ ...make(i), name: `${prefix}${i}` } as NamedRow);
  }
  return rows;
}

/** The release that brought each 32-bit register. */
function regRelease(i: number): string {
  return i < 4 ? "1.1" : i === 4 ? "1.3" : i < 8 ? "1.7" : "2.6";
}

const HEX_RW = { maskable: true, format: "hex", writable: true } as const;

const TUN_METADATA_ROWS = family("tun_metadata", TUN_METADATA_COUNT, (i) => ({
  ...HEX_RW,
  bytes: TUN_METADATA_OPT_BYTES,
  slot: "tun_md_opts" satisfies SlotName,
  oxm: [`NXM_NX_TUN_METADATA${i}(${40 + i}) v2.5`],
  doc: `Body of the tunnel option that the bridge's TLV map assigns to number ${i}.`,
}));

const REG_ROWS = [
  ...family("reg", REG_COUNT, (i) => ({
    ...HEX_RW,
    bytes: 4,
    slot: `reg${i}`,
    oxm: [`NXM_NX_REG${i}(${i}) v${regRelease(i)}`],
    doc: `Register ${i}, 32 bits that last for the packet's walk through the pipeline.`,
  })),
  ...family("xreg", REG_COUNT / 2, (i) => ({
    ...HEX_RW,
    bytes: 8,
    slot: `reg${2 * i}`,
    oxm: [`OXM_OF_PKT_REG${i}(${i}) v2.4 OF1.3`],
    doc: `Registers ${2 * i} and ${2 * i + 1} together, the former in the upper half.`,
  })),
  ...family("xxreg", REG_COUNT / 4, (i) => ({
    ...HEX_RW,
    bytes: 16,
    slot: `reg${4 * i}`,
    oxm: [`NXM_NX_XXREG${i}(${111 + i}) v2.6`],
    doc: `Registers ${4 * i} to ${4 * i + 3} together, the first in the uppermost bits.`,
  })),
];

const FIRST_AFTER_TUNNEL = METADATA_ROWS.findIndex((r) => r.name === "metadata");
const ALL_ROWS: readonly NamedRow[] = [
  ...METADATA_ROWS.slice(0, FIRST_AFTER_TUNNEL),
  ...TUN_METADATA_ROWS,
  ...METADATA_ROWS.slice(FIRST_AFTER_TUNNEL),
  ...REG_ROWS,
  ...L2_ROWS,
  ...L3_ROWS,
  ...L4_ROWS,
];

const OXM_TEXT = /^(\w+)\((\d+)\) v([\d.]+)(?: OF1\.(\d))?$/;

function readHeader(text: string, bytes: number): OxmHeader {
  const m = OXM_TEXT.exec(text);
  if (m === null) {
    throw new Error(`bad header "${text}"`);
  }
  const name = m[1] ?? "";
  let cls: (typeof OXM_CLASSES)[number] | undefined;
  for (const c of OXM_CLASSES) {
    if (name.startsWith(c.prefix) && c.prefix.length > (cls?.prefix.length ?? 0)) {
      cls = c;
    }
  }
  if (cls === undefined) {
    throw new Error(`no class for "${name}"`);
  }
  return Object.freeze({
    name,
    vendor: cls.vendor,
    class: cls.class,
    field: Number(m[2]),
    length: bytes + (cls.vendor !== 0 ? 4 : 0),
    // The expression above admits one digit; the rows hold 1.2 to 1.5.
    version: (m[4] === undefined ? 0 : OFP.v10 + Number(m[4])) as OfVersion | 0,
    ovs: m[3] ?? "",
  });
}

/** Which protocols can say an exact match, a prefix and any mask (ovs: extract-ofp-fields). */
function usable(row: NamedRow): Pick<Field, "usableExact" | "usableCidr" | "usableBitwise"> {
  // These two have no number of their own in OXM but can be said with others.
  const anyWay = row.name === "dl_vlan" || row.name === "dl_vlan_pcp";
  const oxm = row.oxm !== undefined || anyWay ? P.NXM_OXM_ANY : 0;
  const of11 = row.of11 !== undefined || anyWay ? P.OF11_STD : 0;
  const of10 = row.of10 !== undefined || anyWay ? P.OF10_STD_ANY : 0;
  const exact = oxm | of11 | of10;
  if (row.maskable !== true) {
    return { usableExact: exact, usableCidr: 0, usableBitwise: 0 };
  }
  const cidr = oxm | (row.of11 === "bitwise" ? of11 : 0) | (row.of10 === "cidr" ? of10 : 0);
  return {
    usableExact: exact,
    usableCidr: cidr,
    usableBitwise: oxm | (row.of11 === "bitwise" ? of11 : 0),
  };
}

function complete(row: NamedRow, id: number): Field {
  const headers = (row.oxm ?? []).map((t) => readHeader(t, row.bytes));
  headers.sort((a, b) => a.version - b.version);
  return Object.freeze({
    id,
    name: row.name,
    aka: row.aka ?? "",
    bytes: row.bytes,
    bits: row.bits ?? row.bytes * 8,
    words: Math.ceil(row.bytes / 4),
    slot: K[row.slot],
    lsb: row.lsb ?? 0,
    maskable: row.maskable === true,
    format: row.format,
    prereq: row.prereq ?? "none",
    writable: row.writable === true,
    oxm: Object.freeze(headers),
    ...usable(row),
    prefix: row.prefix === true,
    tunMetadata: row.name.startsWith("tun_metadata")
      ? Number(row.name.slice("tun_metadata".length))
      : -1,
    doc: row.doc,
  });
}

/** All fields in the order of Open vSwitch's field numbers. */
export const FIELDS: readonly Field[] = Object.freeze(ALL_ROWS.map(complete));

/** A field by its preferred name: `F.ip_src`. */
// Every name of the rows is set by construction.
export const F = Object.freeze(Object.fromEntries(FIELDS.map((f) => [f.name, f]))) as Readonly<
  Record<FieldName, Field>
>;

const BY_NAME = new Map<string, Field>();
for (const field of FIELDS) {
  for (const name of field.aka === "" ? [field.name] : [field.name, field.aka]) {
    if (BY_NAME.has(name)) {
      throw new Error(`two fields are called ${name}`);
    }
    BY_NAME.set(name, field);
  }
}

/** The field with a preferred name or alias (ovs: mf_from_name). */
export function fieldByName(name: string): Field | undefined {
  return BY_NAME.get(name);
}

/** Every name and alias, in table order, for completion and hints. */
export function fieldNames(): string[] {
  return [...BY_NAME.keys()];
}

const BY_OXM_NAME = new Map<string, { field: Field; header: OxmHeader }>();
const BY_OXM_CODE = new Map<number, { field: Field; header: OxmHeader }>();

/** One number for (vendor, class, field); all three fit in 2^53. */
function oxmCode(vendor: number, cls: number, field: number): number {
  return vendor === 0 ? cls * 128 + field : 2 ** 24 + vendor * 128 + field;
}

for (const field of FIELDS) {
  for (const header of field.oxm) {
    BY_OXM_NAME.set(header.name, { field, header });
    BY_OXM_CODE.set(oxmCode(header.vendor, header.class, header.field), { field, header });
  }
}

/** The field and header called e.g. "NXM_OF_IP_SRC" (ovs: nxm_field_by_name). */
export function fieldByOxmName(name: string): { field: Field; header: OxmHeader } | undefined {
  return BY_OXM_NAME.get(name);
}

/** The field with a wire number (ovs: nxm_field_by_header). */
export function fieldByOxm(
  vendor: number,
  cls: number,
  field: number,
): { field: Field; header: OxmHeader } | undefined {
  return BY_OXM_CODE.get(oxmCode(vendor, cls, field));
}

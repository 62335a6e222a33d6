// THE RAW ACTION TABLE: every action as it stands on the wire.
//
// A row says under which vendor, number and OpenFlow versions an action travels and how long it is.
// One abstract action (types.ts) may have several raw forms; its encoder chooses one by version.
//
// References: OpenFlow 1.0 to 1.5 specifications, "Actions"; ovs: lib/ofp-actions.c, enum
// ofp_raw_action_type (the facts in the comments there).

import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { defined } from "../../lib/errors.ts";

/** Vendor ids; 0 stands for the standard actions. */
export const VENDOR = { OF: 0, NX: 0x00002320, ONF: 0x4f4e4600 } as const;
export type VendorName = keyof typeof VENDOR;

interface RawRow {
  readonly name: string;
  /** "vendor version(type)", comma separated; "!" marks a form that the version deprecates. */
  readonly wire: string;
  /**
   * "void": the header alone. "u8" to "u64": one argument. A number: exactly so many bytes with
   * the header. "N+": at least so many, and then a multiple of 8 bytes longer.
   */
  readonly body: "void" | "u8" | "u16" | "u32" | "u64" | number | `${number}+`;
  /** The action may name a tun_metadata field, whose width the bridge's TLV map decides. */
  readonly vlmff?: true;
}

const SET_FIELD_INSTEAD = "!"; // deprecated by OpenFlow 1.2 in favour of set_field

const ROWS = [
  { name: "of10_output", wire: "OF 1.0(0)", body: 8 },
  { name: "of11_output", wire: "OF 1.1+(0)", body: 16 },
  { name: "of10_set_vlan_vid", wire: "OF 1.0(1)", body: "u16" },
  { name: "of10_set_vlan_pcp", wire: "OF 1.0(2)", body: "u8" },
  { name: "of11_set_vlan_vid", wire: "OF 1.1(1), OF 1.2+(1)!", body: "u16" },
  { name: "of11_set_vlan_pcp", wire: "OF 1.1(2), OF 1.2+(2)!", body: "u8" },
  { name: "of11_push_vlan", wire: "OF 1.1+(17)", body: "u16" },
  { name: "of10_strip_vlan", wire: "OF 1.0(3)", body: "void" },
  { name: "of11_pop_vlan", wire: "OF 1.1+(18)", body: "void" },
  { name: "set_dl_src", wire: "OF 1.0(4), OF 1.1(3), OF 1.2+(3)!", body: 16 },
  { name: "set_dl_dst", wire: "OF 1.0(5), OF 1.1(4), OF 1.2+(4)!", body: 16 },
  { name: "set_nw_src", wire: "OF 1.0(6), OF 1.1(5), OF 1.2+(5)!", body: "u32" },
  { name: "set_nw_dst", wire: "OF 1.0(7), OF 1.1(6), OF 1.2+(6)!", body: "u32" },
  { name: "set_nw_tos", wire: "OF 1.0(8), OF 1.1(7), OF 1.2+(7)!", body: "u8" },
  { name: "of11_set_nw_ecn", wire: "OF 1.1(8), OF 1.2+(8)!", body: "u8" },
  { name: "set_tp_src", wire: "OF 1.0(9), OF 1.1(9), OF 1.2+(9)!", body: "u16" },
  { name: "set_tp_dst", wire: "OF 1.0(10), OF 1.1(10), OF 1.2+(10)!", body: "u16" },
  { name: "of10_enqueue", wire: "OF 1.0(11)", body: 16 },
  { name: "set_mpls_label", wire: "NX 1.0(30), OF 1.1(13), OF 1.2+(13)!", body: "u32" },
  { name: "set_mpls_tc", wire: "NX 1.0(31), OF 1.1(14), OF 1.2+(14)!", body: "u8" },
  { name: "set_mpls_ttl", wire: "NX 1.0(25), OF 1.1(15), OF 1.2+(15)!", body: "u8" },
  { name: "dec_mpls_ttl", wire: "NX 1.0(26), OF 1.1+(16)", body: "void" },
  { name: "push_mpls", wire: "NX 1.0(23), OF 1.1+(19)", body: "u16" },
  { name: "pop_mpls", wire: "NX 1.0(24), OF 1.1+(20)", body: "u16" },
  { name: "set_queue", wire: "NX 1.0(4), OF 1.1+(21)", body: "u32" },
  { name: "group", wire: "NX 1.0(40), OF 1.1+(22)", body: "u32" },
  { name: "of11_set_nw_ttl", wire: "OF 1.1+(23)", body: "u8" },
  { name: "dec_nw_ttl", wire: "NX 1.0(18), OF 1.1+(24)", body: "void" },
  { name: "nx_dec_ttl_cnt_ids", wire: "NX 1.0+(21)", body: "16+" },
  { name: "of12_set_field", wire: "OF 1.2-1.4(25)", body: "8+", vlmff: true },
  { name: "of15_set_field", wire: "OF 1.5+(25)", body: "8+", vlmff: true },
  { name: "nx_reg_load", wire: "NX 1.0-1.4(7)", body: 24, vlmff: true },
  { name: "nx_reg_load2", wire: "NX 1.0-1.4(33)", body: "16+", vlmff: true },
  { name: "of15_copy_field", wire: "OF 1.5+(28)", body: "16+", vlmff: true },
  { name: "onf13_copy_field", wire: "ONF 1.3-1.4(3200)", body: "24+", vlmff: true },
  { name: "nx_reg_move", wire: "NX 1.0-1.4(6)", body: "16+", vlmff: true },
  { name: "of15_meter", wire: "OF 1.5+(29)", body: "u32" },
  { name: "nx_resubmit", wire: "NX 1.0+(1)", body: "u16" },
  { name: "nx_resubmit_table", wire: "NX 1.0+(14)", body: 16 },
  { name: "nx_resubmit_table_ct", wire: "NX 1.0+(44)", body: 16 },
  { name: "nx_set_tunnel", wire: "NX 1.0+(2)", body: "u32" },
  { name: "nx_set_tunnel64", wire: "NX 1.0+(9)", body: "u64" },
  { name: "nx_pop_queue", wire: "NX 1.0+(5)", body: "void" },
  { name: "nx_note", wire: "NX 1.0+(8)", body: "16+" },
  { name: "nx_multipath", wire: "NX 1.0+(10)", body: 32, vlmff: true },
  { name: "nx_bundle", wire: "NX 1.0+(12)", body: "32+" },
  { name: "nx_bundle_load", wire: "NX 1.0+(13)", body: "32+", vlmff: true },
  { name: "nx_output_reg", wire: "NX 1.0+(15)", body: 24, vlmff: true },
  { name: "nx_output_reg2", wire: "NX 1.0+(32)", body: 24, vlmff: true },
  { name: "nx_learn", wire: "NX 1.0+(16)", body: "32+", vlmff: true },
  { name: "nx_learn2", wire: "NX 1.0+(45)", body: "40+", vlmff: true },
  { name: "nx_exit", wire: "NX 1.0+(17)", body: "void" },
  { name: "nx_fin_timeout", wire: "NX 1.0+(19)", body: 16 },
  { name: "nx_controller", wire: "NX 1.0+(20)", body: 16 },
  { name: "nx_controller2", wire: "NX 1.0+(37)", body: "16+" },
  { name: "nx_write_metadata", wire: "NX 1.0+(22)", body: 32 },
  { name: "nx_stack_push", wire: "NX 1.0+(27)", body: 24, vlmff: true },
  { name: "nx_stack_pop", wire: "NX 1.0+(28)", body: 24, vlmff: true },
  { name: "nx_sample", wire: "NX 1.0+(29)", body: 24 },
  { name: "nx_sample2", wire: "NX 1.0+(38)", body: 32 },
  { name: "nx_sample3", wire: "NX 1.0+(41)", body: 32 },
  { name: "nx_conjunction", wire: "NX 1.0+(34)", body: 16 },
  { name: "nx_ct", wire: "NX 1.0+(35)", body: "24+", vlmff: true },
  { name: "nx_nat", wire: "NX 1.0+(36)", body: "16+" },
  { name: "nx_output_trunc", wire: "NX 1.0+(39)", body: 16 },
  { name: "nx_clone", wire: "NX 1.0+(42)", body: "16+", vlmff: true },
  { name: "nx_ct_clear", wire: "NX 1.0+(43)", body: "void" },
  { name: "nx_encap", wire: "NX 1.3+(46)", body: "16+" },
  { name: "nx_decap", wire: "NX 1.3+(47)", body: "16+" },
  { name: "nx_dec_nsh_ttl", wire: "NX 1.3+(48)", body: "void" },
  { name: "nx_check_pkt_larger", wire: "NX 1.0+(49)", body: "24+", vlmff: true },
  { name: "nx_delete_field", wire: "NX 1.0+(50)", body: 24, vlmff: true },
  // For debugging; a switch takes them only in dummy mode.
  { name: "nx_debug_slow", wire: "NX 1.0+(254)", body: "void" },
  { name: "nx_debug_recirc", wire: "NX 1.0+(255)", body: "void" },
] as const satisfies readonly RawRow[];

export type RawName = (typeof ROWS)[number]["name"];

/** One way in which an action travels: a row for one vendor and a range of versions. */
export interface RawAction {
  readonly name: RawName;
  readonly vendor: number;
  readonly type: number;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly deprecated: boolean;
  /** Bytes with header; for an argument, rounded up to 8. */
  readonly minLength: number;
  /** Equal to minLength for actions of fixed size. */
  readonly maxLength: number;
  /** Where a plain argument lies, and how many bytes it has; 0 bytes for other bodies. */
  readonly argOfs: number;
  readonly argBytes: number;
  readonly vlmff: boolean;
}

/** Length of the header: type and length, and for vendors their id and the subtype. */
const HEADER_BYTES = { OF: 4, NX: 10, ONF: 10 } as const;
const OFP_ACTION_ALIGN = 8;
/** Longest action: the length field has 16 bits, and lengths are multiples of 8. */
export const ACTION_BYTES_MAX = 65528;

const WIRE_SYNTAX = /^(OF|NX|ONF) (1\.\d)(\+|-(1\.\d))?\((\d+)\)(!?)$/;

function compile(row: RawRow & { readonly name: RawName }): RawAction[] {
  return row.wire.split(", ").map((spec) => {
    const m = WIRE_SYNTAX.exec(spec);
    if (m === null) {
      throw new Error(`raw action ${row.name}: bad wire form ${spec}`);
    }
    const vendor = m[1] as VendorName; // the expression admits nothing else
    const min = Number(m[2]?.slice(2)) + 1;
    const max = m[3] === undefined ? min : m[4] === undefined ? OFP.v15 : Number(m[4].slice(2)) + 1;
    const size = sizes(row.body, HEADER_BYTES[vendor]);
    return {
      name: row.name,
      vendor: VENDOR[vendor],
      type: Number(m[5]),
      minVersion: min,
      maxVersion: max,
      deprecated: m[6] === SET_FIELD_INSTEAD,
      vlmff: row.vlmff === true,
      ...size,
    };
  });
}

function sizes(
  body: RawRow["body"],
  header: number,
): Pick<RawAction, "minLength" | "maxLength" | "argOfs" | "argBytes"> {
  const round = (n: number) => Math.ceil(n / OFP_ACTION_ALIGN) * OFP_ACTION_ALIGN;
  if (typeof body === "number") {
    return { minLength: body, maxLength: body, argOfs: 0, argBytes: 0 };
  }
  if (body === "void") {
    return { minLength: round(header), maxLength: round(header), argOfs: 0, argBytes: 0 };
  }
  if (body.endsWith("+")) {
    const min = Number.parseInt(body, 10);
    return { minLength: min, maxLength: ACTION_BYTES_MAX, argOfs: 0, argBytes: 0 };
  }
  const argBytes = Number(body.slice(1)) / 8;
  const argOfs = Math.ceil(header / argBytes) * argBytes;
  const length = round(argOfs + argBytes);
  return { minLength: length, maxLength: length, argOfs, argBytes };
}

/** Every raw form of every action. */
export const RAW_ACTIONS: readonly RawAction[] = Object.freeze(ROWS.flatMap(compile));

const byName = new Map<string, RawAction>();
const byWire = new Map<string, RawAction>();
for (const raw of RAW_ACTIONS) {
  for (let v = raw.minVersion; v <= raw.maxVersion; v++) {
    byName.set(`${raw.name} ${v}`, raw);
    byWire.set(`${raw.vendor} ${raw.type} ${v}`, raw);
  }
}

/** The form of a raw action in one version, or its earliest one if that version has none. */
export function rawForVersion(name: RawName, version: OfVersion): RawAction {
  const raw = byName.get(`${name} ${version}`) ?? RAW_ACTIONS.find((r) => r.name === name);
  return defined(raw, `no raw action ${name}`);
}

/** The raw action that a vendor's number means in one version, or null. */
export function rawFromWire(vendor: number, type: number, version: OfVersion): RawAction | null {
  return byWire.get(`${vendor} ${type} ${version}`) ?? null;
}

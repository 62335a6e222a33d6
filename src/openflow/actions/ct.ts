// Rows of the action table: connection tracking. What stands inside ct() is in nat.ts.
//
// ovs: lib/ofp-actions.c parse_CT, format_CT, decode_NXAST_RAW_CT.

import { IP_PROTO, isIpAny, CS } from "../../flow/flow-is.ts";
import { get, K } from "../../flow/flow-key.ts";
import { P } from "../../flow/of-version.ts";
import { formatTable, tableFromString } from "../../flow/ofp-port.ts";
import type { Subfield } from "../../flow/subfield.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import type { OfpErr } from "../messages/errors.ts";
import { fieldFromNxmHeader, nxmHeader } from "../oxm-field.ts";
import { checkSource, formatSubfield, readSubfield } from "./field-ops.ts";
import { parseNat, formatNat } from "./nat.ts";
import { ofsBits, packOfsBits } from "./output.ts";
import { bareRow } from "./rows.ts";
import { chompComma, readU16 } from "./text.ts";
import {
  type Action,
  type ActionDef,
  type ActionOf,
  type DecodeContext,
  type FormatContext,
  type ListOps,
  NX_CT_F,
  NX_CT_RECIRC_NONE,
  type ParseContext,
  type ParseOutcome,
} from "./types.ts";
import { putRaw, type RawView, setActionLength } from "./wire.ts";

/** Ports of the helpers that exist. */
export const CT_ALGS = { ftp: 21, tftp: 69 } as const;
const ZONE_BITS = 16;

type Ct = ActionOf<"ct">;
type CtParts = { -readonly [M in Exclude<keyof Ct, "kind" | "actions">]: Ct[M] };

/** Layout of ct: byte offsets; at ZONE either the zone or offset and width of its source. */
const NACT = { FLAGS: 10, ZONE_SRC: 12, ZONE: 16, RECIRC_TABLE: 18, ALG: 22, ACTIONS: 24 } as const;

export function ctRow(list: ListOps): ActionDef<"ct"> {
  return {
    kind: "ct",
    name: "ct",
    parsers: { ct: (arg, pp) => parseCt(list, arg, pp) },
    format: (a, fp) => formatCt(list, a, fp),
    encode: (a, out, version) => {
      const start = putRaw(out, "nx_ct", version);
      out.patchU16(start + NACT.FLAGS, a.flags);
      if (a.zoneSrc === null) {
        out.patchU16(start + NACT.ZONE, a.zoneImm);
      } else {
        out.patchU32(start + NACT.ZONE_SRC, nxmHeader(a.zoneSrc.field));
        out.patchU16(start + NACT.ZONE, packOfsBits(a.zoneSrc.ofs, a.zoneSrc.bits));
      }
      out.patchU8(start + NACT.RECIRC_TABLE, a.recircTable);
      out.patchU16(start + NACT.ALG, a.alg);
      list.encode(a.actions, out, version);
      setActionLength(out, start);
    },
    decoders: { nx_ct: (raw, dc) => decodeCt(list, raw, dc) },
    check: (a, cc) => {
      const { flow } = cc.match;
      const proto = get(flow, K.nw_proto);
      const invalid = (get(flow, K.ct_state) & CS.inv) !== 0;
      const bad =
        !isIpAny(flow) ||
        (invalid && (a.flags & NX_CT_F.COMMIT) !== 0) ||
        (a.alg === CT_ALGS.ftp && proto !== IP_PROTO.TCP) ||
        (a.alg === CT_ALGS.tftp && proto !== IP_PROTO.UDP);
      if (bad) {
        return "OFPBAC_MATCH_INCONSISTENT";
      }
      if (a.zoneSrc !== null) {
        return checkSource(a.zoneSrc, cc.match, cc.log);
      }
      const sub = { ...cc };
      const error = list.check(a.actions, sub);
      cc.usable &= sub.usable;
      return error;
    },
    setClass: "final",
    doc: "Sends the packet through the connection tracker, to commit, NAT or continue in a table.",
  };
}

function parseCt(list: ListOps, arg: string, pp: ParseContext): ParseOutcome {
  const parts: CtParts = {
    flags: 0,
    zoneImm: 0,
    zoneSrc: null,
    alg: 0,
    recircTable: NX_CT_RECIRC_NONE,
  };
  const actions: Action[] = [];
  const scan = new KeyValueScan(arg);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const error = parseCtOption(list, kv.key, kv.value, { parts, actions, pp });
    if (error !== null) {
      return error;
    }
  }
  if ((parts.flags & NX_CT_F.FORCE) !== 0 && (parts.flags & NX_CT_F.COMMIT) === 0) {
    return '"force" flag requires "commit" flag.';
  }
  pp.out.push({ kind: "ct", ...parts, actions });
  return null;
}

function parseCtOption(
  list: ListOps,
  key: string,
  value: string,
  cx: { parts: CtParts; actions: Action[]; pp: ParseContext },
): ParseOutcome {
  const { parts, actions, pp } = cx;
  switch (key) {
    case "commit":
      parts.flags |= NX_CT_F.COMMIT;
      return null;
    case "force":
      parts.flags |= NX_CT_F.FORCE;
      return null;
    case "table": {
      const table = tableFromString(value, pp.tables, pp.log);
      if (table === null) {
        return `unknown table ${value}`;
      }
      parts.recircTable = table;
      return table === NX_CT_RECIRC_NONE ? `invalid table 0x${table.toString(16)}` : null;
    }
    case "zone": {
      const zone = readU16(value, "zone");
      if (typeof zone === "number") {
        parts.zoneImm = zone;
        return null;
      }
      const src = readSubfield(value);
      if (typeof src === "string") {
        return src;
      }
      parts.zoneSrc = src;
      return null;
    }
    case "alg":
      if (value !== "ftp" && value !== "tftp") {
        return `invalid conntrack helper "${value}"`;
      }
      parts.alg = CT_ALGS[value];
      return null;
    case "nat":
      return parseNat(value, { ...pp, out: actions });
    case "exec": {
      const nested: Action[] = [];
      const sub: ParseContext = { ...pp, out: nested, usable: P.ANY };
      const error = list.parse(value, sub, false, "ct");
      pp.usable &= sub.usable;
      actions.push(...nested);
      return error;
    }
    default:
      return `invalid argument to "ct" action: \`${key}'`;
  }
}

function formatCt(list: ListOps, a: Ct, fp: FormatContext): string {
  let s = "ct(";
  s += (a.flags & NX_CT_F.COMMIT) !== 0 ? "commit," : "";
  s += (a.flags & NX_CT_F.FORCE) !== 0 ? "force," : "";
  if (a.recircTable !== NX_CT_RECIRC_NONE) {
    s += `table=${formatTable(a.recircTable, fp.tables)},`;
  }
  if (a.zoneSrc !== null) {
    s += `zone=${formatSubfield(a.zoneSrc)},`;
  } else if (a.zoneImm !== 0) {
    s += `zone=${a.zoneImm},`;
  }
  const first = a.actions[0];
  const hasNat = first !== undefined && first.kind === "nat";
  if (hasNat) {
    s += `${formatNat(first)},`;
  }
  const rest = hasNat ? a.actions.slice(1) : a.actions;
  if (rest.length > 0) {
    s += `exec(${list.format(rest, fp)}),`;
  }
  if (a.alg !== 0) {
    const name = a.alg === CT_ALGS.ftp ? "ftp" : a.alg === CT_ALGS.tftp ? "tftp" : a.alg;
    s += `alg=${name},`;
  }
  return `${chompComma(s)})`;
}

function decodeZone(raw: RawView, dc: DecodeContext): Subfield | null | OfpErr {
  const header = raw.u32(NACT.ZONE_SRC);
  if (header === 0) {
    return null;
  }
  const field = fieldFromNxmHeader(header, dc);
  if (typeof field === "string") {
    return field;
  }
  const src = { field, ...ofsBits(raw, NACT.ZONE) };
  const error = checkSource(src, null, dc.log);
  if (error !== null) {
    return error;
  }
  if (src.bits !== ZONE_BITS) {
    const text = `zone n_bits ${src.bits} not within valid range [${ZONE_BITS}..${ZONE_BITS}]`;
    dc.log?.("WARN", "ofp_actions", text);
    return "OFPBAC_BAD_SET_LEN";
  }
  return src;
}

function decodeCt(list: ListOps, raw: RawView, dc: DecodeContext): OfpErr | null {
  const flags = raw.u16(NACT.FLAGS);
  const commit = (flags & NX_CT_F.COMMIT) !== 0;
  if ((flags & NX_CT_F.FORCE) !== 0 && !commit) {
    return "OFPBAC_BAD_ARGUMENT";
  }
  const zoneSrc = decodeZone(raw, dc);
  if (typeof zoneSrc === "string") {
    return zoneSrc;
  }
  const actions: Action[] = [];
  const error = list.decode(raw.bytes.subarray(NACT.ACTIONS), { ...dc, out: actions }, "ct");
  if (error !== null) {
    return error;
  }
  dc.out.push({
    kind: "ct",
    flags,
    zoneImm: zoneSrc === null ? raw.u16(NACT.ZONE) : 0,
    zoneSrc,
    alg: raw.u16(NACT.ALG),
    recircTable: raw.u8(NACT.RECIRC_TABLE),
    actions,
  });
  const bareNat = (a: Action) => a.kind === "nat" && a.flags === 0 && a.range.family === 0;
  if (!commit && !actions.every(bareNat)) {
    dc.log?.(
      "WARN",
      "ofp_actions",
      "CT action requires commit flag if actions other than NAT without arguments are specified.",
    );
    return "OFPBAC_BAD_ARGUMENT";
  }
  return null;
}

export const ct_clear = bareRow("ct_clear", "nx_ct_clear", {
  setClass: "final",
  doc: "Forgets what the connection tracker said about the packet.",
});

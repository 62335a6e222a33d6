// Rows of the action table that move bits between fields and the stack, and test or drop a field.
//
// ovs: lib/ofp-actions.c "Action structure for OFPAT_COPY_FIELD" ff., lib/nx-match.c nxm_parse_*.

import { OFP, type OfVersion } from "../../flow/of-version.ts";
import type { Subfield } from "../../flow/subfield.ts";
import type { Writer } from "../../lib/bytes.ts";
import type { OfpErr } from "../messages/errors.ts";
import { pullOxmHeader, putOxmHeader } from "../oxm-field.ts";
import {
  checkSource,
  checkTarget,
  formatSubfield,
  readField,
  readMove,
  readSubfield,
  readSubfieldPrefix,
  splitArrow,
} from "./field-ops.ts";
import type { RawName } from "./raw-actions.ts";
import { alwaysOk } from "./rows.ts";
import { readU16 } from "./text.ts";
import type {
  Action,
  ActionDecoder,
  ActionDef,
  ActionOf,
  CheckContext,
  DecodeContext,
  ParseContext,
  ParseOutcome,
} from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

type RegMove = ActionOf<"reg_move">;

/** Layouts of the three raw forms: byte offsets; N_BITS and both offsets are 16 bits wide. */
const MOVE_LAYOUT = {
  of15_copy_field: { N_BITS: 4, SRC_OFS: 6, DST_OFS: 8, OXM: 12 },
  onf13_copy_field: { N_BITS: 12, SRC_OFS: 14, DST_OFS: 16, OXM: 20 },
  nx_reg_move: { N_BITS: 10, SRC_OFS: 12, DST_OFS: 14, OXM: 16 },
} as const;
type MoveName = keyof typeof MOVE_LAYOUT;

function encodeMove(a: RegMove, out: Writer, version: OfVersion): void {
  let name: MoveName = "nx_reg_move";
  if (version >= OFP.v15) {
    name = "of15_copy_field";
  } else if (version === OFP.v13 && a.raw === "onf13_copy_field") {
    name = "onf13_copy_field";
  }
  const layout = MOVE_LAYOUT[name];
  const start = putRaw(out, name, version);
  out.patchU16(start + layout.N_BITS, a.dst.bits);
  out.patchU16(start + layout.SRC_OFS, a.src.ofs);
  out.patchU16(start + layout.DST_OFS, a.dst.ofs);
  out.truncate(start + layout.OXM);
  const oxmVersion = name === "nx_reg_move" ? 0 : version;
  putOxmHeader(out, a.src.field, oxmVersion);
  putOxmHeader(out, a.dst.field, oxmVersion);
  padAction(out, start);
}

function decodeMove(name: MoveName): ActionDecoder {
  // The standard form remembers itself as the extension, as Open vSwitch does.
  const remember: RawName = name === "nx_reg_move" ? name : "onf13_copy_field";
  const layout = MOVE_LAYOUT[name];
  return (raw, dc) => {
    const bits = raw.u16(layout.N_BITS);
    const src = pullOxmHeader(raw.bytes, layout.OXM, dc);
    if (typeof src === "string") {
      return src;
    }
    const dst = pullOxmHeader(raw.bytes, src.end, dc);
    if (typeof dst === "string") {
      return dst;
    }
    if (!raw.zero(dst.end)) {
      return "NXBRC_MUST_BE_ZERO";
    }
    const a: RegMove = {
      kind: "reg_move",
      src: { field: src.field, ofs: raw.u16(layout.SRC_OFS), bits },
      dst: { field: dst.field, ofs: raw.u16(layout.DST_OFS), bits },
      raw: remember,
    };
    dc.out.push(a);
    return checkSource(a.src, null, dc.log) ?? checkTarget(a.dst, null, dc.log);
  };
}

export const reg_move: ActionDef<"reg_move"> = {
  kind: "reg_move",
  name: "move",
  parsers: {
    move: (arg, pp) => {
      const m = readMove(arg);
      if (typeof m === "string") {
        return m;
      }
      pp.out.push({ kind: "reg_move", ...m });
      return null;
    },
  },
  format: (a) => `move:${formatSubfield(a.src)}->${formatSubfield(a.dst)}`,
  encode: encodeMove,
  decoders: {
    of15_copy_field: decodeMove("of15_copy_field"),
    onf13_copy_field: decodeMove("onf13_copy_field"),
    nx_reg_move: decodeMove("nx_reg_move"),
  },
  check: (a, cc) => checkSource(a.src, cc.match, cc.log) ?? checkTarget(a.dst, cc.match, cc.log),
  setClass: "set",
  doc: "Copies bits from one field to another.",
};

/** Layout of push and pop: the header, then the width, then zeros to 24 bytes. */
const STACK = { OFS: 10, OXM: 12, END: 24 } as const;

function stackRow<K extends "stack_push" | "stack_pop">(
  kind: K,
  name: string,
  rawName: "nx_stack_push" | "nx_stack_pop",
  check: typeof checkSource,
  doc: string,
): ActionDef<K> {
  // Both kinds have the same members; the compiler cannot join kind and K.
  const make = (subfield: Subfield) => ({ kind, subfield }) as ActionOf<K> & Action;
  return {
    kind,
    name,
    parsers: { [name]: (arg, pp) => parseStack(arg, pp, make) },
    format: (a) => `${name}:${formatSubfield(a.subfield)}`,
    encode: (a, out, version) => {
      const start = putRaw(out, rawName, version);
      out.patchU16(start + STACK.OFS, a.subfield.ofs);
      out.truncate(start + STACK.OXM);
      putOxmHeader(out, a.subfield.field, 0);
      out.u16(a.subfield.bits);
      out.reserve(start + STACK.END - out.length);
    },
    decoders: {
      [rawName]: (raw: RawView, dc: DecodeContext): OfpErr | null => {
        const h = pullOxmHeader(raw.bytes, STACK.OXM, dc);
        if (typeof h === "string") {
          return h;
        }
        if (!raw.zero(h.end + 2)) {
          return "NXBRC_MUST_BE_ZERO";
        }
        const sf = { field: h.field, ofs: raw.u16(STACK.OFS), bits: raw.u16(h.end) };
        dc.out.push(make(sf));
        return check(sf, null, dc.log);
      },
    },
    check: (a: ActionOf<K>, cc: CheckContext) => check(a.subfield, cc.match, cc.log),
    setClass: null,
    doc,
  };
}

function parseStack(
  arg: string,
  pp: ParseContext,
  make: (sf: Subfield) => ActionOf<"stack_push" | "stack_pop">,
): ParseOutcome {
  const r = readSubfieldPrefix(arg);
  if (typeof r === "string") {
    return r;
  }
  if (r.end < arg.length) {
    return `${arg.slice(r.end)}: trailing garbage following push or pop`;
  }
  pp.out.push(make(r.sf));
  return null;
}

export const stack_push = stackRow(
  "stack_push",
  "push",
  "nx_stack_push",
  checkSource,
  "Pushes bits of a field on the packet's stack.",
);

export const stack_pop = stackRow(
  "stack_pop",
  "pop",
  "nx_stack_pop",
  checkTarget,
  "Pops bits from the packet's stack into a field.",
);

/** Layout of check_pkt_larger: byte offsets. */
const CPL = { PKT_LEN: 10, OFS: 12, OXM: 14, END: 24 } as const;

export const check_pkt_larger: ActionDef<"check_pkt_larger"> = {
  kind: "check_pkt_larger",
  name: "check_pkt_larger",
  parsers: {
    check_pkt_larger: (arg, pp) => {
      const parts = splitArrow(arg);
      if (typeof parts === "string") {
        return parts;
      }
      const dst = readSubfield(parts.key);
      if (typeof dst === "string") {
        return dst;
      }
      if (dst.bits !== 1) {
        return "Only 1-bit destination field is allowed";
      }
      const { value } = parts;
      // The number has no name, which C prints as "(null)".
      const pktLen = readU16(value.endsWith(")") ? value.slice(0, -1) : value, "(null)");
      if (typeof pktLen === "string") {
        return pktLen;
      }
      pp.out.push({ kind: "check_pkt_larger", dst, pktLen });
      return null;
    },
  },
  format: (a) => `check_pkt_larger(${a.pktLen})->${formatSubfield(a.dst)}`,
  encode: (a, out, version) => {
    const start = putRaw(out, "nx_check_pkt_larger", version);
    out.patchU16(start + CPL.PKT_LEN, a.pktLen);
    out.patchU16(start + CPL.OFS, a.dst.ofs);
    out.truncate(start + CPL.OXM);
    putOxmHeader(out, a.dst.field, 0);
    out.reserve(start + CPL.END - out.length);
  },
  decoders: {
    nx_check_pkt_larger: (raw, dc) => {
      const h = pullOxmHeader(raw.bytes, CPL.OXM, dc);
      if (typeof h === "string") {
        return h;
      }
      if (!raw.zero(h.end)) {
        return "NXBRC_MUST_BE_ZERO";
      }
      const dst = { field: h.field, ofs: raw.u16(CPL.OFS), bits: 1 };
      dc.out.push({ kind: "check_pkt_larger", dst, pktLen: raw.u16(CPL.PKT_LEN) });
      return checkTarget(dst, null, dc.log);
    },
  },
  check: alwaysOk,
  setClass: null,
  doc: "Sets a bit to 1 if the packet is longer than a number of bytes, else to 0.",
};

/** Layout of delete_field. */
const NADF = { OXM: 10, END: 24 } as const;

export const delete_field: ActionDef<"delete_field"> = {
  kind: "delete_field",
  name: "delete_field",
  parsers: {
    delete_field: (arg, pp) => {
      const field = readField(arg);
      if (typeof field === "string") {
        return field;
      }
      pp.out.push({ kind: "delete_field", field });
      return null;
    },
  },
  format: (a) => `delete_field:${a.field.name}`,
  encode: (a, out, version) => {
    const start = putRaw(out, "nx_delete_field", version);
    out.truncate(start + NADF.OXM);
    putOxmHeader(out, a.field, 0);
    out.reserve(start + NADF.END - out.length);
  },
  decoders: {
    nx_delete_field: (raw, dc) => {
      const h = pullOxmHeader(raw.bytes, NADF.OXM, dc);
      if (typeof h === "string") {
        return h;
      }
      dc.out.push({ kind: "delete_field", field: h.field });
      return null;
    },
  },
  check: (a) => (a.field.tunMetadata < 0 ? "OFPBAC_BAD_ARGUMENT" : null),
  setClass: null,
  doc: "Removes a tunnel option from the packet.",
};

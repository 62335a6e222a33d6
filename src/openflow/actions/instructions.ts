// Rows of the action table: clone, and the instructions of OpenFlow 1.1 and later.
//
// In OpenFlow 1.0 an instruction travels as the action nearest to it, or not at all. Here an
// instruction appends its own instruction header; the actions of apply_actions are wrapped by
// whoever encodes the list (list.ts). (OpenFlow 1.5.1, 7.2.5; ovs: lib/ofp-actions.c)

import { OFP, type OfVersion, P } from "../../flow/of-version.ts";
import { formatTable, OFPP, tableFromString } from "../../flow/ofp-port.ts";
import type { Writer } from "../../lib/bytes.ts";
import { NAR } from "./control.ts";
import { alwaysOk } from "./rows.ts";
import { formatHex64, readU32, readU64 } from "./text.ts";
import type { Action, ActionDef, ListOps, ParseContext, ParseOutcome } from "./types.ts";
import { putRaw, setActionLength } from "./wire.ts";

/** Types of instructions on the wire. */
export const OFPIT = {
  GOTO_TABLE: 1,
  WRITE_METADATA: 2,
  WRITE_ACTIONS: 3,
  APPLY_ACTIONS: 4,
  CLEAR_ACTIONS: 5,
  METER: 6,
  EXPERIMENTER: 0xffff,
} as const;

/** Appends an instruction of `bytes` bytes, zero but for its header; returns where it starts. */
export function putInstruction(out: Writer, type: number, bytes: number): number {
  const start = out.reserve(bytes);
  out.patchU16(start, type);
  out.patchU16(start + 2, bytes);
  return start;
}

/** Sets the length of an instruction that holds actions; one without any is taken back. */
export function endActionsInstruction(out: Writer, start: number): void {
  if (out.length > start + 8) {
    setActionLength(out, start);
  } else {
    out.truncate(start);
  }
}

export function cloneRow(list: ListOps): ActionDef<"clone"> {
  return {
    kind: "clone",
    name: "clone",
    parsers: {
      clone: (arg, pp) => {
        // Open vSwitch starts counting usable protocols anew here.
        pp.usable = P.ANY;
        return parseNested(list, arg, pp, "clone");
      },
    },
    format: (a, fp) => `clone(${list.format(a.actions, fp)})`,
    encode: (a, out, version) => {
      const start = putRaw(out, "nx_clone", version);
      list.encode(a.actions, out, version);
      setActionLength(out, start);
    },
    decoders: {
      nx_clone: (raw, dc) => {
        const actions: Action[] = [];
        const error = list.decode(raw.bytes.subarray(16), { ...dc, out: actions }, null);
        if (error !== null) {
          return error;
        }
        dc.out.push({ kind: "clone", actions });
        return null;
      },
    },
    check: (a, cc) => {
      const sub = { ...cc };
      const error = list.check(a.actions, sub);
      cc.usable &= sub.usable;
      return error;
    },
    setClass: null,
    doc: "Runs actions on a copy of the packet; the packet itself goes on unchanged.",
  };
}

function parseNested(
  list: ListOps,
  arg: string,
  pp: ParseContext,
  kind: "clone" | "write_actions",
): ParseOutcome {
  const actions: Action[] = [];
  const sub = { ...pp, out: actions };
  const error = list.parse(arg, sub, false, kind);
  pp.usable = sub.usable;
  if (error === null) {
    pp.out.push({ kind, actions });
  }
  return error;
}

export function writeActionsRow(list: ListOps): ActionDef<"write_actions"> {
  return {
    kind: "write_actions",
    name: "write_actions",
    parsers: { write_actions: (arg, pp) => parseNested(list, arg, pp, "write_actions") },
    format: (a, fp) => `write_actions(${list.format(a.actions, fp)})`,
    encode: (a, out, version) => {
      if (version > OFP.v10) {
        const start = putInstruction(out, OFPIT.WRITE_ACTIONS, 8);
        list.encode(a.actions, out, version);
        endActionsInstruction(out, start);
      }
    },
    decoders: {},
    // What the set needs is only known when it runs, so it does not narrow the protocols.
    check: (a, cc) => list.check(a.actions, { ...cc }),
    setClass: null,
    instruction: "write_actions",
    doc: "Merges actions into the packet's action set, which runs when the walk ends.",
  };
}

const METER_MAX = 0xffff0000;
const UNKNOWN_PROVIDER_METER = 0xffffffff;

export const meter: ActionDef<"meter"> = {
  kind: "meter",
  name: "meter",
  parsers: {
    meter: (arg, pp) => {
      pp.usable &= P.OF13_UP;
      const meterId = readU32(arg);
      if (typeof meterId === "string") {
        return meterId;
      }
      pp.out.push({ kind: "meter", meterId, providerMeterId: UNKNOWN_PROVIDER_METER });
      return null;
    },
  },
  format: (a) => `meter:${a.meterId}`,
  encode: (a, out, version) => {
    if (version === OFP.v13 || version === OFP.v14) {
      const at = putInstruction(out, OFPIT.METER, 8);
      out.patchU32(at + 4, a.meterId);
    } else if (version >= OFP.v15) {
      putRaw(out, "of15_meter", version, a.meterId);
    }
  },
  decoders: {
    of15_meter: (raw, dc) => {
      const providerMeterId = UNKNOWN_PROVIDER_METER;
      dc.out.push({ kind: "meter", meterId: raw.arg, providerMeterId });
      return null;
    },
  },
  check: (a) => (a.meterId === 0 || a.meterId > METER_MAX ? "OFPMMFC_INVALID_METER" : null),
  setClass: null,
  instruction: "meter",
  doc: "Drops or remarks the packet if it exceeds a meter's rate.",
};

export const clear_actions: ActionDef<"clear_actions"> = {
  kind: "clear_actions",
  name: "clear_actions",
  parsers: {
    clear_actions: (_arg, pp) => {
      pp.out.push({ kind: "clear_actions" });
      return null;
    },
  },
  format: () => "clear_actions",
  encode: (_a, out, version) => {
    if (version > OFP.v10) {
      putInstruction(out, OFPIT.CLEAR_ACTIONS, 8);
    }
  },
  decoders: {},
  check: alwaysOk,
  setClass: null,
  instruction: "clear_actions",
  doc: "Empties the packet's action set.",
};

/** Where value and mask stand, in the extension action and in the instruction. */
const NAWM = { ZEROS: 10, METADATA: 16, MASK: 24 } as const;
const WRITE_METADATA_BYTES = 24;

function parseWriteMetadata(arg: string, pp: ParseContext): ParseOutcome {
  pp.usable &= P.NXM_OF11_UP;
  const slash = arg.indexOf("/");
  const mask = slash < 0 ? Uint32Array.of(0xffffffff, 0xffffffff) : readU64(arg.slice(slash + 1));
  if (typeof mask === "string") {
    return mask;
  }
  const metadata = readU64(slash < 0 ? arg : arg.slice(0, slash));
  if (typeof metadata === "string") {
    return metadata;
  }
  pp.out.push({ kind: "write_metadata", metadata, mask });
  return null;
}

function patch64(out: Writer, at: number, v: Uint32Array): void {
  out.patchU32(at, v[0] ?? 0);
  out.patchU32(at + 4, v[1] ?? 0);
}

export const write_metadata: ActionDef<"write_metadata"> = {
  kind: "write_metadata",
  name: "write_metadata",
  parsers: { write_metadata: parseWriteMetadata },
  format: (a) => {
    const all = a.mask[0] === 0xffffffff && a.mask[1] === 0xffffffff;
    return `write_metadata:${formatHex64(a.metadata)}${all ? "" : `/${formatHex64(a.mask)}`}`;
  },
  encode: (a, out, version) => {
    const v10 = version === OFP.v10;
    const at = v10
      ? putRaw(out, "nx_write_metadata", version) + NAWM.METADATA
      : putInstruction(out, OFPIT.WRITE_METADATA, WRITE_METADATA_BYTES) + 8;
    patch64(out, at, a.metadata);
    patch64(out, at + 8, a.mask);
  },
  decoders: {
    nx_write_metadata: (raw, dc) => {
      if (!raw.zero(NAWM.ZEROS, NAWM.METADATA)) {
        return "NXBRC_MUST_BE_ZERO";
      }
      const metadata = raw.u64(NAWM.METADATA);
      dc.out.push({ kind: "write_metadata", metadata, mask: raw.u64(NAWM.MASK) });
      return null;
    },
  },
  check: alwaysOk,
  setClass: null,
  instruction: "write_metadata",
  doc: "Sets bits of the packet's metadata field.",
};

export const goto_table: ActionDef<"goto_table"> = {
  kind: "goto_table",
  name: "goto_table",
  parsers: {
    goto_table: (arg, pp) => {
      const tableId = tableFromString(arg, pp.tables, pp.log);
      if (tableId === null) {
        return `unknown table "${arg}"`;
      }
      pp.out.push({ kind: "goto_table", tableId });
      return null;
    },
  },
  format: (a, fp) => `goto_table:${formatTable(a.tableId, fp.tables)}`,
  encode: (a, out, version: OfVersion) => {
    if (version === OFP.v10) {
      const at = putRaw(out, "nx_resubmit_table", version);
      out.patchU16(at + NAR.IN_PORT, OFPP.IN_PORT);
      out.patchU8(at + NAR.TABLE, a.tableId);
    } else {
      const at = putInstruction(out, OFPIT.GOTO_TABLE, 8);
      out.patchU8(at + 4, a.tableId);
    }
  },
  decoders: {},
  check: (a, cc) => {
    const back = cc.tableId !== 255 && a.tableId <= cc.tableId;
    const beyond = cc.nTables !== 255 && a.tableId >= cc.nTables;
    return back || beyond ? "OFPBIC_BAD_TABLE_ID" : null;
  },
  setClass: null,
  instruction: "goto_table",
  doc: "Continues in a later table when the other actions are done.",
};

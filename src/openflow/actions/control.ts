// Rows of the action table that steer the walk through the tables, and metadata of the packet.
//
// ovs: lib/ofp-actions.c.

import { get, K } from "../../flow/flow-key.ts";
import { IP_PROTO } from "../../flow/flow-is.ts";
import { isCtValid } from "../../flow/flow-is.ts";
import { F } from "../../flow/fields.ts";
import { OFP } from "../../flow/of-version.ts";
import {
  formatPort,
  formatTable,
  OFPP,
  portFromString,
  tableFromString,
} from "../../flow/ofp-port.ts";
import { u64FromWords } from "../../lib/number.ts";
import { KeyValueScan, TextScan } from "../../lib/scan.ts";
import { readHexBytes } from "./controller.ts";
import { alwaysOk, bareRow, narrowToOf10 } from "./rows.ts";
import { putSetField } from "./set-field-wire.ts";
import { chompComma, formatHex64, formatHexDots, readU16, readU32, readU64 } from "./text.ts";
import type { ActionDef, ActionOf, ActionParser, ParseContext, ParseOutcome } from "./types.ts";
import { padAction, putRaw } from "./wire.ts";

/** Table id that stands for the current table. */
export const CURRENT_TABLE = 255;

/** Layout of the two longer forms of resubmit: byte offsets. */
export const NAR = { IN_PORT: 10, TABLE: 12, PAD: 13 } as const;

function parseResubmit(arg: string, pp: ParseContext): ParseOutcome {
  const [portText = "", tableText = "", ctText = ""] = arg.split(",");
  let inPort: number | null = OFPP.IN_PORT;
  let tableId: number | null = CURRENT_TABLE;
  if (portText !== "") {
    inPort = portFromString(portText, pp.ports, pp.log);
    if (inPort === null) {
      return `${portText}: resubmit to unknown port`;
    }
  }
  if (tableText !== "") {
    tableId = tableFromString(tableText, pp.tables, pp.log);
    if (tableId === null) {
      return `${tableText}: resubmit to unknown table`;
    }
  }
  if (ctText !== "" && ctText !== "ct") {
    return `${ctText}: unknown parameter`;
  }
  if (inPort === OFPP.IN_PORT && tableId === CURRENT_TABLE) {
    return 'at least one "in_port" or "table" must be specified on resubmit';
  }
  pp.out.push({ kind: "resubmit", inPort, tableId, withCtOrig: ctText !== "" });
  return null;
}

export const resubmit: ActionDef<"resubmit"> = {
  kind: "resubmit",
  name: "resubmit",
  parsers: { resubmit: parseResubmit },
  format: (a, fp) => {
    const port = a.inPort === OFPP.IN_PORT ? "" : formatPort(a.inPort, fp.ports);
    if (port !== "" && a.tableId === CURRENT_TABLE) {
      return `resubmit:${port}`;
    }
    const table = a.tableId === CURRENT_TABLE ? "" : formatTable(a.tableId, fp.tables);
    return `resubmit(${port},${table}${a.withCtOrig ? ",ct" : ""})`;
  },
  encode: (a, out, version) => {
    if (a.tableId === CURRENT_TABLE && a.raw === "nx_resubmit") {
      putRaw(out, "nx_resubmit", version, a.inPort);
      return;
    }
    const name = a.withCtOrig ? "nx_resubmit_table_ct" : "nx_resubmit_table";
    const at = putRaw(out, name, version);
    out.patchU16(at + NAR.IN_PORT, a.inPort);
    out.patchU8(at + NAR.TABLE, a.tableId);
  },
  decoders: {
    nx_resubmit: (raw, dc) => {
      const rest = { tableId: CURRENT_TABLE, withCtOrig: false, raw: "nx_resubmit" } as const;
      dc.out.push({ kind: "resubmit", inPort: raw.arg, ...rest });
      return null;
    },
    nx_resubmit_table: (raw, dc) => {
      const inPort = raw.u16(NAR.IN_PORT);
      const rest = { withCtOrig: false, raw: "nx_resubmit_table" } as const;
      dc.out.push({ kind: "resubmit", inPort, tableId: raw.u8(NAR.TABLE), ...rest });
      return raw.zero(NAR.PAD) ? null : "OFPBAC_BAD_ARGUMENT";
    },
    nx_resubmit_table_ct: (raw, dc) => {
      const inPort = raw.u16(NAR.IN_PORT);
      const rest = { withCtOrig: true, raw: "nx_resubmit_table_ct" } as const;
      dc.out.push({ kind: "resubmit", inPort, tableId: raw.u8(NAR.TABLE), ...rest });
      return raw.zero(NAR.PAD) ? null : "OFPBAC_BAD_ARGUMENT";
    },
  },
  check: (a, cc) =>
    a.withCtOrig && !isCtValid(cc.match.flow, cc.match.wc, null)
      ? "OFPBAC_MATCH_INCONSISTENT"
      : null,
  setClass: "final",
  doc: "Looks the packet up again, in a table and as if from a port, and runs what is found there.",
};

const CLAUSES_MAX = 64;

function parseConjunction(arg: string, pp: ParseContext): ParseOutcome {
  const s = new TextScan(arg);
  const numbers: number[] = [];
  const take = (base: number) => s.int(base) && numbers.push(s.value) > 0;
  const good =
    take(0) && s.spaces() && s.lit(",") && take(10) && s.spaces() && s.lit("/") && take(10);
  s.spaces();
  if (!good || !s.atEnd()) {
    return '"conjunction" syntax is "conjunction(id,i/n)"';
  }
  const [id = 0, clause8 = 0, nClauses8 = 0] = numbers;
  const clause = clause8 & 0xff;
  const nClauses = nClauses8 & 0xff;
  if (nClauses < 2) {
    return "conjunction must have at least 2 clauses";
  }
  if (nClauses > CLAUSES_MAX) {
    return `conjunction must have at most ${CLAUSES_MAX} clauses`;
  }
  if (clause < 1) {
    return "clause index must be positive";
  }
  if (clause > nClauses) {
    return "clause index must be less than or equal to number of clauses";
  }
  pp.out.push({ kind: "conjunction", id: id >>> 0, clause: clause - 1, nClauses });
  return null;
}

/** Layout of conjunction: byte offsets. */
const NAC = { CLAUSE: 10, N_CLAUSES: 11, ID: 12 } as const;

export const conjunction: ActionDef<"conjunction"> = {
  kind: "conjunction",
  name: "conjunction",
  parsers: { conjunction: parseConjunction },
  format: (a) => `conjunction(${a.id},${a.clause + 1}/${a.nClauses})`,
  encode: (a, out, version) => {
    const at = putRaw(out, "nx_conjunction", version);
    out.patchU8(at + NAC.CLAUSE, a.clause);
    out.patchU8(at + NAC.N_CLAUSES, a.nClauses);
    out.patchU32(at + NAC.ID, a.id);
  },
  decoders: {
    nx_conjunction: (raw, dc) => {
      const clause = raw.u8(NAC.CLAUSE);
      const nClauses = raw.u8(NAC.N_CLAUSES);
      if (nClauses < 2 || nClauses > CLAUSES_MAX || clause >= nClauses) {
        return "NXBAC_BAD_CONJUNCTION";
      }
      dc.out.push({ kind: "conjunction", id: raw.u32(NAC.ID), clause, nClauses });
      return null;
    },
  },
  check: alwaysOk,
  setClass: null,
  doc: "Makes the flow one clause of a conjunctive match: all clauses hit, a flow with conj_id runs.",
};

/** Where the bytes of a note begin; at least 6 of them travel. */
const NOTE_OFS = 10;

export const note: ActionDef<"note"> = {
  kind: "note",
  name: "note",
  parsers: {
    note: (arg, pp) => {
      const { bytes, rest } = readHexBytes(arg);
      if (rest < arg.length) {
        return "bad hex digit in `note' argument";
      }
      pp.out.push({ kind: "note", data: bytes });
      return null;
    },
  },
  format: (a) => `note:${formatHexDots(a.data)}`,
  encode: (a, out, version) => {
    const start = putRaw(out, "nx_note", version);
    out.truncate(start + NOTE_OFS);
    out.put(a.data);
    padAction(out, start);
  },
  decoders: {
    nx_note: (raw, dc) => {
      dc.out.push({ kind: "note", data: raw.bytes.slice(NOTE_OFS) });
      return null;
    },
  },
  check: alwaysOk,
  setClass: null,
  doc: "Does nothing; it carries bytes for whoever reads the flow table.",
};

export const exit = bareRow("exit", "nx_exit", {
  doc: "Ends the processing of the packet, in all tables that led here.",
});

export const unroll_xlate: ActionDef<"unroll_xlate"> = {
  kind: "unroll_xlate",
  name: "unroll_xlate",
  parsers: {
    unroll_xlate: () => "UNROLL is an internal action that shouldn't be used via OpenFlow",
  },
  format: (a, fp) => {
    const cookie = u64FromWords(a.ruleCookie[0] ?? 0, a.ruleCookie[1] ?? 0);
    return `unroll_xlate(table=${formatTable(a.ruleTableId, fp.tables)}, cookie=${cookie})`;
  },
  encode: () => undefined,
  decoders: {},
  check: () => "OFPBAC_BAD_TYPE",
  setClass: null,
  doc: "Made only by translation, to restore table and cookie after a packet was frozen.",
};

function parseSetTunnel(raw: "nx_set_tunnel" | "nx_set_tunnel64"): ActionParser {
  return (arg, pp) => {
    const tunId = readU64(arg);
    if (typeof tunId === "string") {
      return tunId;
    }
    pp.out.push({ kind: "set_tunnel", tunId, raw });
    return null;
  };
}

export const set_tunnel: ActionDef<"set_tunnel"> = {
  kind: "set_tunnel",
  name: "set_tunnel",
  parsers: {
    set_tunnel: parseSetTunnel("nx_set_tunnel"),
    set_tunnel64: parseSetTunnel("nx_set_tunnel64"),
  },
  format: (a) => {
    const long = a.tunId[0] !== 0 || a.raw === "nx_set_tunnel64";
    return `set_tunnel${long ? "64" : ""}:${formatHex64(a.tunId)}`;
  },
  encode: (a, out, version) => {
    if (version >= OFP.v12) {
      putSetField(out, version, F.tun_id, a.tunId);
    } else if (a.tunId[0] === 0 && a.raw !== "nx_set_tunnel64") {
      putRaw(out, "nx_set_tunnel", version, a.tunId);
    } else {
      putRaw(out, "nx_set_tunnel64", version, a.tunId);
    }
  },
  decoders: {
    nx_set_tunnel: (raw, dc) => {
      const tunId = Uint32Array.of(0, raw.arg);
      dc.out.push({ kind: "set_tunnel", tunId, raw: "nx_set_tunnel" });
      return null;
    },
    nx_set_tunnel64: (raw, dc) => {
      const tunId = raw.u64(raw.raw.argOfs);
      dc.out.push({ kind: "set_tunnel", tunId, raw: "nx_set_tunnel64" });
      return null;
    },
  },
  check: alwaysOk,
  setClass: "set",
  doc: "Sets the tunnel id for outputs to tunnel ports with key=flow.",
};

export const set_queue: ActionDef<"set_queue"> = {
  kind: "set_queue",
  name: "set_queue",
  parsers: {
    set_queue: (arg, pp) => {
      const queueId = readU32(arg);
      if (typeof queueId === "string") {
        return queueId;
      }
      pp.out.push({ kind: "set_queue", queueId });
      return null;
    },
  },
  format: (a) => `set_queue:${a.queueId}`,
  encode: (a, out, version) => {
    putRaw(out, "set_queue", version, a.queueId);
  },
  decoders: {
    set_queue: (raw, dc) => {
      dc.out.push({ kind: "set_queue", queueId: raw.arg });
      return null;
    },
  },
  check: alwaysOk,
  setClass: "set",
  doc: "Chooses the queue of the ports that the packet is sent to from here on.",
};

export const pop_queue = bareRow("pop_queue", "nx_pop_queue", {
  doc: "Restores the queue that the packet had before any set_queue.",
});

/** Layout of fin_timeout: byte offsets. */
const NAFT = { IDLE: 10, HARD: 12 } as const;

function parseFinTimeout(arg: string, pp: ParseContext): ParseOutcome {
  const seconds = { idle_timeout: 0, hard_timeout: 0 };
  const scan = new KeyValueScan(arg);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const { key } = kv;
    if (key !== "idle_timeout" && key !== "hard_timeout") {
      return `invalid key '${key}' in 'fin_timeout' argument`;
    }
    const n = readU16(kv.value, key);
    if (typeof n === "string") {
      return n;
    }
    seconds[key] = n;
  }
  pp.out.push({
    kind: "fin_timeout",
    finIdleTimeoutS: seconds.idle_timeout,
    finHardTimeoutS: seconds.hard_timeout,
  });
  return null;
}

function formatFinTimeout(a: ActionOf<"fin_timeout">): string {
  const idle = a.finIdleTimeoutS === 0 ? "" : `idle_timeout=${a.finIdleTimeoutS},`;
  const hard = a.finHardTimeoutS === 0 ? "" : `hard_timeout=${a.finHardTimeoutS},`;
  return chompComma(`fin_timeout(${idle}${hard}`).concat(")");
}

export const fin_timeout: ActionDef<"fin_timeout"> = {
  kind: "fin_timeout",
  name: "fin_timeout",
  parsers: { fin_timeout: parseFinTimeout },
  format: formatFinTimeout,
  encode: (a, out, version) => {
    const at = putRaw(out, "nx_fin_timeout", version);
    out.patchU16(at + NAFT.IDLE, a.finIdleTimeoutS);
    out.patchU16(at + NAFT.HARD, a.finHardTimeoutS);
  },
  decoders: {
    nx_fin_timeout: (raw, dc) => {
      dc.out.push({
        kind: "fin_timeout",
        finIdleTimeoutS: raw.u16(NAFT.IDLE),
        finHardTimeoutS: raw.u16(NAFT.HARD),
      });
      return null;
    },
  },
  check: (_a, cc) => {
    if (get(cc.match.flow, K.nw_proto) !== IP_PROTO.TCP) {
      narrowToOf10(cc);
    }
    return null;
  },
  setClass: null,
  doc: "Shortens the flow's timeouts when a TCP packet with FIN or RST comes by.",
};

export const debug_recirc = debugRow("debug_recirc", "nx_debug_recirc");
export const debug_slow = debugRow("debug_slow", "nx_debug_slow");

/** A row for an action that only a switch in dummy mode takes. */
function debugRow<K extends "debug_recirc" | "debug_slow">(kind: K, raw: `nx_${K}`): ActionDef<K> {
  const doc =
    kind === "debug_recirc"
      ? "For tests: recirculates the packet."
      : "For tests: sends the packet to the slow path.";
  const row = bareRow<K>(kind, raw, { doc });
  const decode = row.decoders[raw];
  return {
    ...row,
    decoders: {
      ...row.decoders,
      [raw]: (
        view: Parameters<NonNullable<typeof decode>>[0],
        dc: Parameters<NonNullable<typeof decode>>[1],
      ) => (dc.debug && decode !== undefined ? decode(view, dc) : "OFPBAC_BAD_VENDOR_TYPE"),
    },
  };
}

// Rows of the action table: output to ports and groups.
//
// ovs: lib/ofp-actions.c, "Output actions" ff.; OpenFlow 1.5.1, 7.2.6.

import {
  formatPort,
  OFPP,
  portFromOfp11,
  portFromString,
  portToOfp11,
} from "../../flow/ofp-port.ts";
import { OFP } from "../../flow/of-version.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import { Tokens } from "../../lib/tokens.ts";
import type { OfpErr } from "../messages/errors.ts";
import { fieldFromNxmHeader, nxmHeader, pullOxmHeader, putOxmHeader } from "../oxm-field.ts";
import { checkSource, formatSubfield, readSubfield } from "./field-ops.ts";
import { readU32 } from "./text.ts";
import { alwaysOk } from "./rows.ts";
import type { ActionDef, ActionOf, ParseContext, ParseOutcome } from "./types.ts";
import { putRaw, type RawView } from "./wire.ts";

/** Largest `maxLen`: the whole packet. */
export const MAX_LEN_ALL = 0xffff;
const ETH_HEADER_BYTES = 14;

/** Error of an output to a port (ovs: ofpact_check_output_port). */
export function checkOutputPort(port: number, maxPorts: number): OfpErr | null {
  switch (port) {
    case OFPP.IN_PORT:
    case OFPP.TABLE:
    case OFPP.NORMAL:
    case OFPP.FLOOD:
    case OFPP.ALL:
    case OFPP.CONTROLLER:
    case OFPP.LOCAL:
      return null;
    default:
      return port !== OFPP.NONE && port < maxPorts ? null : "OFPBAC_BAD_OUT_PORT";
  }
}

function parseOutput(arg: string, pp: ParseContext): ParseOutcome {
  if (arg.includes("port") && arg.includes("max_len")) {
    return parseOutputTrunc(arg, pp);
  }
  const port = portFromString(arg, pp.ports, pp.log);
  if (port !== null) {
    pp.out.push({ kind: "output", port, maxLen: port === OFPP.CONTROLLER ? MAX_LEN_ALL : 0 });
    return null;
  }
  const src = readSubfield(arg);
  if (typeof src === "string") {
    return `${arg}: output to unknown port`;
  }
  pp.out.push({ kind: "output_reg", src, maxLen: MAX_LEN_ALL });
  return null;
}

function parseOutputTrunc(arg: string, pp: ParseContext): ParseOutcome {
  let port = 0;
  let maxLen = 0;
  const scan = new KeyValueScan(arg);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    if (kv.key === "port") {
      const p = portFromString(kv.value, pp.ports, pp.log);
      if (p === null) {
        return `output to unknown truncate port: ${kv.value}`;
      }
      if (p > OFPP.MAX && p !== OFPP.LOCAL && p !== OFPP.IN_PORT) {
        return `output to unsupported truncate port: ${kv.value}`;
      }
      port = p;
    } else if (kv.key === "max_len") {
      const n = readU32(kv.value);
      if (typeof n === "string") {
        return n;
      }
      if (n < ETH_HEADER_BYTES) {
        return `max_len ${n} is less than the minimum value ${ETH_HEADER_BYTES}`;
      }
      maxLen = n;
    } else {
      return `invalid key '${kv.key}' in output_trunc argument`;
    }
  }
  pp.out.push({ kind: "output_trunc", port, maxLen });
  return null;
}

export const output: ActionDef<"output"> = {
  kind: "output",
  name: "output",
  parsers: { output: parseOutput },
  format: (a, fp) => {
    const port = formatPort(a.port, fp.ports);
    const named = a.port < OFPP.MAX ? `output:${port}` : port;
    return a.port === OFPP.CONTROLLER ? `${named}:${a.maxLen}` : named;
  },
  encode: (a, out, version) => {
    if (version === OFP.v10) {
      const at = putRaw(out, "of10_output", version);
      out.patchU16(at + 4, a.port);
      out.patchU16(at + 6, a.maxLen);
    } else {
      const at = putRaw(out, "of11_output", version);
      out.patchU32(at + 4, portToOfp11(a.port));
      out.patchU16(at + 8, a.maxLen);
    }
  },
  decoders: {
    of10_output: (raw, dc) => {
      const port = raw.u16(4);
      dc.out.push({ kind: "output", port, maxLen: raw.u16(6) });
      return checkOutputPort(port, OFPP.MAX);
    },
    of11_output: (raw, dc) => {
      const port = portFromOfp11(raw.u32(4));
      if (port === null) {
        dc.log?.(
          "WARN",
          "ofp_port",
          `port ${raw.u32(4)} is outside the supported range 0 through ${OFPP.MAX - 1} or ` +
            "0xffffff00 through 0xffffffff",
        );
        return "OFPBAC_BAD_OUT_PORT";
      }
      dc.out.push({ kind: "output", port, maxLen: raw.u16(8) });
      return checkOutputPort(port, OFPP.MAX);
    },
  },
  check: (a, cc) => checkOutputPort(a.port, cc.maxPorts),
  setClass: "final",
  doc: "Sends the packet to a port, or to the controller with at most max_len bytes of it.",
};

export const group: ActionDef<"group"> = {
  kind: "group",
  name: "group",
  parsers: {
    group: (arg, pp) => {
      const groupId = readU32(arg);
      if (typeof groupId === "string") {
        return groupId;
      }
      pp.out.push({ kind: "group", groupId });
      return null;
    },
  },
  format: (a) => `group:${a.groupId}`,
  encode: (a, out, version) => {
    putRaw(out, "group", version, a.groupId);
  },
  decoders: {
    group: (raw, dc) => {
      dc.out.push({ kind: "group", groupId: raw.arg });
      return null;
    },
  },
  check: alwaysOk,
  setClass: "final",
  doc: "Sends the packet to a group, whose type decides which of its buckets run.",
};

export const enqueue: ActionDef<"enqueue"> = {
  kind: "enqueue",
  name: "enqueue",
  parsers: {
    enqueue: (arg, pp) => {
      const tokens = new Tokens(arg);
      const portText = tokens.next(":q,");
      const queueText = tokens.next("");
      if (portText === null || queueText === null) {
        return '"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"';
      }
      const port = portFromString(portText, pp.ports, pp.log);
      if (port === null) {
        return `${portText}: enqueue to unknown port`;
      }
      const queue = readU32(queueText);
      if (typeof queue === "string") {
        return queue;
      }
      pp.out.push({ kind: "enqueue", port, queue });
      return null;
    },
  },
  format: (a, fp) => `enqueue:${formatPort(a.port, fp.ports)}:${a.queue}`,
  encode: (a, out, version) => {
    if (version === OFP.v10) {
      const at = putRaw(out, "of10_enqueue", version);
      out.patchU16(at + 4, a.port);
      out.patchU32(at + 12, a.queue);
      return;
    }
    putRaw(out, "set_queue", version, a.queue);
    const at = putRaw(out, "of11_output", version);
    out.patchU32(at + 4, portToOfp11(a.port));
    out.patchU16(at + 8, MAX_LEN_ALL);
    putRaw(out, "nx_pop_queue", version);
  },
  decoders: {
    of10_enqueue: (raw, dc) => {
      const a: ActionOf<"enqueue"> = { kind: "enqueue", port: raw.u16(4), queue: raw.u32(12) };
      dc.out.push(a);
      return checkEnqueuePort(a.port, OFPP.MAX);
    },
  },
  check: (a, cc) => checkEnqueuePort(a.port, cc.maxPorts),
  setClass: null,
  doc: "Sends the packet to a queue of a port.",
};

function checkEnqueuePort(port: number, maxPorts: number): OfpErr | null {
  const bad = port >= maxPorts && port !== OFPP.IN_PORT && port !== OFPP.LOCAL;
  return bad ? "OFPBAC_BAD_OUT_PORT" : null;
}

/** Offset and width of a subfield in one 16-bit number (ovs: nxm_encode_ofs_nbits). */
export function packOfsBits(ofs: number, bits: number): number {
  return (ofs << 6) | (bits - 1);
}

function unpackOfs(packed: number): number {
  return packed >>> 6;
}

function unpackBits(packed: number): number {
  return (packed & 0x3f) + 1;
}

/** Layout of the two raw forms: byte offsets. */
const OUTPUT_REG = { OFS_NBITS: 10, SRC: 12, MAX_LEN: 16, ZERO: 18 } as const;
const OUTPUT_REG2 = { OFS_NBITS: 10, MAX_LEN: 12, SRC: 14, END: 24 } as const;

export const output_reg: ActionDef<"output_reg"> = {
  kind: "output_reg",
  name: "output_reg",
  parsers: { output_reg: parseOutput },
  format: (a) => `output:${formatSubfield(a.src)}`,
  encode: (a, out, version) => {
    const packed = packOfsBits(a.src.ofs, a.src.bits);
    const header = nxmHeader(a.src.field);
    if (a.raw === "nx_output_reg2" || header === 0) {
      const at = putRaw(out, "nx_output_reg2", version);
      out.patchU16(at + OUTPUT_REG2.OFS_NBITS, packed);
      out.patchU16(at + OUTPUT_REG2.MAX_LEN, a.maxLen);
      out.truncate(at + OUTPUT_REG2.SRC);
      putOxmHeader(out, a.src.field, 0);
      out.reserve(at + OUTPUT_REG2.END - out.length);
      return;
    }
    const at = putRaw(out, "nx_output_reg", version);
    out.patchU16(at + OUTPUT_REG.OFS_NBITS, packed);
    out.patchU32(at + OUTPUT_REG.SRC, header);
    out.patchU16(at + OUTPUT_REG.MAX_LEN, a.maxLen);
  },
  decoders: {
    nx_output_reg: (raw, dc) => {
      if (!raw.zero(OUTPUT_REG.ZERO)) {
        return "OFPBAC_BAD_ARGUMENT";
      }
      const field = fieldFromNxmHeader(raw.u32(OUTPUT_REG.SRC), dc);
      if (typeof field === "string") {
        return field;
      }
      const src = { field, ...ofsBits(raw, OUTPUT_REG.OFS_NBITS) };
      const maxLen = raw.u16(OUTPUT_REG.MAX_LEN);
      dc.out.push({ kind: "output_reg", src, maxLen, raw: "nx_output_reg" });
      return checkSource(src, null, dc.log);
    },
    nx_output_reg2: (raw, dc) => {
      const h = pullOxmHeader(raw.bytes, OUTPUT_REG2.SRC, dc);
      if (typeof h === "string") {
        return h;
      }
      if (!raw.zero(h.end)) {
        return "NXBRC_MUST_BE_ZERO";
      }
      const src = { field: h.field, ...ofsBits(raw, OUTPUT_REG2.OFS_NBITS) };
      const maxLen = raw.u16(OUTPUT_REG2.MAX_LEN);
      dc.out.push({ kind: "output_reg", src, maxLen, raw: "nx_output_reg2" });
      return checkSource(src, null, dc.log);
    },
  },
  check: (a, cc) => checkSource(a.src, cc.match, cc.log),
  setClass: null,
  doc: "Sends the packet to the port whose number a field holds.",
};

/** Offset and width that stand packed at a place in an action. */
export function ofsBits(raw: RawView, at: number): { ofs: number; bits: number } {
  const packed = raw.u16(at);
  return { ofs: unpackOfs(packed), bits: unpackBits(packed) };
}

export const output_trunc: ActionDef<"output_trunc"> = {
  kind: "output_trunc",
  name: "output_trunc",
  parsers: { output_trunc: (arg) => `unknown action ${arg}` },
  format: (a, fp) => `output(port=${formatPort(a.port, fp.ports)},max_len=${a.maxLen})`,
  encode: (a, out, version) => {
    const at = putRaw(out, "nx_output_trunc", version);
    out.patchU16(at + 10, a.port);
    out.patchU32(at + 12, a.maxLen);
  },
  decoders: {
    nx_output_trunc: (raw, dc) => {
      const maxLen = raw.u32(12);
      dc.out.push({ kind: "output_trunc", port: raw.u16(10), maxLen });
      return maxLen < ETH_HEADER_BYTES ? "OFPBAC_BAD_ARGUMENT" : null;
    },
  },
  check: (a, cc) => checkOutputPort(a.port, cc.maxPorts),
  setClass: null,
  doc: "Sends at most max_len bytes of the packet to a port.",
};

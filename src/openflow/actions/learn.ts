// Row of the action table: learn, which adds a flow made from the packet that runs it.
//
// A spec takes bits from a field of the packet, or given ones, and makes of them a match, a load or
// an output of the new flow. (ovs: lib/learn.c, lib/ofp-actions.c)

import { parseIntString } from "../../flow/field-text.ts";
import { newValue } from "../../flow/field-value.ts";
import { newMatch, matchSetSubfield } from "../../flow/match.ts";
import type { NameMap } from "../../flow/ofp-port.ts";
import { formatTable, tableFromString } from "../../flow/ofp-port.ts";
import { scanInteger, u64Words } from "../../lib/number.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import { atoi } from "../../lib/tokens.ts";
import { resizeWords, zeroBits } from "../../lib/word-bits.ts";
import type { OfpErr } from "../messages/errors.ts";
import { nxmHeader } from "../oxm-field.ts";
import {
  checkSource,
  checkTarget,
  formatSubfield,
  mfFormat,
  readMove,
  readSubfield,
  readValue,
} from "./field-ops.ts";
import { decodeLearn, encodeLearn } from "./learn-wire.ts";
import { formatHex64, formatHexNumber } from "./text.ts";
import {
  type ActionDef,
  type ActionOf,
  type CheckContext,
  type FormatContext,
  type LearnSpec,
  NX_LEARN_F,
  type ParseContext,
  type ParseOutcome,
} from "./types.ts";

type Learn = ActionOf<"learn">;
type Options = { -readonly [M in Exclude<keyof Learn, "kind" | "raw">]: Learn[M] };

/** Priority of a flow that names none. */
const DEFAULT_PRIORITY = 0x8000;
const DEFAULT_TABLE = 1;
const TABLE_NONE = 255;
/** Words of a value that any subfield fits into (ovs: union mf_subvalue). */
const SUBVALUE_WORDS = 32;
const SUBVALUE_BYTES = SUBVALUE_WORDS * 4;

const U64_MAX = 0xffffffffffffffffn;

/** 64 bits as strtoull() reads them: what is no number is 0, what is too large is the largest. */
function looseU64(text: string): Uint32Array {
  const { value } = scanInteger(text);
  const wrapped = value > U64_MAX || value < -U64_MAX ? U64_MAX : BigInt.asUintN(64, value);
  return Uint32Array.from(u64Words(wrapped));
}

function parse(arg: string, pp: ParseContext): ParseOutcome {
  const specs: LearnSpec[] = [];
  const o: Options = {
    idleTimeoutS: 0,
    hardTimeoutS: 0,
    priority: DEFAULT_PRIORITY,
    tableId: DEFAULT_TABLE,
    flags: 0,
    cookie: new Uint32Array(2),
    finIdleTimeoutS: 0,
    finHardTimeoutS: 0,
    limit: 0,
    resultDst: null,
    specs,
  };
  const scan = new KeyValueScan(arg);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const taken = takeOption(arg, kv.key, kv.value, o, pp);
    if (typeof taken === "string") {
      return taken;
    }
    if (!taken) {
      const spec = parseSpec(arg, kv.key, kv.value, pp);
      if (typeof spec === "string") {
        return spec;
      }
      specs.push(spec);
    }
  }
  pp.out.push({ kind: "learn", ...o });
  return null;
}

/** Options that are 16-bit numbers. */
const SHORT_OPTIONS = {
  priority: "priority",
  idle_timeout: "idleTimeoutS",
  hard_timeout: "hardTimeoutS",
  fin_idle_timeout: "finIdleTimeoutS",
  fin_hard_timeout: "finHardTimeoutS",
} as const;

function isShortOption(key: string): key is keyof typeof SHORT_OPTIONS {
  return Object.hasOwn(SHORT_OPTIONS, key);
}

/** True if the key is an option, which is then set; false if it must be a spec. */
function takeOption(
  arg: string,
  key: string,
  value: string,
  o: Options,
  pp: ParseContext,
): boolean | string {
  if (isShortOption(key)) {
    o[SHORT_OPTIONS[key]] = atoi(value) & 0xffff;
    return true;
  }
  switch (key) {
    case "table": {
      const table = tableFromString(value, pp.tables, pp.log);
      if (table === null) {
        return `unknown table "${value}"`;
      }
      o.tableId = table;
      return table === TABLE_NONE ? `${arg}: table id 255 not valid for \`learn' action` : true;
    }
    case "cookie":
      o.cookie = looseU64(value);
      return true;
    case "send_flow_rem":
      o.flags |= NX_LEARN_F.SEND_FLOW_REM;
      return true;
    case "delete_learned":
      o.flags |= NX_LEARN_F.DELETE_LEARNED;
      return true;
    case "limit":
      o.limit = atoi(value) >>> 0;
      return true;
    case "result_dst": {
      const dst = readSubfield(value);
      if (typeof dst === "string") {
        return dst;
      }
      if (!dst.field.writable) {
        return `${value} is read-only`;
      }
      if (dst.bits !== 1) {
        return "result_dst in 'learn' action must be a single bit";
      }
      o.flags |= NX_LEARN_F.WRITE_RESULT;
      o.resultDst = dst;
      return true;
    }
    default:
      return false;
  }
}

function parseSpec(arg: string, name: string, value: string, pp: ParseContext): LearnSpec | string {
  const dst = readSubfield(name);
  if (typeof dst !== "string") {
    return nxmHeader(dst.field) === 0
      ? `${arg}: experimenter OXM field '${name}' not supported`
      : parseMatchSpec(arg, name, value, { dst, pp });
  }
  if (name === "load") {
    return parseLoadSpec(value);
  }
  if (name === "output") {
    const src = readSubfield(value);
    if (typeof src === "string") {
      return src;
    }
    return {
      srcType: "field",
      dstType: "output",
      nBits: src.bits,
      src,
      dst: null,
      imm: null,
    };
  }
  return `${arg}: unknown keyword ${name}`;
}

/** "field", "field=field" or "field=value". */
function parseMatchSpec(
  arg: string,
  name: string,
  value: string,
  cx: { dst: LearnSpec["src"] & object; pp: ParseContext },
): LearnSpec | string {
  const { dst, pp } = cx;
  const base = { dstType: "match", nBits: dst.bits, dst } as const;
  if (value === "") {
    return { ...base, srcType: "field", src: dst, imm: null };
  }
  const src = readSubfield(value);
  if (typeof src !== "string") {
    if (src.bits !== dst.bits) {
      // The widths stand in this order in Open vSwitch too, although the names do not.
      return `${arg}: bit widths of ${name} (${src.bits}) and ${value} (${dst.bits}) differ`;
    }
    return { ...base, srcType: "field", src, imm: null };
  }
  const whole = dst.ofs === 0 && dst.bits === dst.field.bits;
  const imm = whole ? readValue(dst.field, value, pp.ports, pp.log) : readPart(arg, value, dst);
  if (typeof imm === "string") {
    return (
      `${arg}: ${name} value ${value} cannot be parsed as a subfield (${src}) ` +
      `or an immediate value (${imm})`
    );
  }
  const bits = resizeWords(imm, Math.ceil(dst.bits / 32));
  return { ...base, srcType: "immediate", src: null, imm: bits };
}

/** A number for a part of a field. */
function readPart(
  arg: string,
  value: string,
  dst: LearnSpec["src"] & object,
): Uint32Array | string {
  const { field, bits } = dst;
  const imm = newValue(field);
  const r = parseIntString(value, 0, field.bytes, imm);
  if (r.error !== "" || r.end < value.length) {
    return `${arg}: cannot parse integer value`;
  }
  if (!zeroBits(imm, bits, field.bytes * 8 - bits)) {
    return `${arg}: value ${mfFormat(field, imm)} does not fit into ${bits} bits`;
  }
  return imm;
}

/** "number->field" or "field->field". */
function parseLoadSpec(value: string): LearnSpec | string {
  const arrow = value.indexOf("->");
  if (arrow === 0) {
    return `load: missing source before \`->' in \`${value}'`;
  }
  if (arrow < 0) {
    return `load: missing \`->' in \`${value}'`;
  }
  const imm = new Uint32Array(SUBVALUE_WORDS);
  const number = parseIntString(value, 0, SUBVALUE_BYTES, imm);
  if (number.error !== "" || number.end === 0) {
    const move = readMove(value);
    if (typeof move === "string") {
      return move;
    }
    const nBits = move.src.bits;
    return { srcType: "field", dstType: "load", nBits, ...move, imm: null };
  }
  if (number.end !== arrow) {
    return `load: garbage before \`->' in \`${value}'`;
  }
  const name = value.slice(arrow + 2);
  const dst = readSubfield(name);
  if (typeof dst === "string") {
    return dst;
  }
  if (nxmHeader(dst.field) === 0) {
    return `${value}: experimenter OXM field '${name}' not supported`;
  }
  if (!zeroBits(imm, dst.bits, 8 * SUBVALUE_BYTES - dst.bits)) {
    return `${value}: value does not fit into ${dst.bits} bits`;
  }
  return {
    srcType: "immediate",
    dstType: "load",
    nBits: dst.bits,
    src: null,
    dst,
    imm: resizeWords(imm, Math.ceil(dst.bits / 32)),
  };
}

function format(a: Learn, fp: FormatContext): string {
  let s = `learn(table=${formatTable(a.tableId, fp.tables)}`;
  s += a.idleTimeoutS === 0 ? "" : `,idle_timeout=${a.idleTimeoutS}`;
  s += a.hardTimeoutS === 0 ? "" : `,hard_timeout=${a.hardTimeoutS}`;
  s += a.finIdleTimeoutS === 0 ? "" : `,fin_idle_timeout=${a.finIdleTimeoutS}`;
  s += a.finHardTimeoutS === 0 ? "" : `,fin_hard_timeout=${a.finHardTimeoutS}`;
  s += a.priority === DEFAULT_PRIORITY ? "" : `,priority=${a.priority}`;
  s += (a.flags & NX_LEARN_F.SEND_FLOW_REM) === 0 ? "" : ",send_flow_rem";
  s += (a.flags & NX_LEARN_F.DELETE_LEARNED) === 0 ? "" : ",delete_learned";
  s += a.cookie[0] === 0 && a.cookie[1] === 0 ? "" : `,cookie=${formatHex64(a.cookie)}`;
  s += a.limit === 0 ? "" : `,limit=${a.limit}`;
  s += a.resultDst === null ? "" : `,result_dst=${formatSubfield(a.resultDst)}`;
  for (const spec of a.specs) {
    s += `,${formatSpec(spec, fp.ports)}`;
  }
  return `${s})`;
}

function formatSpec(spec: LearnSpec, ports: NameMap | null): string {
  const src =
    spec.src === null ? formatHexNumber(spec.imm ?? new Uint32Array(0)) : formatSubfield(spec.src);
  if (spec.dstType === "output" || spec.dst === null) {
    return `output:${src}`;
  }
  const { dst } = spec;
  if (spec.dstType === "load") {
    return `load:${src}->${formatSubfield(dst)}`;
  }
  if (spec.src !== null) {
    const same = spec.src.field === dst.field && spec.src.ofs === dst.ofs;
    return same ? formatSubfield(dst) : `${formatSubfield(dst)}=${src}`;
  }
  if (dst.ofs === 0 && dst.bits === dst.field.bits && spec.imm !== null) {
    const value = resizeWords(spec.imm, dst.field.words);
    return `${dst.field.name}=${mfFormat(dst.field, value, null, ports)}`;
  }
  return `${formatSubfield(dst)}=${src}`;
}

/** Fields must be there in the packet, and in the flow that is learned (ovs: learn_check). */
function check(a: Learn, cc: CheckContext): OfpErr | null {
  const learned = newMatch();
  for (const spec of a.specs) {
    if (spec.src !== null) {
      const error = checkSource(spec.src, cc.match, cc.log);
      if (error !== null) {
        return error;
      }
    }
    if (spec.dst === null) {
      continue;
    }
    const error =
      spec.dstType === "match"
        ? checkSource(spec.dst, learned, cc.log)
        : checkTarget(spec.dst, learned, cc.log);
    if (error !== null) {
      return error;
    }
    if (spec.dstType === "match" && spec.imm !== null) {
      matchSetSubfield(spec.dst, spec.imm, learned);
    }
  }
  return null;
}

export const learn: ActionDef<"learn"> = {
  kind: "learn",
  name: "learn",
  parsers: { learn: parse },
  format,
  encode: encodeLearn,
  decoders: {
    nx_learn: (raw, dc) => decodeLearn("nx_learn", raw, dc),
    nx_learn2: (raw, dc) => decodeLearn("nx_learn2", raw, dc),
  },
  check,
  setClass: null,
  doc: "Adds or changes a flow whose match and actions are made from the packet.",
};

// Flows as ovs-ofctl's commands take them: "table=1,priority=10,tcp,tp_dst=80 actions=output:2".
//
// What keys a text may hold depends on the command that it is for: a deletion has no actions but may
// say "out_port". What was printed by `dump-flows` can be read back: its statistics are ignored.
// (ovs: lib/ofp-flow.c parse_ofp_str__, parse_ofp_flow_mod_str, parse_ofp_flow_mod_file)

import { fieldByName, fieldNames } from "../flow/fields.ts";
import { get, K, set } from "../flow/flow-key.ts";
import { cloneMatch, type Match, matchSlot, newMatch, zeroWildcarded } from "../flow/match.ts";
import { normalizeMatch } from "../flow/match-normalize.ts";
import { OFPP, portFromString, tableFromString } from "../flow/ofp-port.ts";
import { P, type Protocols } from "../flow/of-version.ts";
import { fail, ok, type Result } from "../lib/errors.ts";
import { strToU16, strToU64 } from "../lib/number.ts";
import { type KeyValue, KeyValueScan, nearestWord } from "../lib/scan.ts";
import { checkActions, parseInstructions } from "./actions/actions.ts";
import {
  matchKeyword,
  parseMatchField,
  parseMatchSubfield,
  PROTOCOL_KEYWORDS,
  type TextContext,
} from "./match-parse.ts";
import { formatMatch } from "./match-text.ts";
import { groupFromString, OFPG } from "./messages/names.ts";
import {
  DEFAULT_PRIORITY,
  type FlowMod,
  type FlowStatsRequest,
  NO_BUFFER,
  OFPFC,
  U64_MAX,
} from "./messages/types-flow.ts";
import { FLOW_FLAG } from "./rule.ts";

/** Pseudo commands: a text for a statistics request; a text that begins with its own command. */
export const COMMAND_NONE = -1;
export const COMMAND_IN_TEXT = -2;

/** Keys that only some commands have. */
const KEYS = {
  OUT_PORT: 1 << 0,
  ACTIONS: 1 << 1,
  IMPORTANCE: 1 << 2,
  TIMEOUT: 1 << 3,
  PRIORITY: 1 << 4,
  FLAGS: 1 << 5,
} as const;

const MODIFY_KEYS = KEYS.ACTIONS | KEYS.TIMEOUT | KEYS.PRIORITY | KEYS.FLAGS;

/** The keys that a flow for a command may have. */
export function keysOf(command: number): number {
  switch (command) {
    case OFPFC.ADD:
      return MODIFY_KEYS | KEYS.IMPORTANCE;
    case OFPFC.MODIFY:
    case OFPFC.MODIFY_STRICT:
      return MODIFY_KEYS;
    case OFPFC.DELETE_STRICT:
      return KEYS.OUT_PORT | KEYS.PRIORITY;
    default:
      return KEYS.OUT_PORT;
  }
}

const FLAG_WORDS: ReadonlyMap<string, { readonly flag: number; readonly protocols: Protocols }> =
  new Map([
    ["send_flow_rem", { flag: FLOW_FLAG.SEND_FLOW_REM, protocols: P.ANY }],
    ["check_overlap", { flag: FLOW_FLAG.CHECK_OVERLAP, protocols: P.ANY }],
    ["reset_counts", { flag: FLOW_FLAG.RESET_COUNTS, protocols: P.OF12_UP }],
    ["no_packet_counts", { flag: FLOW_FLAG.NO_PKT_COUNTS, protocols: P.OF13_UP }],
    ["no_byte_counts", { flag: FLOW_FLAG.NO_BYT_COUNTS, protocols: P.OF13_UP }],
  ]);

/** Words of dump-flows that mean nothing to a flow mod. */
const IGNORED_WORDS = new Set(["no_readonly_table", "allow_hidden_fields"]);
const IGNORED_KEYS = new Set(["duration", "n_packets", "n_bytes", "idle_age", "hard_age"]);

/** Commands in a text, in the order in which a shortened word is looked for. */
const COMMAND_WORDS = [
  ["add", OFPFC.ADD],
  ["delete", OFPFC.DELETE],
  ["delete_strict", OFPFC.DELETE_STRICT],
  ["modify", OFPFC.MODIFY],
  ["modify_strict", OFPFC.MODIFY_STRICT],
] as const;

export interface ParsedFlow {
  readonly fm: FlowMod;
  /** The protocols in which it can be sent. */
  readonly usable: Protocols;
}

/** A flow mod that is being read. */
export interface FlowDraft {
  readonly fm: FlowMod;
  readonly match: Match;
  /** The KEYS that its command has. */
  readonly keys: number;
  usable: Protocols;
}

/** Takes the command off the front of a text; an unknown first word belongs to an addition. */
function splitCommand(text: string): { command: number; rest: string } {
  const s = text.replace(/^[ \t\r\n]+/, "");
  const word = /^[^, \t\r\n]*/.exec(s)?.[0] ?? "";
  // A shortened word is as good; an empty one matches "add".
  const row = COMMAND_WORDS.find(([name]) => name.startsWith(word));
  return row === undefined
    ? { command: OFPFC.ADD, rest: s }
    : { command: row[1], rest: s.slice(word.length) };
}

/** Splits "match actions=..."; null if there are no actions (ovs: ofp_extract_actions). */
function splitActions(text: string): { head: string; actions: string; at: number } | null {
  const at = text.indexOf("action");
  const eq = at < 0 ? -1 : text.indexOf("=", at + 1);
  return eq < 0 ? null : { head: text.slice(0, at), actions: text.slice(eq + 1), at: eq + 1 };
}

export function newFlowMod(command: number, match: Match): FlowMod {
  const modify = command === OFPFC.MODIFY || command === OFPFC.MODIFY_STRICT;
  return {
    match,
    priority: DEFAULT_PRIORITY,
    cookie: 0n,
    cookieMask: 0n,
    // A modification leaves the cookie alone unless it says one.
    newCookie: modify ? U64_MAX : 0n,
    modifyCookie: false,
    tableId: 0xff,
    command,
    idleTimeoutS: 0,
    hardTimeoutS: 0,
    bufferId: NO_BUFFER,
    outPort: OFPP.ANY,
    outGroup: OFPG.ANY,
    flags: 0,
    importance: 0,
    actions: [],
  };
}

/** Makes a flow mod for an addition what it was when it was new; the match is left alone. */
export function resetFlowMod(fm: FlowMod): void {
  fm.priority = DEFAULT_PRIORITY;
  fm.newCookie = 0n;
  fm.modifyCookie = false;
  fm.tableId = 0xff;
  fm.idleTimeoutS = 0;
  fm.hardTimeoutS = 0;
  fm.flags = 0;
  fm.importance = 0;
  fm.actions = [];
}

/**
 * Reads a flow for a command: one of OFPFC, COMMAND_NONE or COMMAND_IN_TEXT.
 * (ovs: parse_ofp_str)
 */
export function parseFlow(text: string, command: number, cx: TextContext): Result<ParsedFlow> {
  const split = command === COMMAND_IN_TEXT ? splitCommand(text) : { command, rest: text };
  const keys = keysOf(split.command);
  let head = split.rest;
  let actions = "";
  if ((keys & KEYS.ACTIONS) !== 0) {
    const parts = splitActions(split.rest);
    if (parts === null) {
      return fail("must specify an action", text, text.length);
    }
    head = parts.head;
    actions = parts.actions;
  }
  const match = newMatch();
  const d: FlowDraft = { fm: newFlowMod(split.command, match), match, keys, usable: P.ANY };
  const scan = new KeyValueScan(head);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const error = readFlowKeyValue(d, kv, cx);
    if (error !== null) {
      return fail(error, kv.key, kv.keyOfs, hintFor(kv.key, error));
    }
  }
  finishMatch(d);
  if ((keys & KEYS.ACTIONS) !== 0) {
    const error = readActions(d, actions, cx);
    if (error !== null) {
      return fail(error, actions, text.length - actions.length);
    }
  }
  zeroWildcarded(match);
  return ok({ fm: d.fm, usable: d.usable });
}

function hintFor(key: string, error: string): string | undefined {
  return error === `unknown keyword ${key}` ? nearestWord(key, fieldNames()) : undefined;
}

/** Takes one "key=value"; the result is the text of an error. */
export function readFlowKeyValue(d: FlowDraft, kv: KeyValue, cx: TextContext): string | null {
  const { key, value } = kv;
  const keyword = PROTOCOL_KEYWORDS.get(key);
  if (keyword !== undefined) {
    matchKeyword(d.match, keyword);
    return null;
  }
  if (key === "eth") {
    matchSlot(d.match, K.packet_type, 0);
    return null;
  }
  const flag = (d.keys & KEYS.FLAGS) !== 0 ? FLAG_WORDS.get(key) : undefined;
  if (flag !== undefined) {
    d.fm.flags |= flag.flag;
    d.usable &= flag.protocols;
    return null;
  }
  if (IGNORED_WORDS.has(key)) {
    return null;
  }
  const field = fieldByName(key);
  if (field !== undefined) {
    return narrow(d, parseMatchField(field, value, d.match, cx));
  }
  if (key.includes("[")) {
    return narrow(d, parseMatchSubfield(key, value, d.match));
  }
  if (value === "") {
    return `field ${key} missing value`;
  }
  return readFlowKey(d, key, value, cx);
}

function narrow(d: FlowDraft, r: Result<Protocols>): string | null {
  if (!r.ok) {
    return r.error.message;
  }
  d.usable &= r.value;
  return null;
}

/** Keys that say something about the flow rather than about its match. */
function readFlowKey(d: FlowDraft, key: string, value: string, cx: TextContext): string | null {
  const { fm } = d;
  const has = (bit: number) => (d.keys & bit) !== 0;
  const u16 = (store: (n: number) => void): string | null => {
    const r = strToU16(value, key);
    if (!r.ok) {
      return r.error.message;
    }
    store(r.value);
    return null;
  };
  if (key === "table") {
    const table = tableFromString(value, cx.tables, cx.log);
    if (table === null) {
      return `unknown table "${value}"`;
    }
    fm.tableId = table;
    d.usable &= table === 0xff ? P.ANY : P.TID;
    return null;
  }
  if (key === "cookie") {
    return readCookie(d, value);
  }
  if (key === "out_port" && has(KEYS.OUT_PORT)) {
    const port = portFromString(value, cx.ports, cx.log);
    fm.outPort = port ?? OFPP.ANY;
    return port === null ? `${value} is not a valid OpenFlow port` : null;
  }
  if (key === "out_group" && has(KEYS.OUT_PORT)) {
    d.usable &= P.OF11_UP;
    const group = groupFromString(value, cx.log);
    fm.outGroup = group ?? OFPG.ANY;
    return group === null ? `${value} is not a valid OpenFlow group` : null;
  }
  if (key === "priority" && has(KEYS.PRIORITY)) {
    return u16((n) => {
      fm.priority = n;
    });
  }
  if (key === "idle_timeout" && has(KEYS.TIMEOUT)) {
    return u16((n) => {
      fm.idleTimeoutS = n;
    });
  }
  if (key === "hard_timeout" && has(KEYS.TIMEOUT)) {
    return u16((n) => {
      fm.hardTimeoutS = n;
    });
  }
  if (key === "importance" && has(KEYS.IMPORTANCE)) {
    return u16((n) => {
      fm.importance = n;
    });
  }
  return IGNORED_KEYS.has(key) ? null : `unknown keyword ${key}`;
}

/** "cookie=VALUE" sets the cookie, "cookie=VALUE/MASK" selects flows by theirs. */
function readCookie(d: FlowDraft, value: string): string | null {
  const { fm } = d;
  const slash = value.indexOf("/");
  if (slash >= 0) {
    if (fm.command === OFPFC.ADD) {
      return "flow additions cannot use a cookie mask";
    }
    const cookie = strToU64(value.slice(0, slash));
    if (!cookie.ok) {
      return cookie.error.message;
    }
    fm.cookie = cookie.value;
    const mask = strToU64(value.slice(slash + 1));
    if (!mask.ok) {
      return mask.error.message;
    }
    fm.cookieMask = mask.value;
    d.usable &= mask.value === 0n ? P.ANY : P.NXM_OF11_UP;
    return null;
  }
  if (
    fm.command !== OFPFC.ADD &&
    fm.command !== OFPFC.MODIFY &&
    fm.command !== OFPFC.MODIFY_STRICT
  ) {
    return `cannot set cookie (to match on a cookie, specify a mask, e.g. cookie=${value}/-1)`;
  }
  const cookie = strToU64(value);
  if (!cookie.ok) {
    return cookie.error.message;
  }
  fm.newCookie = cookie.value;
  fm.modifyCookie = true;
  return null;
}

const ETH_TYPE_IPV6 = 0x86dd;

/** What depends on more than one key of the match. */
export function finishMatch(d: FlowDraft): void {
  const { flow, wc } = d.match;
  const type = flow[K.packet_type.word] as number;
  if (wc[K.packet_type.word] === 0xffffffff && type >>> 16 === 1) {
    // The packet type says the Ethertype; checks of prerequisites look at dl_type.
    set(flow, K.dl_type, type & 0xffff);
  }
  if (get(flow, K.dl_type) === ETH_TYPE_IPV6) {
    // The fixed matches of OpenFlow 1.0 and 1.1 see nothing above an IPv6 header.
    const upper = [K.nw_proto, K.nw_tos, K.tp_src, K.tp_dst];
    if (upper.some((slot) => get(wc, slot) !== 0)) {
      d.usable &= P.NXM_OXM_ANY;
    }
  }
  const { fm } = d;
  const modify = fm.command === OFPFC.MODIFY || fm.command === OFPFC.MODIFY_STRICT;
  if (modify && fm.cookieMask === 0n && fm.newCookie === U64_MAX) {
    // Without a cookie to look for, a modification may add the flow; its cookie is then 0.
    fm.newCookie = 0n;
  }
}

export function readActions(d: FlowDraft, text: string, cx: TextContext): string | null {
  const r = parseInstructions(text, cx);
  if (!r.ok) {
    return r.error.message;
  }
  d.usable &= r.value.usable;
  const check = checkActions(r.value.actions, {
    match: d.match,
    maxPorts: OFPP.MAX,
    tableId: d.fm.tableId,
    nTables: 255,
    log: cx.log,
  });
  d.usable &= check.usable;
  if (check.error !== null || d.usable === 0) {
    const name = check.error ?? "OFPBAC_MATCH_INCONSISTENT";
    return `actions are invalid with specified match (${name})`;
  }
  d.fm.actions = r.value.actions;
  return null;
}

/**
 * Reads a flow and logs what normalisation would change in it; the flow stays as it was written,
 * the switch decides (ovs: parse_ofp_flow_mod_str).
 */
export function parseFlowMod(text: string, command: number, cx: TextContext): Result<ParsedFlow> {
  const r = parseFlow(text, command, cx);
  if (r.ok && cx.log !== null) {
    logNormalization(r.value.fm.match, cx);
  }
  return r;
}

/** Logs a match before and after normalisation if they differ (ovs: ofputil_normalize_match). */
export function logNormalization(match: Match, cx: TextContext): void {
  const after = cloneMatch(match);
  if (normalizeMatch(after)) {
    cx.log?.("INFO", "ofp_match", "normalization changed ofp_match, details:");
    cx.log?.("INFO", "ofp_match", ` pre: ${formatMatch(match)}`);
    cx.log?.("INFO", "ofp_match", `post: ${formatMatch(after)}`);
  }
}

/** Reads what selects flows for dump-flows and dump-aggregate. */
export function parseFlowStatsRequest(
  text: string,
  aggregate: boolean,
  cx: TextContext,
): Result<{ readonly request: FlowStatsRequest; readonly usable: Protocols }> {
  const r = parseFlow(text, COMMAND_NONE, cx);
  if (!r.ok) {
    return r;
  }
  const { fm } = r.value;
  let { usable } = r.value;
  // A request names its table in every protocol.
  usable |= (usable & P.OF10_STD_TID) !== 0 ? P.OF10_STD : 0;
  usable |= (usable & P.OF10_NXM_TID) !== 0 ? P.OF10_NXM : 0;
  const { match, cookie, cookieMask, outPort, outGroup, tableId } = fm;
  return ok({
    request: { aggregate, match, cookie, cookieMask, outPort, outGroup, tableId },
    usable,
  });
}

/** A line without its comment, or undefined if nothing is left. A null character ends a line. */
export function stripComment(line: string): string | undefined {
  const nul = line.indexOf("\0");
  const text = nul < 0 ? line : line.slice(0, nul);
  const hash = text.indexOf("#");
  const s = hash < 0 ? text : text.slice(0, hash);
  return /[^ \t\n]/.test(s) ? s : undefined;
}

/**
 * Reads a file of flows, one a line. Every flow must be good; the error says which is not.
 * (ovs: parse_ofp_flow_mod_file)
 */
export function parseFlowFile(
  name: string,
  text: string,
  command: number,
  cx: TextContext,
): Result<{ readonly fms: FlowMod[]; readonly usable: Protocols }> {
  const fms: FlowMod[] = [];
  let usable: Protocols = P.ANY;
  let lineNumber = 0;
  for (const raw of text.split("\n")) {
    lineNumber++;
    const line = stripComment(raw);
    if (line === undefined) {
      continue;
    }
    const r = parseFlowMod(line, command, cx);
    if (!r.ok) {
      const { hint } = r.error;
      return fail(`${name}:${lineNumber}: ${r.error.message}`, line, r.error.offset, hint);
    }
    usable &= r.value.usable;
    fms.push(r.value.fm);
  }
  return ok({ fms, usable });
}

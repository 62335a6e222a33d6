// ovs-ofctl commands that read and print without a switch: flows, matches and actions as text or as
// bytes of the wire, each taken apart and put together again.
//
// Open vSwitch has them to test its own codecs; here they are how ours are compared with it, and a
// quick way to see what a text means. Input comes from the arguments or, line by line, from standard
// input. (ovs: utilities/ovs-ofctl.c, "Undocumented commands for unit testing")

import { get, K, set } from "../../flow/flow-key.ts";
import { VLAN } from "../../flow/flow-is.ts";
import { type Match, newMatch } from "../../flow/match.ts";
import { normalizeMatch } from "../../flow/match-normalize.ts";
import { OFPP } from "../../flow/ofp-port.ts";
import { OFP, type OfVersion, type Protocols } from "../../flow/of-version.ts";
import { Cursor, Writer } from "../../lib/bytes.ts";
import { checkConsistency, formatActions } from "../../openflow/actions/actions.ts";
import {
  pullActions,
  pullInstructions,
  putActions,
  putInstructions,
} from "../../openflow/actions/codec.ts";
import type { Action } from "../../openflow/actions/types.ts";
import {
  COMMAND_NONE,
  logNormalization,
  parseFlow,
  parseFlowFile,
  parseFlowMod,
  stripComment,
} from "../../openflow/flow-text.ts";
import { NO_CONTEXT } from "../../openflow/match-parse.ts";
import { formatMatch } from "../../openflow/match-text.ts";
import { type Decoded, isErr } from "../../openflow/messages/errors.ts";
import { encodeFlowMod } from "../../openflow/messages/flow-mod.ts";
import { encodeGroupMod } from "../../openflow/messages/group.ts";
import { parseGroupMod } from "../../openflow/messages/group-parse.ts";
import {
  matchFromOfp10,
  OFP10_MATCH_BYTES,
  OFP11_MATCH_BYTES,
  pullOfp10Match,
  pullOfp11Match,
  putOfp10Match,
  putOfp11StandardMatch,
} from "../../openflow/messages/match-wire.ts";
import { type FlowMod, OFPFC } from "../../openflow/messages/types-flow.ts";
import { OFPGC } from "../../openflow/messages/types-group.ts";
import {
  protocolsFromVersion,
  protocolsToString,
  protocolToString,
  protocolToVersion,
  versionFromString,
  versionToString,
} from "../../openflow/messages/version.ts";
import { nxPullMatch, oxmPullMatch, type PulledMatch } from "../../openflow/oxm.ts";
import { nxPutMatch, oxmPutMatch } from "../../openflow/oxm-put.ts";
import {
  formatNxMatch,
  formatOxmMatch,
  padTo8,
  parseNxMatch,
  scanHex,
  wrapOxm,
} from "../../openflow/oxm-text.ts";
import type { Command } from "../command.ts";
import { type OfctlSession, plainDump, ofctlTestRow } from "./ofctl-session.ts";
import { ofctlFatal } from "./ofctl-vconn.ts";

/** Lines of standard input; what follows the last end of line counts if it is not empty. */
function stdinLines(s: OfctlSession): string[] {
  const lines = s.ctx.stdin.split("\n");
  if (lines[lines.length - 1] === "") {
    lines.pop();
  }
  return lines;
}

/** Lines without comments and blank lines. */
function inputLines(s: OfctlSession): string[] {
  return stdinLines(s).flatMap((line) => stripComment(line) ?? []);
}

/** The first usable protocol that is allowed, as flow mods are sent. */
function chooseProtocol(s: OfctlSession, usable: Protocols): Protocols {
  s.print(`usable protocols: ${protocolsToString(usable)}\n`);
  const both = usable & s.protocols;
  return both === 0 ? ofctlFatal("no usable protocol") : both & -both;
}

function printFlowMods(s: OfctlSession, fms: readonly FlowMod[], usable: Protocols): void {
  const protocol = chooseProtocol(s, usable);
  s.print(`chosen protocol: ${protocolToString(protocol) ?? ""}\n`);
  let xid = 1;
  for (const fm of fms) {
    s.print(s.format(encodeFlowMod(fm, protocol, xid++), 0));
  }
}

function parseFlowCommand(s: OfctlSession, argv: readonly string[]): void {
  const { fm, usable } = s.must(parseFlowMod(argv[1] ?? "", OFPFC.ADD, s.acceptNothing));
  printFlowMods(s, [fm], usable);
}

function parseFlowsCommand(s: OfctlSession, argv: readonly string[]): void {
  const name = argv[1] ?? "";
  const text = s.readFile(name, (why) => `${name}: open failed (${why})`);
  const { fms, usable } = s.must(parseFlowFile(name, text, OFPFC.ADD, s.acceptNothing));
  printFlowMods(s, fms, usable);
}

function parseGroupCommand(s: OfctlSession, argv: readonly string[]): void {
  const { gm, usable } = s.must(parseGroupMod(argv[1] ?? "", OFPGC.ADD, s.acceptNothing));
  const version = protocolToVersion(chooseProtocol(s, usable));
  s.print(`chosen version: ${versionToString(version)}\n`);
  const msg = encodeGroupMod(gm, version, 1);
  s.print(msg === null ? "" : s.format(msg, 0));
}

/** Lines of a test: comments at the start of a line and blank lines are printed back. */
function* testLines(s: OfctlSession): Generator<string> {
  for (const line of stdinLines(s)) {
    if (line.startsWith("#")) {
      s.print(`${line}\n`);
      continue;
    }
    const rest = stripComment(line);
    if (rest === undefined) {
      s.print("\n");
    } else {
      yield rest;
    }
  }
}

function pullNx(s: OfctlSession, entries: Uint8Array): Decoded<PulledMatch> {
  const padded = padTo8(entries.length);
  padded.set(entries);
  return nxPullMatch(new Cursor(padded), entries.length, {
    loose: !s.options.strict,
    cookie: true,
    log: s.logSink,
  });
}

function parseNxm(s: OfctlSession): void {
  for (const line of testLines(s)) {
    const r = pullNx(s, s.must(parseNxMatch(line)));
    if (isErr(r)) {
      s.print(`nx_pull_match() returned error ${r}\n`);
      continue;
    }
    const w = new Writer();
    const length = nxPutMatch(w, r.match, r.cookie, r.cookieMask);
    s.print(`${formatNxMatch(w.view().subarray(0, length), s.logSink)}\n`);
    printDump(s, w.bytes());
  }
}

function parseOxm(s: OfctlSession, argv: readonly string[]): void {
  const version = versionFromString(argv[1] ?? "");
  if (version < OFP.v12) {
    ofctlFatal(`${argv[1]}: not a valid version for OXM`);
  }
  for (const line of testLines(s)) {
    const bytes = wrapOxm(s.must(parseNxMatch(line)));
    const m = oxmPullMatch(new Cursor(bytes), { loose: !s.options.strict, log: s.logSink });
    if (isErr(m)) {
      s.print(`nx_pull_match() returned error ${m}\n`);
      continue;
    }
    const w = new Writer();
    const length = oxmPutMatch(w, m, version);
    s.print(`${formatOxmMatch(w.view(), length, s.logSink)}\n`);
    printDump(s, w.bytes());
  }
}

function printDump(s: OfctlSession, bytes: Uint8Array): void {
  if (s.options.verbosity > 0) {
    s.print(plainDump(bytes));
  }
}

/** Each byte that differs, and what one side has more (ovs: print_differences). */
function differences(prefix: string, a: Uint8Array, b: Uint8Array): string {
  const hex = (v: number | undefined) =>
    v === undefined ? "(none)" : v.toString(16).padStart(2, "0");
  let out = "";
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] !== b[i]) {
      out += `${prefix}${String(i).padStart(2)}: ${hex(a[i])} -> ${hex(b[i])}\n`;
    }
  }
  return out;
}

/** The bytes of a line that must be hex digits only. */
function hexLine(text: string): Uint8Array {
  const { bytes, end } = scanHex(text);
  return end < text.length ? ofctlFatal("Trailing garbage in hex data") : bytes;
}

function pullActionLine(
  bytes: Uint8Array,
  version: OfVersion,
  instructions: boolean,
  tableId: number,
  s: OfctlSession,
): Decoded<readonly Action[]> {
  const c = new Cursor(bytes);
  // The actions for debugging are only for a switch that runs in a test.
  const options = { log: s.logSink, debug: false };
  if (bytes.length === 0) {
    // Open vSwitch takes a message without any byte for one that is cut off.
    const inside = instructions && version !== OFP.v10;
    const what = inside ? "instructions" : "actions";
    const text = `OpenFlow message ${what} length 0 exceeds remaining message length (0)`;
    s.logSink("WARN", "ofp_actions", text);
    return inside ? "OFPBIC_BAD_LEN" : "OFPBRC_BAD_LEN";
  }
  if (!instructions) {
    return pullActions(c, bytes.length, version, options);
  }
  const actions = pullInstructions(c, bytes.length, version, options);
  if (isErr(actions)) {
    return actions;
  }
  const error = checkConsistency(actions, protocolsFromVersion(version), {
    match: newMatch(),
    maxPorts: OFPP.MAX,
    tableId,
    nTables: 256,
    log: s.logSink,
  });
  return error ?? actions;
}

function parseActionBytes(s: OfctlSession, argv: readonly string[], instructions: boolean): void {
  const name = argv[1] ?? "";
  const version = versionFromString(name);
  if (version === 0) {
    ofctlFatal(`${name}: not a valid OpenFlow version`);
  }
  for (const line of inputLines(s)) {
    // A number before the first comma is the table that the actions are in.
    const comma = line.indexOf(",");
    const table = comma < 0 ? 0 : Number.parseInt(line, 10) || 0;
    const bytes = hexLine(line.slice(comma + 1));
    const actions = pullActionLine(bytes, version, instructions, table, s);
    if (isErr(actions)) {
      s.print(`bad ${name} ${instructions ? "instructions" : "actions"}: ${actions}\n\n`);
      continue;
    }
    const w = new Writer();
    (instructions ? putInstructions : putActions)(actions, w, version);
    s.print(
      `actions=${formatActions(actions, s.shownNothing)}\n${differences("", bytes, w.bytes())}\n`,
    );
  }
}

function checkSize(bytes: Uint8Array, expected: number): Uint8Array {
  return bytes.length === expected
    ? bytes
    : ofctlFatal(`Input is ${bytes.length} bytes, expected ${expected}`);
}

function parseOfp10Match(s: OfctlSession): void {
  for (const line of inputLines(s)) {
    // "x" digits are ignored on input and come out as 0: any digit will do for the input.
    const expected = checkSize(hexLine(line.replaceAll("x", "0")), OFP10_MATCH_BYTES);
    const input = checkSize(hexLine(line.replaceAll("x", "5")), OFP10_MATCH_BYTES);
    const match = matchFromOfp10(pullOfp10Match(new Cursor(input)));
    const back = ofp10Bytes(match);
    s.print(`${formatMatch(match)}\n${differences("", expected, back)}`);
    logNormalization(match, s.acceptNothing);
    normalizeMatch(match);
    s.print(`${differences("normal: ", back, ofp10Bytes(match))}\n`);
  }
}

function ofp10Bytes(m: Match): Uint8Array {
  const w = new Writer();
  putOfp10Match(w, m);
  return w.bytes();
}

function ofp11Bytes(m: Match): Uint8Array {
  const w = new Writer();
  putOfp11StandardMatch(w, m);
  return w.bytes();
}

function parseOfp11Match(s: OfctlSession): void {
  for (const line of inputLines(s)) {
    const bytes = checkSize(hexLine(line), OFP11_MATCH_BYTES);
    const match = pullOfp11Match(new Cursor(bytes), {}, s.logSink);
    if (isErr(match)) {
      s.print(`bad ofp11_match: ${match}\n\n`);
    } else {
      s.print(`${formatMatch(match)}\n${differences("", bytes, ofp11Bytes(match))}\n`);
    }
  }
}

function hex4(n: number): string {
  return n.toString(16).padStart(4, "0");
}

function tciText(m: Match): string {
  return `${hex4(get(m.flow, K.vlan_tci))}/${hex4(get(m.wc, K.vlan_tci))}`;
}

/** What a VLAN match becomes in each form that flows are written in. */
function checkVlan(s: OfctlSession, argv: readonly string[]): void {
  const m = newMatch();
  set(m.flow, K.vlan_tci, Number.parseInt(argv[1] ?? "", 16) || 0);
  set(m.wc, K.vlan_tci, Number.parseInt(argv[2] ?? "", 16) || 0);
  const text = formatMatch(m);
  s.print(`${text} -> `);
  s.print(`${tciText(s.must(parseFlow(text, COMMAND_NONE, NO_CONTEXT)).fm.match)}\n`);

  const nx = new Writer();
  const length = nxPutMatch(nx, m);
  const nxText = formatNxMatch(nx.view().subarray(0, length), s.logSink);
  const fromNx = nxPullMatch(new Cursor(nx.bytes()), length, { log: s.logSink });
  s.print(`NXM: ${nxText} -> ${isErr(fromNx) ? fromNx : tciText(fromNx.match)}\n`);

  const ox = new Writer();
  const oxLength = oxmPutMatch(ox, m, OFP.v12);
  s.print(`OXM: ${formatOxmMatch(ox.view(), oxLength, s.logSink)} -> `);
  s.print(`${oxmVlan(oxmPullMatch(new Cursor(ox.bytes()), { log: s.logSink }))}\n`);

  const w10 = ofp10Bytes(m);
  const om = pullOfp10Match(new Cursor(w10));
  s.print(`OF1.0: ${vlan10Text(w10)} -> ${tciText(matchFromOfp10(om))}\n`);
  const w11 = ofp11Bytes(m);
  const from11 = pullOfp11Match(new Cursor(w11));
  s.print(`OF1.1: ${vlan11Text(w11)} -> ${isErr(from11) ? from11 : tciText(from11)}\n`);
}

function oxmVlan(m: Decoded<Match>): string {
  if (isErr(m)) {
    return m;
  }
  const bits = VLAN.VID_MASK | VLAN.CFI;
  const vid = get(m.flow, K.vlan_tci) & bits;
  const mask = get(m.wc, K.vlan_tci);
  const pcp = String(get(m.flow, K.vlan_tci) >>> VLAN.PCP_SHIFT).padStart(2, "0");
  const hasPcp = vid !== 0 && mask >>> VLAN.PCP_SHIFT !== 0;
  return `${hex4(vid)}/${hex4(mask & bits)},${hasPcp ? pcp : "--"}`;
}

/** VID and priority of a fixed match, each with its wildcard bit. */
function vlanText(b: Uint8Array, at: { wild: number; vid: number; pcp: number }, bits: VlanBits) {
  const c = new Cursor(b, at.wild);
  const wildcards = c.u32();
  const vid = new Cursor(b, at.vid).u16();
  const pcp = (b[at.pcp] ?? 0).toString(16).padStart(2, "0");
  const flag = (bit: number) => ((wildcards & bit) !== 0 ? 1 : 0);
  return `${hex4(vid)}/${flag(bits.vid)},${pcp}/${flag(bits.pcp)}`;
}

interface VlanBits {
  readonly vid: number;
  readonly pcp: number;
}

/** Offsets and wildcard bits of the fixed matches (OpenFlow 1.0 §5.2.3, 1.1 §A.2.3). */
function vlan10Text(b: Uint8Array): string {
  return vlanText(b, { wild: 0, vid: 18, pcp: 20 }, { vid: 1 << 1, pcp: 1 << 20 });
}

function vlan11Text(b: Uint8Array): string {
  return vlanText(b, { wild: 8, vid: 36, pcp: 38 }, { vid: 1 << 1, pcp: 1 << 2 });
}

export const OFCTL_PARSE_COMMANDS: readonly Command[] = [
  ofctlTestRow("parse-flow", [1, 1], "Prints the flow mod that a flow becomes.", parseFlowCommand),
  ofctlTestRow(
    "parse-flows",
    [1, 1],
    "Prints the flow mods that a file's flows become.",
    parseFlowsCommand,
  ),
  ofctlTestRow(
    "parse-group",
    [1, 1],
    "Prints the group mod that a group becomes.",
    parseGroupCommand,
  ),
  ofctlTestRow(
    "parse-nx-match",
    [0, 0],
    "Takes NXM matches apart and puts them together again.",
    parseNxm,
  ),
  ofctlTestRow(
    "parse-nxm",
    [0, 0],
    "Takes NXM matches apart and puts them together again.",
    parseNxm,
  ),
  ofctlTestRow(
    "parse-oxm",
    [1, 1],
    "Takes OXM matches apart and puts them together again.",
    parseOxm,
  ),
  ofctlTestRow("parse-actions", [1, 1], "Prints actions given as bytes.", (s, argv) =>
    parseActionBytes(s, argv, false),
  ),
  ofctlTestRow("parse-instructions", [1, 1], "Prints instructions given as bytes.", (s, argv) =>
    parseActionBytes(s, argv, true),
  ),
  ofctlTestRow(
    "parse-ofp10-match",
    [0, 0],
    "Prints matches of OpenFlow 1.0 given as bytes.",
    parseOfp10Match,
  ),
  ofctlTestRow(
    "parse-ofp11-match",
    [0, 0],
    "Prints matches of OpenFlow 1.1 given as bytes.",
    parseOfp11Match,
  ),
  ofctlTestRow(
    "check-vlan",
    [2, 2],
    "Shows a VLAN match in every form that flows have.",
    checkVlan,
  ),
];

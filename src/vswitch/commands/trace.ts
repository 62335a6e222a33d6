// ofproto/trace and ofproto/trace-packet-out.
//
// ovs: ofproto/ofproto-dpif-trace.c parse_flow_and_packet, ofproto_unixctl_trace,
// ofproto_unixctl_trace_actions. What is traced is a flow of a bridge or of a datapath, alone, with
// a packet made for it, or with the bytes of one.

import { odpFlowKeyToFlow } from "../../datapath/odp-flow.ts";
import { parseOdpFlow } from "../../datapath/odp-text-parse.ts";
import { flowCompose } from "../../flow/compose.ts";
import { CT_STATE_NAMES, formatFlags } from "../../flow/flag-text.ts";
import { extractWithFlow } from "../../flow/flow-metadata.ts";
import { type FlowKey, K, newKey, set } from "../../flow/flow-key.ts";
import { wildcardsForPacket } from "../../flow/flow-wildcards.ts";
import type { Match } from "../../flow/match.ts";
import { checkConsistency, parseActions } from "../../openflow/actions/actions.ts";
import type { Action } from "../../openflow/actions/types.ts";
import { checkActions } from "../../openflow/flow-mod.ts";
import { parseExactFlow } from "../../openflow/match-parse.ts";
import { traceToJson } from "../../openflow/trace-json.ts";
import { ofprotoTrace } from "../../openflow/trace-run.ts";
import { TraceFormatter, type TraceNames } from "../../openflow/trace-text.ts";
import { geneveToKey } from "../../openflow/tunnel-options.ts";
import { portsOf } from "../port-names.ts";
import { xlateLookup } from "../../openflow/xlate-lookup.ts";
import type { XBridge } from "../../openflow/xbridge.ts";
import { PacketBuf } from "../../packet/packet.ts";
import type { Backer } from "../backer.ts";
import type { Bridge } from "../bridge.ts";
import {
  ANY_ARGS,
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import type { VSwitch } from "../vswitch.ts";

import { atoll } from "./misc.ts";

/** Bytes of payload that --l7-len may ask for. */
export const L7_BYTES_MAX = 64000;
/** Payload of a generated packet unless an option says otherwise. */
const L7_BYTES_DEFAULT = 64;
const ETH_HEADER_BYTES = 14;
/** A flow and what may stand beside it: a bridge or datapath, and a packet. */
const ARGS_MAX = 3;

const CS = { NEW: 0x01, EST: 0x02, RPL: 0x08, INV: 0x10, TRK: 0x20 } as const;

/** What the arguments ask for. */
interface TraceArgs {
  readonly args: readonly string[];
  readonly generate: boolean;
  readonly l7: Uint8Array | number;
  readonly ctStates: readonly number[];
  readonly consistent: boolean;
  readonly names: boolean;
}

interface TraceTarget {
  readonly bridge: Bridge;
  readonly flow: FlowKey;
  readonly packet: PacketBuf | null;
  /** `flow` came out of the packet's bytes. */
  readonly extracted: boolean;
}

/** Bytes of a text of hex digits; null if something else follows them. */
function parseHex(text: string): Uint8Array | null {
  const digits = text.replace(/[ \t\r\n]+/g, " ").trim();
  const bytes: number[] = [];
  let at = 0;
  while (at < digits.length) {
    if (digits[at] === " ") {
      at++;
      continue;
    }
    const pair = digits.slice(at, at + 2);
    if (!/^[0-9a-fA-F]{2}$/.test(pair)) {
      return null;
    }
    bytes.push(Number.parseInt(pair, 16));
    at += 2;
  }
  return Uint8Array.from(bytes);
}

/** Connection state flags, or the text of an error (ovs: parse_ct_state, validate_ct_state). */
function parseCtState(text: string): number | string {
  let state = 0;
  for (const word of text.split(/[, ]+/).filter((w) => w !== "")) {
    const bit = CT_STATE_NAMES.indexOf(word);
    if (bit < 0) {
      return `${word}: unknown connection tracking state flag`;
    }
    state |= 1 << bit;
  }
  const shown = `${formatFlags(CT_STATE_NAMES, state)}: invalid connection state: `;
  let problem = "";
  if (state !== 0 && (state & CS.TRK) === 0) {
    problem += `${shown}If "trk" is unset, no other flags are set\n`;
  }
  if ((state & CS.INV) !== 0 && (state & ~(CS.TRK | CS.INV)) !== 0) {
    problem += `${shown}when "inv" is set, only "trk" may also be set\n`;
  }
  if ((state & CS.NEW) !== 0 && (state & CS.EST) !== 0) {
    problem += `${shown}"new" and "est" are mutually exclusive\n`;
  }
  if ((state & CS.NEW) !== 0 && (state & CS.RPL) !== 0) {
    problem += `${shown}"new" and "rpy" are mutually exclusive\n`;
  }
  return problem === "" ? state : problem;
}

/** Options as they are gathered. */
class ArgParser {
  readonly args: string[] = [];
  readonly ctStates: number[] = [];
  generate = false;
  l7: Uint8Array | number = L7_BYTES_DEFAULT;
  consistent = false;
  names = false;

  /** Takes one word; `next` gives the argument of an option. Null or the text of an error. */
  take(arg: string, next: () => string | undefined, packetOut: boolean): string | null {
    switch (arg) {
      case "-generate":
      case "--generate":
        this.generate = true;
        return null;
      case "-names":
      case "--names":
        this.names = true;
        return null;
      case "--l7":
      case "--l7-len":
      case "--ct-next": {
        const value = next();
        return value === undefined
          ? `Missing argument for option ${arg}`
          : this.#takeValue(arg, value);
      }
      default:
        return this.#takeOther(arg, packetOut);
    }
  }

  #takeValue(option: string, value: string): string | null {
    if (option === "--l7") {
      const bytes = parseHex(value);
      if (bytes === null) {
        return "Trailing garbage in packet data";
      }
      this.l7 = bytes;
      return null;
    }
    if (option === "--l7-len") {
      const length = atoll(value);
      // A negative length is a huge one.
      if (length < 0 || length > L7_BYTES_MAX) {
        return `${value}: too much L7 data`;
      }
      this.l7 = length;
      return null;
    }
    const state = parseCtState(value);
    if (typeof state === "string") {
      return state;
    }
    this.ctStates.push(state);
    return null;
  }

  #takeOther(arg: string, packetOut: boolean): string | null {
    if (packetOut && (arg === "-consistent" || arg === "--consistent")) {
      this.consistent = true;
      return null;
    }
    if (arg.startsWith("-")) {
      return `${arg}: unknown option`;
    }
    if (this.args.length >= ARGS_MAX) {
      return "too many arguments";
    }
    this.args.push(arg);
    return null;
  }
}

function parseArgs(words: readonly string[], packetOut: boolean): TraceArgs | string {
  const p = new ArgParser();
  let at = 0;
  while (at < words.length) {
    const error = p.take(words[at++] ?? "", () => words[at++], packetOut);
    if (error !== null) {
      return error;
    }
  }
  return p;
}

/** A packet from hex digits, or why it is none (ovs: eth_from_hex). */
function packetFromHex(text: string): PacketBuf | string {
  const bytes = parseHex(text);
  if (bytes === null) {
    return "Trailing garbage in packet data";
  }
  return bytes.length < ETH_HEADER_BYTES
    ? "Packet data too short for Ethernet"
    : PacketBuf.of(bytes);
}

/** The datapath that a trace without bridge, or with this name, is about. */
function findBacker(vs: VSwitch, args: readonly string[]): Backer | null {
  if (args.length === 2) {
    const name = args[0] ?? "";
    const type = name.startsWith("ovs-") ? name.slice(4) : name;
    return [...vs.backers.values()].find((b) => b.type === type) ?? null;
  }
  const all = [...vs.backers.values()];
  return all.length === 1 ? (all[0] ?? null) : null;
}

/** What a flow of a datapath stands for. */
function resolveOdpFlow(
  vs: VSwitch,
  backer: Backer | null,
  text: string,
  names: ReadonlyMap<string, number>,
): { bridge: Bridge; flow: FlowKey } | { parseError: string } | { error: string } {
  const parsed = parseOdpFlow(text, names, true);
  if (!parsed.ok) {
    return { parseError: parsed.error.message };
  }
  if (backer === null) {
    return { error: "Cannot find the datapath" };
  }
  const made = odpFlowKeyToFlow(parsed.value.key, vs.settings.vlanLimit);
  if (made.fitness === "error") {
    return { error: made.error ?? "" };
  }
  const { flow, geneve } = made;
  const entry = xlateLookup(vs.xcfg, vs.recircs, backer.type, flow);
  if (typeof entry === "string") {
    return { error: entry };
  }
  set(flow, K.in_port, entry.ofpInPort);
  const bridge = vs.bridges.get(entry.xbridge.name);
  if (bridge === undefined) {
    return { error: "Cannot find the datapath" };
  }
  if (geneve !== null && !geneveToKey(geneve, entry.xbridge.tunTable, flow)) {
    return { error: "Failed to parse Geneve options" };
  }
  return { bridge, flow };
}

const NO_PORTS: ReadonlyMap<string, number> = new Map();

/** Ports of a datapath by name, if the text may name one. */
function datapathPorts(backer: Backer | null, text: string): ReadonlyMap<string, number> {
  if (backer === null || !text.includes("(")) {
    return NO_PORTS;
  }
  return new Map(Array.from(backer.ports.values(), (p) => [p.name, p.odpPort]));
}

function resolveFlow(
  vs: VSwitch,
  args: readonly string[],
): { bridge: Bridge; flow: FlowKey } | { error: string } {
  const text = args[args.length - 1] ?? "";
  const backer = findBacker(vs, args);
  const odp = resolveOdpFlow(vs, backer, text, datapathPorts(backer, text));
  if (!("parseError" in odp)) {
    return odp;
  }
  if (args.length !== 2) {
    return { error: `${odp.parseError} (or the bridge name was omitted)` };
  }
  const name = args[0] ?? "";
  const bridge = vs.bridges.get(name);
  if (bridge === undefined) {
    return { error: `${name}: unknown bridge` };
  }
  const { xbridge } = bridge;
  const cx = { ports: portsOf(xbridge), tables: null, log: null };
  const r = parseExactFlow(text, xbridge.tunTable, cx);
  return r.ok
    ? { bridge, flow: r.value.flow }
    : { error: `Bad openflow flow syntax: ${r.error.message}` };
}

/** Finds the bridge, the flow and the packet, or the text of an error. */
function resolve(vs: VSwitch, a: TraceArgs): TraceTarget | string {
  let args = a.args;
  let packet: PacketBuf | null = null;
  if (!a.generate && args.length > 1) {
    const made = packetFromHex(args[args.length - 1] ?? "");
    if (typeof made !== "string") {
      packet = made;
      args = args.slice(0, -1);
    } else if (args.length > 2) {
      return made;
    }
  }
  if (args.length !== 1 && args.length !== 2) {
    return "Syntax error";
  }
  const found = resolveFlow(vs, args);
  if ("error" in found) {
    return found.error;
  }
  const { bridge, flow } = found;
  const extracted = packet !== null;
  if (a.generate) {
    packet = new PacketBuf();
    flowCompose(packet, flow, a.l7);
  } else if (packet !== null) {
    extractWithFlow(packet, flow, vs.settings.vlanLimit);
  }
  return { bridge, flow, packet, extracted };
}

function names(target: TraceTarget): TraceNames {
  const odpPorts = new Map<number, string>();
  for (const p of target.bridge.backer.ports.values()) {
    odpPorts.set(p.odpPort, p.name);
  }
  return { portsOf, odpPorts };
}

/** Memory of texts, kept with the switch. */
const FORMATTERS = new WeakMap<VSwitch, TraceFormatter>();

function formatterOf(vs: VSwitch): TraceFormatter {
  let f = FORMATTERS.get(vs);
  if (f === undefined) {
    f = new TraceFormatter(null);
    FORMATTERS.set(vs, f);
  }
  return f;
}

function run(
  vs: VSwitch,
  a: TraceArgs,
  target: TraceTarget,
  actions: readonly Action[] | null,
): Reply {
  const { bridge, flow, packet, extracted } = target;
  const entered = flow.slice();
  const result = ofprotoTrace({
    xcfg: vs.xcfg,
    recircs: vs.recircs,
    xbridge: bridge.xbridge,
    flow,
    packet,
    extracted,
    actions,
    nextCtStates: a.ctStates,
    nowMs: vs.clock.nowMs(),
    connections: (node) => vs.packets?.knownConnection(bridge, node) ?? null,
    execute: (p, key, odp) => vs.packets?.traceExecute(bridge, p, entered, key, odp) ?? null,
  });
  const formatter = a.names ? new TraceFormatter(names(target)) : formatterOf(vs);
  const used = result.steps.flatMap(({ recirc }) => recirc?.connection ?? []);
  return {
    ...appctlOk(formatter.format(result)),
    stderr: used.map((text) => `used: connection ${text}\n`).join(""),
    get json(): unknown {
      return traceToJson(result, formatter);
    },
  };
}

function trace(ctx: CommandContext, argv: readonly string[]): Reply {
  const a = parseArgs(argv.slice(1), false);
  if (typeof a === "string") {
    return appctlError(a);
  }
  const target = resolve(ctx.vs, a);
  return typeof target === "string" ? appctlError(target) : run(ctx.vs, a, target, null);
}

/** Matches a packet exactly (ovs: match_wc_init). */
function exactMatch(flow: FlowKey, xbridge: XBridge): Match {
  const wc = newKey();
  wildcardsForPacket(flow, wc);
  wc.fill(0xffffffff, K.metadata.word, K.reg15.word + 1);
  return { flow, wc, tab: xbridge.tunTable, tunMd: null };
}

function tracePacketOut(ctx: CommandContext, argv: readonly string[]): Reply {
  const { vs } = ctx;
  const parsed = parseActions(argv[argv.length - 1] ?? "");
  if (!parsed.ok) {
    return appctlError(parsed.error.message);
  }
  const { actions, usable } = parsed.value;
  const a = parseArgs(argv.slice(1, -1), true);
  if (typeof a === "string") {
    return appctlError(a);
  }
  const target = resolve(vs, a);
  if (typeof target === "string") {
    return appctlError(target);
  }
  const { ofproto, xbridge } = target.bridge;
  const error =
    checkConsistency(actions, a.consistent ? usable : 0, {
      match: exactMatch(target.flow, xbridge),
      maxPorts: ofproto.maxPorts,
      tableId: 0,
      nTables: ofproto.nTables,
    }) ?? checkActions(ofproto, actions);
  // As in OVS, an empty list is no list: the flow tables decide.
  const list = actions.length === 0 ? null : actions;
  return error === null ? run(vs, a, target, list) : appctlError(`Bad actions: ${error}`);
}

export const TRACE_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "ofproto/trace",
    usage: "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
    args: [1, ANY_ARGS],
    doc: "Shows how a packet passes through the flow tables, and what becomes of it.",
    run: trace,
  },
  {
    tool: "ovs-appctl",
    name: "ofproto/trace-packet-out",
    usage:
      "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions",
    args: [2, ANY_ARGS],
    doc: "The same for the actions of a packet-out.",
    run: tracePacketOut,
  },
];

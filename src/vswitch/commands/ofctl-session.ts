// OfctlSession: what one run of ovs-ofctl keeps while it works: options, what it printed, names of
// ports and tables that it fetched.
//
// As in the real tool, names are fetched from the switch, on a connection of their own, when they
// are first needed: to accept them in input unless --no-names was given, to show them in output only
// with --names (ovs: utilities/ovs-ofctl.c ports_to_accept, get_port_map, set_protocol_for_flow_dump,
// transact_multiple_noreply, bundle_print_errors).

import type { LogSink, NameMap } from "../../flow/ofp-port.ts";
import { P, type Protocols } from "../../flow/of-version.ts";
import { decodeUtf8, getU32 } from "../../lib/bytes.ts";
import { Cursor } from "../../lib/bytes.ts";
import type { Result } from "../../lib/errors.ts";
import type { Vlog } from "../../lib/vlog.ts";
import type { TextContext } from "../../openflow/match-parse.ts";
import { decodeLog } from "../../openflow/conn-log.ts";
import { encodeSetProtocol } from "../../openflow/messages/connection.ts";
import { isErr } from "../../openflow/messages/errors.ts";
import { decodeError } from "../../openflow/messages/hello.ts";
import { NameTable, type NameMaps } from "../../openflow/messages/names.ts";
import { encodePortDescRequest, pullPhyPorts } from "../../openflow/messages/port.ts";
import { ofpPrint } from "../../openflow/messages/print.ts";
import { hexDump } from "../../openflow/messages/text.ts";
import { type Msg, OFP_HEADER, pullMsg } from "../../openflow/messages/raw.ts";
import type { RawName } from "../../openflow/messages/raw-table.ts";
import {
  decodeFeaturesAndPorts,
  encodeEmpty,
  featuresHavePorts,
} from "../../openflow/messages/switch.ts";
import { decodeTableNames } from "../../openflow/messages/table-features.ts";
import { pullTableStats } from "../../openflow/messages/table-stats.ts";
import { Painter, parsePalette } from "../../openflow/paint.ts";
import { OFPBF, type PhyPort } from "../../openflow/messages/types-switch.ts";
import { OFPP } from "../../flow/ofp-port.ts";
import {
  FLOW_DUMP_PROTOCOLS,
  protocolsFromVersions,
  protocolsToString,
  protocolsToVersions,
} from "../../openflow/messages/version.ts";
import type { Command, CommandContext, Reply } from "../command.ts";
import { defaultOfctlOptions, type OfctlOptions } from "../ofctl-options.ts";
import { openToolLog } from "../tool-log.ts";
import { OfctlExit, ofctlFatal, openVconn, type Vconn } from "./ofctl-vconn.ts";

const OF11 = 2;
const OF13 = 4;

export class OfctlSession {
  readonly ctx: CommandContext;
  readonly options: OfctlOptions;
  /** Versions and protocols that may be used; some commands narrow them. */
  versions: number;
  protocols: Protocols;
  #xid = 0;
  #stdout: string[] = [];
  #stderr: string[] = [];
  readonly #ports = new Map<string, NameTable>();
  readonly #tables = new Map<string, NameTable>();

  constructor(ctx: CommandContext) {
    this.ctx = ctx;
    this.options = ctx.ofctl ?? defaultOfctlOptions();
    this.versions = this.options.versions;
    this.protocols = this.options.protocols;
  }

  nextXid(): number {
    this.#xid++;
    return this.#xid;
  }

  print(text: string): void {
    this.#stdout.push(text);
  }

  printError(text: string): void {
    this.#stderr.push(text);
  }

  takeOutput(): { stdout: string; stderr: string } {
    const out = { stdout: this.#stdout.join(""), stderr: this.#stderr.join("") };
    return out;
  }

  // ------------------------------------------------------------- input

  /** The text of a file, or of standard input for "-". */
  readFile(name: string, failure: (why: string) => string): string {
    if (name === "-") {
      return this.ctx.stdin;
    }
    const r = this.ctx.vs.fs.readFile(name);
    return r.ok ? decodeUtf8(r.value) : ofctlFatal(failure(r.message));
  }

  /** The value, or the end of the command with the parser's text. */
  must<T>(r: Result<T>): T {
    return r.ok ? r.value : ofctlFatal(r.error.message);
  }

  /** What parsers need to accept names of a switch. */
  accept(name: string): TextContext {
    const tables = this.acceptTables(name);
    return { ports: this.acceptPorts(name), tables, log: this.logSink };
  }

  /** The names of ports alone: others are not asked for. */
  acceptPorts(name: string): NameMap | null {
    return this.#acceptNames ? this.portMap(name) : null;
  }

  acceptTables(name: string): NameMap | null {
    return this.#acceptNames ? this.tableMap(name) : null;
  }

  /** As `accept`, but without asking the switch: for texts that hold no name anyway. */
  get acceptNothing(): TextContext {
    return { ports: null, tables: null, log: this.logSink };
  }

  #log: Vlog | undefined;
  #sink: LogSink | undefined;

  /** The tool's own log, which goes to standard error; made when something is to be said. */
  get log(): Vlog {
    this.#log ??= openToolLog("ovs-ofctl", this.ctx.vs.clock, this.options.logSpecs, (line) => {
      this.printError(line);
    });
    return this.#log;
  }

  readonly logSink: LogSink = (level, module, text) => {
    this.#sink ??= decodeLog(this.log);
    this.#sink(level, module, text);
  };

  /** The log for what the user did not ask for with -v, which then is not made at all. */
  get detailLog(): Vlog | null {
    return this.options.logSpecs.length === 0 ? null : this.log;
  }

  /** The text of a message, with more detail than the user asked for; the log says what is wrong. */
  format(bytes: Uint8Array, more: number, names = this.shownNothing): string {
    return ofpPrint(bytes, this.options.verbosity + more, names, this.logSink);
  }

  /** A message that must be well-formed, because the switch of this process made it. */
  pull(bytes: Uint8Array): Msg {
    const msg = pullMsg(bytes, this.logSink);
    return isErr(msg) ? ofctlFatal(`decode error: ${msg}`) : msg;
  }

  get #acceptNames(): boolean {
    return this.options.names !== false;
  }

  /** Output never is a terminal: names are shown only when asked for. */
  get showNames(): boolean {
    return this.options.names === true;
  }

  /** How texts without names are shown. */
  get shownNothing(): NameMaps {
    return this.inColour(null, null);
  }

  /** Names as they are shown, and colours if they are wanted. */
  inColour(ports: NameMap | null, tables: NameMap | null): NameMaps {
    return this.options.color ? { ports, tables, painter: this.#painter() } : { ports, tables };
  }

  #painter(): Painter {
    return new Painter(parsePalette(this.ctx.vs.env.colors ?? ""));
  }

  /** The names are kept under `key`, which is what the user or the connection calls the switch. */
  shown(name: string, key = name): NameMaps {
    return this.showNames
      ? this.inColour(this.portMap(name, key), this.tableMap(name, key))
      : this.shownNothing;
  }

  portMap(name: string, key = name): NameMap {
    let map = this.#ports.get(key);
    if (map === undefined) {
      map = new NameTable();
      this.#ports.set(key, map);
      for (const port of this.withVconn(name, (v) => this.fetchPorts(v))) {
        map.put(port.portNo, port.name);
      }
    }
    return map;
  }

  tableMap(name: string, key = name): NameMap {
    let map = this.#tables.get(key);
    if (map === undefined) {
      map = new NameTable();
      this.#tables.set(key, map);
      for (const [id, table] of this.withVconn(name, (v) => fetchTableNames(this, v))) {
        map.put(id, table);
      }
    }
    return map;
  }

  // ------------------------------------------------------------- connections

  open(name: string): Vconn {
    return openVconn(this, name);
  }

  withVconn<T>(name: string, act: (v: Vconn) => T): T {
    const v = this.open(name);
    const result = act(v);
    v.close();
    return result;
  }

  /** Ports in the order of the switch: with the features before OpenFlow 1.3. */
  fetchPorts(v: Vconn): PhyPort[] {
    if (v.version < OF13) {
      const request = encodeEmpty("OFPT_FEATURES_REQUEST", v.version, v.nextXid());
      const msg = this.pull(v.transact(request)[0] as Uint8Array);
      if (msg.type !== "FEATURES_REPLY") {
        ofctlFatal(`${v.name}: received bad features reply`);
      }
      const features = decodeFeaturesAndPorts(msg);
      if (featuresHavePorts(msg) && !isErr(features)) {
        return [...features.ports];
      }
    }
    const ports: PhyPort[] = [];
    for (const bytes of v.transact(encodePortDescRequest(v.version, OFPP.ANY, v.nextXid()))) {
      const msg = this.pull(bytes);
      if (msg.type !== "PORT_DESC_STATS_REPLY") {
        ofctlFatal(`received bad reply: ${this.format(bytes, 1)}`);
      }
      ports.push(...pullPhyPorts(new Cursor(bytes, msg.bodyOfs), msg.version).ports);
    }
    return ports;
  }

  /** Sends what switches the connection to another flow format; false if the switch refuses. */
  #trySetProtocol(v: Vconn, want: Protocols): boolean {
    for (;;) {
      const step = encodeSetProtocol(v.protocol, want, () => v.nextXid());
      if (step.msg === null) {
        return v.protocol === want;
      }
      if (v.transactNoreply(step.msg) !== null) {
        return false;
      }
      v.protocol = step.next;
    }
  }

  /** Chooses the flow format of a dump: the most expressive one that all sides can do. */
  setProtocolForDump(v: Vconn, usable: Protocols): Protocols {
    for (const f of FLOW_DUMP_PROTOCOLS) {
      if ((f & usable & this.protocols) !== 0 && this.#trySetProtocol(v, f)) {
        return f;
      }
    }
    const formats = protocolsToString(usable);
    if ((usable & this.protocols) !== 0) {
      return ofctlFatal(`switch does not support any of the usable flow formats (${formats})`);
    }
    return this.#noUsable(usable);
  }

  #noUsable(usable: Protocols): never {
    return ofctlFatal(
      `none of the usable flow formats (${protocolsToString(usable)}) is among the ` +
        `allowed flow formats (${protocolsToString(this.protocols)})`,
    );
  }

  /** Opens a connection in a flow format in which the message can be sent. */
  openForFlowMod(name: string, usable: Protocols): Vconn {
    if ((usable & this.protocols) === 0) {
      this.#noUsable(usable);
    }
    const v = this.open(name);
    if ((usable & this.protocols & v.protocol) !== 0) {
      return v;
    }
    for (let f = 1; f <= P.ANY; f <<= 1) {
      if (f !== v.protocol && (f & usable & this.protocols) !== 0 && this.#trySetProtocol(v, f)) {
        return v;
      }
    }
    const formats = protocolsToString(usable);
    return ofctlFatal(`switch does not support any of the usable flow formats (${formats})`);
  }

  /** Bundles need OpenFlow 1.3; without -O they imply 1.4. */
  allowBundles(): void {
    const bundles = protocolsToVersions(P.OF13_UP);
    if ((this.versions & bundles) === 0) {
      this.versions = (this.versions | protocolsToVersions(P.OF14_OXM)) & bundles;
      this.protocols = protocolsFromVersions(this.versions);
    }
  }

  // ------------------------------------------------------------- transactions

  /** Sends a request and prints all replies (ovs: dump_transaction). */
  dump(v: Vconn, request: Uint8Array): void {
    for (const reply of v.transact(request)) {
      this.print(this.format(reply, 1, this.shown(v.name, v.fullName)));
    }
  }

  /** The same for requests that are only headers. */
  dumpTrivial(name: string, raw: RawName): void {
    const v = this.open(name);
    this.dump(v, encodeEmpty(raw, v.version, v.nextXid()));
    v.close();
  }

  /** Sends a request that only has a reply if it fails, which then ends the command. */
  transactNoreply(v: Vconn, request: Uint8Array): void {
    const reply = v.transactNoreply(request);
    if (reply !== null) {
      const text = this.format(reply, 2, this.shown(v.name, v.fullName));
      v.close();
      throw new OfctlExit(1, text);
    }
  }

  /** Runs messages as one bundle; errors are printed with the message that each is about. */
  transactBundle(v: Vconn, requests: readonly Uint8Array[]): void {
    const outcome = v.transactBundle(requests, OFPBF.ORDERED | OFPBF.ATOMIC);
    let next = 0;
    for (const bytes of outcome.errors) {
      const error = decodeError(this.pull(bytes));
      if (error === null) {
        this.printError("***decode error***");
        continue;
      }
      // Errors come in the order of the requests; one that is not found is shown truncated.
      const xid = getU32(bytes, OFP_HEADER.XID);
      const at = requests.findIndex((r, i) => i >= next && getU32(r, OFP_HEADER.XID) === xid);
      next = at < 0 ? requests.length : at + 1;
      const about = requests[at] ?? error.payload;
      const text = this.format(about, 1, this.shown(v.name, v.fullName));
      this.printError(`Error ${error.err} for: ${text}`);
    }
    if (!outcome.ok) {
      v.close();
      ofctlFatal(`talking to ${v.fullName} (Protocol error)`);
    }
  }
}

function fetchTableNames(s: OfctlSession, v: Vconn): [number, string][] {
  const watched = s.detailLog?.enabled("vconn", "dbg") ?? false;
  if (v.version !== OF11 && !watched && v.conn.ofproto.tables.every((t) => t.name === null)) {
    // The features of all tables are a long answer, of which only the names are wanted here. That
    // of OpenFlow 1.1 may hold what the log mentions.
    v.nextXid();
    return [];
  }
  const stats = v.version < OF13;
  const raw = stats ? "OFPST_TABLE_REQUEST" : "OFPST13_TABLE_FEATURES_REQUEST";
  const names: [number, string][] = [];
  for (const bytes of v.transact(encodeEmpty(raw, v.version, v.nextXid()))) {
    const msg = s.pull(bytes);
    if (stats) {
      const c = new Cursor(bytes, msg.bodyOfs);
      for (let t = pullTableStats(c, msg); t !== null && !isErr(t); t = pullTableStats(c, msg)) {
        names.push([t.features.tableId, t.features.name]);
      }
    } else {
      const list = decodeTableNames(msg);
      names.push(...(isErr(list) ? [] : list));
    }
  }
  return names.filter(([, name]) => name !== "");
}

/** Runs the body of a command and makes its reply; a number that it answers is the exit status. */
function runOfctl(ctx: CommandContext, body: (s: OfctlSession) => unknown): Reply {
  const s = new OfctlSession(ctx);
  try {
    const exit = body(s);
    return { exit: typeof exit === "number" ? exit : 0, ...s.takeOutput() };
  } catch (e) {
    if (!(e instanceof OfctlExit)) {
      throw e;
    }
    const { stdout, stderr } = s.takeOutput();
    return { exit: e.exit, stdout, stderr: stderr + e.stderr };
  }
}

/**
 * A row of ovs-ofctl: `body` prints into the session and may answer an exit status.
 */
export function ofctlRow(
  name: string,
  usage: Command["usage"],
  args: Command["args"],
  doc: string,
  body: (s: OfctlSession, argv: readonly string[]) => unknown,
): Command {
  const run: Command["run"] = (ctx, argv) => runOfctl(ctx, (s) => body(s, argv));
  return { tool: "ovs-ofctl", name, usage, args, doc, run };
}

/** A row that the tool does not list: it only serves tests. */
export function ofctlTestRow(
  name: string,
  args: Command["args"],
  doc: string,
  body: Parameters<typeof ofctlRow>[4],
): Command {
  return ofctlRow(name, undefined, args, doc, body);
}

/** A row that changes the switch, which --read-only refuses. */
export function ofctlWriteRow(...row: Parameters<typeof ofctlRow>): Command {
  return { ...ofctlRow(...row), writes: true };
}

/** Bytes as the tool dumps them: unlike in messages, nothing follows the eighth byte of a short line. */
export function plainDump(bytes: Uint8Array): string {
  return hexDump(bytes, false).replace(/-$/m, "");
}

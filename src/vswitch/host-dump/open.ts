// Opens a host dump: makes a switch what the dumped host was, as far as the files tell.
//
// With a database the bridges come from it, ports with the numbers that they had. Without one they
// come from dpif/show or the OpenFlow port texts, and failing that from the port numbers in the flows.
// Datapath port numbers are only in dpif/show. Everything that a faithful trace would need and that
// no file gave is noted as missing.

import { catchDbError } from "../../ovsdb/db-error.ts";
import { copyRows, loadDatabase } from "../../ovsdb/db-file.ts";
import { transact } from "../../ovsdb/transaction.ts";
import type { Bridge } from "../bridge.ts";
import { runCommandLine } from "../commands.ts";
import type { VSwitch } from "../vswitch.ts";
import { loadConnections } from "./conntrack.ts";
import type { BridgeDump, DumpInput, HostDump } from "./host-dump.ts";
import type { Note, Notes } from "./note.ts";
import {
  type PortText,
  parseDpifShow,
  parsePortDescs,
  portsInFlows,
  type ShownBridge,
} from "./port-texts.ts";
import { type FlowLine, loadTables } from "./tables.ts";
import { loadTunnels } from "./tunnels.ts";

/** The bridge that texts without a bridge's name belong to, when nothing else names one. */
const NAMELESS_BRIDGE = "br0";
const LOCAL = 0xfffe;

/**
 * Fills a new, empty switch. `bridge` is the one that nameless texts belong to, if it was given;
 * `lines` learns which line each flow is from.
 */
export function openHostDump(
  vs: VSwitch,
  dump: HostDump,
  bridge: string | null,
  lines: FlowLine[] | null = null,
): Note[] {
  const notes: Notes = [];
  vs.clock.stop();
  vs.otherHosts = "answer";
  const shown: ReadonlyMap<string, ShownBridge> =
    dump.dpifShow === null ? new Map() : parseDpifShow(dump.dpifShow.text);
  for (const bridgeShown of shown.values()) {
    presetDatapathPorts(vs, bridgeShown);
  }
  if (dump.dpifShow !== null) {
    notes.push({ kind: "used", text: `${dump.dpifShow.name}: datapath port numbers` });
  }
  if (dump.database !== null) {
    openDatabase(vs, dump.database, notes);
  } else {
    notes.push({
      kind: "missing",
      text: "the database (conf.db): VLANs, patch peers and tunnels of ports are guesses",
    });
  }
  nameTheNameless(vs, dump, shown, bridge);
  for (const [name, of] of dump.bridges) {
    openBridge(vs, name, { of, shown: shown.get(name) ?? null, notes, lines });
  }
  for (const { name } of vs.bridges.values()) {
    if (!dump.bridges.has(name)) {
      notes.push({ kind: "missing", text: `a flow dump of ${name}: its tables are empty` });
      runCommandLine(vs, ["ovs-ofctl", "del-flows", name]);
    }
  }
  loadTunnels(vs, dump, shown, notes);
  if (dump.conntrack !== null) {
    loadConnections(vs, dump.conntrack, notes);
  }
  noteControl(vs, notes);
  if (dump.dpifShow === null) {
    notes.push({ kind: "missing", text: "dpif/show: datapath port numbers are guesses" });
  }
  for (const { name, insteadOf } of dump.spare) {
    notes.push({ kind: "used", text: `${name}: passed over for ${insteadOf}` });
  }
  vs.run();
  return notes;
}

function presetDatapathPorts(vs: VSwitch, { dpType, ports }: ShownBridge): void {
  for (const p of ports) {
    if (p.odpPort !== null) {
      vs.backer(dpType).preset.set(p.name, p.odpPort);
    }
  }
}

/** What controllers and collectors added on the host that no file tells. */
function noteControl(vs: VSwitch, notes: Notes): void {
  for (const { name, ofproto, xbridge } of vs.bridges.values()) {
    if (ofproto.conns.hasInBand) {
      const text = `in-band control of ${name} on the host: its flows for the next hop to controllers`;
      notes.push({ kind: "missing", text });
    }
    if (xbridge.sflow !== null) {
      const text = `numbers of devices (ifindex), which sFlow of ${name} tells of outputs`;
      notes.push({ kind: "missing", text });
    }
  }
}

function openDatabase(vs: VSwitch, input: DumpInput, notes: Notes): void {
  const loaded = catchDbError(() => loadDatabase(input.bytes, input.name, vs.rng));
  if ("error" in loaded) {
    notes.push({ kind: "error", text: loaded.error.details ?? loaded.error.toString() });
    return;
  }
  const { db, problem } = loaded.value;
  if (db.schema.name !== "Open_vSwitch") {
    notes.push({ kind: "error", text: `${input.name}: a database of ${db.schema.name}` });
    return;
  }
  if (problem !== undefined) {
    notes.push({ kind: "error", text: problem });
  }
  const unknown = transact(vs.db, (txn) => {
    for (const row of txn.rows("Open_vSwitch")) {
      txn.delete("Open_vSwitch", row.uuid);
    }
    return copyRows(db, txn, vs.db);
  });
  vs.reconfigure();
  notes.push({ kind: "used", text: `${input.name}: ${vs.bridges.size} bridges with their ports` });
  for (const column of unknown) {
    notes.push({ kind: "error", text: `${input.name}: unknown column ${column} is ignored` });
  }
}

/** Gives texts that name no bridge to the one that they can only mean. */
function nameTheNameless(
  vs: VSwitch,
  dump: HostDump,
  shown: ReadonlyMap<string, unknown>,
  bridge: string | null,
): void {
  const of = dump.bridges.get("");
  if (of === undefined) {
    return;
  }
  dump.bridges.delete("");
  const known = [...new Set([...bridgeNames(vs), ...shown.keys(), ...dump.bridges.keys()])];
  const name = bridge ?? (known.length === 1 ? known[0] : undefined) ?? NAMELESS_BRIDGE;
  dump.bridges.set(name, { ...of, ...dump.bridges.get(name) });
}

function bridgeNames(vs: VSwitch): string[] {
  return [...vs.bridges.values()].map((br) => br.name);
}

interface BridgeParts {
  readonly of: BridgeDump;
  readonly shown: ShownBridge | null;
  readonly notes: Notes;
  readonly lines: FlowLine[] | null;
}

function openBridge(vs: VSwitch, name: string, parts: BridgeParts): void {
  const { of, shown, notes, lines } = parts;
  if (vs.bridges.get(name) === undefined) {
    makeBridge(vs, name, of, shown, notes);
  }
  const br = vs.bridges.get(name);
  if (br === undefined) {
    notes.push({ kind: "error", text: `bridge ${name} could not be made` });
    return;
  }
  applyPortConfig(br, of, notes);
  loadTables(br, of, notes, lines);
  loadFdb(br, of, notes);
  noteMissing(name, of, notes);
}

/** What the flows ask for and no file gives. */
function noteMissing(name: string, of: BridgeDump, notes: Notes): void {
  const flows = of.flows?.text ?? "";
  const missing = (text: string) => notes.push({ kind: "missing", text });
  if (of.groups === undefined && /\bgroup:\d/.test(flows)) {
    missing(`a group dump of ${name} (ovs-ofctl -O OpenFlow15 dump-groups ${name})`);
  }
  if (of.meters === undefined && /\bmeter[:=]\d/.test(flows)) {
    missing(`a meter dump of ${name} (ovs-ofctl -O OpenFlow15 dump-meters ${name})`);
  }
  if (of["tlv-map"] === undefined && /\btun_metadata\d|TUN_METADATA\d/.test(flows)) {
    missing(`the TLV map of ${name} (ovs-ofctl dump-tlv-map ${name})`);
  }
  if (of.fdb === undefined && /\bNORMAL\b/.test(flows)) {
    missing(`learned addresses of ${name} (ovs-appctl fdb/show ${name}): NORMAL will flood`);
  }
}

/** A bridge whose ports come from texts. */
function makeBridge(
  vs: VSwitch,
  name: string,
  of: BridgeDump,
  shown: ShownBridge | null,
  notes: Notes,
): void {
  const run = (...args: string[]) => runCommandLine(vs, ["ovs-vsctl", ...args]);
  run("add-br", name, "--", "set", "bridge", name, "fail_mode=secure");
  for (const p of portsFor(name, of, shown, notes)) {
    if (p.ofpPort !== LOCAL) {
      if (p.odpPort === null) {
        vs.backer("system").preset.set(p.name, p.ofpPort);
      }
      const type = p.type === "" || p.type === "system" ? [] : [`type=${p.type}`];
      const options = [...p.options].map(([k, v]) => `options:${k}="${v}"`);
      const set = ["set", "interface", p.name, `ofport_request=${p.ofpPort}`, ...type, ...options];
      const reply = run("add-port", name, p.name, "--", ...set);
      if (reply.exit !== 0) {
        notes.push({ kind: "error", text: `port ${p.name} of ${name}: ${reply.stderr.trim()}` });
      }
    }
  }
}

function portsFor(
  name: string,
  of: BridgeDump,
  shown: ShownBridge | null,
  notes: Notes,
): readonly PortText[] {
  if (shown !== null) {
    return shown.ports;
  }
  const plain = (ofpPort: number, port: string): PortText => ({
    name: port,
    ofpPort,
    odpPort: null,
    type: "",
    options: new Map(),
  });
  const descs = of["ports-desc"] ?? of.show;
  if (descs !== undefined) {
    notes.push({ kind: "used", text: `${descs.name}: ports of ${name}` });
    return parsePortDescs(descs.text).map((p) => plain(p.ofpPort, p.name));
  }
  notes.push({
    kind: "missing",
    text: `the ports of ${name}: those that its flows and groups name are made`,
  });
  const texts = `${of.flows?.text ?? ""}\n${of.groups?.text ?? ""}`;
  return portsInFlows(texts).map((n) => plain(n, `${name}-port${n}`));
}

/** `config: NO_FLOOD` and the like, which only OpenFlow texts have. */
function applyPortConfig(br: Bridge, of: BridgeDump, notes: Notes): void {
  const descs = of["ports-desc"] ?? of.show;
  const actions: Readonly<Record<string, string>> = {
    PORT_DOWN: "down",
    NO_FLOOD: "no-flood",
    NO_FWD: "no-forward",
    NO_PACKET_IN: "no-packet-in",
    NO_RECV: "no-receive",
    NO_RECV_STP: "no-receive-stp",
    NO_STP: "no-stp",
  };
  for (const port of descs === undefined ? [] : parsePortDescs(descs.text)) {
    const isLocal = port.ofpPort === LOCAL;
    for (const word of port.config) {
      const action = actions[word];
      // An internal port that is down only tells that the host does not use the address.
      if (action !== undefined && !(isLocal && word === "PORT_DOWN")) {
        const argv = ["ovs-ofctl", "mod-port", br.name, String(port.ofpPort), action];
        const reply = runCommandLine(br.vs, argv);
        if (reply.exit !== 0) {
          notes.push({ kind: "error", text: `port ${port.name}: ${reply.stderr.trim()}` });
        }
      }
    }
  }
}

/** Addresses that the bridge had learned, with their ages. */
function loadFdb(br: Bridge, of: BridgeDump, notes: Notes): void {
  if (of.fdb === undefined) {
    return;
  }
  let learned = 0;
  const rows = of.fdb.text.matchAll(/^\s*(\S+)\s+(\d+)\s+([0-9a-f:]{17})\s+(\d+|static)\s*$/gm);
  for (const [, port = "", vlan, mac = "", age = ""] of rows) {
    const number = port === "LOCAL" ? LOCAL : Number(port);
    const bundle = br.xbridge.xports.get(number)?.xbundle ?? null;
    if (bundle === null) {
      notes.push({ kind: "error", text: `${of.fdb.name}: no port ${port} on ${br.name}` });
      continue;
    }
    const nowMs = br.vs.clock.nowMs();
    const digits = mac.replaceAll(":", "");
    const [hi, lo] = [Number(`0x${digits.slice(0, 4)}`), Number(`0x${digits.slice(4)}`)];
    if (age === "static") {
      br.xbridge.ml.addStatic(hi, lo, Number(vlan), bundle, nowMs);
    } else {
      const sighting = { hi, lo, vlan: Number(vlan), gratuitousArp: false, isBond: false, bundle };
      br.xbridge.ml.update(sighting, nowMs - 1000 * Number(age));
    }
    learned++;
  }
  notes.push({ kind: "used", text: `${of.fdb.name}: ${learned} learned addresses of ${br.name}` });
}

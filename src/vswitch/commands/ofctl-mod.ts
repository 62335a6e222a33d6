// ovs-ofctl: changes to ports, tables and the handling of fragments; packet-out; ct-flush.
//
// Reference: ovs: utilities/ovs-ofctl.c ofctl_mod_port, ofctl_mod_table, ofctl_packet_out,
// ofctl_ct_flush.

import { K } from "../../flow/flow-key.ts";
import { matchSlot, newMatch } from "../../flow/match.ts";
import { OFPTT_ALL } from "../../flow/ofp-port.ts";
import { OFP } from "../../flow/of-version.ts";
import { Cursor } from "../../lib/bytes.ts";
import { strToU16, strToUint } from "../../lib/number.ts";
import { parseActions } from "../../openflow/actions/actions.ts";
import {
  encodeCtFlush,
  encodeCtFlushZone,
  newCtMatch,
  parseCtTuple,
} from "../../openflow/messages/ct.ts";
import { isErr } from "../../openflow/messages/errors.ts";
import {
  encodePacketOut,
  frameFromHex,
  parsePacketOut,
} from "../../openflow/messages/packet-out.ts";
import { encodePortMod } from "../../openflow/messages/port.ts";
import type { Msg } from "../../openflow/messages/raw.ts";
import { encodeSetConfig, fragFromString } from "../../openflow/messages/switch.ts";
import { encodeTableMod, parseTableMod, pullTableDesc } from "../../openflow/messages/table.ts";
import { decodeTableFeatures, rawTableProperties } from "../../openflow/messages/table-features.ts";
import { appendTableFeatures } from "../../openflow/messages/table-features-put.ts";
import { Multipart } from "../../openflow/messages/multipart.ts";
import { NO_BUFFER } from "../../openflow/messages/types-flow.ts";
import {
  FRAG_NAMES,
  PORT_CONFIG,
  type TableDesc,
  type TableFeatures,
  type TableMod,
} from "../../openflow/messages/types-switch.ts";
import { formatVersionBitmapNames } from "../../openflow/messages/version.ts";
import { OFPTFC15 } from "../../openflow/ofproto-tables.ts";
import { TABLE_NAME_MAX } from "../../openflow/oftable.ts";
import { type Command, ANY_ARGS } from "../command.ts";
import {
  encodeTableDescRequest,
  encodeTableFeaturesRequest,
  fetchConfig,
  portNumber,
} from "./ofctl-dump.ts";
import { OfctlExit, ofctlFatal, type Vconn } from "./ofctl-vconn.ts";
import { type OfctlSession, ofctlRow, ofctlWriteRow } from "./ofctl-session.ts";

/** Names of mod-port's actions: the bit, and its value when the name stands without "no-". */
const PORT_FLAGS: Readonly<Record<string, readonly [bit: number, on: boolean]>> = {
  up: [PORT_CONFIG.PORT_DOWN, false],
  down: [PORT_CONFIG.PORT_DOWN, true],
  stp: [PORT_CONFIG.NO_STP, false],
  receive: [PORT_CONFIG.NO_RECV, false],
  "receive-stp": [PORT_CONFIG.NO_RECV_STP, false],
  flood: [PORT_CONFIG.NO_FLOOD, false],
  forward: [PORT_CONFIG.NO_FWD, false],
  "packet-in": [PORT_CONFIG.NO_PACKET_IN, false],
};

function modPort(s: OfctlSession, [, name = "", port = "", act = ""]: readonly string[]): void {
  const no = strToUint(port, 10);
  const pp = s.withVconn(name, (v) =>
    s.fetchPorts(v).find((p) => (no === undefined ? p.name === port : p.portNo === (no & 0xffff))),
  );
  if (pp === undefined) {
    ofctlFatal(`${name}: couldn't find port \`${port}'`);
    return;
  }
  const negated = /^no-?/i.exec(act)?.[0] ?? "";
  const flag = PORT_FLAGS[act.slice(negated.length).toLowerCase()];
  if (flag === undefined) {
    ofctlFatal(`unknown mod-port command '${act}'`);
    return;
  }
  const [mask, on] = flag;
  const config = on === (negated === "") ? mask : 0;
  const v = s.open(name);
  const pm = { portNo: pp.portNo, hwAddr: pp.hwAddr, config, mask, advertise: 0 };
  s.transactNoreply(v, encodePortMod(pm, v.version, v.nextXid()));
  v.close();
}

/** What stands for the description of a table that the switch does not show. */
const NO_TABLE_DESC: Omit<TableDesc, "tableId"> = {
  eviction: "default",
  evictionFlags: 0,
  vacancy: "default",
  tableVacancy: { down: 0, up: 0, vacancy: 0 },
};

/** Keeps what the user did not ask to change (ovs: fetch_table_desc). */
function keepTableDesc(s: OfctlSession, v: Vconn, tm: TableMod): TableMod {
  let td = NO_TABLE_DESC;
  for (const bytes of v.transact(encodeTableDescRequest(v))) {
    const msg = s.pull(bytes);
    if (msg.type !== "TABLE_DESC_REPLY") {
      ofctlFatal(`received bad reply: ${s.format(bytes, 1)}`);
    }
    td = findTableDesc(msg, tm.tableId) ?? td;
  }
  if (tm.eviction !== "default") {
    const { down, up } = td.tableVacancy;
    return { ...tm, vacancy: td.vacancy, tableVacancy: { ...tm.tableVacancy, down, up } };
  }
  return tm.vacancy === "default"
    ? tm
    : { ...tm, eviction: td.eviction, evictionFlags: td.evictionFlags };
}

function findTableDesc(msg: Msg, tableId: number): TableDesc | undefined {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  for (;;) {
    const td = pullTableDesc(c, msg.version);
    if (td === null || isErr(td)) {
      return undefined;
    }
    if (td.tableId === tableId) {
      return td;
    }
  }
}

/** Sends the features of the tables back with one name changed (ovs: change_table_name). */
function renameTable(s: OfctlSession, v: Vconn, tableId: number, name: string): void {
  const tables: TableFeatures[] = [];
  const properties = new Map<number, Uint8Array>();
  for (const bytes of v.transact(encodeTableFeaturesRequest(v))) {
    const msg = s.pull(bytes);
    const list = decodeTableFeatures(msg, true);
    tables.push(...(isErr(list) ? [] : list));
    for (const [id, raw] of rawTableProperties(msg)) {
      properties.set(id, raw);
    }
  }
  const table = tables.find((t) => t.tableId === tableId);
  if (table === undefined) {
    ofctlFatal(`switch does not have table ${tableId}`);
  }
  const renamed = { ...table, name: name.slice(0, TABLE_NAME_MAX - 1) };
  const m = new Multipart("OFPST13_TABLE_FEATURES_REQUEST", v.version, v.nextXid());
  if (v.version >= OFP.v15) {
    const tf = { ...renamed, command: OFPTFC15.MODIFY, anyProperties: false };
    appendTableFeatures(m, tf, null);
  } else {
    for (const t of tables) {
      appendTableFeatures(m, t === table ? renamed : t, properties.get(t.tableId) ?? null);
    }
  }
  const parts = m.messages();
  const replies = parts.flatMap((bytes) => v.transact(bytes));
  const error = replies.find((bytes) => s.pull(bytes).type === "ERROR");
  if (error !== undefined) {
    v.close();
    throw new OfctlExit(1, s.format(error, 1));
  }
}

function sendTableMod(s: OfctlSession, v: Vconn, tm: TableMod): void {
  const msg = encodeTableMod(tm, v.version, v.nextXid());
  if (msg === null) {
    v.close();
    ofctlFatal("table mod needs OpenFlow 1.1 or later ('-O OpenFlow11')");
  } else {
    s.transactNoreply(v, msg);
  }
}

function modTable(s: OfctlSession, [, name = "", id = "", setting = ""]: readonly string[]): void {
  const parsed = s.must(parseTableMod(id, setting, s.acceptTables(name), s.logSink));
  if ((s.versions & parsed.versions) === 0) {
    const needed = formatVersionBitmapNames(parsed.versions);
    ofctlFatal(`table_mod '${setting}' requires one of the OpenFlow versions ${needed}`);
  }
  const newer = (s.versions & ((1 << OFP.v14) | (1 << OFP.v15))) !== 0;
  s.versions &= parsed.versions;
  const v = s.open(name);
  if (parsed.name !== null) {
    renameTable(s, v, parsed.tm.tableId, parsed.name);
  } else if (newer) {
    const all = parsed.tm.tableId === OFPTT_ALL;
    const ids = all ? Array.from({ length: OFPTT_ALL - 1 }, (_, i) => i) : [parsed.tm.tableId];
    let { tm } = parsed;
    for (const tableId of ids) {
      tm = keepTableDesc(s, v, { ...tm, tableId });
      sendTableMod(s, v, tm);
    }
  } else {
    sendTableMod(s, v, parsed.tm);
  }
  v.close();
}

function setFrags(s: OfctlSession, [, name = "", mode = ""]: readonly string[]): void {
  const frag = fragFromString(mode);
  if (frag === undefined) {
    ofctlFatal(`${mode}: unknown fragment handling mode`);
    return;
  }
  const v = s.open(name);
  const config = fetchConfig(s, v);
  if (config.frag !== frag) {
    s.transactNoreply(v, encodeSetConfig({ ...config, frag }, v.version, v.nextXid()));
    if (fetchConfig(s, v).frag !== frag) {
      ofctlFatal(
        `${name}: setting fragment handling mode failed (this ` +
          `switch probably doesn't support mode "${FRAG_NAMES[frag]}")`,
      );
    }
  }
  v.close();
}

/** The newer form names all in one argument; the older one has several packets. */
function packetOut(s: OfctlSession, argv: readonly string[]): void {
  const [, name = "", text = "", actionText = "", ...packets] = argv;
  if (argv.length === 3) {
    const { po, usable } = s.must(parsePacketOut(text, s.accept(name)));
    const v = s.openForFlowMod(name, usable);
    s.transactNoreply(v, encodePacketOut(po, v.protocol, v.nextXid()));
    v.close();
    return;
  }
  if (packets.length === 0) {
    ofctlFatal(`Too many arguments (${argv.length})`);
  }
  const { actions, usable } = s.must(parseActions(actionText, s.accept(name)));
  const flowMetadata = newMatch();
  matchSlot(flowMetadata, K.in_port, portNumber(s, name, text));
  const v = s.openForFlowMod(name, usable);
  for (const hex of packets) {
    const packet = packetFromHex(hex);
    const po = { packet, bufferId: NO_BUFFER, flowMetadata, actions };
    s.transactNoreply(v, encodePacketOut(po, v.protocol, v.nextXid()));
  }
  v.close();
}

function packetFromHex(hex: string): Uint8Array {
  const packet = frameFromHex(hex);
  return typeof packet === "string" ? ofctlFatal(packet) : packet;
}

function ctFlushZone(s: OfctlSession, [, name = "", text = ""]: readonly string[]): void {
  const zone = s.must(strToU16(text, "zone_id"));
  const v = s.open(name);
  s.transactNoreply(v, encodeCtFlushZone(zone, v.version, v.nextXid()));
  v.close();
}

function ctFlush(s: OfctlSession, [, name = "", ...args]: readonly string[]): void {
  let zone: number | null = null;
  let tuples = args;
  if (args[0]?.startsWith("zone=")) {
    const digits = /^zone=([+-]?\d+)/.exec(args[0])?.[1];
    if (digits === undefined) {
      ofctlFatal("Failed to parse zone");
    }
    // A number that is too large loses its upper bits, as in sscanf().
    zone = Number(BigInt.asUintN(16, BigInt(digits)));
    tuples = args.slice(1);
  }
  const match = newCtMatch();
  let notices = "";
  tuples.slice(0, 2).forEach((text, i) => {
    const tuple = i === 0 ? match.tupleOrig : match.tupleReply;
    const parsed = text === "" ? null : parseCtTuple(text, tuple, match);
    notices += parsed?.text ?? "";
    if (parsed?.ok === false) {
      ofctlFatal(`Failed to parse ct-tuple: ${notices}`);
    }
  });
  const v = s.open(name);
  s.transactNoreply(v, encodeCtFlush(match, zone, v.version, v.nextXid()));
  v.close();
}

export const OFCTL_MOD_COMMANDS: readonly Command[] = [
  ofctlWriteRow("mod-port", "switch iface act", [3, 3], "Changes what a port does.", modPort),
  ofctlWriteRow("mod-table", "switch mod", [3, 3], "Changes what a table does.", modTable),
  ofctlWriteRow(
    "set-frags",
    "switch frag_mode",
    [2, 2],
    "Changes how IP fragments are handled.",
    setFrags,
  ),
  ofctlWriteRow(
    "packet-out",
    'switch "in_port=<port> packet=<hex data> actions=..."',
    [2, ANY_ARGS],
    "Runs actions on a packet.",
    packetOut,
  ),
  ofctlRow(
    "ct-flush-zone",
    "switch zone",
    [2, 2],
    "Forgets the connections of a zone.",
    ctFlushZone,
  ),
  ofctlRow(
    "ct-flush",
    "switch [zone=N] [ct-orig-tuple [ct-reply-tuple]]",
    [1, 4],
    "Forgets connections that match.",
    ctFlush,
  ),
];

// ovs-ofctl: groups and their buckets, meters, maps of tunnel options.
//
// Reference: ovs: utilities/ovs-ofctl.c ofctl_group_mod, ofctl_meter_mod__, ofctl_tlv_mod.

import { P, type Protocols } from "../../flow/of-version.ts";
import { stripComment } from "../../openflow/flow-text.ts";
import {
  encodeGroupDescRequest,
  encodeGroupFeaturesRequest,
  encodeGroupMod,
  encodeGroupStatsRequest,
} from "../../openflow/messages/group.ts";
import { parseGroupMod } from "../../openflow/messages/group-parse.ts";
import { encodeMeterMod, encodeMeterRequest } from "../../openflow/messages/meter.ts";
import { parseMeterMod } from "../../openflow/messages/meter-text.ts";
import { groupFromString, OFPG } from "../../openflow/messages/names.ts";
import { encodeTlvTableMod, parseTlvTableMod } from "../../openflow/messages/tlv-table.ts";
import { type GroupMod, OFPGC, OFPM13, OFPMC } from "../../openflow/messages/types-group.ts";
import { NXTTMC } from "../../openflow/messages/types-switch.ts";
import { protocolToVersion } from "../../openflow/messages/version.ts";
import type { Command } from "../command.ts";
import { OfctlExit, ofctlFatal, type Vconn } from "./ofctl-vconn.ts";
import { type OfctlSession, ofctlRow, ofctlWriteRow } from "./ofctl-session.ts";

/** Ends the command if the version cannot express the change. */
export function encodeGroupModFor(v: Vconn, gm: GroupMod, xid = v.nextXid()): Uint8Array {
  const msg = encodeGroupMod(gm, protocolToVersion(v.protocol), xid);
  if (msg === null) {
    v.close();
    const need = gm.command === OFPGC.INSERT_BUCKET ? "insert-bucket" : "remove-bucket";
    throw new OfctlExit(1, `ovs-ofctl: ${need} needs OpenFlow 1.5 or later ('-O OpenFlow15')\n`);
  }
  return msg;
}

function sendGroupMods(
  s: OfctlSession,
  name: string,
  gms: readonly GroupMod[],
  usable: number,
): void {
  const v = s.openForFlowMod(name, s.options.bundle ? usable & P.OF13_UP : usable);
  if (s.options.bundle) {
    s.transactBundle(
      v,
      gms.map((gm) => encodeGroupModFor(v, gm)),
    );
  } else {
    for (const gm of gms) {
      s.transactNoreply(v, encodeGroupModFor(v, gm));
    }
  }
  v.close();
}

function groupModFile(s: OfctlSession, name: string, file: string, command: number): void {
  const cx = s.accept(name);
  const text = s.readFile(file, (why) => `${file}: open failed (${why})`);
  const how = command === OFPGC.ADD ? null : command;
  const gms: GroupMod[] = [];
  let usable: Protocols = P.ANY;
  text.split("\n").forEach((raw, i) => {
    const line = stripComment(raw);
    if (line === undefined) {
      return;
    }
    const r = parseGroupMod(line, how, cx);
    if (!r.ok) {
      ofctlFatal(`${file}:${i + 1}: ${r.error.message}`);
    }
    gms.push(r.value.gm);
    usable &= r.value.usable;
  });
  sendGroupMods(s, name, gms, usable);
}

function groupMod(s: OfctlSession, argv: readonly string[], command: number): void {
  const [, name = "", text = ""] = argv;
  if (text === "-") {
    groupModFile(s, name, text, command);
    return;
  }
  const { gm, usable } = s.must(parseGroupMod(text, command, s.accept(name)));
  sendGroupMods(s, name, [gm], usable);
}

function dumpRequest(s: OfctlSession, v: Vconn, request: Uint8Array): void {
  s.dump(v, request);
  v.close();
}

function dumpGroups(s: OfctlSession, [, name = "", group]: readonly string[]): void {
  const v = s.open(name);
  const groupId = group === undefined ? OFPG.ALL : (groupFromString(group, s.logSink) ?? OFPG.ALL);
  dumpRequest(s, v, encodeGroupDescRequest(v.version, groupId, v.nextXid()));
}

function dumpGroupStats(s: OfctlSession, [, name = "", text = ""]: readonly string[]): void {
  const { gm } = s.must(parseGroupMod(text, OFPGC.DELETE, s.accept(name)));
  const v = s.open(name);
  dumpRequest(s, v, encodeGroupStatsRequest(v.version, gm.groupId, v.nextXid()));
}

function meterMod(s: OfctlSession, [, name = "", text]: readonly string[], command: number): void {
  const all = { command, meter: { meterId: OFPM13.ALL, flags: 0, bands: [] } };
  const { mm, usable } =
    text === undefined ? { mm: all, usable: P.OF13_UP } : s.must(parseMeterMod(text, command));
  const v = s.openForFlowMod(name, usable);
  s.transactNoreply(v, encodeMeterMod(mm, v.version, v.nextXid()));
  v.close();
}

function meterRequest(
  s: OfctlSession,
  [, name = "", text]: readonly string[],
  kind: "features" | "config" | "stats",
): void {
  const all = { mm: { meter: { meterId: OFPM13.ALL } }, usable: P.OF13_UP };
  const { mm, usable } = text === undefined ? all : s.must(parseMeterMod(text, null));
  const v = s.openForFlowMod(name, usable);
  dumpRequest(s, v, encodeMeterRequest(kind, mm.meter.meterId, v.version, v.nextXid()));
}

function tlvMod(
  s: OfctlSession,
  [, name = "", text = ""]: readonly string[],
  command: number,
): void {
  const { tm, usable } = s.must(parseTlvTableMod(text, command));
  const v = s.openForFlowMod(name, usable);
  s.transactNoreply(v, encodeTlvTableMod(tm, v.version, v.nextXid()));
  v.close();
}

export const OFCTL_GROUP_COMMANDS: readonly Command[] = [
  ofctlWriteRow("add-meter", "switch meter", [2, 2], "Adds a meter.", (s, argv) =>
    meterMod(s, argv, OFPMC.ADD),
  ),
  ofctlWriteRow("mod-meter", "switch meter", [2, 2], "Changes a meter.", (s, argv) =>
    meterMod(s, argv, OFPMC.MODIFY),
  ),
  ofctlWriteRow("del-meter", "switch meter", [1, 2], "Deletes a meter.", (s, argv) =>
    meterMod(s, argv, OFPMC.DELETE),
  ),
  ofctlWriteRow("del-meters", "switch", [1, 2], "Deletes all meters.", (s, argv) =>
    meterMod(s, argv, OFPMC.DELETE),
  ),
  ofctlRow(
    "dump-meter",
    "switch meter",
    [1, 2],
    "Prints the configuration of a meter.",
    (s, argv) => meterRequest(s, argv, "config"),
  ),
  ofctlRow("dump-meters", "switch", [1, 2], "Prints the configuration of all meters.", (s, argv) =>
    meterRequest(s, argv, "config"),
  ),
  ofctlRow("meter-stats", "switch [meter]", [1, 2], "Prints what meters counted.", (s, argv) =>
    meterRequest(s, argv, "stats"),
  ),
  ofctlRow("meter-features", "switch", [1, 1], "Prints what meters can do.", (s, argv) =>
    meterRequest(s, argv, "features"),
  ),
  ofctlWriteRow("add-group", "switch group", [1, 2], "Adds a group.", (s, argv) =>
    groupMod(s, argv, OFPGC.ADD),
  ),
  ofctlWriteRow("add-groups", "switch file", [2, 2], "Adds the groups of a file.", (s, argv) =>
    groupModFile(s, argv[1] ?? "", argv[2] ?? "", OFPGC.ADD),
  ),
  ofctlWriteRow("mod-group", "switch group", [1, 2], "Changes a group.", (s, argv) =>
    groupMod(s, argv, s.options.mayCreate ? OFPGC.ADD_OR_MOD : OFPGC.MODIFY),
  ),
  ofctlWriteRow(
    "del-groups",
    "switch [group]",
    [1, 2],
    "Deletes groups, and flows that use them.",
    (s, argv) => groupMod(s, argv, OFPGC.DELETE),
  ),
  ofctlWriteRow("insert-buckets", "switch [group]", [1, 2], "Adds buckets to a group.", (s, argv) =>
    groupMod(s, argv, OFPGC.INSERT_BUCKET),
  ),
  ofctlWriteRow(
    "remove-buckets",
    "switch [group]",
    [1, 2],
    "Takes buckets from a group.",
    (s, argv) => groupMod(s, argv, OFPGC.REMOVE_BUCKET),
  ),
  ofctlRow("dump-groups", "switch [group]", [1, 2], "Prints groups and their buckets.", dumpGroups),
  ofctlRow(
    "dump-group-stats",
    "switch [group]",
    [1, 2],
    "Prints what groups counted.",
    dumpGroupStats,
  ),
  ofctlRow("dump-group-features", "switch", [1, 1], "Prints what groups can do.", (s, argv) => {
    const v = s.open(argv[1] ?? "");
    dumpRequest(s, v, encodeGroupFeaturesRequest(v.version, v.nextXid()));
  }),
  ofctlRow(
    "add-tlv-map",
    "switch map",
    [2, 2],
    "Maps tunnel options to tun_metadata fields.",
    (s, argv) => tlvMod(s, argv, NXTTMC.ADD),
  ),
  ofctlRow(
    "del-tlv-map",
    "switch [map]",
    [1, 2],
    "Deletes mappings of tunnel options.",
    (s, argv) => tlvMod(s, argv, argv.length > 2 ? NXTTMC.DELETE : NXTTMC.CLEAR),
  ),
  ofctlRow("dump-tlv-map", "switch", [1, 1], "Prints the mappings of tunnel options.", (s, argv) =>
    s.dumpTrivial(argv[1] ?? "", "NXT_TLV_TABLE_REQUEST"),
  ),
];

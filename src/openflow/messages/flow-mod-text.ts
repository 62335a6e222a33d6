// Flow mods as text (ovs: lib/ofp-flow.c ofputil_flow_mod_format).

import { OFP } from "../../flow/of-version.ts";
import { formatPort, formatTable, OFPP } from "../../flow/ofp-port.ts";
import { Cursor, getU16 } from "../../lib/bytes.ts";
import { formatActions } from "../actions/actions.ts";
import { formatFlowFlags } from "../flow-stats-text.ts";
import { formatShownMatch } from "../match-text.ts";
import { formatNxMatch } from "../oxm-text.ts";
import { FLOW_FLAG } from "../rule.ts";
import { isErr, type PrintErr } from "./errors.ts";
import { decodeFlowMod } from "./flow-mod.ts";
import { pullOfp10Match } from "./match-wire.ts";
import type { NameMaps } from "./names.ts";
import { formatOfp10Match } from "./ofp10-match-text.ts";
import type { Msg } from "./raw.ts";
import { hex, type Text } from "./text.ts";
import { DEFAULT_PRIORITY, type FlowMod, NO_BUFFER, U64_MAX } from "./types-flow.ts";
import { protocolFromVersion, protocolSetTid } from "./version.ts";

const COMMAND_NAMES = ["ADD", "MOD", "MOD_STRICT", "DEL", "DEL_STRICT"];
/** Verbosity from which OpenFlow 1.0's matches are shown as they stand in the message. */
const VERBOSITY_RAW = 3;
const NX_FLOW_MOD_BYTES = 32;
const NX_MATCH_LEN_OFS = 24;

/** The match, and whether the priority is not part of its text. */
function matchText(fm: FlowMod, msg: Msg, names: NameMaps, verbosity: number) {
  if (verbosity >= VERBOSITY_RAW && msg.raw === "OFPT10_FLOW_MOD") {
    const om = pullOfp10Match(new Cursor(msg.bytes, msg.bodyOfs));
    return { text: formatOfp10Match(om, names.ports, verbosity), needPriority: true };
  }
  if (verbosity >= VERBOSITY_RAW && msg.raw === "NXT_FLOW_MOD") {
    const length = getU16(msg.bytes, msg.bodyOfs + NX_MATCH_LEN_OFS);
    const start = msg.bodyOfs + NX_FLOW_MOD_BYTES;
    const text = formatNxMatch(msg.bytes.subarray(start, start + length));
    return { text, needPriority: true };
  }
  return { text: formatShownMatch(fm.match, names, fm.priority), needPriority: false };
}

function restText(fm: FlowMod, version: number, needPriority: boolean, names: NameMaps): string {
  const parts: string[] = [];
  if (fm.newCookie !== 0n && fm.newCookie !== U64_MAX) {
    parts.push(`cookie:${hex(fm.newCookie)} `);
  }
  if (fm.cookieMask !== 0n) {
    parts.push(`cookie:${hex(fm.cookie)}/${hex(fm.cookieMask)} `);
  }
  if (fm.idleTimeoutS !== 0) {
    parts.push(`idle:${fm.idleTimeoutS} `);
  }
  if (fm.hardTimeoutS !== 0) {
    parts.push(`hard:${fm.hardTimeoutS} `);
  }
  if (fm.importance !== 0) {
    parts.push(`importance:${fm.importance} `);
  }
  if (needPriority && fm.priority !== DEFAULT_PRIORITY) {
    parts.push(`pri:${fm.priority} `);
  }
  if (fm.bufferId !== NO_BUFFER) {
    parts.push(`buf:${hex(fm.bufferId)} `);
  }
  if (fm.outPort !== OFPP.ANY) {
    parts.push(`out_port:${formatPort(fm.outPort, names.ports)} `);
  }
  // Old versions have no such flag; decoding implied it.
  const implied = version <= OFP.v11 ? FLOW_FLAG.RESET_COUNTS : 0;
  parts.push(formatFlowFlags(fm.flags & ~implied));
  return parts.join("");
}

export function printFlowMod(
  out: Text,
  msg: Msg,
  cx: { readonly names: NameMaps; readonly verbosity: number },
): PrintErr | null {
  const protocol = protocolSetTid(protocolFromVersion(msg.version), true);
  const context = { protocol, tab: null, vlMff: null, maxPorts: OFPP.MAX, nTables: 255 };
  const fm = decodeFlowMod(msg, context);
  if (isErr(fm)) {
    return fm;
  }
  const { names } = cx;
  const named = (names.tables?.nameOf(fm.tableId) ?? null) !== null;
  const showTable = fm.tableId !== 0 || named;
  const table = showTable ? ` table:${formatTable(fm.tableId, names.tables)}` : "";
  out.put(` ${COMMAND_NAMES[fm.command] ?? `cmd:${fm.command}`}${table} `);
  const { text, needPriority } = matchText(fm, msg, names, cx.verbosity);
  out.put(text);
  if (!out.endsWith(" ")) {
    out.put(" ");
  }
  out.put(restText(fm, msg.version, needPriority, names));
  out.put(`actions=${formatActions(fm.actions, names)}`);
  return null;
}

// Messages about a connection: roles, asynchronous messages, formats, controller id.
//
// Asynchronous configuration: for each kind of message and for primary and secondary controllers a
// bitmap of the reasons for which it is sent. Old messages have three kinds in a fixed layout, later
// ones a property per kind and role (ovs: lib/ofp-connection.c, lib/ofp-protocol.c).

import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import { Cursor, getU16, getU32, type Writer } from "../../lib/bytes.ts";
import { formatPacketInReason, OFPR } from "../packet-in-reason.ts";
import { REMOVED } from "../rule.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import { propU32, pullProp, putPropU32, unknownProp } from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import { formatRemovedReason } from "./reasons.ts";
import { PACKET_IN_FORMAT, U64_MAX } from "./types-flow.ts";
import {
  type AsyncConfig,
  OAM,
  OFPCR,
  OFPPR,
  OFPTR,
  type RoleRequest,
  type RoleStatus,
} from "./types-switch.ts";
import { protocolSetBase, protocolSetTid, protocolToBase, protocolToVersion } from "./version.ts";

const ROLE_NAMES = ["nochange", "equal", "primary", "secondary"];
const ROLE_REASONS = ["primary_request", "configuration_changed", "experimenter_data_changed"];

export function encodeRoleRequest(r: RoleRequest, version: number, xid: number): Uint8Array {
  if (version >= OFP.v12) {
    const w = startMsg("OFPT12_ROLE_REQUEST", version, xid);
    return finishMsg(
      w
        .u32(r.role)
        .zeros(4)
        .u64(r.haveGenerationId ? r.generationId : 0n),
    );
  }
  return finishMsg(startMsg("NXT_ROLE_REQUEST", version, xid).u32(r.role - 1));
}

export function encodeRoleReply(request: Msg, r: RoleRequest): Uint8Array {
  if (request.raw === "OFPT12_ROLE_REQUEST") {
    const w = startMsg("OFPT12_ROLE_REPLY", request.version, request.xid);
    return finishMsg(
      w
        .u32(r.role)
        .zeros(4)
        .u64(r.haveGenerationId ? r.generationId : U64_MAX),
    );
  }
  const w = startMsg("NXT_ROLE_REPLY", request.version, request.xid);
  return finishMsg(w.u32(r.role - 1));
}

export function decodeRole(msg: Msg): Decoded<RoleRequest> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const role = c.u32();
  if (msg.raw === "NXT_ROLE_REQUEST" || msg.raw === "NXT_ROLE_REPLY") {
    const bad = role > 2;
    return bad ? "OFPRRFC_BAD_ROLE" : { role: role + 1, haveGenerationId: false, generationId: 0n };
  }
  if (role > OFPCR.SECONDARY) {
    return "OFPRRFC_BAD_ROLE";
  }
  c.skip(4);
  const generationId = c.u64();
  const none =
    msg.raw === "OFPT12_ROLE_REQUEST" ? role === OFPCR.NOCHANGE : generationId === U64_MAX;
  return none
    ? { role, haveGenerationId: false, generationId: 0n }
    : { role, haveGenerationId: true, generationId };
}

function roleText(role: number, generationId: bigint): string {
  const id = generationId === U64_MAX ? "" : ` generation_id=${generationId}`;
  return ` role=${ROLE_NAMES[role] ?? ""}${id}`;
}

export function formatRole(r: RoleRequest): string {
  return roleText(r.role, r.haveGenerationId ? r.generationId : U64_MAX);
}

/** Null in versions that have no such message. */
export function encodeRoleStatus(rs: RoleStatus, version: number): Uint8Array | null {
  if (version < OFP.v13) {
    return null;
  }
  const raw = version >= OFP.v14 ? "OFPT14_ROLE_STATUS" : "ONFT13_ROLE_STATUS";
  const w = startMsg(raw, version, 0);
  return finishMsg(w.u32(rs.role).u8(rs.reason).zeros(3).u64(rs.generationId));
}

export function decodeRoleStatus(msg: Msg): Decoded<RoleStatus> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const role = c.u32();
  const reason = c.u8();
  c.skip(3);
  const generationId = c.u64();
  return role > OFPCR.SECONDARY ? "OFPRRFC_BAD_ROLE" : { role, reason, generationId };
}

export function formatRoleStatus(rs: RoleStatus): string {
  return `${roleText(rs.role, rs.generationId)} reason=${ROLE_REASONS[rs.reason] ?? "(unknown)"}`;
}

interface AsyncRow {
  readonly oam: number;
  readonly name: string;
  /** Reasons that a message may ask for, before OpenFlow 1.4 and from then on. */
  readonly allowed10: number;
  readonly allowed14: number;
  readonly reason: (r: number) => string;
}

function named(names: readonly (string | undefined)[]): (r: number) => string {
  return (r) => names[r] ?? String(r);
}

const PIN10 = (1 << OFPR.NO_MATCH) | (1 << OFPR.ACTION) | (1 << OFPR.INVALID_TTL);
const PIN14 = PIN10 | (1 << OFPR.ACTION_SET) | (1 << OFPR.GROUP) | (1 << OFPR.PACKET_OUT);
const PORT_REASONS = (1 << (OFPPR.MODIFY + 1)) - 1;
const REMOVED_REASONS = (1 << (REMOVED.EVICTION + 1)) - 1;
const TABLE_REASONS = (1 << OFPTR.VACANCY_DOWN) | (1 << OFPTR.VACANCY_UP);

/** In the order of OAM; the property of a secondary controller is twice the index. */
const ASYNC: readonly AsyncRow[] = [
  {
    oam: OAM.PACKET_IN,
    name: "PACKET_IN",
    allowed10: PIN10,
    allowed14: PIN14,
    reason: formatPacketInReason,
  },
  {
    oam: OAM.PORT_STATUS,
    name: "PORT_STATUS",
    allowed10: PORT_REASONS,
    allowed14: PORT_REASONS,
    reason: named(["add", "delete", "modify"]),
  },
  {
    oam: OAM.FLOW_REMOVED,
    name: "FLOW_REMOVED",
    allowed10: REMOVED_REASONS,
    allowed14: REMOVED_REASONS,
    reason: formatRemovedReason,
  },
  {
    oam: OAM.ROLE_STATUS,
    name: "ROLE_STATUS",
    allowed10: 7,
    allowed14: 7,
    reason: named(ROLE_REASONS),
  },
  {
    oam: OAM.TABLE_STATUS,
    name: "TABLE_STATUS",
    allowed10: TABLE_REASONS,
    allowed14: TABLE_REASONS,
    reason: named([undefined, undefined, undefined, "vacancy_down", "vacancy_up"]),
  },
  {
    oam: OAM.REQUESTFORWARD,
    name: "REQUESTFORWARD",
    allowed10: 3,
    allowed14: 3,
    reason: named(["group_mod_request", "meter_mod_request"]),
  },
];
/** The module that the log names. */
const LOG = "ofp_connection";
/** The kinds that messages without properties have. */
const LEGACY_KINDS = 3;

function emptyAsync(): AsyncConfig {
  return { primary: ASYNC.map(() => 0), secondary: ASYNC.map(() => 0) };
}

/** What a connection starts with. */
export function defaultAsync(version: number): AsyncConfig {
  const ac = emptyAsync();
  const implicit = version <= OFP.v12 ? 1 << OFPR.IMPLICIT_MISS : 0;
  ac.primary[OAM.PACKET_IN] =
    (PIN14 & ~(1 << OFPR.INVALID_TTL)) | (1 << OFPR.EXPLICIT_MISS) | implicit;
  ac.primary[OAM.PORT_STATUS] = PORT_REASONS;
  ac.secondary[OAM.PORT_STATUS] = PORT_REASONS;
  const removed10 =
    (1 << REMOVED.IDLE_TIMEOUT) | (1 << REMOVED.HARD_TIMEOUT) | (1 << REMOVED.DELETE);
  const removed13 = removed10 | (1 << REMOVED.GROUP_DELETE);
  ac.primary[OAM.FLOW_REMOVED] =
    version >= OFP.v14 ? REMOVED_REASONS : version === OFP.v13 ? removed13 : removed10;
  return ac;
}

function allowed(row: AsyncRow, version: number): number {
  return version >= OFP.v14 ? row.allowed14 : row.allowed10;
}

/** The bitmap that a mask on the wire stands for. */
function fromWire(row: AsyncRow, mask: number, version: number): number {
  const m = mask & allowed(row, version);
  if (row.oam !== OAM.PACKET_IN || (m & (1 << OFPR.NO_MATCH)) === 0) {
    return m;
  }
  const implicit = version < OFP.v13 ? 1 << OFPR.IMPLICIT_MISS : 0;
  return m | (1 << OFPR.EXPLICIT_MISS) | implicit;
}

/** `loose`: unknown reasons and properties are ignored, not refused. */
export function decodeAsync(msg: Msg, loose: boolean, basis: AsyncConfig): Decoded<AsyncConfig> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const legacy: readonly RawName[] = [
    "OFPT13_SET_ASYNC",
    "NXT_SET_ASYNC_CONFIG",
    "OFPT13_GET_ASYNC_REPLY",
  ];
  if (legacy.includes(msg.raw)) {
    const ac = emptyAsync();
    for (const row of ASYNC.slice(0, LEGACY_KINDS)) {
      ac.primary[row.oam] = fromWire(row, c.u32(), msg.version);
      ac.secondary[row.oam] = fromWire(row, c.u32(), msg.version);
    }
    return ac;
  }
  const ac = { primary: [...basis.primary], secondary: [...basis.secondary] };
  while (c.left > 0) {
    const err = pullAsyncProp(c, msg, loose, ac);
    if (err !== null) {
      return err === "OFPBPC_BAD_TYPE" ? "OFPACFC_UNSUPPORTED" : err;
    }
  }
  return ac;
}

function pullAsyncProp(c: Cursor, msg: Msg, loose: boolean, ac: AsyncConfig): OfpErr | null {
  const { version, log } = msg;
  const p = pullProp(c, { align: 8, minExp: 0xfffe });
  if (isErr(p)) {
    return p;
  }
  const row = typeof p.type === "number" ? ASYNC[p.type >> 1] : undefined;
  if (row === undefined) {
    return unknownProp(loose, p.type, log, LOG, "async config");
  }
  const mask = propU32(p);
  if (isErr(mask)) {
    return mask;
  }
  const allow = allowed(row, version);
  if (!loose && (mask & ~allow) !== 0) {
    const bad = `bad value 0x${mask.toString(16)} for ${row.name}`;
    log?.("WARN", LOG, `${bad} (allowed mask 0x${allow.toString(16)})`);
    return "OFPACFC_INVALID";
  }
  const to = (Number(p.type) & 1) === 1 ? ac.primary : ac.secondary;
  to[row.oam] = fromWire(row, mask, version);
  return null;
}

function putAsync(w: Writer, ac: AsyncConfig, version: number, kinds: number | null): void {
  const toWire = (row: AsyncRow, masks: readonly number[]): number =>
    (masks[row.oam] ?? 0) & allowed(row, version);
  if (kinds === null) {
    for (const row of ASYNC.slice(0, LEGACY_KINDS)) {
      w.u32(toWire(row, ac.primary)).u32(toWire(row, ac.secondary));
    }
    return;
  }
  for (const [i, row] of ASYNC.entries()) {
    if ((kinds & (1 << row.oam)) !== 0) {
      putPropU32(w, 2 * i, toWire(row, ac.secondary));
      putPropU32(w, 2 * i + 1, toWire(row, ac.primary));
    }
  }
}

export function encodeGetAsyncReply(request: Msg, ac: AsyncConfig): Uint8Array {
  const tlv = request.version >= OFP.v14;
  const raw = tlv ? "OFPT14_GET_ASYNC_REPLY" : "OFPT13_GET_ASYNC_REPLY";
  const w = startMsg(raw, request.version, request.xid);
  putAsync(w, ac, request.version, tlv ? -1 : null);
  return finishMsg(w);
}

/** `kinds`: bitmap of the OAM kinds to set, where the version can choose. */
export function encodeSetAsync(
  ac: AsyncConfig,
  kinds: number,
  version: number,
  xid: number,
): Uint8Array {
  const old = version >= OFP.v13 ? "OFPT13_SET_ASYNC" : "NXT_SET_ASYNC_CONFIG";
  const w = startMsg(version >= OFP.v14 ? "OFPT14_SET_ASYNC" : old, version, xid);
  putAsync(w, ac, version, version >= OFP.v14 ? kinds : null);
  return finishMsg(w);
}

export function formatAsync(ac: AsyncConfig): string {
  let out = "";
  for (const [title, masks] of [
    ["primary", ac.primary] as const,
    ["secondary", ac.secondary] as const,
  ]) {
    out += `\n ${title}:\n`;
    for (const row of ASYNC) {
      const mask = masks[row.oam] ?? 0;
      const reasons = Array.from({ length: 32 }, (_, i) => i)
        .filter((i) => ((mask >>> i) & 1) !== 0)
        .map(row.reason)
        .filter((r) => r !== "");
      const list = reasons.map((r) => ` ${r}`).join("");
      out += `${row.name.padStart(16)}:${list}${mask === 0 ? " (off)" : ""}\n`;
    }
  }
  return out;
}

const FORMAT_NAMES = ["standard", "nxt_packet_in", "nxt_packet_in2"];

export function packetInFormatToString(format: number): string {
  return FORMAT_NAMES[format] ?? "";
}

export function encodeSetPacketInFormat(version: number, format: number, xid: number): Uint8Array {
  return finishMsg(startMsg("NXT_SET_PACKET_IN_FORMAT", version, xid).u32(format));
}

export function decodeSetPacketInFormat(msg: Msg): Decoded<{ format: number }> {
  const format = getU32(msg.bytes, msg.bodyOfs);
  if (format <= PACKET_IN_FORMAT.NXT2) {
    return { format };
  }
  const bad = `invalid packet-in format ${format}`;
  msg.log?.("WARN", "ofp_packet", `NXT_SET_PACKET_IN_FORMAT message specified ${bad}`);
  return "OFPBRC_EPERM";
}

const NXFF_OPENFLOW10 = 0;
const NXFF_NXM = 2;

/** Chooses the flow format of an OpenFlow 1.0 connection. */
export function encodeSetFlowFormat(protocol: Protocols, xid: number): Uint8Array {
  const w = startMsg("NXT_SET_FLOW_FORMAT", OFP.v10, xid);
  return finishMsg(w.u32(protocol === P.OF10_NXM ? NXFF_NXM : NXFF_OPENFLOW10));
}

/** OF10_STD, OF10_NXM, or NONE for a number that means nothing. */
export function decodeSetFlowFormat(msg: Msg): Protocols {
  const format = getU32(msg.bytes, msg.bodyOfs);
  if (format === NXFF_OPENFLOW10) {
    return P.OF10_STD;
  }
  return format === NXFF_NXM ? P.OF10_NXM : P.NONE;
}

export function formatSetFlowFormat(p: Protocols): string {
  const name = p === P.OF10_STD ? "openflow10" : p === P.OF10_NXM ? "nxm" : "(unknown)";
  return ` format=${name}`;
}

export function encodeFlowModTableId(enable: boolean, xid: number): Uint8Array {
  const w = startMsg("NXT_FLOW_MOD_TABLE_ID", OFP.v10, xid);
  return finishMsg(w.u8(enable ? 1 : 0).zeros(7));
}

export function decodeFlowModTableId(msg: Msg): boolean {
  return msg.bytes[msg.bodyOfs] !== 0;
}

/**
 * The message that brings a connection one step from one protocol to another, and the protocol
 * after it; null if there is nothing to send (equal, or different versions).
 */
export function encodeSetProtocol(
  current: Protocols,
  want: Protocols,
  nextXid: () => number,
): { msg: Uint8Array | null; next: Protocols } {
  if (protocolToVersion(current) !== protocolToVersion(want)) {
    return { msg: null, next: current };
  }
  const base = protocolToBase(want);
  if (protocolToBase(current) !== base) {
    return { msg: encodeSetFlowFormat(base, nextXid()), next: protocolSetBase(current, base) };
  }
  const tid = (want & P.TID) !== 0;
  if (((current & P.TID) !== 0) !== tid) {
    return { msg: encodeFlowModTableId(tid, nextXid()), next: protocolSetTid(current, tid) };
  }
  return { msg: null, next: current };
}

export function encodeSetControllerId(id: number, version: number, xid: number): Uint8Array {
  return finishMsg(startMsg("NXT_SET_CONTROLLER_ID", version, xid).zeros(6).u16(id));
}

/** The controller id; the bytes before it must be zero. */
export function decodeSetControllerId(msg: Msg): Decoded<{ id: number }> {
  const zero = msg.bytes.subarray(msg.bodyOfs, msg.bodyOfs + 6).every((b) => b === 0);
  return zero ? { id: getU16(msg.bytes, msg.bodyOfs + 6) } : "NXBRC_MUST_BE_ZERO";
}

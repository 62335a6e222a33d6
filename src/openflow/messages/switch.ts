// Messages about a switch as a whole: features, configuration, description (ovs: lib/ofp-switch.c).

import { OFP } from "../../flow/of-version.ts";
import { Cursor, decodeUtf8, getU16 } from "../../lib/bytes.ts";
import { actionBitmapFromOpenflow, actionBitmapToOpenflow } from "../actions/codec.ts";
import type { Decoded } from "./errors.ts";
import { pullPhyPorts, putPhyPort } from "./port.ts";
import { finishMsg, type Msg, OFP_MSG_BYTES_MAX, startMsg } from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import { formatBits } from "./text.ts";
import {
  CAPABILITY,
  type DescStats,
  FRAG_NAMES,
  type SwitchConfig,
  type SwitchFeatures,
} from "./types-switch.ts";

const C = CAPABILITY;
const COMMON = C.FLOW_STATS | C.TABLE_STATS | C.PORT_STATS | C.IP_REASM | C.QUEUE_STATS;
/** The bit of STP in OpenFlow 1.0 and of group statistics later. */
const OFPC_BIT3 = 1 << 3;
const OFPC_FRAG_MASK = 3;
const OFPC_INVALID_TTL_TO_CONTROLLER = 1 << 2;
/** Bytes of a description's texts; the serial number is shorter. */
const DESC_BYTES = 256;
const SERIAL_BYTES = 32;

function capabilityMask(version: number): number {
  if (version <= OFP.v11) {
    return COMMON | C.ARP_MATCH_IP;
  }
  const v12 = COMMON | C.PORT_BLOCKED;
  return version <= OFP.v13 ? v12 : v12 | C.BUNDLES | C.FLOW_MONITORING;
}

function featuresRaw(version: number): RawName {
  if (version === OFP.v10) {
    return "OFPT10_FEATURES_REPLY";
  }
  return version <= OFP.v12 ? "OFPT11_FEATURES_REPLY" : "OFPT13_FEATURES_REPLY";
}

/** Ports that do not fit into the message are left out. */
export function encodeFeatures(f: SwitchFeatures, version: number, xid: number): Uint8Array {
  const w = startMsg(featuresRaw(version), version, xid);
  const bit3 = version === OFP.v10 ? C.STP : C.GROUP_STATS;
  const capabilities = f.capabilities & capabilityMask(version);
  w.u64(f.datapathId).u32(f.nBuffers).u8(f.nTables);
  w.u8(version >= OFP.v13 ? f.auxiliaryId : 0).zeros(2);
  w.u32(capabilities | ((f.capabilities & bit3) !== 0 ? OFPC_BIT3 : 0));
  w.u32(version === OFP.v10 ? actionBitmapToOpenflow(f.actions, OFP.v10) : 0);
  for (const p of version < OFP.v13 ? f.ports : []) {
    const start = w.length;
    putPhyPort(w, version, p);
    if (w.length > OFP_MSG_BYTES_MAX) {
      w.truncate(start);
    }
  }
  return finishMsg(w);
}

/** The features without the ports, and where the ports begin. */
export function decodeFeatures(msg: Msg): { features: SwitchFeatures; ports: Cursor } {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const datapathId = c.u64();
  const nBuffers = c.u32();
  const nTables = c.u8();
  const auxiliary = c.u8();
  c.skip(2);
  const wire = c.u32();
  const actions = c.u32();
  const v10 = msg.version === OFP.v10;
  const bit3 = (wire & OFPC_BIT3) === 0 ? 0 : v10 ? C.STP : C.GROUP_STATS;
  const features: SwitchFeatures = {
    datapathId,
    nBuffers,
    nTables,
    auxiliaryId: msg.version >= OFP.v13 ? auxiliary : 0,
    capabilities: (wire & capabilityMask(msg.version)) | bit3,
    actions: v10 ? actionBitmapFromOpenflow(actions, OFP.v10) : new Set(),
    ports: [],
  };
  return { features, ports: c };
}

/** The features with the ports. */
export function decodeFeaturesAndPorts(msg: Msg): Decoded<SwitchFeatures> {
  const { features, ports } = decodeFeatures(msg);
  const list = pullPhyPorts(ports, msg.version, msg.log);
  return list.err ?? { ...features, ports: list.ports };
}

/** True if a features reply certainly lists all ports. */
export function featuresHavePorts(msg: Msg): boolean {
  const portBytes = msg.version === OFP.v10 ? 48 : 64;
  return msg.version < OFP.v13 && msg.bytes.length + portBytes <= OFP_MSG_BYTES_MAX;
}

/** The lines before the ports; `actions` is the text of the set of actions. */
export function formatFeatures(f: SwitchFeatures, actions: string): string {
  const aux = f.auxiliaryId === 0 ? "" : `, auxiliary_id:${f.auxiliaryId}`;
  const names = { ...CAPABILITY };
  return (
    ` dpid:${f.datapathId.toString(16).padStart(16, "0")}\n` +
    `n_tables:${f.nTables}, n_buffers:${f.nBuffers}${aux}\n` +
    `capabilities: ${formatBits(f.capabilities, names, " ")}\n` +
    (f.actions.size === 0 ? "" : `actions: ${actions}\n`)
  );
}

function encodeConfig(raw: RawName, c: SwitchConfig, version: number, xid: number): Uint8Array {
  const ttl = c.invalidTtlToController > 0 && version < OFP.v13;
  const w = startMsg(raw, version, xid);
  w.u16(c.frag | (ttl ? OFPC_INVALID_TTL_TO_CONTROLLER : 0)).u16(c.missSendLen);
  return finishMsg(w);
}

export function encodeGetConfigReply(request: Msg, c: SwitchConfig): Uint8Array {
  return encodeConfig("OFPT_GET_CONFIG_REPLY", c, request.version, request.xid);
}

export function encodeSetConfig(c: SwitchConfig, version: number, xid: number): Uint8Array {
  return encodeConfig("OFPT_SET_CONFIG", c, version, xid);
}

/** The configuration of a get-config reply, in which unknown flags do not matter. */
export function decodeGetConfigReply(msg: Msg): SwitchConfig {
  const flags = getU16(msg.bytes, msg.bodyOfs);
  const ttl = (flags & OFPC_INVALID_TTL_TO_CONTROLLER) !== 0 ? 1 : 0;
  return {
    frag: flags & OFPC_FRAG_MASK,
    invalidTtlToController: msg.version < OFP.v13 ? ttl : -1,
    missSendLen: getU16(msg.bytes, msg.bodyOfs + 2),
  };
}

export function decodeSetConfig(msg: Msg): Decoded<SwitchConfig> {
  const ttl = msg.version < OFP.v13 ? OFPC_INVALID_TTL_TO_CONTROLLER : 0;
  const unknown = getU16(msg.bytes, msg.bodyOfs) & ~(OFPC_FRAG_MASK | ttl);
  return unknown === 0 ? decodeGetConfigReply(msg) : "OFPSCFC_BAD_FLAGS";
}

export function formatSwitchConfig(c: SwitchConfig): string {
  const ttl = c.invalidTtlToController > 0 ? " invalid_ttl_to_controller" : "";
  return ` frags=${FRAG_NAMES[c.frag] ?? ""}${ttl} miss_send_len=${c.missSendLen}\n`;
}

/** A fragment handling's number from its name in any case, or undefined. */
export function fragFromString(s: string): number | undefined {
  const i = FRAG_NAMES.map(String).indexOf(s.toLowerCase());
  return i < 0 ? undefined : i;
}

export function encodeDescReply(request: Msg, d: DescStats): Uint8Array {
  const w = startMsg("OFPST_DESC_REPLY", request.version, request.xid);
  for (const text of [d.mfrDesc, d.hwDesc, d.swDesc]) {
    w.fixedString(text, DESC_BYTES);
  }
  return finishMsg(w.fixedString(d.serialNum, SERIAL_BYTES).fixedString(d.dpDesc, DESC_BYTES));
}

/** A text that need not end with a zero. */
function wholeText(b: Uint8Array): string {
  const zero = b.indexOf(0);
  return decodeUtf8(b, 0, zero < 0 ? b.length : zero);
}

export function decodeDescReply(msg: Msg): DescStats {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const text = (bytes: number): string => wholeText(c.view(bytes));
  return {
    mfrDesc: text(DESC_BYTES),
    hwDesc: text(DESC_BYTES),
    swDesc: text(DESC_BYTES),
    serialNum: text(SERIAL_BYTES),
    dpDesc: text(DESC_BYTES),
  };
}

export function formatDesc(d: DescStats): string {
  return (
    `\nManufacturer: ${d.mfrDesc}\nHardware: ${d.hwDesc}\nSoftware: ${d.swDesc}\n` +
    `Serial Num: ${d.serialNum}\nDP Description: ${d.dpDesc}\n`
  );
}

/** A request without a body. */
export function encodeEmpty(raw: RawName, version: number, xid: number): Uint8Array {
  return finishMsg(startMsg(raw, version, xid));
}

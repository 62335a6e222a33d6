// Messages about ports: descriptions, status, modification (ovs: lib/ofp-port.c).
//
// Layouts: OpenFlow 1.0 has ofp10_phy_port (48 bytes, 16-bit port numbers, a narrower set of
// features), 1.1 to 1.3 ofp11_port (64 bytes), 1.4 and later ofp14_port (40 bytes) with properties.

import { OFP } from "../../flow/of-version.ts";
import {
  formatPort,
  type LogSink,
  type NameMap,
  OFPP,
  portFromOfp11,
  portToOfp11,
} from "../../flow/ofp-port.ts";
import { Cursor, decodeUtf8, getU32, type Writer } from "../../lib/bytes.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import { type Property, propU32, pullProp, unknownProp } from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import { formatBits, macText, type Text } from "./text.ts";
import {
  NETDEV_F,
  OFPPR,
  type PhyPort,
  PORT_CONFIG,
  PORT_STATE,
  type PortMod,
  type PortStatus,
} from "./types-switch.ts";
import type { Multipart } from "./multipart.ts";

/** Bytes of a port's name on the wire, with its terminator. */
export const PORT_NAME_BYTES = 16;
const OFPPC10_ALL = 0x7f;
const OFPPC11_ALL =
  PORT_CONFIG.PORT_DOWN | PORT_CONFIG.NO_RECV | PORT_CONFIG.NO_FWD | PORT_CONFIG.NO_PACKET_IN;
const OFPPS10_ALL = PORT_STATE.LINK_DOWN | PORT_STATE.STP_MASK;
const OFPPS11_ALL = PORT_STATE.LINK_DOWN | PORT_STATE.BLOCKED | PORT_STATE.LIVE;
const PROP_ETHERNET = 0;
const ETHERNET_PROP_BYTES = 32;

const FEATURE_NAMES = {
  "10MB-HD": NETDEV_F.HD_10M,
  "10MB-FD": NETDEV_F.FD_10M,
  "100MB-HD": NETDEV_F.HD_100M,
  "100MB-FD": NETDEV_F.FD_100M,
  "1GB-HD": NETDEV_F.HD_1G,
  "1GB-FD": NETDEV_F.FD_1G,
  "10GB-FD": NETDEV_F.FD_10G,
  "40GB-FD": NETDEV_F.FD_40G,
  "100GB-FD": NETDEV_F.FD_100G,
  "1TB-FD": NETDEV_F.FD_1T,
  OTHER: NETDEV_F.OTHER,
  COPPER: NETDEV_F.COPPER,
  FIBER: NETDEV_F.FIBER,
  AUTO_NEG: NETDEV_F.AUTONEG,
  AUTO_PAUSE: NETDEV_F.PAUSE,
  AUTO_PAUSE_ASYM: NETDEV_F.PAUSE_ASYM,
};

const STATE_NAMES = {
  LINK_DOWN: PORT_STATE.LINK_DOWN,
  BLOCKED: PORT_STATE.BLOCKED,
  LIVE: PORT_STATE.LIVE,
};

const STP_NAMES = ["", "STP_LEARN", "STP_FORWARD", "STP_BLOCK"];

/** Speeds in kbit/s, the fastest first: a port's speed is that of its fastest feature. */
const SPEEDS: readonly (readonly [number, number])[] = [
  [NETDEV_F.FD_1T, 1_000_000_000],
  [NETDEV_F.FD_100G, 100_000_000],
  [NETDEV_F.FD_40G, 40_000_000],
  [NETDEV_F.FD_10G, 10_000_000],
  [NETDEV_F.HD_1G | NETDEV_F.FD_1G, 1_000_000],
  [NETDEV_F.HD_100M | NETDEV_F.FD_100M, 100_000],
  [NETDEV_F.HD_10M | NETDEV_F.FD_10M, 10_000],
];

/** Speed in kbit/s of a set of features (ovs: netdev_features_to_bps). */
function featuresToKbps(features: number): number {
  return SPEEDS.find(([bits]) => (features & bits) !== 0)?.[1] ?? 0;
}

function featuresFrom10(v: number): number {
  return (v & 0x7f) | ((v & 0xf80) << 4);
}

function featuresTo10(v: number): number {
  return (v & 0x7f) | ((v & 0xf800) >> 4);
}

/** A fixed-size field's text up to its first zero; the last byte never counts. */
export function fixedText(b: Uint8Array): string {
  const zero = b.indexOf(0);
  return decodeUtf8(b, 0, zero < 0 ? b.length - 1 : Math.min(zero, b.length - 1));
}

/** Appends the form of a port that a version has. */
export function putPhyPort(w: Writer, version: number, p: PhyPort): void {
  if (version === OFP.v10) {
    w.u16(p.portNo).put(p.hwAddr).fixedString(p.name, PORT_NAME_BYTES);
    w.u32(p.config & OFPPC10_ALL).u32(p.state & OFPPS10_ALL);
    w.u32(featuresTo10(p.curr)).u32(featuresTo10(p.advertised));
    w.u32(featuresTo10(p.supported)).u32(featuresTo10(p.peer));
    return;
  }
  const is14 = version >= OFP.v14;
  w.u32(portToOfp11(p.portNo));
  if (is14) {
    w.u16(40 + ETHERNET_PROP_BYTES).zeros(2);
  } else {
    w.zeros(4);
  }
  w.put(p.hwAddr).zeros(2).fixedString(p.name, PORT_NAME_BYTES);
  w.u32(p.config & OFPPC11_ALL).u32(p.state & OFPPS11_ALL);
  if (is14) {
    w.u16(PROP_ETHERNET).u16(ETHERNET_PROP_BYTES).zeros(4);
  }
  for (const v of [p.curr, p.advertised, p.supported, p.peer]) {
    w.u32(v & 0xffff);
  }
  w.u32(p.currSpeed).u32(p.maxSpeed);
}

function pull10(c: Cursor): PhyPort {
  const portNo = c.u16();
  const hwAddr = c.view(6).slice();
  const name = fixedText(c.view(PORT_NAME_BYTES));
  const config = c.u32() & OFPPC10_ALL;
  const state = c.u32() & OFPPS10_ALL;
  const curr = featuresFrom10(c.u32());
  const advertised = featuresFrom10(c.u32());
  const supported = featuresFrom10(c.u32());
  const peer = featuresFrom10(c.u32());
  const currSpeed = featuresToKbps(curr);
  const maxSpeed = featuresToKbps(supported);
  const features = { curr, advertised, supported, peer, currSpeed, maxSpeed };
  return { portNo, hwAddr, name, config, state, ...features };
}

function pullFeatures(
  c: Cursor,
): Pick<PhyPort, "curr" | "advertised" | "supported" | "peer" | "currSpeed" | "maxSpeed"> {
  const [curr, advertised, supported, peer] = [c.u32(), c.u32(), c.u32(), c.u32()];
  return {
    curr: curr & 0xffff,
    advertised: advertised & 0xffff,
    supported: supported & 0xffff,
    peer: peer & 0xffff,
    currSpeed: c.u32(),
    maxSpeed: c.u32(),
  };
}

function pullNameAndState(c: Cursor): Pick<PhyPort, "hwAddr" | "name" | "config" | "state"> {
  const hwAddr = c.view(6).slice();
  c.skip(2);
  const name = fixedText(c.view(PORT_NAME_BYTES));
  return { hwAddr, name, config: c.u32() & OFPPC11_ALL, state: c.u32() & OFPPS11_ALL };
}

function pull11(c: Cursor, log: LogSink | null): Decoded<PhyPort> {
  const portNo = portFromOfp11(c.u32(), log);
  c.skip(4);
  const base = pullNameAndState(c);
  const features = pullFeatures(c);
  return portNo === null ? "OFPBAC_BAD_OUT_PORT" : { portNo, ...base, ...features };
}

const NO_FEATURES = { curr: 0, advertised: 0, supported: 0, peer: 0, currSpeed: 0, maxSpeed: 0 };

function pull14(c: Cursor, log: LogSink | null): Decoded<PhyPort> {
  const start = c.pos;
  if (c.left < 40) {
    return "OFPBRC_BAD_LEN";
  }
  const portNo = portFromOfp11(c.u32(), log);
  const len = c.u16();
  c.skip(2);
  const base = pullNameAndState(c);
  if (len < 40 || len - 40 > c.left) {
    return "OFPBRC_BAD_LEN";
  }
  if (portNo === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  const props = c.sub(start + len - c.pos);
  let features = NO_FEATURES;
  while (props.left > 0) {
    const p = pullProp(props);
    if (isErr(p)) {
      return p;
    }
    const err = p.type === PROP_ETHERNET ? null : unknownProp(true, p.type);
    if (err !== null) {
      return err;
    }
    if (p.type === PROP_ETHERNET) {
      if (p.bytes.length !== ETHERNET_PROP_BYTES) {
        return "OFPBPC_BAD_LEN";
      }
      features = pullFeatures(new Cursor(p.bytes, 8));
    }
  }
  return { portNo, ...base, ...features };
}

/** Takes one port; null at the end. */
export function pullPhyPort(
  c: Cursor,
  version: number,
  log: LogSink | null = null,
): Decoded<PhyPort> | null {
  if (version === OFP.v10) {
    return c.left < 48 ? null : pull10(c);
  }
  if (version < OFP.v14) {
    return c.left < 64 ? null : pull11(c, log);
  }
  return c.left === 0 ? null : pull14(c, log);
}

/** The ports up to the end or to an error. */
export function pullPhyPorts(
  c: Cursor,
  version: number,
  log: LogSink | null = null,
): { ports: PhyPort[]; err: OfpErr | null } {
  const ports: PhyPort[] = [];
  for (;;) {
    const p = pullPhyPort(c, version, log);
    if (p === null) {
      return { ports, err: null };
    }
    if (isErr(p)) {
      return { ports, err: p };
    }
    ports.push(p);
  }
}

function formatPortConfig(config: number): string {
  return `${formatBits(config, PORT_CONFIG, " ")}\n`;
}

function formatPortState(state: number): string {
  const stp = state & PORT_STATE.STP_MASK;
  const rest = state & ~PORT_STATE.STP_MASK;
  const bits = stp === 0 || rest !== 0 ? formatBits(rest, STATE_NAMES, " ") : "";
  return `${STP_NAMES[stp >> 8] ?? ""}${bits}\n`;
}

export function formatFeatures(features: number): string {
  return `${formatBits(features, FEATURE_NAMES, " ")}\n`;
}

function printable(name: string): string {
  const bad = [...name].findIndex((c) => c < " " || c > "~");
  return bad < 0 ? name : name.slice(0, bad);
}

/** The lines that `ovs-ofctl show` prints for a port. */
function formatPhyPort(p: PhyPort): string {
  const lines = [
    ` ${formatPort(p.portNo, null)}(${printable(p.name)}): addr:${macText(p.hwAddr)}\n`,
    `     config:     ${formatPortConfig(p.config)}`,
    `     state:      ${formatPortState(p.state)}`,
  ];
  const features: readonly (readonly [string, number])[] = [
    ["current:    ", p.curr],
    ["advertised: ", p.advertised],
    ["supported:  ", p.supported],
    ["peer:       ", p.peer],
  ];
  for (const [title, value] of features) {
    if (value !== 0) {
      lines.push(`     ${title}${formatFeatures(value)}`);
    }
  }
  const mbps = (kbps: number): number => Math.floor(kbps / 1000);
  lines.push(`     speed: ${mbps(p.currSpeed)} Mbps now, ${mbps(p.maxSpeed)} Mbps max\n`);
  return lines.join("");
}

/** Prints the ports that a cursor holds, sorted by number. */
export function printPhyPorts(out: Text, msg: Msg, c: Cursor): OfpErr | null {
  const { ports, err } = pullPhyPorts(c, msg.version, msg.log);
  ports.sort((a, b) => a.portNo - b.portNo);
  for (const p of ports) {
    out.put(formatPhyPort(p));
  }
  return err;
}

export function encodePortDescRequest(version: number, port: number, xid: number): Uint8Array {
  if (version !== OFP.v15) {
    return finishMsg(startMsg("OFPST10_PORT_DESC_REQUEST", version, xid));
  }
  const w = startMsg("OFPST15_PORT_DESC_REQUEST", version, xid);
  return finishMsg(w.u32(portToOfp11(port)).zeros(4));
}

/** The port asked for: OFPP.ANY for all. */
export function decodePortDescRequest(msg: Msg): Decoded<{ port: number }> {
  if (msg.raw === "OFPST10_PORT_DESC_REQUEST") {
    return { port: OFPP.ANY };
  }
  const port = portFromOfp11(getU32(msg.bytes, msg.bodyOfs), msg.log);
  return port === null ? "OFPBAC_BAD_OUT_PORT" : { port };
}

export function appendPortDesc(m: Multipart, p: PhyPort): void {
  const start = m.writer.length;
  putPhyPort(m.writer, m.version, p);
  m.postAppend(start);
}

function statusRaw(version: number): RawName {
  if (version === OFP.v10) {
    return "OFPT10_PORT_STATUS";
  }
  return version < OFP.v14 ? "OFPT11_PORT_STATUS" : "OFPT14_PORT_STATUS";
}

export function encodePortStatus(ps: PortStatus, version: number): Uint8Array {
  const w = startMsg(statusRaw(version), version, 0);
  w.u8(ps.reason).zeros(7);
  putPhyPort(w, version, ps.desc);
  return finishMsg(w);
}

export function decodePortStatus(msg: Msg): Decoded<PortStatus> {
  const reason = msg.bytes[msg.bodyOfs] ?? 0;
  if (reason > OFPPR.MODIFY) {
    return "NXBRC_BAD_REASON";
  }
  const desc = pullPhyPort(new Cursor(msg.bytes, msg.bodyOfs + 8), msg.version, msg.log);
  if (desc === null) {
    return "OFPBRC_BAD_LEN";
  }
  return isErr(desc) ? desc : { reason, desc };
}

export function formatPortStatus(ps: PortStatus): string {
  const reason = [" ADD:", " DEL:", " MOD:"][ps.reason] ?? "";
  return reason + formatPhyPort(ps.desc);
}

export function encodePortMod(pm: PortMod, version: number, xid: number): Uint8Array {
  if (version === OFP.v10) {
    const w = startMsg("OFPT10_PORT_MOD", version, xid);
    w.u16(pm.portNo)
      .put(pm.hwAddr)
      .u32(pm.config & OFPPC10_ALL)
      .u32(pm.mask & OFPPC10_ALL);
    return finishMsg(w.u32(featuresTo10(pm.advertise)).zeros(4));
  }
  const w = startMsg(version < OFP.v14 ? "OFPT11_PORT_MOD" : "OFPT14_PORT_MOD", version, xid);
  w.u32(portToOfp11(pm.portNo)).zeros(4).put(pm.hwAddr).zeros(2);
  w.u32(pm.config & OFPPC11_ALL).u32(pm.mask & OFPPC11_ALL);
  if (version < OFP.v14) {
    w.u32(pm.advertise & 0xffff).zeros(4);
  } else if (pm.advertise !== 0) {
    w.u16(PROP_ETHERNET)
      .u16(8)
      .u32(pm.advertise & 0xffff);
  }
  return finishMsg(w);
}

/** `loose` accepts properties that are unknown. */
export function decodePortMod(msg: Msg, loose: boolean): Decoded<PortMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  if (msg.raw === "OFPT10_PORT_MOD") {
    const portNo = c.u16();
    const hwAddr = c.view(6).slice();
    const config = c.u32() & OFPPC10_ALL;
    const mask = c.u32() & OFPPC10_ALL;
    return { portNo, hwAddr, config: config & mask, mask, advertise: featuresFrom10(c.u32()) };
  }
  const portNo = portFromOfp11(c.u32(), msg.log);
  if (portNo === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  c.skip(4);
  const hwAddr = c.view(6).slice();
  c.skip(2);
  const config = c.u32() & OFPPC11_ALL;
  const mask = c.u32() & OFPPC11_ALL;
  const pm = { portNo, hwAddr, config: config & mask, mask, advertise: 0 };
  if (msg.raw === "OFPT11_PORT_MOD") {
    return { ...pm, advertise: c.u32() & 0xffff };
  }
  while (c.left > 0) {
    const p = pullProp(c);
    const advertise = isErr(p) ? p : portModProp(p, loose, pm.advertise, msg.log);
    if (isErr(advertise)) {
      return advertise;
    }
    pm.advertise = advertise;
  }
  return pm;
}

function portModProp(
  p: Property,
  loose: boolean,
  advertise: number,
  log: LogSink | null,
): Decoded<number> {
  if (p.type !== PROP_ETHERNET) {
    return unknownProp(loose, p.type, log, "ofp_port", "port_mod") ?? advertise;
  }
  const v = propU32(p);
  return isErr(v) ? v : v & 0xffff;
}

export function formatPortMod(pm: PortMod, ports: NameMap | null): string {
  const advertise = pm.advertise === 0 ? "UNCHANGED\n" : formatFeatures(pm.advertise);
  return (
    ` port: ${formatPort(pm.portNo, ports)}: addr:${macText(pm.hwAddr)}\n` +
    `     config: ${formatPortConfig(pm.config)}` +
    `     mask:   ${formatPortConfig(pm.mask)}` +
    `     advertise: ${advertise}`
  );
}

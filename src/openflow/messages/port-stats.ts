// Port statistics (ovs: lib/ofp-port.c ofputil_*port_stat*).
//
// OpenFlow 1.0 to 1.3 send twelve counters in one order; 1.4 and later send eight and the rest as a
// property, and Open vSwitch adds the counters of RFC 2819 and named ones of the device as
// properties of its own. A counter that a message does not carry is unknown, printed as `?`.

import { OFP } from "../../flow/of-version.ts";
import { formatPort, type NameMap, portFromOfp11, portToOfp11 } from "../../flow/ofp-port.ts";
import { Cursor, decodeUtf8, encodeUtf8, getU16, getU32, type Writer } from "../../lib/bytes.ts";
import { type Decoded, isErr, type OfpErr, VENDOR } from "./errors.ts";
import type { Multipart } from "./multipart.ts";
import { endProp, expProp, type Property, pullProp, startProp } from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { counter, formatDuration } from "./text.ts";
import { U32_MAX, U64_MAX } from "./types-flow.ts";
import type { PortCounters, PortStats } from "./types-switch.ts";

/** RFC 2819 counters in the order of the wire; printed names differ between the directions. */
export const RFC2819_COUNTERS = [
  "rx_1_to_64_packets",
  "rx_65_to_127_packets",
  "rx_128_to_255_packets",
  "rx_256_to_511_packets",
  "rx_512_to_1023_packets",
  "rx_1024_to_1522_packets",
  "rx_1523_to_max_packets",
  "tx_1_to_64_packets",
  "tx_65_to_127_packets",
  "tx_128_to_255_packets",
  "tx_256_to_511_packets",
  "tx_512_to_1023_packets",
  "tx_1024_to_1522_packets",
  "tx_1523_to_max_packets",
  "tx_multicast_packets",
  "rx_broadcast_packets",
  "tx_broadcast_packets",
  "rx_undersized_errors",
  "rx_oversize_errors",
  "rx_fragmented_errors",
  "rx_jabber_errors",
] as const;

const PROP_ETHERNET = 0;
const ETHERNET_PROP_BYTES = 40;
const PROP_RFC2819 = expProp(VENDOR.INTEL, 1);
const RFC2819_PROP_BYTES = 16 + RFC2819_COUNTERS.length * 8;
const PROP_CUSTOM = expProp(VENDOR.INTEL, 2);
const STATS14_BYTES = 80;
/** Bytes of a custom counter's name that are kept. */
const CUSTOM_NAME_BYTES = 63;
const CUSTOM_PER_LINE = 3;

/** Printed after "rx rfc2819": the errors of received frames come last. */
const RX_SHOWN: readonly (readonly [string, string])[] = [
  ...RFC2819_COUNTERS.slice(0, 7).map((n) => [n.slice(3), n] as const),
  ["broadcast_packets", "rx_broadcast_packets"],
  ["undersized_errors", "rx_undersized_errors"],
  ["oversize_errors", "rx_oversize_errors"],
  ["rx_fragmented_errors", "rx_fragmented_errors"],
  ["rx_jabber_errors", "rx_jabber_errors"],
];
const TX_SHOWN: readonly (readonly [string, string])[] = [
  ...RFC2819_COUNTERS.slice(7, 14).map((n) => [n.slice(3), n] as const),
  ["multicast_packets", "tx_multicast_packets"],
  ["broadcast_packets", "tx_broadcast_packets"],
];

/** Counters of which nothing is known. */
export function unknownCounters(): PortCounters {
  return {
    rxPackets: U64_MAX,
    txPackets: U64_MAX,
    rxBytes: U64_MAX,
    txBytes: U64_MAX,
    rxErrors: U64_MAX,
    txErrors: U64_MAX,
    rxDropped: U64_MAX,
    txDropped: U64_MAX,
    collisions: U64_MAX,
    rxFrameErrors: U64_MAX,
    rxOverErrors: U64_MAX,
    rxCrcErrors: U64_MAX,
    rfc2819: {},
  };
}

export function encodePortStatsRequest(version: number, port: number, xid: number): Uint8Array {
  if (version === OFP.v10) {
    return finishMsg(startMsg("OFPST10_PORT_REQUEST", version, xid).u16(port).zeros(6));
  }
  const w = startMsg("OFPST11_PORT_REQUEST", version, xid);
  return finishMsg(w.u32(portToOfp11(port)).zeros(4));
}

export function decodePortStatsRequest(msg: Msg): Decoded<{ port: number }> {
  if (msg.version === OFP.v10) {
    return { port: getU16(msg.bytes, msg.bodyOfs) };
  }
  const port = portFromOfp11(getU32(msg.bytes, msg.bodyOfs), msg.log);
  return port === null ? "OFPBAC_BAD_OUT_PORT" : { port };
}

function putCommon(w: Writer, s: PortCounters): void {
  w.u64(s.rxPackets).u64(s.txPackets).u64(s.rxBytes).u64(s.txBytes);
  w.u64(s.rxDropped).u64(s.txDropped).u64(s.rxErrors).u64(s.txErrors);
}

function putEthernet(w: Writer, s: PortCounters): void {
  w.u64(s.rxFrameErrors).u64(s.rxOverErrors).u64(s.rxCrcErrors).u64(s.collisions);
}

function put14(w: Writer, ps: PortStats): void {
  const start = w.length;
  w.zeros(4).u32(portToOfp11(ps.portNo)).u32(ps.durationS).u32(ps.durationNs);
  putCommon(w, ps.stats);
  w.u16(PROP_ETHERNET).u16(ETHERNET_PROP_BYTES).zeros(4);
  putEthernet(w, ps.stats);
  const at = startProp(w, PROP_RFC2819);
  w.zeros(4);
  for (const name of RFC2819_COUNTERS) {
    w.u64(ps.stats.rfc2819[name] ?? U64_MAX);
  }
  endProp(w, at);
  if (ps.custom.length > 0) {
    const custom = startProp(w, PROP_CUSTOM);
    w.zeros(2).u16(ps.custom.length);
    for (const c of ps.custom) {
      const name = encodeUtf8(c.name);
      w.u8(name.length).put(name).u64(c.value);
    }
    endProp(w, custom);
  }
  w.patchU16(start, w.length - start);
}

export function appendPortStats(m: Multipart, ps: PortStats): void {
  if (m.version >= OFP.v14) {
    const start = m.writer.length;
    put14(m.writer, ps);
    m.postAppend(start);
    return;
  }
  const w = m.reserve(m.version === OFP.v13 ? 112 : 104);
  if (m.version === OFP.v10) {
    w.u16(ps.portNo).zeros(6);
  } else {
    w.u32(portToOfp11(ps.portNo)).zeros(4);
  }
  putCommon(w, ps.stats);
  putEthernet(w, ps.stats);
  if (m.version === OFP.v13) {
    w.u32(ps.durationS).u32(ps.durationNs);
  }
}

function pullCommon(c: Cursor, s: PortCounters): void {
  s.rxPackets = c.u64();
  s.txPackets = c.u64();
  s.rxBytes = c.u64();
  s.txBytes = c.u64();
  s.rxDropped = c.u64();
  s.txDropped = c.u64();
  s.rxErrors = c.u64();
  s.txErrors = c.u64();
}

function pullEthernet(c: Cursor, s: PortCounters): void {
  s.rxFrameErrors = c.u64();
  s.rxOverErrors = c.u64();
  s.rxCrcErrors = c.u64();
  s.collisions = c.u64();
}

function leftover(msg: Msg, c: Cursor): OfpErr {
  msg.log?.("WARN", "ofp_port", `OFPST_PORT reply has ${c.left} leftover bytes at end`);
  return "OFPBRC_BAD_LEN";
}

function pullOld(c: Cursor, msg: Msg): Decoded<PortStats> {
  const bytes = msg.raw === "OFPST13_PORT_REPLY" ? 112 : 104;
  if (c.left < bytes) {
    return leftover(msg, c);
  }
  const portNo = msg.version === OFP.v10 ? c.u16() : portFromOfp11(c.u32(), msg.log);
  c.skip(msg.version === OFP.v10 ? 6 : 4);
  const stats = unknownCounters();
  pullCommon(c, stats);
  pullEthernet(c, stats);
  const timed = msg.raw === "OFPST13_PORT_REPLY";
  const durationS = timed ? c.u32() : U32_MAX;
  const durationNs = timed ? c.u32() : U32_MAX;
  return portNo === null
    ? "OFPBAC_BAD_OUT_PORT"
    : { portNo, stats, custom: [], durationS, durationNs };
}

function pullCustom(p: Property): Decoded<PortStats["custom"]> {
  const c = new Cursor(p.bytes, p.valueOfs);
  c.skip(2);
  const n = c.u16();
  const custom: { name: string; value: bigint }[] = [];
  for (let i = 0; i < n && !c.failed; i++) {
    const name = c.view(c.u8());
    const value = c.u64();
    custom.push({ name: decodeUtf8(name.subarray(0, CUSTOM_NAME_BYTES)), value });
  }
  return c.failed ? "OFPBPC_BAD_LEN" : custom;
}

function applyProp(p: Property, ps: PortStats): OfpErr | null {
  if (p.type === PROP_ETHERNET) {
    if (p.bytes.length !== ETHERNET_PROP_BYTES) {
      return "OFPBPC_BAD_LEN";
    }
    pullEthernet(new Cursor(p.bytes, 8), ps.stats);
  } else if (p.type === PROP_RFC2819) {
    if (p.bytes.length !== RFC2819_PROP_BYTES) {
      return "OFPBPC_BAD_LEN";
    }
    const c = new Cursor(p.bytes, 16);
    ps.stats.rfc2819 = Object.fromEntries(RFC2819_COUNTERS.map((n) => [n, c.u64()]));
  } else if (p.type === PROP_CUSTOM) {
    const custom = pullCustom(p);
    if (isErr(custom)) {
      return custom;
    }
    ps.custom = custom;
  }
  return null;
}

function pull14(c: Cursor, msg: Msg): Decoded<PortStats> {
  const start = c.pos;
  if (c.left < STATS14_BYTES) {
    return "OFPBRC_BAD_LEN";
  }
  const len = c.u16();
  c.skip(2);
  const portNo = portFromOfp11(c.u32(), msg.log);
  const [durationS, durationNs] = [c.u32(), c.u32()];
  const stats = unknownCounters();
  pullCommon(c, stats);
  if (len < STATS14_BYTES || len - STATS14_BYTES > c.left) {
    return "OFPBRC_BAD_LEN";
  }
  if (portNo === null) {
    return "OFPBAC_BAD_OUT_PORT";
  }
  const ps: PortStats = { portNo, stats, custom: [], durationS, durationNs };
  const props = c.sub(start + len - c.pos);
  while (props.left > 0) {
    const p = pullProp(props);
    const err = isErr(p) ? p : applyProp(p, ps);
    if (err !== null) {
      return err;
    }
  }
  return ps;
}

/** Takes one port's statistics; null at the end. */
export function pullPortStats(c: Cursor, msg: Msg): Decoded<PortStats> | null {
  if (c.left === 0) {
    return null;
  }
  return msg.raw === "OFPST14_PORT_REPLY" ? pull14(c, msg) : pullOld(c, msg);
}

function rfc2819Line(
  title: string,
  shown: readonly (readonly [string, string])[],
  counters: Readonly<Record<string, bigint>>,
): string {
  const known = shown.filter(([, name]) => (counters[name] ?? U64_MAX) !== U64_MAX);
  if (known.length === 0) {
    return "";
  }
  const items = known.map(([label, name]) => `${label}=${counters[name]}, `);
  return `           ${title} rfc2819 ${items.join("")}\n`;
}

function customText(custom: PortStats["custom"]): string {
  if (custom.length === 0) {
    return "";
  }
  let out = "           CUSTOM Statistics";
  for (const [i, c] of custom.entries()) {
    if (c.name !== "") {
      out += i % CUSTOM_PER_LINE === 0 ? "\n                      " : " ";
      out += `${c.name}=${c.value},`;
    }
  }
  return `${out}\n`;
}

/** The lines that `ovs-ofctl dump-ports` prints for a port. */
export function formatPortStats(ps: PortStats, ports: NameMap | null): string {
  const s = ps.stats;
  const blank = ps.portNo < 10 ? " " : "";
  let out =
    `  port ${blank}${formatPort(ps.portNo, ports)}: rx ` +
    `pkts=${counter(s.rxPackets)}, bytes=${counter(s.rxBytes)}, drop=${counter(s.rxDropped)}, ` +
    `errs=${counter(s.rxErrors)}, frame=${counter(s.rxFrameErrors)}, ` +
    `over=${counter(s.rxOverErrors)}, crc=${counter(s.rxCrcErrors)}\n` +
    `           tx pkts=${counter(s.txPackets)}, bytes=${counter(s.txBytes)}, ` +
    `drop=${counter(s.txDropped)}, errs=${counter(s.txErrors)}, coll=${counter(s.collisions)}\n`;
  if (ps.durationS !== U32_MAX) {
    out += `           duration=${formatDuration(ps.durationS, ps.durationNs)}\n`;
  }
  out += rfc2819Line("rx", RX_SHOWN, s.rfc2819) + rfc2819Line("tx", TX_SHOWN, s.rfc2819);
  return out + customText(ps.custom);
}

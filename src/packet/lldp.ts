// LLDP (IEEE 802.1AB) with the TLVs of Auto Attach: frames as Open vSwitch makes and reads them.
//
// A frame is a list of TLVs, 7 bits of type and 9 of length each; the first three are chassis, port
// and time to live. Organisation 00-04-0D tells what kind of element sends, and which I-SIDs
// (service identifiers) it wants mapped to which VLANs. A bad frame is null, never an exception.
// References: ovs: lib/lldp/lldp.c lldp_send, lldp_decode; draft-unbehagen-lldp-spb.

import { bytesEqual, encodeUtf8, getU16, Writer } from "../lib/bytes.ts";
import { ETH, ETH_TYPE, putMac } from "./ethernet.ts";

const TLV = {
  END: 0,
  CHASSIS_ID: 1,
  PORT_ID: 2,
  TTL: 3,
  PORT_DESCR: 4,
  SYSTEM_NAME: 5,
  SYSTEM_DESCR: 6,
  CAPABILITIES: 7,
  MGMT_ADDR: 8,
  ORGANISATION: 127,
} as const;
const CHASSIS_ID_MAC = 4;
const PORT_ID_IFNAME = 5;
const CAP_BRIDGE = 4;
const TTL_S = 120;
const AVAYA = Uint8Array.of(0x00, 0x04, 0x0d);
const AA = { ELEMENT: 11, ISID_VLAN: 12, DIGEST_BYTES: 32, VIRTUAL_SWITCH: 14 } as const;
const MGMT_ADDR_BYTES_MAX = 32;
const VLAN_BYTES = 4;
/** 01:80:c2:00:00:0e, the bridges next to each other. */
const GROUP_MAC = { hi: 0x0180, lo: 0xc200000e } as const;

type Mac = readonly [hi: number, lo: number];

export interface IsidMapping {
  readonly isid: number;
  readonly vlan: number;
  readonly status: number;
}

export interface LldpAnnouncement {
  readonly chassis: Mac;
  readonly port: string;
  readonly systemName: string;
  readonly systemDescr: string;
  readonly mappings: readonly IsidMapping[];
}

function putTlv(w: Writer, type: number, value: Uint8Array): void {
  w.u16((type << 9) | (value.length & 0x1ff));
  w.put(value);
}

function body(put: (w: Writer) => void): Uint8Array {
  const w = new Writer();
  put(w);
  return w.bytes();
}

function putMacBytes(w: Writer, [hi, lo]: Mac): void {
  w.u16(hi);
  w.u32(lo);
}

/** The frame by which a port announces itself. */
export function lldpFrame(a: LldpAnnouncement, src: Mac): Uint8Array {
  const w = new Writer();
  const header = new Uint8Array(ETH.HEADER_BYTES);
  putMac(header, ETH.DST, GROUP_MAC.hi, GROUP_MAC.lo);
  putMac(header, ETH.SRC, src[0], src[1]);
  w.put(header.subarray(0, ETH.TYPE));
  w.u16(ETH_TYPE.LLDP);
  const chassis = body((b) => {
    b.u8(CHASSIS_ID_MAC);
    putMacBytes(b, a.chassis);
  });
  putTlv(w, TLV.CHASSIS_ID, chassis);
  putTlv(w, TLV.PORT_ID, Uint8Array.of(PORT_ID_IFNAME, ...encodeUtf8(a.port)));
  putTlv(w, TLV.TTL, Uint8Array.of(0, TTL_S));
  if (a.systemName !== "") {
    putTlv(w, TLV.SYSTEM_NAME, encodeUtf8(a.systemName));
  }
  if (a.systemDescr !== "") {
    putTlv(w, TLV.SYSTEM_DESCR, encodeUtf8(a.systemDescr));
  }
  putTlv(w, TLV.CAPABILITIES, Uint8Array.of(0, CAP_BRIDGE, 0, CAP_BRIDGE));
  putTlv(w, TLV.ORGANISATION, elementTlv(a.chassis));
  if (a.mappings.length > 0) {
    putTlv(w, TLV.ORGANISATION, mappingsTlv(a.mappings));
  }
  putTlv(w, TLV.END, new Uint8Array(0));
  return w.bytes();
}

function elementTlv(system: Mac): Uint8Array {
  return body((w) => {
    w.put(AVAYA);
    w.u8(AA.ELEMENT);
    w.zeros(AA.DIGEST_BYTES);
    w.u16(AA.VIRTUAL_SWITCH << 10);
    w.u16(0);
    putMacBytes(w, system);
    w.u32(0);
  });
}

function mappingsTlv(mappings: readonly IsidMapping[]): Uint8Array {
  return body((w) => {
    w.put(AVAYA);
    w.u8(AA.ISID_VLAN);
    w.zeros(AA.DIGEST_BYTES);
    for (const m of mappings) {
      w.u16(((m.status << 12) | m.vlan) & 0xffff);
      w.u8((m.isid >> 16) & 0xff);
      w.u16(m.isid & 0xffff);
    }
  });
}

/** What an Auto Attach element says of its system: address, connection, reserved bits. */
export interface AaSystem {
  readonly mac: Uint8Array;
  readonly connType: number;
  readonly reserved: number;
  readonly reserved2: Uint8Array;
}

export interface LldpNeighbour {
  readonly chassisSubtype: number;
  readonly chassisId: Uint8Array;
  readonly portSubtype: number;
  readonly portId: Uint8Array;
  systemDescr: Uint8Array | null;
  readonly system: AaSystem | null;
  readonly mappings: readonly IsidMapping[];
}

interface Decoding {
  chassis: { readonly subtype: number; readonly id: Uint8Array } | null;
  port: { readonly subtype: number; readonly id: Uint8Array } | null;
  ttl: boolean;
  descr: Uint8Array | null;
  system: AaSystem | null;
  readonly mappings: IsidMapping[];
  /** TLVs that nobody here understands. */
  unrecognised: number;
}

export interface LldpReading {
  readonly neighbour: LldpNeighbour | null;
  readonly unrecognised: number;
}

/** A frame without its VLAN tag. */
export function withoutVlan(frame: Uint8Array): Uint8Array {
  if (frame.length < ETH.HEADER_BYTES || getU16(frame, ETH.TYPE) !== ETH_TYPE.VLAN_8021Q) {
    return frame;
  }
  const out = new Uint8Array(Math.max(0, frame.length - VLAN_BYTES));
  out.set(frame.subarray(0, ETH.TYPE));
  out.set(frame.subarray(ETH.TYPE + VLAN_BYTES), ETH.TYPE);
  return out;
}

/** True if the frame is for the group of LLDP; others are not looked at. */
export function isLldpGroup(frame: Uint8Array): boolean {
  const mac = new Uint8Array(ETH.ADDR_BYTES);
  putMac(mac, 0, GROUP_MAC.hi, GROUP_MAC.lo);
  return bytesEqual(frame.subarray(0, ETH.ADDR_BYTES), mac);
}

/** Reads a frame (without a VLAN tag). */
export function readLldp(frame: Uint8Array): LldpReading {
  const d: Decoding = {
    chassis: null,
    port: null,
    ttl: false,
    descr: null,
    system: null,
    mappings: [],
    unrecognised: 0,
  };
  const good =
    frame.length >= ETH.HEADER_BYTES &&
    getU16(frame, ETH.TYPE) === ETH_TYPE.LLDP &&
    readTlvs(d, frame);
  const { chassis, port, unrecognised } = d;
  if (!good || chassis === null || port === null || !d.ttl) {
    return { neighbour: null, unrecognised };
  }
  const neighbour: LldpNeighbour = {
    chassisSubtype: chassis.subtype,
    chassisId: chassis.id,
    portSubtype: port.subtype,
    portId: port.id,
    systemDescr: d.descr,
    system: d.system,
    mappings: d.mappings,
  };
  return { neighbour, unrecognised };
}

/** True if all TLVs are good and the last one is the end. */
function readTlvs(d: Decoding, frame: Uint8Array): boolean {
  let at = ETH.HEADER_BYTES;
  for (let count = 1; at < frame.length; count++) {
    if (frame.length - at < 2) {
      return false;
    }
    const word = getU16(frame, at);
    const [type, size] = [word >> 9, word & 0x1ff];
    at += 2;
    if (frame.length - at < size) {
      return false;
    }
    const value = frame.subarray(at, at + size);
    if (type === TLV.END) {
      return size === 0;
    }
    // Chassis, port and time to live have their places.
    if ((type >= TLV.CHASSIS_ID && type <= TLV.TTL && count !== type) || !readTlv(d, type, value)) {
      return false;
    }
    at += size;
  }
  return false;
}

function readId(value: Uint8Array) {
  const subtype = value[0] ?? 0;
  const good = value.length >= 2 && value.length <= 256 && subtype >= 1 && subtype <= 7;
  return good ? { subtype, id: value.slice(1) } : null;
}

function readTlv(d: Decoding, type: number, value: Uint8Array): boolean {
  switch (type) {
    case TLV.CHASSIS_ID:
      d.chassis = readId(value);
      return d.chassis !== null;
    case TLV.PORT_ID:
      d.port = readId(value);
      return d.port !== null;
    case TLV.TTL:
      d.ttl = value.length >= 2;
      return d.ttl;
    case TLV.SYSTEM_DESCR:
      d.descr = value.length === 0 ? d.descr : value.slice();
      return true;
    case TLV.PORT_DESCR:
    case TLV.SYSTEM_NAME:
      return true;
    case TLV.CAPABILITIES:
      return value.length >= 4;
    case TLV.MGMT_ADDR: {
      const bytes = value[0] ?? 0;
      return value.length >= 1 && bytes <= MGMT_ADDR_BYTES_MAX && value.length >= bytes + 6;
    }
    case TLV.ORGANISATION:
      return readOrganisation(d, value);
    default:
      d.unrecognised++;
      return false;
  }
}

function readOrganisation(d: Decoding, value: Uint8Array): boolean {
  if (value.length < 4) {
    return false;
  }
  const start = 4 + AA.DIGEST_BYTES;
  const avaya = bytesEqual(value.subarray(0, 3), AVAYA);
  if (avaya && value[3] === AA.ELEMENT) {
    if (value.length < start + 14) {
      return false;
    }
    const word = getU16(value, start + 10);
    d.system = {
      mac: value.slice(start + 4, start + 10),
      connType: word >> 13,
      reserved: word & 0x3ff,
      reserved2: value.slice(start + 12, start + 14),
    };
    return true;
  }
  if (avaya && value[3] === AA.ISID_VLAN) {
    if (value.length < start || (value.length - start) % 5 !== 0) {
      return false;
    }
    for (let o = start; o < value.length; o += 5) {
      const word = getU16(value, o);
      const isid = ((value[o + 2] ?? 0) << 16) | getU16(value, o + 3);
      d.mappings.push({ status: word >> 12, vlan: word & 0xfff, isid });
    }
    return true;
  }
  d.unrecognised++;
  return true;
}

// Rows of the action table: generic encapsulation and decapsulation, and the TTL of NSH.
//
// encap() may carry properties, of which only those of NSH exist: the metadata type and TLVs of its
// variable-length metadata (RFC 8300 §2.5.1). (ovs: lib/ofp-actions.c, lib/ofp-ed-props.c)

import { get, getU, K, set } from "../../flow/flow-key.ts";
import { isIpAny, PT, PT_NS_ETHERTYPE } from "../../flow/flow-is.ts";
import { P } from "../../flow/of-version.ts";
import { ETH_TYPE } from "../../flow/vlan-mpls.ts";
import type { Writer } from "../../lib/bytes.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import type { OfpErr } from "../messages/errors.ts";
import { readHexBytes } from "./controller.ts";
import { bareRow, narrowToOf10 } from "./rows.ts";
import { formatHexNumber, readU16, readU8 } from "./text.ts";
import type { ActionDef, ActionOf, EncapProp, ParseContext, ParseOutcome } from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

/** Headers that can be pushed, by name. */
const ENCAP_TYPES = [
  ["ethernet", PT.ETH],
  ["nsh", PT.NSH],
  ["mpls", PT.MPLS],
  ["mpls_mc", PT.MPLS_MC],
] as const;

/** Class and types of NSH properties (ovs: OFPPPC_NSH, OFPPPT_PROP_NSH_*). */
const PROP_CLASS_NSH = 4;
const PROP_NSH = { MDTYPE: 1, TLV: 2 } as const;
/** Class, type and length; of the length only what precedes the padding counts. */
const PROP_HEADER_BYTES = 4;
const MDTYPE_BYTES = 5;
const TLV_HEADER_BYTES = 8;
/** Hex digits that are read of a TLV. */
const TLV_DIGITS_MAX = 251;

function parseEncap(arg: string, pp: ParseContext): ParseOutcome {
  pp.usable &= P.OF13_UP;
  const header = new KeyValueScan(arg).next();
  if (header === undefined) {
    return `Missing encap hdr: ${arg}`;
  }
  const type = ENCAP_TYPES.find(([name]) => name === header.key);
  if (type === undefined) {
    return `Encap hdr not supported: ${header.value}`;
  }
  const props: EncapProp[] = [];
  const scan = new KeyValueScan(header.value);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const prop = parseProp(type[1] === PT.NSH, kv.key, kv.value);
    if (typeof prop === "string") {
      return prop;
    }
    props.push(prop);
  }
  pp.out.push({ kind: "encap", newPktType: type[1], hdrSize: 0, props });
  return null;
}

function parseProp(isNsh: boolean, key: string, value: string): EncapProp | string {
  if (!isNsh || (key !== "md_type" && key !== "tlv")) {
    return `Invalid property: ${key}`;
  }
  if (value === "") {
    return "Value missing for encap property";
  }
  if (key === "md_type") {
    const mdtype = readU8(value, "md_type");
    if (typeof mdtype === "string") {
      return mdtype;
    }
    return mdtype === 1 || mdtype === 2 ? { kind: "nsh_mdtype", mdtype } : "invalid md_type";
  }
  const m = /^0x(?:0[xX])?([0-9a-fA-F]+),[ \t\n]*([+-]?\d+),0x([0-9a-fA-F]+)/.exec(value);
  if (m === null) {
    return `Invalid NSH TLV header: ${value}`;
  }
  const digits = (m[3] ?? "").slice(0, TLV_DIGITS_MAX);
  return {
    kind: "nsh_tlv",
    tlvClass: Number.parseInt(m[1] ?? "0", 16) & 0xffff,
    tlvType: Number(m[2]) & 0xff,
    data: readHexBytes(digits).bytes,
  };
}

function formatProp(p: EncapProp): string {
  if (p.kind === "nsh_mdtype") {
    return `md_type=${p.mdtype}`;
  }
  const words = new Uint32Array(Math.ceil(p.data.length / 4));
  for (let i = 0; i < p.data.length; i++) {
    const fromEnd = p.data.length - 1 - i;
    const w = words.length - 1 - (fromEnd >> 2);
    words[w] = (words[w] ?? 0) | ((p.data[i] ?? 0) << ((fromEnd & 3) * 8));
  }
  const cls = p.tlvClass.toString(16).padStart(4, "0");
  return `tlv(0x${cls},${p.tlvType},${formatHexNumber(words)})`;
}

function formatEncap(a: ActionOf<"encap">): string {
  const name = ENCAP_TYPES.find(([, type]) => type === a.newPktType)?.[0] ?? "UNKNOWN";
  const props = a.props.length === 0 ? "" : `(${a.props.map(formatProp).join(",")})`;
  return `encap(${name}${props})`;
}

function putProp(out: Writer, p: EncapProp): void {
  const at = out.length;
  out.u16(PROP_CLASS_NSH);
  if (p.kind === "nsh_mdtype") {
    out.u8(PROP_NSH.MDTYPE).u8(MDTYPE_BYTES).u8(p.mdtype).pad(8, at);
    return;
  }
  const padded = (p.data.length + 7) & ~7;
  out.u8(PROP_NSH.TLV).u8((TLV_HEADER_BYTES + padded) & 0xff);
  out.u16(p.tlvClass).u8(p.tlvType).u8(p.data.length).put(p.data).pad(8, at);
}

/** Reads the property at `ofs`; `length` comes without padding. */
function decodeProp(raw: RawView, ofs: number): { prop: EncapProp; length: number } | OfpErr {
  const left = raw.length - ofs;
  const length = raw.u8(ofs + 3);
  if (length < PROP_HEADER_BYTES || ((length + 7) & ~7) > left) {
    return "OFPBAC_BAD_LEN";
  }
  if (raw.u16(ofs) !== PROP_CLASS_NSH) {
    return "NXBAC_UNKNOWN_ED_PROP";
  }
  switch (raw.u8(ofs + 2)) {
    case PROP_NSH.MDTYPE:
      if (length > 8) {
        return "NXBAC_BAD_ED_PROP";
      }
      return { prop: { kind: "nsh_mdtype", mdtype: raw.u8(ofs + PROP_HEADER_BYTES) }, length };
    case PROP_NSH.TLV: {
      const n = raw.u8(ofs + 7);
      if (length !== TLV_HEADER_BYTES + ((n + 7) & ~7)) {
        return "NXBAC_BAD_ED_PROP";
      }
      const at = ofs + TLV_HEADER_BYTES;
      const data = raw.bytes.slice(at, at + n);
      const prop = { tlvClass: raw.u16(ofs + 4), tlvType: raw.u8(ofs + 6), data };
      return { prop: { kind: "nsh_tlv", ...prop }, length };
    }
    default:
      return "NXBAC_UNKNOWN_ED_PROP";
  }
}

/** Layout of encap: byte offsets. */
const NAE = { HDR_SIZE: 10, NEW_PKT_TYPE: 12, PROPS: 16 } as const;

export const encap: ActionDef<"encap"> = {
  kind: "encap",
  name: "encap",
  parsers: { encap: parseEncap },
  format: formatEncap,
  encode: (a, out, version) => {
    const start = putRaw(out, "nx_encap", version);
    out.patchU16(start + NAE.HDR_SIZE, a.hdrSize);
    out.patchU32(start + NAE.NEW_PKT_TYPE, a.newPktType);
    for (const p of a.props) {
      putProp(out, p);
    }
    padAction(out, start);
  },
  decoders: {
    nx_encap: (raw, dc) => {
      const newPktType = raw.u32(NAE.NEW_PKT_TYPE);
      if (ENCAP_TYPES.every(([, type]) => type !== newPktType)) {
        return "NXBAC_BAD_HEADER_TYPE";
      }
      const props: EncapProp[] = [];
      let ofs: number = NAE.PROPS;
      while (ofs < raw.length) {
        const p = decodeProp(raw, ofs);
        if (typeof p === "string") {
          return p;
        }
        props.push(p.prop);
        ofs += (p.length + 7) & ~7;
      }
      dc.out.push({ kind: "encap", newPktType, hdrSize: raw.u16(NAE.HDR_SIZE), props });
      return null;
    },
  },
  check: (a, cc) => {
    const { flow } = cc.match;
    set(flow, K.packet_type, a.newPktType);
    if (a.newPktType >>> 16 === PT_NS_ETHERTYPE) {
      set(flow, K.dl_type, a.newPktType & 0xffff);
    }
    if (!isIpAny(flow)) {
      set(flow, K.nw_proto, 0);
    }
    return null;
  },
  setClass: "slot",
  doc: "Adds an Ethernet, NSH or MPLS header in front of the packet.",
};

/** Namespaces of packet types (ovs: OFPHTN_N_TYPES). */
const PACKET_NAMESPACES = 5;

function parseDecap(arg: string, pp: ParseContext): ParseOutcome {
  let newPktType: number = PT.USE_NEXT_PROTO;
  const kv = new KeyValueScan(arg).next();
  if (kv !== undefined) {
    if (kv.key !== "packet_type") {
      return `Invalid decap argument: ${kv.key}`;
    }
    const scan = new KeyValueScan(kv.value);
    const parts: number[] = [];
    for (const name of ["ns", "type"]) {
      const part = scan.next();
      if (part === undefined || part.key !== name) {
        return `Missing packet_type attribute ${name}`;
      }
      const n = readU16(part.value, name);
      if (typeof n === "string") {
        return n;
      }
      if (name === "ns" && n >= PACKET_NAMESPACES) {
        return `Unsupported ns value: ${n}`;
      }
      parts.push(n);
    }
    newPktType = (((parts[0] ?? 0) << 16) | (parts[1] ?? 0)) >>> 0;
  }
  pp.out.push({ kind: "decap", newPktType });
  return null;
}

export const decap: ActionDef<"decap"> = {
  kind: "decap",
  name: "decap",
  parsers: { decap: parseDecap },
  format: (a) => {
    if (a.newPktType === PT.USE_NEXT_PROTO) {
      return "decap()";
    }
    const type = a.newPktType & 0xffff;
    const text = type === 0 ? "0" : `0x${type.toString(16)}`;
    return `decap(packet_type(ns=${a.newPktType >>> 16},type=${text}))`;
  },
  encode: (a, out, version) => {
    const start = putRaw(out, "nx_decap", version);
    out.patchU32(start + NAE.NEW_PKT_TYPE, a.newPktType);
  },
  decoders: {
    nx_decap: (raw, dc) => {
      if (raw.length > NAE.PROPS) {
        return "NXBAC_UNKNOWN_ED_PROP";
      }
      dc.out.push({ kind: "decap", newPktType: raw.u32(NAE.NEW_PKT_TYPE) });
      return null;
    },
  },
  check: (_a, cc) => {
    const { flow } = cc.match;
    if (getU(flow, K.packet_type) === PT.ETH) {
      set(flow, K.packet_type, (PT_NS_ETHERTYPE << 16) | get(flow, K.dl_type));
    } else {
      // What comes to light is not known, so nothing that needs a header may follow.
      set(flow, K.packet_type, PT.UNKNOWN);
      set(flow, K.dl_type, 0xffff);
    }
    return null;
  },
  setClass: "slot",
  doc: "Removes the outermost header of the packet.",
};

export const dec_nsh_ttl = bareRow("dec_nsh_ttl", "nx_dec_nsh_ttl", {
  check: (_a, cc) => {
    const { flow } = cc.match;
    if (getU(flow, K.packet_type) !== PT.NSH && get(flow, K.dl_type) !== ETH_TYPE.NSH) {
      narrowToOf10(cc);
    }
    return null;
  },
  setClass: "slot",
  doc: "Decrements the TTL of an NSH header.",
});

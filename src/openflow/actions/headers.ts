// Rows of the action table: Ethernet, IP and transport headers.
//
// These are the actions of OpenFlow 1.0 and 1.1, which later versions replace by set_field: sent in
// such a version they become one. (ovs: lib/ofp-actions.c)

import { type Field, F } from "../../flow/fields.ts";
import { getDlType, NW_FRAG } from "../../flow/flow-is.ts";
import { get, K } from "../../flow/flow-key.ts";
import { IP_PROTO } from "../../flow/flow-is.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { ETH_TYPE } from "../../flow/vlan-mpls.ts";
import { formatIpv4, formatMac } from "../../lib/address.ts";
import type { Writer } from "../../lib/bytes.ts";
import { Tokens, atoi } from "../../lib/tokens.ts";
import { alwaysOk, narrowToOf10, wantsIp } from "./rows.ts";
import { putRegLoad, putSetField } from "./set-field-wire.ts";
import { readIpv4, readMac, readU16, readU8 } from "./text.ts";
import type {
  Action,
  ActionDef,
  ActionOf,
  DecodeContext,
  ParseContext,
  ParseOutcome,
} from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

/** Where the address stands in the raw action. */
const DL_ADDR_OFS = 4;

function ethRow<K extends "set_eth_src" | "set_eth_dst">(
  kind: K,
  name: string,
  rawName: "set_dl_src" | "set_dl_dst",
  field: Field,
  doc: string,
): ActionDef<K> {
  // The object has exactly the members of both kinds; the compiler cannot join kind and K.
  const make = (mac: Uint32Array) => ({ kind, mac }) as ActionOf<K> & Action;
  return {
    kind,
    name,
    parsers: {
      [name]: (arg, pp) => {
        const mac = readMac(arg);
        if (typeof mac === "string") {
          return mac;
        }
        pp.out.push(make(mac));
        return null;
      },
    },
    format: (a) => `${name}:${formatMac(a.mac[0] ?? 0, a.mac[1] ?? 0)}`,
    encode: (a, out, version) => {
      if (version >= OFP.v12) {
        putSetField(out, version, field, a.mac);
      } else {
        putDlAddr(out, rawName, version, a.mac);
      }
    },
    decoders: {
      [rawName]: (raw: RawView, dc: DecodeContext): null => {
        const mac = Uint32Array.of(raw.u16(DL_ADDR_OFS), raw.u32(DL_ADDR_OFS + 2));
        dc.out.push(make(mac));
        return null;
      },
    },
    check: alwaysOk,
    setClass: "set",
    doc,
  };
}

/** Appends OpenFlow 1.0's or 1.1's action that sets an Ethernet address. */
export function putDlAddr(
  out: Writer,
  rawName: "set_dl_src" | "set_dl_dst",
  version: OfVersion,
  mac: Uint32Array,
): void {
  const at = putRaw(out, rawName, version);
  out.patchU16(at + DL_ADDR_OFS, mac[0] ?? 0);
  out.patchU32(at + DL_ADDR_OFS + 2, mac[1] ?? 0);
}

export const set_eth_src = ethRow(
  "set_eth_src",
  "mod_dl_src",
  "set_dl_src",
  F.eth_src,
  "Sets the Ethernet source address.",
);

export const set_eth_dst = ethRow(
  "set_eth_dst",
  "mod_dl_dst",
  "set_dl_dst",
  F.eth_dst,
  "Sets the Ethernet destination address.",
);

function ipv4Row<K extends "set_ipv4_src" | "set_ipv4_dst">(
  kind: K,
  name: string,
  rawName: "set_nw_src" | "set_nw_dst",
  field: Field,
  doc: string,
): ActionDef<K> {
  const make = (ipv4: number) => ({ kind, ipv4 }) as ActionOf<K> & Action; // as in ethRow
  return {
    kind,
    name,
    parsers: {
      [name]: (arg, pp) => {
        const ipv4 = readIpv4(arg, pp.log);
        if (typeof ipv4 === "string") {
          return ipv4;
        }
        pp.out.push(make(ipv4));
        return null;
      },
    },
    format: (a) => `${name}:${formatIpv4(a.ipv4)}`,
    encode: (a, out, version) => {
      if (version >= OFP.v12) {
        putSetField(out, version, field, Uint32Array.of(a.ipv4));
      } else {
        putRaw(out, rawName, version, a.ipv4);
      }
    },
    decoders: {
      [rawName]: (raw: RawView, dc: DecodeContext): null => {
        dc.out.push(make(raw.arg));
        return null;
      },
    },
    check: (_a, cc) => {
      if (getDlType(cc.match.flow) !== ETH_TYPE.IP) {
        narrowToOf10(cc);
      }
      return null;
    },
    setClass: "set",
    doc,
  };
}

export const set_ipv4_src = ipv4Row(
  "set_ipv4_src",
  "mod_nw_src",
  "set_nw_src",
  F.ip_src,
  "Sets the IPv4 source address.",
);

export const set_ipv4_dst = ipv4Row(
  "set_ipv4_dst",
  "mod_nw_dst",
  "set_nw_dst",
  F.ip_dst,
  "Sets the IPv4 destination address.",
);

/** Bits of the DSCP and of the ECN in the traffic class. */
const IP_DSCP_MASK = 0xfc;
const IP_ECN_MASK = 0x03;

export const set_ip_dscp: ActionDef<"set_ip_dscp"> = {
  kind: "set_ip_dscp",
  name: "mod_nw_tos",
  parsers: {
    mod_nw_tos: (arg, pp) => {
      const dscp = readU8(arg, "TOS");
      if (typeof dscp === "string") {
        return dscp;
      }
      if ((dscp & ~IP_DSCP_MASK) !== 0) {
        return `${arg}: not a valid TOS`;
      }
      pp.out.push({ kind: "set_ip_dscp", dscp });
      return null;
    },
  },
  format: (a) => `mod_nw_tos:${a.dscp}`,
  encode: (a, out, version) => {
    if (version >= OFP.v12) {
      putSetField(out, version, F.ip_dscp, Uint32Array.of(a.dscp >>> 2));
    } else {
      putRaw(out, "set_nw_tos", version, a.dscp);
    }
  },
  decoders: {
    set_nw_tos: (raw, dc) => {
      if ((raw.arg & ~IP_DSCP_MASK) !== 0) {
        return "OFPBAC_BAD_ARGUMENT";
      }
      dc.out.push({ kind: "set_ip_dscp", dscp: raw.arg });
      return null;
    },
  },
  check: wantsIp,
  setClass: "set",
  doc: "Sets the DSCP bits of the IPv4 TOS or IPv6 traffic class; the ECN bits stay.",
};

/** Appends what sets the ECN bits before set_field existed. */
export function putSetEcn(out: Writer, version: OfVersion, ecn: number): void {
  if (version === OFP.v10) {
    putRegLoad(out, version, { field: F.nw_ecn, ofs: 0, bits: 2 }, Uint32Array.of(0, ecn));
  } else {
    putRaw(out, "of11_set_nw_ecn", version, ecn);
  }
}

export const set_ip_ecn: ActionDef<"set_ip_ecn"> = {
  kind: "set_ip_ecn",
  name: "mod_nw_ecn",
  parsers: {
    mod_nw_ecn: (arg, pp) => {
      const ecn = readU8(arg, "ECN");
      if (typeof ecn === "string") {
        return ecn;
      }
      if ((ecn & ~IP_ECN_MASK) !== 0) {
        return `${arg}: not a valid ECN`;
      }
      pp.out.push({ kind: "set_ip_ecn", ecn });
      return null;
    },
  },
  format: (a) => `mod_nw_ecn:${a.ecn}`,
  encode: (a, out, version) => {
    if (version >= OFP.v12) {
      putSetField(out, version, F.nw_ecn, Uint32Array.of(a.ecn));
    } else {
      putSetEcn(out, version, a.ecn);
    }
  },
  decoders: {
    of11_set_nw_ecn: (raw, dc) => {
      if ((raw.arg & ~IP_ECN_MASK) !== 0) {
        return "OFPBAC_BAD_ARGUMENT";
      }
      dc.out.push({ kind: "set_ip_ecn", ecn: raw.arg });
      return null;
    },
  },
  check: wantsIp,
  setClass: "set",
  doc: "Sets the ECN bits of the IPv4 TOS or IPv6 traffic class; the DSCP bits stay.",
};

function parseTtl(arg: string, pp: ParseContext): ParseOutcome {
  const ttl = readU8(arg, "TTL");
  if (typeof ttl === "string") {
    return ttl;
  }
  pp.out.push({ kind: "set_ip_ttl", ttl });
  return null;
}

export const set_ip_ttl: ActionDef<"set_ip_ttl"> = {
  kind: "set_ip_ttl",
  name: "mod_nw_ttl",
  parsers: { mod_nw_ttl: parseTtl, set_nw_ttl: parseTtl },
  format: (a) => `mod_nw_ttl:${a.ttl}`,
  encode: (a, out, version) => {
    if (version === OFP.v10) {
      putRegLoad(out, version, { field: F.nw_ttl, ofs: 0, bits: 8 }, Uint32Array.of(0, a.ttl));
    } else {
      putRaw(out, "of11_set_nw_ttl", version, a.ttl);
    }
  },
  decoders: {
    of11_set_nw_ttl: (raw, dc) => {
      dc.out.push({ kind: "set_ip_ttl", ttl: raw.arg });
      return null;
    },
  },
  check: wantsIp,
  setClass: "set",
  doc: "Sets the IPv4 TTL or IPv6 hop limit.",
};

function l4PortRow<K extends "set_l4_src_port" | "set_l4_dst_port">(
  kind: K,
  name: string,
  text: string,
  rawName: "set_tp_src" | "set_tp_dst",
  fields: Readonly<Record<number, Field>>,
  doc: string,
): ActionDef<K> {
  const make = (port: number) => ({ kind, port, flowIpProto: 0 }) as ActionOf<K> & Action; // as in ethRow
  return {
    kind,
    name,
    parsers: {
      [name]: (arg, pp) => {
        const port = readU16(arg, text);
        if (typeof port === "string") {
          return port;
        }
        pp.out.push(make(port));
        return null;
      },
    },
    format: (a) => `${name}:${a.port}`,
    encode: (a, out, version) => {
      const field = fields[a.flowIpProto];
      if (version >= OFP.v12 && field !== undefined) {
        putSetField(out, version, field, Uint32Array.of(a.port));
      } else {
        putRaw(out, rawName, version, a.port);
      }
    },
    decoders: {
      [rawName]: (raw: RawView, dc: DecodeContext): null => {
        dc.out.push(make(raw.arg));
        return null;
      },
    },
    check: (a, cc) => {
      const { flow } = cc.match;
      const proto = get(flow, K.nw_proto);
      const later = (get(flow, K.nw_frag) & NW_FRAG.LATER) !== 0;
      wantsIp(a, cc);
      if (later || fields[proto] === undefined) {
        narrowToOf10(cc);
      }
      // Encoding as set_field needs to know which protocol's port this is.
      a.flowIpProto = proto;
      return null;
    },
    setClass: "set",
    doc,
  };
}

export const set_l4_src_port = l4PortRow(
  "set_l4_src_port",
  "mod_tp_src",
  "source port",
  "set_tp_src",
  { [IP_PROTO.TCP]: F.tcp_src, [IP_PROTO.UDP]: F.udp_src, [IP_PROTO.SCTP]: F.sctp_src },
  "Sets the TCP, UDP or SCTP source port.",
);

export const set_l4_dst_port = l4PortRow(
  "set_l4_dst_port",
  "mod_tp_dst",
  "destination port",
  "set_tp_dst",
  { [IP_PROTO.TCP]: F.tcp_dst, [IP_PROTO.UDP]: F.udp_dst, [IP_PROTO.SCTP]: F.sctp_dst },
  "Sets the TCP, UDP or SCTP destination port.",
);

/** Layout of dec_ttl with controller ids: byte offsets. */
const CNT_IDS = { COUNT: 10, ZEROS: 12, IDS: 16 } as const;

function parseDecTtl(arg: string, pp: ParseContext): ParseOutcome {
  if (arg === "") {
    pp.out.push({ kind: "dec_ttl", cntIds: [0] });
    return null;
  }
  const tokens = new Tokens(arg);
  const cntIds: number[] = [];
  for (let t = tokens.next(", "); t !== null; t = tokens.next(", ")) {
    cntIds.push(atoi(t) & 0xffff);
  }
  if (cntIds.length === 0) {
    return "dec_ttl_cnt_ids: expected at least one controller id.";
  }
  pp.out.push({ kind: "dec_ttl", cntIds, raw: "nx_dec_ttl_cnt_ids" });
  return null;
}

export const dec_ttl: ActionDef<"dec_ttl"> = {
  kind: "dec_ttl",
  name: "dec_ttl",
  parsers: { dec_ttl: parseDecTtl },
  format: (a) => (a.raw === "nx_dec_ttl_cnt_ids" ? `dec_ttl(${a.cntIds.join(",")})` : "dec_ttl"),
  encode: (a, out, version) => {
    if (a.raw !== "nx_dec_ttl_cnt_ids" && a.cntIds.length === 1 && a.cntIds[0] === 0) {
      putRaw(out, "dec_nw_ttl", version);
      return;
    }
    const start = putRaw(out, "nx_dec_ttl_cnt_ids", version);
    out.patchU16(start + CNT_IDS.COUNT, a.cntIds.length);
    for (const id of a.cntIds) {
      out.u16(id);
    }
    padAction(out, start);
  },
  decoders: {
    dec_nw_ttl: (_raw, dc) => {
      dc.out.push({ kind: "dec_ttl", cntIds: [0] });
      return null;
    },
    nx_dec_ttl_cnt_ids: (raw, dc) => {
      const count = raw.u16(CNT_IDS.COUNT);
      if (!raw.zero(CNT_IDS.ZEROS, CNT_IDS.IDS)) {
        return "NXBRC_MUST_BE_ZERO";
      }
      const space = raw.length - CNT_IDS.IDS;
      if (space < count * 2) {
        dc.log?.(
          "WARN",
          "ofp_actions",
          `Nicira action dec_ttl_cnt_ids only has ${space} bytes allocated for controller ids.  ` +
            `${count * 2} bytes are required for ${count} controllers.`,
        );
        return "OFPBAC_BAD_LEN";
      }
      const cntIds = Array.from({ length: count }, (_, i) => raw.u16(CNT_IDS.IDS + 2 * i));
      dc.out.push({ kind: "dec_ttl", cntIds, raw: "nx_dec_ttl_cnt_ids" });
      return null;
    },
  },
  check: wantsIp,
  setClass: "slot",
  doc: "Decrements TTL or hop limit; a packet whose TTL expires goes to the controllers.",
};

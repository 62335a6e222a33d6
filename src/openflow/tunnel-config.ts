// The configuration of a tunnel port: what the options of an interface mean.
//
// Each option of the database row (remote_ip, key, csum...) becomes a field. An address or key may
// be left to the flow table ("flow"). What cannot be understood is an error text; some errors keep
// the port from coming up at all.
// ovs: lib/netdev-vport.c set_tunnel_config, ovs-vswitchd.conf.db(5) "Tunnel Options".

import { parseIpv4, parseIpv6 } from "../lib/address.ts";
import { scanInteger, strToUllong, u64Words } from "../lib/number.ts";
import type { PtMode } from "./xbridge.ts";

/** Each type of tunnel, the device that the datapath shows for it, and its usual UDP port. */
export const TUNNEL_TYPES = {
  geneve: { dpifPort: "genev_sys", dstPort: 6081, needsDstPort: true },
  gre: { dpifPort: "gre_sys", dstPort: 0, needsDstPort: false },
  vxlan: { dpifPort: "vxlan_sys", dstPort: 4789, needsDstPort: true },
  lisp: { dpifPort: "lisp_sys", dstPort: 4341, needsDstPort: true },
  stt: { dpifPort: "stt_sys", dstPort: 7471, needsDstPort: true },
  erspan: { dpifPort: "erspan_sys", dstPort: 0, needsDstPort: false },
  ip6erspan: { dpifPort: "ip6erspan_sys", dstPort: 0, needsDstPort: false },
  ip6gre: { dpifPort: "ip6gre_sys", dstPort: 0, needsDstPort: false },
  gtpu: { dpifPort: "gtpu_sys", dstPort: 2152, needsDstPort: true },
  bareudp: { dpifPort: "udp_sys", dstPort: 0, needsDstPort: true },
} as const;
export type TunnelType = keyof typeof TUNNEL_TYPES;

export function isTunnelType(type: string): type is TunnelType {
  return Object.hasOwn(TUNNEL_TYPES, type);
}

export interface TunnelConfig {
  /** [hi32, lo32]. */
  readonly inKey: readonly [number, number];
  readonly inKeyPresent: boolean;
  readonly inKeyFlow: boolean;
  readonly outKey: readonly [number, number];
  readonly outKeyPresent: boolean;
  readonly outKeyFlow: boolean;
  readonly payloadEthType: number;
  readonly dstPort: number;
  readonly ipSrcFlow: boolean;
  readonly ipDstFlow: boolean;
  /** 4 words, IPv4 mapped; all zero for "any". Of packets that are sent. */
  readonly src: Uint32Array;
  readonly dst: Uint32Array;
  readonly gbp: boolean;
  readonly gpe: boolean;
  readonly multiproto: boolean;
  readonly egressPktMark: number | null;
  readonly ttl: number;
  readonly ttlInherit: boolean;
  readonly tos: number;
  readonly tosInherit: boolean;
  readonly csum: boolean;
  readonly dontFragment: boolean;
  readonly ptMode: PtMode;
  readonly setSeq: boolean;
  readonly erspanIdx: number;
  readonly erspanVer: number;
  readonly erspanDir: number;
  readonly erspanHwid: number;
  readonly erspanVerFlow: boolean;
  readonly erspanIdxFlow: boolean;
  readonly erspanDirFlow: boolean;
  readonly erspanHwidFlow: boolean;
}

/** True if two ports ask for the same in everything. */
export function sameTunnelConfig(a: TunnelConfig, b: TunnelConfig): boolean {
  // Its members are plain values and short arrays of numbers, which text shows whole.
  return JSON.stringify(a) === JSON.stringify(b);
}

export interface TunnelConfigResult {
  /** Null if an error makes the port unusable. */
  readonly config: TunnelConfig | null;
  /** Texts without a line end; warnings only, if there is a config. */
  readonly errors: readonly string[];
}

type Draft = { -readonly [K in keyof TunnelConfig]: TunnelConfig[K] };

interface Parse {
  readonly name: string;
  readonly type: TunnelType;
  readonly cfg: Draft;
  readonly errors: string[];
  srcFamily: 0 | 4 | 6;
  dstFamily: 0 | 4 | 6;
}

const TTL_DEFAULT = 64;
const IP_DSCP_MASK = 0xfc;
const ERSPAN_IDX_MASK = 0xfffff;
const ERSPAN_HWID_MAX = 0x3f;
const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_MPLS = 0x8847;
const HAS_CSUM: readonly TunnelType[] = ["gre", "ip6gre", "geneve", "stt", "vxlan"];
const HAS_SEQ: readonly TunnelType[] = ["gre", "ip6gre"];
/** Options read elsewhere: keys and packet type below, the others by the IPsec monitor. */
const SILENT = ["key", "in_key", "out_key", "packet_type", "remote_cert", "remote_name", "psk"];

function newDraft(type: TunnelType): Draft {
  return {
    inKey: [0, 0],
    inKeyPresent: false,
    inKeyFlow: false,
    outKey: [0, 0],
    outKeyPresent: false,
    outKeyFlow: false,
    payloadEthType: 0,
    dstPort: TUNNEL_TYPES[type].dstPort,
    ipSrcFlow: false,
    ipDstFlow: false,
    src: new Uint32Array(4),
    dst: new Uint32Array(4),
    gbp: false,
    gpe: false,
    multiproto: false,
    egressPktMark: null,
    ttl: 0,
    ttlInherit: false,
    tos: 0,
    tosInherit: false,
    csum: false,
    dontFragment: true,
    ptMode: "legacy_l2",
    setSeq: false,
    erspanIdx: 0,
    erspanVer: 0,
    erspanDir: 0,
    erspanHwid: 0,
    erspanVerFlow: false,
    erspanIdxFlow: false,
    erspanDirFlow: false,
    erspanHwidFlow: false,
  };
}

/** Leading integer, 0 if there is none: what atoi() and strtol() make of a text. */
function leadingInt(text: string, base = 10): number {
  return Number(BigInt.asIntN(32, scanInteger(text, 0, base).value));
}

type Address = { readonly words: Uint32Array; readonly family: 4 | 6 } | "bad" | "multicast";

function parseAddress(text: string, acceptMulticast: boolean): Address {
  const words = new Uint32Array(4);
  if (text.includes(":")) {
    if (!parseIpv6(text, words)) {
      return "bad";
    }
    const multicast = (words[0] as number) >>> 24 === 0xff;
    return multicast && !acceptMulticast ? "multicast" : { words, family: 6 };
  }
  const ip = parseIpv4(text);
  if (ip === undefined) {
    return "bad";
  }
  if (ip >>> 28 === 0xe && !acceptMulticast) {
    return "multicast";
  }
  words.set([0, 0, 0xffff, ip]);
  return { words, family: 4 };
}

/** False if the port cannot be used. */
function parseRemoteIp(p: Parse, value: string): boolean {
  if (value === "flow") {
    p.cfg.ipDstFlow = true;
    return true;
  }
  const a = parseAddress(value, false);
  if (a === "multicast") {
    p.errors.push(`${p.name}: multicast remote_ip=${value} not allowed`);
    return false;
  }
  if (a === "bad") {
    p.errors.push(`${p.name}: bad ${p.type} 'remote_ip'`);
    return true;
  }
  p.cfg.dst = a.words;
  p.dstFamily = a.family;
  return true;
}

function parseLocalIp(p: Parse, value: string): boolean {
  if (value === "flow") {
    p.cfg.ipSrcFlow = true;
    return true;
  }
  const a = parseAddress(value, true);
  if (a === "bad" || a === "multicast") {
    p.errors.push(`${p.name}: bad ${p.type} 'local_ip'`);
    return true;
  }
  p.cfg.src = a.words;
  p.srcFamily = a.family;
  return true;
}

function parseTos(p: Parse, value: string): boolean {
  if (value === "inherit") {
    p.cfg.tosInherit = true;
    return true;
  }
  const { value: v, end } = scanInteger(value);
  const tos = Number(v);
  if (end === value.length && tos === (tos & IP_DSCP_MASK)) {
    p.cfg.tos = tos;
  } else {
    p.errors.push(`${p.name}: invalid TOS ${value}`);
  }
  return true;
}

function parseExts(p: Parse, value: string): boolean {
  p.cfg.gbp = false;
  p.cfg.gpe = false;
  for (const ext of value.split(",").filter((s) => s !== "")) {
    if (ext === "gbp") {
      p.cfg.gbp = true;
    } else if (ext === "gpe") {
      p.cfg.gpe = true;
    } else {
      p.errors.push(`${p.name}: unknown extension '${ext}'`);
    }
  }
  return true;
}

function parseErspan(p: Parse, key: string, value: string): boolean {
  const { cfg } = p;
  const flow = value === "flow";
  const bad = (what: string): boolean => {
    p.errors.push(`${p.name}: invalid erspan ${what}: ${value}`);
    return false;
  };
  switch (key) {
    case "erspan_idx":
      cfg.erspanIdxFlow = flow;
      cfg.erspanIdx = flow ? cfg.erspanIdx : leadingInt(value, 16);
      return flow || (cfg.erspanIdx & ~ERSPAN_IDX_MASK) === 0 ? true : bad("index");
    case "erspan_ver":
      cfg.erspanVerFlow = flow;
      if (flow) {
        cfg.erspanIdxFlow = true;
        cfg.erspanDirFlow = true;
        cfg.erspanHwidFlow = true;
        return true;
      }
      cfg.erspanVer = leadingInt(value) & 0xff;
      return cfg.erspanVer === 1 || cfg.erspanVer === 2 ? true : bad("version");
    case "erspan_dir":
      cfg.erspanDirFlow = flow;
      cfg.erspanDir = flow ? cfg.erspanDir : leadingInt(value) & 0xff;
      return flow || cfg.erspanDir <= 1 ? true : bad("direction");
    default:
      cfg.erspanHwidFlow = flow;
      cfg.erspanHwid = flow ? cfg.erspanHwid : leadingInt(value, 16) & 0xff;
      return flow || cfg.erspanHwid <= ERSPAN_HWID_MAX ? true : bad("hardware ID");
  }
}

function parsePayload(p: Parse, value: string): boolean {
  if (value === "mpls" || value === "ip") {
    p.cfg.payloadEthType = value === "mpls" ? ETH_TYPE_MPLS : ETH_TYPE_IP;
    p.cfg.multiproto = true;
    return true;
  }
  const v = strToUllong(value);
  if (v === undefined || v > 0xffffn) {
    return false;
  }
  p.cfg.payloadEthType = Number(v);
  return true;
}

/** One option. False if it makes the port unusable. */
function parseOption(p: Parse, key: string, value: string): boolean {
  const { cfg, type } = p;
  if (key === "dst_port" && TUNNEL_TYPES[type].needsDstPort) {
    cfg.dstPort = leadingInt(value) & 0xffff;
    return true;
  }
  if (key === "csum" && HAS_CSUM.includes(type)) {
    cfg.csum = value === "true";
    return true;
  }
  if (key === "seq" && HAS_SEQ.includes(type)) {
    cfg.setSeq = value === "true";
    return true;
  }
  if (key === "exts" && type === "vxlan") {
    return parseExts(p, value);
  }
  switch (key) {
    case "remote_ip":
      return parseRemoteIp(p, value);
    case "local_ip":
      return parseLocalIp(p, value);
    case "tos":
      return parseTos(p, value);
    case "ttl":
      cfg.ttlInherit = value === "inherit";
      cfg.ttl = cfg.ttlInherit ? 0 : leadingInt(value) & 0xff;
      return true;
    case "df_default":
      cfg.dontFragment = value !== "false";
      return true;
    case "egress_pkt_mark":
      cfg.egressPktMark = Number(BigInt.asUintN(32, scanInteger(value, 0, 10).value));
      return true;
    case "erspan_idx":
    case "erspan_ver":
    case "erspan_dir":
    case "erspan_hwid":
      return parseErspan(p, key, value);
    case "payload_type":
      return parsePayload(p, value);
    default:
      if (!SILENT.includes(key)) {
        p.errors.push(`${p.name}: unknown ${type} argument '${key}'`);
      }
      return true;
  }
}

function layersOf(
  type: TunnelType,
  cfg: TunnelConfig,
): { readonly l2: boolean; readonly l3: boolean } {
  switch (type) {
    case "lisp":
    case "gtpu":
    case "bareudp":
      return { l2: false, l3: true };
    case "gre":
      return { l2: true, l3: true };
    case "vxlan":
      return { l2: true, l3: cfg.gpe };
    default:
      return { l2: true, l3: false };
  }
}

function parsePacketType(p: Parse, packetType: string | undefined): boolean {
  const layers = layersOf(p.type, p.cfg);
  const vxlan = p.cfg.gpe ? "VXLAN-GPE" : "VXLAN (without GPE)";
  const full = p.type === "vxlan" ? vxlan : p.type;
  switch (packetType) {
    case undefined:
      p.cfg.ptMode = layers.l2 ? "legacy_l2" : "legacy_l3";
      return true;
    case "legacy_l2":
    case "legacy_l3": {
      const wanted = packetType === "legacy_l2" ? "L2" : "L3";
      if (!(wanted === "L2" ? layers.l2 : layers.l3)) {
        const text = `configured on ${full} tunnel that cannot carry ${wanted} traffic`;
        p.errors.push(`${p.name}: ${packetType} ${text}`);
        return false;
      }
      p.cfg.ptMode = packetType;
      return true;
    }
    case "ptap":
      p.cfg.ptMode = "aware";
      return true;
    default:
      p.errors.push(`${p.name}: unknown packet_type '${packetType}'`);
      return false;
  }
}

function checkAddresses(p: Parse): boolean {
  const { cfg, name, type } = p;
  if (cfg.dst.every((w) => w === 0) && !cfg.ipDstFlow) {
    p.errors.push(`${name}: ${type} type requires valid 'remote_ip' argument`);
    return false;
  }
  if (cfg.ipSrcFlow && !cfg.ipDstFlow) {
    p.errors.push(`${name}: ${type} type requires 'remote_ip=flow' with 'local_ip=flow'`);
    return false;
  }
  if (p.srcFamily !== 0 && p.dstFamily !== 0 && p.srcFamily !== p.dstFamily) {
    const text = "'remote_ip' and 'local_ip' has to be of the same address family";
    p.errors.push(`${name}: ${text}`);
    return false;
  }
  return true;
}

interface KeyOption {
  readonly present: boolean;
  readonly flow: boolean;
  readonly key: readonly [number, number];
}

function parseKey(options: ReadonlyMap<string, string>, name: string): KeyOption {
  const s = options.get(name) ?? options.get("key");
  if (s === undefined) {
    return { present: false, flow: false, key: [0, 0] };
  }
  if (s === "flow") {
    return { present: true, flow: true, key: [0, 0] };
  }
  return { present: true, flow: false, key: u64Words(BigInt.asUintN(64, scanInteger(s).value)) };
}

/** Reads the options of an interface of a tunnel type. */
export function parseTunnelConfig(
  name: string,
  type: TunnelType,
  options: ReadonlyMap<string, string>,
): TunnelConfigResult {
  const cfg = newDraft(type);
  const p: Parse = { name, type, cfg, errors: [], srcFamily: 0, dstFamily: 0 };
  for (const [key, value] of options) {
    if (!parseOption(p, key, value)) {
      return { config: null, errors: p.errors };
    }
  }
  if (!parsePacketType(p, options.get("packet_type")) || !checkAddresses(p)) {
    return { config: null, errors: p.errors };
  }
  cfg.ttl = cfg.ttl === 0 ? TTL_DEFAULT : cfg.ttl;
  const inKey = parseKey(options, "in_key");
  const outKey = parseKey(options, "out_key");
  cfg.inKey = inKey.key;
  cfg.inKeyPresent = inKey.present;
  cfg.inKeyFlow = inKey.flow;
  cfg.outKey = outKey.key;
  cfg.outKeyPresent = outKey.present;
  cfg.outKeyFlow = outKey.flow;
  return { config: cfg, errors: p.errors };
}

/** Name of the datapath port that all tunnels of a type and UDP port share. */
export function dpifPortName(type: TunnelType, cfg: TunnelConfig): string {
  const t = TUNNEL_TYPES[type];
  return t.needsDstPort ? `${t.dpifPort}_${cfg.dstPort}` : t.dpifPort;
}

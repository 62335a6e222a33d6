// The configuration of a device as dpif/show and dpctl/show print it: what differs from defaults.
//
// ovs: lib/netdev-vport.c get_tunnel_config, get_patch_config.

import { formatIpv6, formatIpv6Mapped } from "../lib/address.ts";
import { formatAltHex, u64FromWords } from "../lib/number.ts";
import type { TunnelConfig } from "../openflow/tunnel-config.ts";
import type { Device } from "./device.ts";

const DEFAULT_TTL = 64;
const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  geneve: 6081,
  vxlan: 4789,
  lisp: 4341,
  stt: 7471,
  gtpu: 2152,
  bareudp: 0,
};
/** Tunnels whose packets have no Ethernet header by default. */
const L3_TYPES = new Set(["lisp", "gtpu", "bareudp"]);

/** Queues that a dummy device may have. */
export const DUMMY_QUEUES_MAX = 1024;
const ERSPAN_TYPES: ReadonlySet<string> = new Set(["erspan", "ip6erspan"]);

/** Options in the order of their names, as ` key=value` joined by commas; "" if there are none. */
export function formatDeviceConfig(d: Device): string {
  const config = new Map<string, string>();
  if (d.type === "dummy-pmd") {
    queues(d, config);
  } else if (d.type === "patch") {
    config.set("peer", d.peer ?? "");
  } else if (d.tunnel !== null) {
    addresses(d.tunnel, config);
    keys(d.tunnel, config);
    headers(d.type, d.tunnel, config);
    if (ERSPAN_TYPES.has(d.type)) {
      erspan(d.tunnel, config);
    }
  }
  return formatConfig(config);
}

/**
 * The same of a tunnel port of the datapath, such as `vxlan_sys_4789`: a device that only knows
 * the port of its name. Its kind of packets is not set, which prints as that of an aware port.
 */
export function formatVportConfig(name: string, type: string): string {
  const config = new Map([["packet_type", "ptap"]]);
  const port = Number(/_sys_(\d+)$/.exec(name)?.[1] ?? 0);
  const usual = DEFAULT_PORTS[type];
  if (usual !== undefined && port !== usual) {
    config.set("dst_port", String(port));
  }
  if (ERSPAN_TYPES.has(type)) {
    config.set("erspan_ver", "0");
  }
  return formatConfig(config);
}

function formatConfig(config: ReadonlyMap<string, string>): string {
  const sorted = [...config].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([k, v]) => ` ${k}=${v}`).join(",");
}

/** ovs: lib/netdev-dummy.c netdev_dummy_get_config. */
function queues(d: Device, out: Map<string, string>): void {
  const wanted = Number.parseInt(d.options.get("n_rxq") ?? "", 10);
  const receiving = String(wanted >= 1 ? Math.min(wanted, DUMMY_QUEUES_MAX) : 1);
  out.set("requested_rx_queues", receiving);
  out.set("configured_rx_queues", receiving);
  out.set("requested_tx_queues", "1");
  out.set("configured_tx_queues", "1");
}

function isSet(words: Uint32Array): boolean {
  return words.some((w) => w !== 0);
}

/** As IPv4 if it is one, but for 0.0.0.0 (ovs: ipv6_string_mapped). */
function addressText(words: Uint32Array): string {
  return words[3] === 0 ? formatIpv6(words) : formatIpv6Mapped(words);
}

function addresses(t: TunnelConfig, out: Map<string, string>): void {
  if (isSet(t.dst)) {
    out.set("remote_ip", addressText(t.dst));
  } else if (t.ipDstFlow) {
    out.set("remote_ip", "flow");
  }
  if (isSet(t.src)) {
    out.set("local_ip", addressText(t.src));
  } else if (t.ipSrcFlow) {
    out.set("local_ip", "flow");
  }
}

function keys(t: TunnelConfig, out: Map<string, string>): void {
  const inKey = u64FromWords(...t.inKey);
  const outKey = u64FromWords(...t.outKey);
  if (t.inKeyFlow && t.outKeyFlow) {
    out.set("key", "flow");
    return;
  }
  if (t.inKeyPresent && t.outKeyPresent && inKey === outKey) {
    out.set("key", String(inKey));
    return;
  }
  if (t.inKeyFlow || t.inKeyPresent) {
    out.set("in_key", t.inKeyFlow ? "flow" : String(inKey));
  }
  if (t.outKeyFlow || t.outKeyPresent) {
    out.set("out_key", t.outKeyFlow ? "flow" : String(outKey));
  }
}

function headers(type: string, t: TunnelConfig, out: Map<string, string>): void {
  if (t.ttlInherit || t.ttl !== DEFAULT_TTL) {
    out.set("ttl", t.ttlInherit ? "inherit" : String(t.ttl));
  }
  if (t.tosInherit || t.tos !== 0) {
    out.set("tos", t.tosInherit ? "inherit" : formatAltHex(t.tos));
  }
  const defaultPort = DEFAULT_PORTS[type];
  if (t.dstPort !== 0 && defaultPort !== undefined && t.dstPort !== defaultPort) {
    out.set("dst_port", String(t.dstPort));
  }
  if (t.csum) {
    out.set("csum", "true");
  }
  if (t.setSeq) {
    out.set("seq", "true");
  }
  // A tunnel that can carry both kinds of packets carries Ethernet by default.
  const usual = L3_TYPES.has(type) ? "legacy_l3" : "legacy_l2";
  if (t.ptMode !== usual) {
    out.set("packet_type", t.ptMode === "aware" ? "ptap" : t.ptMode);
  }
  if (!t.dontFragment) {
    out.set("df_default", "false");
  }
  if (t.egressPktMark !== null) {
    out.set("egress_pkt_mark", String(t.egressPktMark));
  }
}

function erspan(t: TunnelConfig, out: Map<string, string>): void {
  if (t.erspanVerFlow) {
    for (const k of ["erspan_ver", "erspan_idx", "erspan_dir", "erspan_hwid"]) {
      out.set(k, "flow");
    }
    return;
  }
  out.set("erspan_ver", String(t.erspanVer));
  if (t.erspanVer === 1) {
    out.set("erspan_idx", t.erspanIdxFlow ? "flow" : `0x${t.erspanIdx.toString(16)}`);
  } else if (t.erspanVer === 2) {
    out.set("erspan_dir", t.erspanDirFlow ? "flow" : String(t.erspanDir));
    out.set("erspan_hwid", t.erspanHwidFlow ? "flow" : `0x${t.erspanHwid.toString(16)}`);
  }
}

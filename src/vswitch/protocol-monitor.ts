// CFM and BFD on the ports of a bridge: configuration from the database, sending, receiving.
//
// Both watch a link and say whether it works; a port may run both, and carries packets if either of
// them is content. Open vSwitch runs them in a thread of their own, port by port in the order of
// the times at which they want to run. References: ovs: ofproto/ofproto-dpif-monitor.c,
// ofproto/ofproto-dpif.c set_cfm, set_bfd; vswitchd/bridge.c iface_configure_cfm;
// ovs-vswitchd.conf.db(5) table Interface.

import { SLOW } from "../datapath/odp-action.ts";
import { type FlowKey, get, K } from "../flow/flow-key.ts";
import { formatMac, parseIpv4 } from "../lib/address.ts";
import { getU16, getU32 } from "../lib/bytes.ts";
import { parseMac } from "../lib/scan.ts";
import { BFD_DEFAULT_DST, BFD_DEFAULT_SRC, Bfd, type BfdSettings } from "../openflow/bfd.ts";
import { CFM_RANDOM_VLAN, Cfm, type CfmSettings } from "../openflow/cfm.ts";
import type { Row } from "../ovsdb/database.ts";
import { ETH } from "../packet/ethernet.ts";
import { UDP } from "../packet/l4.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { macOf } from "./device.ts";
import type { PortProtocol } from "./port-protocols.ts";
import { protocolLog } from "./protocol-log.ts";
import { sendPacket } from "./send-packet.ts";
import { smapBool, smapInt } from "./smap.ts";

/** Times that one port runs in a turn at most: answers to polls go out at once. */
const RUNS_MAX = 16;
const CFM_INTERVAL_DEFAULT_MS = 1000;
const BAD_IP = { name: "bfd", rate: 20, burst: 20 };

/** Packets that the device of an interface has received. */
function rxPackets(iface: Iface): number {
  return (iface.device.netdev?.stats ?? iface.xport.counters).rxPackets;
}

/** A VLAN as atoi() reads it into 16 bits. */
function cfmVlan(text: string | undefined): number {
  if (text === undefined) {
    return 0;
  }
  if (text.toLowerCase() === "random") {
    return CFM_RANDOM_VLAN;
  }
  const vlan = Number(/^\s*([+-]?\d+)/.exec(text)?.[1] ?? 0) & 0xffff;
  return vlan === CFM_RANDOM_VLAN ? 0 : vlan;
}

function cfmSettings(iface: Iface, row: Row, mpid: bigint): CfmSettings {
  const config = row.map("other_config");
  const interval = smapInt(config, "cfm_interval", 0);
  const opState = config.get("cfm_opstate");
  const tunnel = iface.device.tunnel === null ? null : iface.device.options;
  return {
    mpid: BigInt.asUintN(64, mpid),
    intervalMs: interval <= 0 ? CFM_INTERVAL_DEFAULT_MS : interval,
    extended: smapBool(config, "cfm_extended", false),
    demand: smapBool(config, "cfm_demand", false),
    opUp: opState === undefined || opState.toLowerCase() === "up",
    vlan: cfmVlan(config.get("cfm_ccm_vlan")),
    pcp: smapInt(config, "cfm_ccm_pcp", 0),
    checkTunnelKey: tunnel?.get("key") === "flow" || tunnel?.get("in_key") === "flow",
  };
}

/** Starts, changes or ends CFM as the row of an interface says. */
export function configureCfm(br: Bridge, iface: Iface, row: Row): void {
  const { vs } = br;
  const [mpid] = row.get("cfm_mpid").keys;
  const old = iface.cfm;
  const cfm = typeof mpid !== "bigint" ? null : (old ?? newCfm(br, iface));
  if (cfm !== null && typeof mpid === "bigint") {
    const ok = cfm.configure(cfmSettings(iface, row, mpid), vs.clock.nowMs());
    iface.cfm = ok ? cfm : null;
  } else {
    iface.cfm = null;
  }
  if (iface.cfm === null) {
    if (old !== null) {
      vs.protocols.cfms.delete(iface.name);
    }
  } else {
    vs.protocols.cfms.set(iface.name, iface.cfm);
  }
  iface.xport.cfm = iface.cfm;
  if (iface.cfm !== old) {
    vs.packets?.needRevalidate();
  }
}

function newCfm(br: Bridge, iface: Iface): Cfm {
  return new Cfm({
    name: iface.name,
    rng: br.vs.rng,
    rxPackets: () => rxPackets(iface),
    log: protocolLog(br.vs, "cfm"),
  });
}

function bfdIp(br: Bridge, text: string | undefined, fallback: number): number {
  if (text === undefined || text === "") {
    return fallback;
  }
  const ip = parseIpv4(text);
  if (ip === undefined) {
    br.vs.log.logRl("bfd", "err", BAD_IP, `"${text}" is not a valid IP address`);
  }
  return ip ?? fallback;
}

/** An address that is not 0; what is none counts as not given. */
function bfdMac(text: string | undefined): readonly [number, number] | null {
  const mac = parseMac(text ?? "");
  return mac === undefined || (mac.hi === 0 && mac.lo === 0) ? null : [mac.hi, mac.lo];
}

function bfdSettings(br: Bridge, config: ReadonlyMap<string, string>): BfdSettings {
  return {
    mult: smapInt(config, "mult", 3),
    minTxMs: smapInt(config, "min_tx", 100),
    minRxMs: smapInt(config, "min_rx", 1000),
    decayMinRxMs: smapInt(config, "decay_min_rx", 0),
    cpathDown: smapBool(config, "cpath_down", false),
    forwardingIfRx: smapBool(config, "forwarding_if_rx", false),
    checkTunnelKey: smapBool(config, "check_tnl_key", false),
    oam: smapBool(config, "oam", false),
    localSrcMac: bfdMac(config.get("bfd_local_src_mac")),
    localDstMac: bfdMac(config.get("bfd_local_dst_mac")),
    remoteDstMac: bfdMac(config.get("bfd_remote_dst_mac")),
    srcIp: bfdIp(br, config.get("bfd_src_ip"), BFD_DEFAULT_SRC),
    dstIp: bfdIp(br, config.get("bfd_dst_ip"), BFD_DEFAULT_DST),
  };
}

/** Starts, changes or ends BFD as the row of an interface says. */
export function configureBfd(br: Bridge, iface: Iface, row: Row): void {
  const { vs } = br;
  const config = row.map("bfd");
  const old = iface.bfd;
  if (smapBool(config, "enable", false)) {
    iface.bfd = old ?? newBfd(br, iface);
    iface.bfd.configure(bfdSettings(br, config));
  } else {
    iface.bfd = null;
    if (old !== null) {
      vs.protocols.bfds.delete(old.disc);
    }
  }
  iface.xport.bfd = iface.bfd;
  if (iface.bfd !== old) {
    vs.packets?.needRevalidate();
  }
}

function newBfd(br: Bridge, iface: Iface): Bfd {
  const { vs } = br;
  const env = {
    name: iface.name,
    rng: vs.rng,
    nowMs: () => vs.clock.nowMs(),
    rxPackets: () => rxPackets(iface),
    log: protocolLog(vs, "bfd"),
  };
  const { protocols } = vs;
  const bfd = new Bfd(env, protocols.newDiscriminator(vs.rng), protocols.newUdpSrc());
  protocols.bfds.set(bfd.disc, bfd);
  return bfd;
}

/** Ends what runs on an interface that goes away. */
export function endMonitor(br: Bridge, iface: Iface): void {
  const { protocols } = br.vs;
  if (iface.cfm !== null) {
    protocols.cfms.delete(iface.name);
  }
  if (iface.bfd !== null) {
    protocols.bfds.delete(iface.bfd.disc);
  }
  iface.cfm = null;
  iface.bfd = null;
}

/** False if CFM and BFD, as far as they run, find that the link does not work. */
export function linkWorks({ cfm, bfd }: Iface): boolean {
  const cfmOk = cfm !== null && cfm.fault === 0 && cfm.remoteOpState !== false;
  return (cfm === null && bfd === null) || cfmOk || bfd?.forwarding() === true;
}

function wakeOf({ cfm, bfd }: Iface): number {
  return Math.min(
    cfm?.wakeMs() ?? Number.POSITIVE_INFINITY,
    bfd?.wakeMs() ?? Number.POSITIVE_INFINITY,
  );
}

/** Sends what is due on a port and lets time have its effects; true if a status changed. */
function runPort(br: Bridge, iface: Iface, nowMs: number): boolean {
  const { cfm, bfd, xport, device } = iface;
  const ccm = cfm?.transmit(macOf(device), nowMs) ?? null;
  if (ccm !== null) {
    sendPacket(br, xport, ccm);
  }
  if (bfd?.mustSend === true) {
    sendPacket(br, xport, bfd.transmit(macOf(device)), bfd.oam);
  }
  const cfmChanged = cfm?.run(nowMs) ?? false;
  return (bfd?.run() ?? false) || cfmChanged;
}

function run(br: Bridge, nowMs: number): boolean {
  const ports = [...br.ifaces.values()].filter((i) => i.cfm !== null || i.bfd !== null);
  let changed = false;
  for (const iface of ports.toSorted((a, b) => wakeOf(a) - wakeOf(b))) {
    for (let i = 0; i < RUNS_MAX && wakeOf(iface) <= nowMs; i++) {
      changed = runPort(br, iface, nowMs) || changed;
    }
  }
  // A packet that came in may have changed a status too.
  if (changed || ports.some(({ cfm, bfd }) => cfm?.statusChanged || bfd?.statusChanged)) {
    br.vs.statusChanged();
  }
  return changed;
}

function receive(_br: Bridge, iface: Iface, packet: PacketBuf, key: FlowKey, nowMs: number): void {
  const { cfm, bfd } = iface;
  if (cfm?.shouldProcess(key, key.slice()) === true) {
    const at = packet.start + ETH.SRC;
    const src = formatMac(getU16(packet.bytes, at), getU32(packet.bytes, at + 2));
    const from = packet.l3Ofs === NO_OFS ? packet.end : packet.start + packet.l3Ofs;
    cfm.receive(packet.bytes.subarray(from, packet.end), src, nowMs);
  } else if (bfd !== null && packet.l4Ofs !== NO_OFS) {
    const from = packet.start + packet.l4Ofs + UDP.HEADER_BYTES;
    const to = packet.end - packet.l2PadBytes;
    if (from < to) {
      bfd.receive(packet.bytes.subarray(from, packet.end), get(key, K.nw_ttl));
    }
  }
}

export const MONITOR_PROTOCOL: PortProtocol = {
  slow: SLOW.CFM | SLOW.BFD,
  run,
  wakeMs: (br) => {
    let ms = Number.POSITIVE_INFINITY;
    for (const iface of br.ifaces.values()) {
      ms = Math.min(ms, wakeOf(iface));
    }
    return ms;
  },
  receive,
};

// CFM and BFD on the interfaces of a bridge as the database asks for them.
//
// References: ovs: vswitchd/bridge.c iface_configure_cfm; ofproto/ofproto-dpif.c set_cfm, set_bfd;
// lib/bfd.c bfd_configure; ovs-vswitchd.conf.db(5) table Interface.

import { parseIpv4 } from "../lib/address.ts";
import { parseMac } from "../lib/scan.ts";
import { BFD_DEFAULT_DST, BFD_DEFAULT_SRC, Bfd, type BfdSettings } from "../openflow/bfd.ts";
import { CFM_RANDOM_VLAN, Cfm, type CfmSettings } from "../openflow/cfm.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Bridge, Iface } from "./bridge.ts";
import { protocolLog } from "./protocol-log.ts";
import { smapBool, smapInt } from "./smap.ts";

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
  vs.monitor.update(br, iface);
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
  vs.monitor.update(br, iface);
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
  br.vs.monitor.update(br, iface);
}

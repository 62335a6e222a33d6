// LLDP and Auto Attach of a switch: which ports speak it, as the database says; the mappings of
// I-SIDs to VLANs; and the VLANs that ports carry because of them.
//
// As in Open vSwitch, names and mappings of any bridge hold for all ports of the switch, and the
// VLANs are given to ports of the first bridge only. References: ovs: vswitchd/bridge.c
// bridge_configure_aa, bridge_aa_refresh_queued; ofproto/ofproto-dpif.c set_lldp;
// ofproto/ofproto-dpif-monitor.c mport_run; ovs-vswitchd.conf.db(5) table AutoAttach.

import { SLOW } from "../datapath/odp-action.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import { hashInt, hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { type AaVlanChange, Lldp } from "../openflow/lldp.ts";
import type { Row } from "../ovsdb/database.ts";
import { setDatum } from "../ovsdb/datum.ts";
import { PacketBuf } from "../packet/packet.ts";
import type { Bridge, BridgePort, Iface } from "./bridge.ts";
import { macOf } from "./device.ts";
import type { PortProtocol } from "./port-protocols.ts";
import { sendPacket } from "./send-packet.ts";
import { smapBool } from "./smap.ts";
import { StatusWriter } from "./status.ts";
import { OVS_VERSION } from "./version.ts";
import type { VSwitch } from "./vswitch.ts";

const DEFAULT_DESCR = `openvswitch ${OVS_VERSION}`;
/** How often queued VLANs are given to ports. */
const REFRESH_MS = 1000;

/** A mapping as a bridge has it. */
interface Mapping {
  readonly isid: number;
  readonly vlan: number;
}

/** What a switch knows of LLDP. */
export class AutoAttach {
  /** By the name of the port. */
  readonly lldps = new OvsMap<string, Lldp>((name) => hashString(name));
  readonly mappings = new OvsMap<number, Mapping>((isid) => hashInt(isid, 0));
  readonly ofBridge = new Map<string, Map<number, Mapping>>();
  refreshMs = 0;
}

/** Settings of one interface. */
export function configureLldp(br: Bridge, iface: Iface, row: Row): void {
  const { vs } = br;
  const { lldps, mappings } = vs.autoAttach;
  const config = row.map("lldp");
  const enabled = smapBool(config, "enable", false);
  let lldp = lldps.get(iface.name);
  if (config.size === 0) {
    forgetLldp(br, iface);
    return;
  }
  if (lldp === undefined && enabled) {
    lldp = new Lldp(iface.name, macOf(iface.device));
    for (const m of mappings.values()) {
      lldp.addMapping({ ...m, owner: m });
    }
    lldps.set(iface.name, lldp);
  }
  lldp?.configure(enabled, vs.clock.nowMs());
  setSpeaks(br, iface, lldp?.enabled === true);
}

/** An interface speaks LLDP no more. */
export function forgetLldp(br: Bridge, iface: Iface): void {
  if (br.vs.autoAttach.lldps.delete(iface.name)) {
    setSpeaks(br, iface, false);
  }
}

function setSpeaks(br: Bridge, { xport }: Iface, speaks: boolean): void {
  if (xport.lldp !== speaks) {
    xport.lldp = speaks;
    br.vs.packets?.needRevalidate();
  }
}

/** Names and mappings that a bridge gives. */
export function configureAutoAttach(br: Bridge, row: Row): void {
  const { vs } = br;
  const aa = vs.autoAttach;
  const attach = vs.db.row("AutoAttach", row.text("auto_attach") ?? "");
  const descr = attach?.text("system_description") || DEFAULT_DESCR;
  for (const lldp of aa.lldps.values()) {
    lldp.setSystem(attach?.text("system_name") ?? null, descr, encodeUtf8(descr));
  }
  if (attach === undefined) {
    return;
  }
  const { keys, values } = attach.get("mappings");
  const wanted = new Map(keys.map((k, i) => [Number(k), Number(values?.[i])] as const));
  const has = aa.ofBridge.get(br.name) ?? new Map<number, Mapping>();
  aa.ofBridge.set(br.name, has);
  for (const [isid, m] of has) {
    if (!wanted.has(isid)) {
      vs.log.info("bridge", `Deleting isid=${isid}, vlan=${m.vlan}`);
      has.delete(isid);
      unregister(aa, m);
    }
  }
  for (const [isid, vlan] of wanted) {
    if (!has.has(isid)) {
      vs.log.info("bridge", `Adding isid=${isid}, vlan=${vlan}`);
      const m = { isid, vlan };
      has.set(isid, m);
      aa.mappings.set(isid, m);
      for (const lldp of aa.lldps.values()) {
        lldp.addMapping({ ...m, owner: m });
      }
    }
  }
}

function unregister(aa: AutoAttach, m: Mapping): void {
  for (const lldp of aa.lldps.values()) {
    if (lldp.removeMapping(m)) {
      aa.mappings.delete(m.isid);
    }
  }
}

type ConfigurePort = (br: Bridge, port: BridgePort, row: Row) => void;

/** Gives ports the VLANs that are queued for them, once in a while, and configures those ports. */
export function refreshAutoAttach(vs: VSwitch, configure: ConfigurePort): void {
  const aa = vs.autoAttach;
  const nowMs = vs.clock.nowMs();
  if (nowMs < aa.refreshMs) {
    return;
  }
  aa.refreshMs = nowMs + REFRESH_MS;
  const changes = [...aa.lldps.values()].flatMap((l) => l.vlanChanges.splice(0));
  const [br] = vs.bridges.values();
  if (br === undefined || changes.length === 0) {
    return;
  }
  for (const c of changes) {
    const port = br.ports.get(c.port);
    const row = port === undefined ? undefined : changeTrunks(br, port, c);
    if (port !== undefined && row !== undefined) {
      configure(br, port, row);
      vs.packets?.needRevalidate();
    }
  }
}

/** The row of a port whose trunks had to change, as it is then. */
function changeTrunks(br: Bridge, port: BridgePort, { vlan, add }: AaVlanChange): Row | undefined {
  const uuid = port.rowUuid;
  const row = br.vs.db.row("Port", uuid);
  const trunks = row?.get("trunks").keys.map(Number) ?? [];
  if (row === undefined || trunks.includes(vlan) === add) {
    return undefined;
  }
  const now = add ? [...trunks, vlan] : trunks.filter((t) => t !== vlan);
  const w = new StatusWriter(br.vs);
  if (now.length <= 1) {
    w.set("Port", uuid, "vlan_mode", now.length === 0 ? "access" : "trunk");
  }
  w.put("Port", uuid, "trunks", setDatum(now.map(BigInt)));
  w.commit();
  return br.vs.db.row("Port", uuid);
}

/** LLDP in the list of protocols: Open vSwitch runs it with CFM and BFD. */
export const LLDP_PROTOCOL: PortProtocol = {
  slow: SLOW.LLDP,
  run: (br, nowMs) => {
    for (const iface of br.ifaces.values()) {
      const frame = lldpOf(br, iface)?.transmit(macOf(iface.device), nowMs) ?? null;
      if (frame !== null) {
        sendPacket(br, iface.xport, PacketBuf.of(frame));
      }
    }
    return false;
  },
  wakeMs: (br) => {
    let ms = Number.POSITIVE_INFINITY;
    for (const lldp of br.vs.autoAttach.lldps.size === 0 ? [] : br.ifaces.values()) {
      ms = Math.min(ms, lldpOf(br, lldp)?.wakeMs() ?? ms);
    }
    return ms;
  },
  receive: (br, iface, packet) => lldpOf(br, iface)?.received(packet.data()),
};

function lldpOf(br: Bridge, iface: Iface): Lldp | undefined {
  const { lldps } = br.vs.autoAttach;
  return lldps.size === 0 ? undefined : lldps.get(iface.name);
}

// The ports of a replay: where packets may arrive, and where they may leave.
//
// Packets arrive at devices, or, in the headers that came over the wire, at tunnels: an operator who
// captured at a NIC that is no port has them so. A kernel datapath sends what goes through a tunnel
// to a port that all tunnels of a kind share, with the tunnel's key beside the packet.

import type { Datapath } from "../../datapath/datapath.ts";
import type { NetdevStats } from "../../datapath/port.ts";
import { newNetdevStats } from "../../datapath/port.ts";
import type { NativeTunnel } from "../../datapath/tunnel.ts";
import { extract } from "../../flow/extract.ts";
import { get, K, newKey } from "../../flow/flow-key.ts";
import { OFPP, portFromString } from "../../flow/ofp-port.ts";
import { IP_PROTO } from "../../packet/ip.ts";
import type { PacketBuf } from "../../packet/packet.ts";
import type { Bridge, Iface } from "../bridge.ts";
import { type DatapathPair, Packets } from "../packets.ts";
import { portsOf } from "../port-names.ts";
import type { VSwitch } from "../vswitch.ts";

/** The header of packets that arrive at a tunnel. */
interface Outer {
  readonly kind: NativeTunnel;
  readonly dstPort: number;
}

/** Ports that a message lists at most. */
const PORTS_SHOWN_MAX = 12;
/** Stands for a port of the datapath that is none of a bridge. */
export const NO_OFP_PORT = 0;

/** A place where packets arrive or leave. */
export class ReplayPort {
  readonly name: string;
  /** The bridge, or the datapath if it is a port of that only. */
  readonly bridge: string;
  readonly ofpPort: number;
  readonly odpPort: number;
  readonly pair: DatapathPair;
  readonly stats: NetdevStats;
  /** Set for a tunnel. */
  private readonly outer: Outer | null;
  private readonly key = newKey();

  constructor(init: {
    readonly name: string;
    readonly bridge: string;
    readonly ofpPort: number;
    readonly odpPort: number;
    readonly pair: DatapathPair;
    readonly stats: NetdevStats;
    readonly outer: Outer | null;
  }) {
    this.name = init.name;
    this.bridge = init.bridge;
    this.ofpPort = init.ofpPort;
    this.odpPort = init.odpPort;
    this.pair = init.pair;
    this.stats = init.stats;
    this.outer = init.outer;
  }

  get isTunnel(): boolean {
    return this.outer !== null;
  }

  /** Whether a packet is for this port: of those at a NIC only some are for a tunnel. */
  takes(p: PacketBuf): boolean {
    const { outer, key } = this;
    if (outer === null) {
      return true;
    }
    p.md.init(0);
    extract(p, key, this.pair.dp.vlanLimit);
    const proto = get(key, K.nw_proto);
    if (outer.kind === "gre" || outer.kind === "erspan") {
      return proto === IP_PROTO.GRE;
    }
    return proto === IP_PROTO.UDP && get(key, K.tp_dst) === outer.dstPort;
  }

  /** A packet arrives that the port takes. */
  receive(p: PacketBuf): void {
    this.stats.rxPackets++;
    this.stats.rxBytes += p.size;
    const { dp } = this.pair;
    if (this.outer === null) {
      dp.receive(this.odpPort, p);
    } else {
      decapsulate(dp, this.odpPort, p);
    }
  }
}

function decapsulate(dp: Datapath, odpPort: number, p: PacketBuf): void {
  p.md.init(odpPort);
  p.rssValid = false;
  dp.receiveOuter(odpPort, p);
}

function replayPort(vs: VSwitch, br: Bridge, iface: Iface): ReplayPort | null {
  const { netdev, tunnel } = iface.device;
  if (!(vs.packets instanceof Packets)) {
    return null;
  }
  const pair = vs.packets.pair(br.backer);
  const kind = pair.dp.ports.get(iface.xport.odpPort)?.tunnel?.kind;
  const isTunnel = netdev === null && tunnel !== null && kind !== undefined;
  if (netdev === null && !isTunnel) {
    return null;
  }
  return new ReplayPort({
    name: iface.name,
    bridge: br.name,
    ofpPort: iface.ofport.portNo,
    odpPort: iface.xport.odpPort,
    pair,
    stats: netdev?.stats ?? newNetdevStats(),
    outer: isTunnel ? { kind, dstPort: tunnel.dstPort } : null,
  });
}

/** All ports with a device, bridge by bridge, each by number. */
export function replayPorts(vs: VSwitch): ReplayPort[] {
  const bridges = [...vs.bridges.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return bridges.flatMap((br) => {
    const ports = [...br.ifaces.values()].flatMap((i) => replayPort(vs, br, i) ?? []);
    return ports.filter((p) => !p.isTunnel).sort((a, b) => a.ofpPort - b.ofpPort);
  });
}

/** The ports by which kernel datapaths send what goes through tunnels, without outer headers. */
export function vportsOf(pairs: readonly DatapathPair[]): ReplayPort[] {
  return pairs
    .filter(({ backer }) => !backer.support.tnl_push_pop)
    .flatMap((pair) =>
      [...pair.dp.ports.values()]
        .filter((p) => p.tunnel !== null && p.netdev === null)
        .map(({ name, portNo }) => {
          const { backer } = pair;
          const stats = newNetdevStats();
          const at = { bridge: backer.name, ofpPort: NO_OFP_PORT, odpPort: portNo };
          return new ReplayPort({ name, pair, stats, outer: null, ...at });
        }),
    );
}

/**
 * The port that a user means: the name of an interface of any bridge, or an OpenFlow number or
 * LOCAL of the given bridge. A text says why there is none.
 */
export function findReplayPort(
  vs: VSwitch,
  text: string,
  bridge: string | null,
): ReplayPort | string {
  const bridges = [...vs.bridges.values()];
  for (const br of bridges) {
    const iface = br.ifaces.get(text);
    if (iface !== undefined) {
      return replayPort(vs, br, iface) ?? noDevice(iface);
    }
  }
  const [only] = bridges.length === 1 ? bridges : [];
  const br = bridge === null ? only : vs.bridges.get(bridge);
  const number = br === undefined ? null : portFromString(text, portsOf(br.xbridge), null);
  if (br === undefined || number === null) {
    const isNumber = /^(\d+|local)$/i.test(text);
    return isNumber && br === undefined
      ? `port ${text} of which bridge? (--bridge)`
      : `no port ${text}${didYouMean(vs, text)}`;
  }
  const iface = br.ifaceByOfPort(number);
  if (iface === undefined) {
    const shown = number === OFPP.LOCAL ? "LOCAL" : String(number);
    return `no port ${shown} on ${br.name}`;
  }
  return replayPort(vs, br, iface) ?? noDevice(iface);
}

function noDevice(iface: Iface): string {
  return iface.device.type === "patch"
    ? `port ${iface.name} is a patch port: packets cannot arrive there from outside`
    : `port ${iface.name} is of type ${iface.device.type}, whose packets are not known here`;
}

/** Ports with a similar name, and if there are few ports, all of them. */
function didYouMean(vs: VSwitch, text: string): string {
  const names = replayPorts(vs).map((p) => p.name);
  const near = names.filter((n) => n.includes(text) || text.includes(n));
  const shown = near.length > 0 ? near : names;
  return shown.length > 0 && shown.length <= PORTS_SHOWN_MAX
    ? `: there are ${shown.join(", ")}`
    : "";
}

// The ports of a replay: where packets may arrive, and where they may leave.

import type { DummyNetdev } from "../../datapath/dummy-netdev.ts";
import { OFPP, portFromString } from "../../flow/ofp-port.ts";
import type { Bridge, Iface } from "../bridge.ts";
import { type DatapathPair, Packets } from "../packets.ts";
import { portsOf } from "../port-names.ts";
import type { VSwitch } from "../vswitch.ts";

/** A port that has a device. */
export class ReplayPort {
  readonly name: string;
  readonly bridge: string;
  readonly ofpPort: number;
  readonly odpPort: number;
  readonly pair: DatapathPair;
  private readonly netdev: DummyNetdev;

  constructor(br: Bridge, iface: Iface, netdev: DummyNetdev, pair: DatapathPair) {
    this.name = iface.name;
    this.bridge = br.name;
    this.ofpPort = iface.ofport.portNo;
    this.odpPort = iface.xport.odpPort;
    this.pair = pair;
    this.netdev = netdev;
  }

  /** A packet arrives. */
  count(bytes: number): void {
    this.netdev.stats.rxPackets++;
    this.netdev.stats.rxBytes += bytes;
  }

  get rxPackets(): number {
    return this.netdev.stats.rxPackets;
  }

  get rxBytes(): number {
    return this.netdev.stats.rxBytes;
  }
}

function replayPort(vs: VSwitch, br: Bridge, iface: Iface): ReplayPort | null {
  const { netdev } = iface.device;
  return netdev === null || !(vs.packets instanceof Packets)
    ? null
    : new ReplayPort(br, iface, netdev, vs.packets.pair(br.backer));
}

/** All ports with a device, bridge by bridge, each by number. */
export function replayPorts(vs: VSwitch): ReplayPort[] {
  const bridges = [...vs.bridges.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return bridges.flatMap((br) => {
    const ports = [...br.ifaces.values()].flatMap((i) => replayPort(vs, br, i) ?? []);
    return ports.sort((a, b) => a.ofpPort - b.ofpPort);
  });
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
    : `port ${iface.name} is a ${iface.device.type} port: replay at the port of its underlay`;
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

const PORTS_SHOWN_MAX = 12;

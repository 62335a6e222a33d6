// Where native tunnels end: packets to an address of this host, of a tunnel's protocol and port,
// are for the tunnel's datapath port.
//
// Each datapath port of tunnels is combined with each address of each device that a route leads to.
// The combinations are rules of a classifier, so that a lookup says which bits it depended on.
// ovs: lib/tnl-ports.c.

import { Classifier } from "../datapath/classifier.ts";
import { type ClsRule, newClsRule } from "../datapath/classifier-rule.ts";
import {
  odpFlowKeyFromFlow,
  odpFlowKeyFromMask,
  type OdpSupport,
} from "../datapath/odp-flow-from.ts";
import { formatOdpFlow } from "../datapath/odp-text.ts";
import { IP_PROTO, NW_FRAG } from "../flow/flow-is.ts";
import { type FlowKey, fill, K, newKey, set } from "../flow/flow-key.ts";
import { expandMiniMatch, miniMatchOf } from "../flow/minimatch.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { isMappedIpv4 } from "../lib/address.ts";
import type { TunnelDevice } from "./route-table.ts";
import type { TunnelType } from "./tunnel-config.ts";
import { ODPP_NONE } from "./xbridge.ts";

/** A datapath port of tunnels. */
interface TunnelPortRef {
  readonly odpPort: number;
  readonly tpPort: number;
  readonly nwProto: number;
  readonly name: string;
  refs: number;
}

/** A rule: packets for a port at one address. */
interface Ending {
  readonly odpPort: number;
  readonly name: string;
  refs: number;
}

interface IpDevice {
  readonly name: string;
  readonly device: TunnelDevice;
}

/** The IP protocol of a type of tunnel; 0 if it cannot end here. */
function protocolOf(type: TunnelType): number {
  switch (type) {
    case "geneve":
    case "vxlan":
    case "gtpu":
      return IP_PROTO.UDP;
    case "stt":
      return IP_PROTO.TCP;
    case "gre":
    case "erspan":
    case "ip6erspan":
    case "ip6gre":
      return IP_PROTO.GRE;
    default:
      return 0;
  }
}

const NO_SUPPORT: OdpSupport = {
  max_vlan_headers: 0,
  max_mpls_depth: 0,
  recirc: false,
  ct_state: false,
  ct_zone: false,
  ct_mark: false,
  ct_label: false,
  ct_orig_tuple: false,
  ct_orig_tuple6: false,
  nd_ext: false,
};

export class TunnelMap {
  readonly #cls = new Classifier<Ending>();
  readonly #device: (name: string) => TunnelDevice | null;
  #ports: TunnelPortRef[] = [];
  #devices: IpDevice[] = [];

  constructor(device: (name: string) => TunnelDevice | null) {
    this.#device = device;
  }

  #flow(dev: TunnelDevice, addr: Uint32Array, p: TunnelPortRef): FlowKey {
    const flow = newKey();
    flow[K.dl_dst.word] = dev.macHi;
    flow[K.dl_dst.word + 1] = dev.macLo;
    if (isMappedIpv4(addr)) {
      set(flow, K.dl_type, ETH_TYPE.IP);
      set(flow, K.nw_dst, addr[3] as number);
    } else {
      set(flow, K.dl_type, ETH_TYPE.IPV6);
      flow.set(addr, K.ipv6_dst.word);
    }
    set(flow, K.nw_proto, p.nwProto);
    set(flow, K.tp_dst, p.tpPort);
    return flow;
  }

  #insert(dev: TunnelDevice, addr: Uint32Array, p: TunnelPortRef): void {
    const flow = this.#flow(dev, addr, p);
    const there = this.#cls.lookup(0, flow, null);
    if (there !== null) {
      there.data.refs++;
      return;
    }
    const wc = newKey();
    fill(wc, K.dl_type);
    fill(wc, K.nw_proto);
    set(wc, K.nw_frag, NW_FRAG.MASK);
    if (p.tpPort !== 0) {
      fill(wc, K.tp_dst);
    }
    fill(wc, isMappedIpv4(addr) ? K.nw_dst : K.ipv6_dst);
    fill(wc, K.vlan_tci);
    fill(wc, K.dl_dst);
    const data: Ending = { odpPort: p.odpPort, name: p.name, refs: 1 };
    this.#cls.insert(newClsRule(miniMatchOf(flow, wc), 0, data), 0);
  }

  #delete(dev: TunnelDevice, addr: Uint32Array, p: TunnelPortRef): void {
    const rule: ClsRule<Ending> | null = this.#cls.lookup(0, this.#flow(dev, addr, p), null);
    if (rule !== null && --rule.data.refs === 0) {
      this.#cls.remove(rule);
    }
  }

  /** A tunnel port that ends natively came up. */
  addPort(odpPort: number, tpPort: number, name: string, type: TunnelType): void {
    const nwProto = protocolOf(type);
    if (nwProto === 0) {
      return;
    }
    const there = this.#ports.find((p) => p.odpPort === odpPort && p.nwProto === nwProto);
    if (there !== undefined) {
      there.refs++;
      return;
    }
    const p = { odpPort, tpPort, nwProto, name, refs: 1 };
    this.#ports.push(p);
    for (const { device } of this.#devices) {
      for (const { addr } of device.addresses) {
        this.#insert(device, addr, p);
      }
    }
  }

  deletePort(odpPort: number, type: TunnelType): void {
    const nwProto = protocolOf(type);
    const p = this.#ports.find((x) => x.odpPort === odpPort && x.nwProto === nwProto);
    if (p === undefined || --p.refs > 0) {
      return;
    }
    this.#ports = this.#ports.filter((x) => x !== p);
    for (const { device } of this.#devices) {
      for (const { addr } of device.addresses) {
        this.#delete(device, addr, p);
      }
    }
  }

  /** A route leads to a device: its addresses can be ends of tunnels. */
  addDevice(name: string): void {
    const there = this.#devices.find((d) => d.name === name);
    const device = this.#device(name);
    if (there !== undefined) {
      if (device !== null && sameDevice(there.device, device)) {
        return;
      }
      this.deleteDevice(name);
    }
    if (device === null || device.addresses.length === 0) {
      return;
    }
    this.#devices.push({ name, device });
    for (const p of this.#ports) {
      for (const { addr } of device.addresses) {
        this.#insert(device, addr, p);
      }
    }
  }

  deleteDevice(name: string): void {
    for (const { device } of this.#devices.filter((d) => d.name === name)) {
      for (const p of this.#ports) {
        for (const { addr } of device.addresses) {
          this.#delete(device, addr, p);
        }
      }
    }
    this.#devices = this.#devices.filter((d) => d.name !== name);
  }

  /** Periodic work: follows changes of the devices. */
  run(): void {
    for (const { name } of [...this.#devices]) {
      this.addDevice(name);
    }
  }

  /** The datapath port of the tunnel that a packet is for, or ODPP_NONE. */
  lookup(flow: FlowKey, wc: FlowKey): number {
    return this.#cls.lookup(0, flow, wc)?.data.odpPort ?? ODPP_NONE;
  }

  /** Lines of tnl/ports/show, or of tnl/ports/show -v. */
  format(verbose: boolean): string {
    let s = "Listening ports:\n";
    if (!verbose) {
      for (const p of this.#ports) {
        s += `${p.name} (${p.odpPort}) ref_cnt=${p.refs}\n`;
      }
      return s;
    }
    for (const { data, match } of this.#cls.rules(null, 0)) {
      const flow = newKey();
      const mask = newKey();
      expandMiniMatch(match, flow, mask);
      const base = { flow, mask, vlanLimit: 1, geneve: null, geneveMask: null };
      const key = odpFlowKeyFromFlow({ ...base, support: { ...NO_SUPPORT, recirc: true } });
      const wc = odpFlowKeyFromMask({ ...base, support: NO_SUPPORT }, mask);
      s += `${data.name} (${data.odpPort}) : ${formatOdpFlow(key, wc, null, false)}\n`;
    }
    return s;
  }
}

function sameDevice(a: TunnelDevice, b: TunnelDevice): boolean {
  return (
    a.macHi === b.macHi &&
    a.macLo === b.macLo &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every((x, i) => x.addr.every((w, k) => w === b.addresses[i]?.addr[k]))
  );
}

// Bridge: one bridge of the switch, made of its OpenFlow side (Ofproto), what translation sees of
// it (XBridge), and its ports.
//
// A bridge has ports, a port has one interface or, if it is bonded, several; an interface has a
// device, an OpenFlow port and an XPort. The names come from the database, whose rows are looked up
// by UUID each time they are needed. References: ovs: vswitchd/bridge.c struct bridge, port, iface.

import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Bfd } from "../openflow/bfd.ts";
import type { Cfm } from "../openflow/cfm.ts";
import type { Lacp } from "../openflow/lacp.ts";
import { MacLearning } from "../openflow/mac-learning.ts";
import { Mbridge } from "../openflow/mirror.ts";
import type { OfPort } from "../openflow/ofport.ts";
import { Ofproto } from "../openflow/ofproto.ts";
import { SUPPORTED_VERSIONS } from "../openflow/messages/version.ts";
import type { XBridge, XBundle, XPort } from "../openflow/xbridge.ts";
import type { Row } from "../ovsdb/database.ts";
import type { Uuid } from "../ovsdb/uuid.ts";
import type { Backer, DpType } from "./backer.ts";
import { type Device, randomMac } from "./device.ts";
import { BridgeProvider } from "./provider.ts";
import { Sampling } from "./sampling.ts";
import { SpanningTrees } from "./spanning-trees.ts";
import { OVS_VERSION } from "./version.ts";
import type { VSwitch } from "./vswitch.ts";

export interface Iface {
  readonly name: string;
  readonly rowUuid: Uuid;
  readonly port: BridgePort;
  /** "internal" for the local port whatever the row says, else the row's type or "system". */
  readonly type: string;
  readonly device: Device;
  readonly ofport: OfPort;
  readonly xport: XPort;
  /** What watches the link, if anything does. */
  cfm: Cfm | null;
  bfd: Bfd | null;
}

export interface BridgePort {
  readonly name: string;
  rowUuid: Uuid;
  /** In order of creation. */
  readonly ifaces: Iface[];
  /** Made when the port is first configured. */
  xbundle: XBundle | null;
  lacp: Lacp | null;
}

export class Bridge {
  readonly vs: VSwitch;
  readonly name: string;
  readonly rowUuid: Uuid;
  readonly type: DpType;
  readonly backer: Backer;
  readonly ofproto: Ofproto;
  readonly xbridge: XBridge;
  readonly ports = new OvsMap<string, BridgePort>((name) => hashString(name));
  readonly ifaces = new Map<string, Iface>();
  readonly trees = new SpanningTrees(this);
  readonly sampling = new Sampling(this);
  /** Flow tables that have their default settings. */
  readonly defaultTables = new Set<number>();
  /** The address when no port offers a better one. */
  readonly defaultMac: readonly [hi: number, lo: number];
  /** Dumps of the datapath that bonds have rebalanced after. */
  dumpsSeen = 0;
  /** What the switch itself has sent by the ports of this bridge. */
  readonly sent = { packets: 0, bytes: 0 };
  /** OpenFlow versions that connections may use: bits `1 << version`. */
  versions = SUPPORTED_VERSIONS;

  constructor(vs: VSwitch, row: Row, type: DpType) {
    this.vs = vs;
    this.name = row.name();
    this.rowUuid = row.uuid;
    this.type = type;
    this.backer = vs.backer(type);
    this.defaultMac = randomMac(vs);
    this.ofproto = new Ofproto({
      name: this.name,
      clock: vs.clock,
      rng: vs.rng,
      provider: new BridgeProvider(vs, this),
      log: vs.log,
      swVersion: OVS_VERSION,
    });
    this.xbridge = new BridgeXlate(vs, this);
    vs.xcfg.bridgesById.set(this.xbridge.id, this.xbridge);
  }

  /** The database row, which exists as long as the bridge does. */
  get row(): Row | undefined {
    return this.vs.db.row("Bridge", this.rowUuid);
  }

  ifaceByOfPort(portNo: number): Iface | undefined {
    for (const i of this.ifaces.values()) {
      if (i.ofport.portNo === portNo) {
        return i;
      }
    }
    return undefined;
  }
}

/**
 * A bridge as translation sees it. A class, since V8 keeps an object literal that has accessors as
 * a dictionary, which every translation would search again and again.
 */
class BridgeXlate implements XBridge {
  readonly id: number;
  readonly name: string;
  readonly dpType: string;
  readonly ofproto: Bridge["ofproto"];
  readonly meterId: (ofMeterId: number) => number;
  readonly ctTimeoutPolicy: XBridge["ctTimeoutPolicy"];
  readonly xports: XBridge["xports"] = new Map();
  readonly xbundles: XBridge["xbundles"] = [];
  ml = new MacLearning();
  ms: XBridge["ms"] = null;
  mbridge = new Mbridge();
  stp = false;
  rstp = false;
  netflow = false;
  sflow: XBridge["sflow"] = null;
  ipfix: XBridge["ipfix"] = null;
  forwardBpdu = false;
  support: XBridge["support"];

  constructor(vs: VSwitch, br: Bridge) {
    const { ofproto, backer } = br;
    this.id = vs.nextId();
    this.name = br.name;
    this.dpType = br.type;
    this.ofproto = ofproto;
    this.meterId = (id) => ofproto.meterId(id);
    this.ctTimeoutPolicy = (zone, dlType, nwProto) =>
      vs.ctTimeouts.policyName(backer.type, zone, dlType, nwProto);
    this.support = backer.support;
  }

  get hasInBand(): boolean {
    return this.ofproto.conns.hasInBand;
  }

  get tunTable(): XBridge["tunTable"] {
    return this.ofproto.tunTable;
  }

  set tunTable(t: XBridge["tunTable"]) {
    this.ofproto.tunTable = t;
  }

  get controllerMeterId(): number {
    return this.ofproto.controllerMeterId;
  }

  set controllerMeterId(_id: number) {}

  get slowpathMeterId(): number {
    return this.ofproto.slowpathMeterId;
  }

  set slowpathMeterId(_id: number) {}
}

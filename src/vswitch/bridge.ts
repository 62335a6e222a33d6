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
import { SpanningTrees } from "./spanning-trees.ts";
import { Services } from "./services.ts";
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
  /** Flow tables that have their default settings. */
  readonly defaultTables = new Set<number>();
  /** The address when no port offers a better one. */
  readonly defaultMac: readonly [hi: number, lo: number];
  /** What the switch itself has sent by the ports of this bridge. */
  readonly sent = { packets: 0, bytes: 0 };
  readonly services: Services;
  /** OpenFlow versions that connections may use: bits `1 << version`. */
  versions = SUPPORTED_VERSIONS;

  constructor(vs: VSwitch, row: Row, type: DpType) {
    this.vs = vs;
    this.name = row.name();
    this.rowUuid = row.uuid;
    this.type = type;
    this.backer = vs.backer(type);
    this.defaultMac = randomMac(vs);
    this.services = new Services(vs.log, this.name, `punix:${vs.rundir}/${this.name}.mgmt`);
    this.ofproto = new Ofproto({
      name: this.name,
      clock: vs.clock,
      rng: vs.rng,
      provider: new BridgeProvider(vs, this),
      log: vs.log,
      swVersion: OVS_VERSION,
    });
    this.xbridge = newXBridge(vs, this);
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

function newXBridge(vs: VSwitch, br: Bridge): XBridge {
  const { ofproto, backer } = br;
  return {
    id: vs.nextId(),
    name: br.name,
    dpType: br.type,
    ofproto,
    get tunTable() {
      return ofproto.tunTable;
    },
    set tunTable(t) {
      ofproto.tunTable = t;
    },
    get controllerMeterId() {
      return ofproto.controllerMeterId;
    },
    set controllerMeterId(_id) {},
    get slowpathMeterId() {
      return ofproto.slowpathMeterId;
    },
    set slowpathMeterId(_id) {},
    meterId: (id) => ofproto.meterId(id),
    ctTimeoutPolicy: (zone, dlType, nwProto) =>
      vs.ctTimeouts.policyName(backer.type, zone, dlType, nwProto),
    xports: new Map(),
    xbundles: [],
    ml: new MacLearning(),
    ms: null,
    mbridge: new Mbridge(),
    stp: false,
    rstp: false,
    netflow: false,
    sflow: null,
    ipfix: null,
    hasInBand: false,
    forwardBpdu: false,
    support: backer.support,
  };
}

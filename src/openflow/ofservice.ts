// The services of a bridge: the controllers that it connects to, and the addresses at which it
// lets tools and controllers connect.
//
// A service that connects has an Rconn; while that is connected it has an Ofconn too, which gets
// the events of the bridge. A service that listens only has its name, for the connections that come
// are made where they begin (`Vconn` of ovs-ofctl). Kept in Open vSwitch's hash order, which the
// log and in-band control show. References: ovs: ofproto/connmgr.c connmgr_set_controllers,
// ofservice_create, ofservice_run, connmgr_get_controller_info; lib/vconn.c vconn_verify_name.

import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { parseActiveTarget } from "../lib/inet-target.ts";
import type { ConnType, Ofconn } from "./connmgr.ts";
import type { Remote } from "./in-band.ts";
import { OFPCR } from "./messages/types-switch.ts";
import type { Ofproto } from "./ofproto.ts";
import { Rconn } from "./rconn.ts";

const LIMIT = { name: "connmgr", rate: 1, burst: 5 };
const ACTIVE = /^(?:tcp|unix|ssl):/;
const PASSIVE = /^(?:ptcp|punix|pssl):/;
/** Where a controller listens unless its target says otherwise. */
export const OFP_PORT = 6653;

/** What the database says of a controller (ovs: struct ofproto_controller). */
export interface ControllerSettings {
  readonly target: string;
  readonly type: ConnType;
  /** OpenFlow versions that may be used: bits `1 << version`. */
  readonly versions: number;
  /** Seconds of silence after which the peer is asked whether it lives; 0: never. */
  readonly probeIntervalS: number;
  readonly maxBackoffS: number;
  /** In-band control looks after the way to it. */
  readonly inBand: boolean;
}

/** What the database shows of a controller. */
export interface ControllerInfo {
  readonly isConnected: boolean;
  readonly role: "primary" | "secondary" | "other" | null;
  readonly status: readonly (readonly [key: string, value: string])[];
}

interface Service {
  /** What it was when it was made; that its row says something else later counts for little. */
  readonly type: ConnType;
  s: ControllerSettings;
  readonly rconn: Rconn | null;
  conn: Ofconn | null;
}

const ROLES = new Map<number, ControllerInfo["role"]>([
  [OFPCR.EQUAL, "other"],
  [OFPCR.PRIMARY, "primary"],
  [OFPCR.SECONDARY, "secondary"],
]);

/** What a target makes a controller whose row does not say: in charge, or one that may connect. */
export function typeOfTarget(target: string): ConnType {
  return ACTIVE.test(target) ? "primary" : "service";
}

/** The IPv4 address and port behind a target, if it has them; the log tells what is wrong. */
export function remoteOf(p: Ofproto, target: string, defaultPort: number): Remote | null {
  if (!/^(?:tcp|ssl):/.test(target)) {
    return null;
  }
  const parsed = parseActiveTarget(target.slice(4), defaultPort);
  if ("error" in parsed) {
    if (parsed.error !== "") {
      p.log.err("socket_util", parsed.error);
    }
    return null;
  }
  return parsed.ipv4 === null ? null : { ip: parsed.ipv4, port: parsed.port };
}

export class Services {
  readonly #p: Ofproto;
  /** Services that connect. */
  #nActive = 0;
  readonly #services = new OvsMap<string, Service>((target) => hashString(target));

  constructor(p: Ofproto) {
    this.#p = p;
  }

  /** Makes the services these. */
  set(controllers: readonly ControllerSettings[]): void {
    const wanted = new OvsMap<string, ControllerSettings>((target) => hashString(target));
    for (const s of controllers) {
      wanted.set(s.target, s);
    }
    for (const s of wanted.values()) {
      if (!this.#services.has(s.target)) {
        this.#create(s);
      }
    }
    for (const service of this.#services.values()) {
      const { type } = service;
      const { target, versions } = service.s;
      const s = wanted.get(target);
      if (s === undefined) {
        this.#log(`removed ${type} controller "${target}"`);
        this.#destroy(service);
      } else if (s.versions !== versions) {
        const why = "expects re-initialization: Re-initializing now.";
        this.#log(`Changes to controller "${target}" ${why}`);
        this.#destroy(service);
        this.#create(s);
      } else {
        service.s = s;
        if (service.conn !== null) {
          service.rconn?.setMaxBackoff(s.maxBackoffS);
        }
      }
    }
  }

  #log(text: string): void {
    this.#p.log.info("connmgr", `${this.#p.name}: ${text}`);
  }

  #create(s: ControllerSettings): void {
    const { target, versions } = s;
    const { log, provider, clock, name } = this.#p;
    let rconn: Rconn | null = null;
    if (ACTIVE.test(target)) {
      const dial = provider.dial.bind(provider);
      const init = { name: `${name}<->${target}`, target, versions, log, dial };
      rconn = new Rconn(init, clock.nowMs());
    } else if (!PASSIVE.test(target)) {
      log.logRl("connmgr", "warn", LIMIT, `${name}: unsupported controller "${target}"`);
      return;
    } else if (!provider.listen(target)) {
      return;
    }
    this.#nActive += rconn === null ? 0 : 1;
    this.#services.set(target, { type: s.type, s, rconn, conn: null });
    this.#log(`added ${s.type} controller "${target}"`);
  }

  #destroy(service: Service): void {
    this.#dropConn(service);
    service.rconn?.close();
    this.#nActive -= service.rconn === null ? 0 : 1;
    this.#services.delete(service.s.target);
  }

  destroy(): void {
    for (const service of this.#services.values()) {
      this.#destroy(service);
    }
  }

  #dropConn(service: Service): void {
    if (service.conn !== null) {
      this.#p.conns.disconnect(service.conn);
      service.conn = null;
    }
  }

  run(nowMs: number): void {
    for (const service of this.#services.values()) {
      const { rconn, s } = service;
      rconn?.run(nowMs);
      if (rconn?.isConnected !== true) {
        this.#dropConn(service);
      } else if (service.conn === null) {
        const { name, version } = rconn;
        // Who is connected says nothing that matters and does not read.
        const onMessage = () => {};
        service.conn = this.#p.conns.connect({ type: s.type, name, version, onMessage });
      }
    }
  }

  /** Ends all connections to controllers; they are made anew. */
  reconnect(nowMs: number): void {
    for (const { conn, rconn } of this.#services.values()) {
      if (conn !== null) {
        rconn?.reconnect(nowMs);
      }
    }
  }

  /** True if there are controllers to be in charge, connected or not. */
  get hasPrimary(): boolean {
    return [...this.#services.values()].some(({ type }) => type === "primary");
  }

  /** True if there is a service that connects, whether it is connected or not. */
  get hasActive(): boolean {
    return this.#nActive > 0;
  }

  /** True if some controller is connected and in charge. */
  get isAnyAdmitted(): boolean {
    const all = [...this.#services.values()];
    return all.some(({ conn, rconn }) => {
      return conn?.type === "primary" && rconn?.isAdmitted === true;
    });
  }

  /** The longest time until a silent controller is probed, in seconds. */
  maxProbeIntervalS(): number {
    const primary = [...this.#services.values()].filter(({ type }) => type === "primary");
    return Math.max(0, ...primary.map(({ s }) => s.probeIntervalS));
  }

  /** Since when no controller was in charge; null if one is, or none could be. */
  #lostSinceMs(): number | null {
    let last: number | null = null;
    for (const { s, rconn } of this.#services.values()) {
      if (s.type === "primary" && rconn !== null) {
        if (rconn.lostSinceMs === null) {
          return null;
        }
        last = Math.max(last ?? rconn.lostSinceMs, rconn.lostSinceMs);
      }
    }
    return last;
  }

  /** Whole seconds for which no controller was in charge; 0 if there are none that could be. */
  failureDurationS(nowMs: number): number {
    const sinceMs = this.#lostSinceMs();
    return sinceMs === null ? 0 : Math.floor((nowMs - sinceMs) / 1000);
  }

  /** When no controller will have been in charge for so many seconds; Infinity if one is. */
  failureMs(seconds: number): number {
    return (this.#lostSinceMs() ?? Number.POSITIVE_INFINITY) + 1000 * Math.max(1, seconds);
  }

  /** When some connection has something to do. */
  wakeMs(): number {
    if (!this.hasActive) {
      return Number.POSITIVE_INFINITY;
    }
    return Math.min(
      ...[...this.#services.values()].map(
        ({ rconn }) => rconn?.wakeMs() ?? Number.POSITIVE_INFINITY,
      ),
    );
  }

  /** Where controllers are to which in-band control looks after the way. */
  inBandRemotes(): Remote[] {
    return [...this.#services.values()].flatMap(({ s }) => {
      return s.inBand ? (remoteOf(this.#p, s.target, OFP_PORT) ?? []) : [];
    });
  }

  /** Null for a service that listens, or that there is none. */
  info(target: string, nowMs: number): ControllerInfo | null {
    const service = this.#services.get(target);
    const rconn = service?.rconn ?? null;
    if (service === undefined || rconn === null) {
      return null;
    }
    const status: [string, string][] = [];
    if (rconn.lastError !== null) {
      status.push(["last_error", rconn.lastError]);
    }
    status.push(["state", rconn.state]);
    for (const [key, atMs] of [
      ["sec_since_connect", rconn.lastConnectedMs],
      ["sec_since_disconnect", rconn.lastDisconnectedMs],
    ] as const) {
      if (atMs !== null) {
        status.push([key, `${Math.floor((nowMs - atMs) / 1000)}`]);
      }
    }
    const role = service.conn === null ? null : (ROLES.get(service.conn.role) ?? null);
    return { isConnected: rconn.isConnected, role, status };
  }

  /** Targets at which connections are taken. */
  get listening(): string[] {
    return [...this.#services.values()].filter((x) => x.rconn === null).map((x) => x.s.target);
  }
}

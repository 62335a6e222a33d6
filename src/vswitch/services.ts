// The controllers of a bridge and what the log says about them as they come and go.
//
// No connection is made: a service here is its name, its kind and the OpenFlow versions that it may
// use. References: ovs: ofproto/connmgr.c connmgr_set_controllers, ofservice_create; lib/vconn.c
// vconn_verify_name, pvconn_verify_name.

import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { Vlog } from "../lib/vlog.ts";
import type { Row } from "../ovsdb/database.ts";

const LIMIT = { name: "connmgr", rate: 1, burst: 5 };
const ACTIVE = /^(?:tcp|unix|ssl):/;
const PASSIVE = /^(?:ptcp|punix|pssl):/;

interface Service {
  readonly target: string;
  readonly type: "primary" | "service";
  readonly versions: number;
}

/** What a controller's row makes it: in charge of the bridge, or one that only may connect. */
function typeOf(target: string, configured: string | undefined): "primary" | "service" {
  if (configured === undefined) {
    return ACTIVE.test(target) ? "primary" : "service";
  }
  return configured === "primary" ? "primary" : "service";
}

export class Services {
  private readonly log: Vlog;
  private readonly bridge: string;
  private readonly own: string;
  private readonly services = new OvsMap<string, Service>((target) => hashString(target));

  /** `own` is the target at which the bridge itself always listens. */
  constructor(log: Vlog, bridge: string, own: string) {
    this.log = log;
    this.bridge = bridge;
    this.own = own;
  }

  /** Makes the services those of some rows, and the bridge's own. */
  set(controllers: readonly Row[], versions: number): void {
    const wanted = new OvsMap<string, Service>((target) => hashString(target));
    wanted.set(this.own, { target: this.own, type: "service", versions });
    for (const row of controllers) {
      const target = row.name("target");
      wanted.set(target, { target, type: typeOf(target, row.text("type")), versions });
    }
    for (const service of wanted.values()) {
      if (!this.services.has(service.target)) {
        this.create(service);
      }
    }
    for (const { target, type, versions: before } of [...this.services.values()]) {
      const service = wanted.get(target);
      if (service === undefined) {
        this.services.delete(target);
        this.log.info("connmgr", `${this.bridge}: removed ${type} controller "${target}"`);
      } else if (service.versions !== before) {
        const why = "expects re-initialization: Re-initializing now.";
        this.log.info("connmgr", `${this.bridge}: Changes to controller "${target}" ${why}`);
        this.services.delete(target);
        this.create(service);
      }
    }
  }

  private create(service: Service): void {
    const { target } = service;
    if (!ACTIVE.test(target) && !PASSIVE.test(target)) {
      const text = `${this.bridge}: unsupported controller "${target}"`;
      this.log.logRl("connmgr", "warn", LIMIT, text);
      return;
    }
    this.services.set(target, service);
    this.log.info("connmgr", `${this.bridge}: added ${service.type} controller "${target}"`);
  }
}

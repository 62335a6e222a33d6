// What ovs-vswitchd logs about itself: when it starts, and when a datapath comes up.
//
// The host that these lines speak of has two processor cores on one NUMA node, which is also what
// memory/show and the numbers of threads go by; the database is the one of this switch, under the
// name of the socket that ovsdb-server would have. References: ovs: lib/ovs-numa.c,
// lib/reconnect.c, vswitchd/bridge.c bridge_run, ofproto/ofproto-dpif.c check_*,
// ofproto/ofproto-dpif-upcall.c udpif_set_threads, lib/dpif-netdev.c dpif_netdev_set_config.

import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import type { DpType } from "./backer.ts";
import { smapBool, smapInt } from "./smap.ts";
import { OVS_VERSION } from "./version.ts";
import type { VSwitch } from "./vswitch.ts";

const HOST_CORES = 2;
/** One revalidator, and one more for each so many cores. */
const CORES_PER_REVALIDATOR = 4;

/** Lines of the start, before the database has been read. */
export function logStart(vs: VSwitch): void {
  const { log } = vs;
  log.info("ovs_numa", `Discovered ${HOST_CORES} CPU cores on NUMA node 0`);
  log.info("ovs_numa", `Discovered 1 NUMA nodes and ${HOST_CORES} CPU cores`);
  log.info("reconnect", `unix:${vs.rundir}/db.sock: connecting...`);
  log.info("reconnect", `unix:${vs.rundir}/db.sock: connected`);
  log.info("bridge", `ovs-vswitchd (Open vSwitch) ${OVS_VERSION}`);
}

/** What the probes of a userspace datapath find, in the order in which they are made. */
const PROBED: readonly string[] = [
  "Datapath supports recirculation",
  "VLAN header stack length probed as 1",
  "MPLS label stack length probed as 3",
  "Datapath supports truncate action",
  "Datapath supports unique flow ids",
  "Datapath supports clone action",
  "Max sample nesting level probed as 10",
  "Datapath supports eventmask in conntrack action",
  "Datapath supports ct_clear action",
  "Max dp_hash algorithm probed to be 1",
  "Datapath supports check_pkt_len action",
  "Datapath supports timeout policy in conntrack action",
  "Datapath supports ct_zero_snat",
  "Datapath supports add_mpls action",
  "Datapath supports ct_state",
  "Datapath supports ct_zone",
  "Datapath supports ct_mark",
  "Datapath supports ct_label",
  "Datapath supports ct_state_nat",
  "Datapath supports ct_orig_tuple",
  "Datapath supports ct_orig_tuple6",
  "Datapath supports IPv6 ND Extensions",
];

/** The number of the first thread of the first datapath. */
const FIRST_THREAD = 4;

/** Numbers of threads that a configuration leads to on a host of two cores. */
export interface Threads {
  readonly handlers: number;
  readonly revalidators: number;
}

function threadsOf(config: ReadonlyMap<string, string>): Threads {
  const handlers = Math.max(0, smapInt(config, "n-handler-threads", 0));
  const revalidators = Math.max(0, smapInt(config, "n-revalidator-threads", 0));
  if (revalidators > 0) {
    return { handlers: handlers || Math.max(HOST_CORES - revalidators, 1), revalidators };
  }
  if (handlers > 0) {
    return { handlers, revalidators: Math.max(HOST_CORES - handlers, 1) };
  }
  const usual = Math.trunc(HOST_CORES / CORES_PER_REVALIDATOR) + 1;
  return { handlers: Math.max(HOST_CORES - usual, 1), revalidators: usual };
}

/** Settings of the datapath whose changes are logged, with what is said of a value. */
const SETTINGS: readonly ((config: ReadonlyMap<string, string>) => string)[] = [
  (c) => `Flushing interval for tx queues set to ${smapInt(c, "tx-flush-interval", 0)} us`,
  (c) => {
    const on = smapBool(c, "pmd-perf-metrics", false);
    return `PMD performance metrics collection ${on ? "enabled" : "disabled"}`;
  },
  (c) => `SMC cache is ${smapBool(c, "smc-enable", false) ? "enabled" : "disabled"}`,
  (c) => `Rxq to PMD assignment mode changed to: '${rxqAssign(c) ?? RXQ_ASSIGN[0]}'.`,
  (c) => {
    const on = smapBool(c, "pmd-auto-lb", false);
    const how = ", interval 1 mins, pmd load threshold 95%, improvement threshold 25%";
    return `PMD auto load balance is ${on ? `enabled${how}` : "disabled"}.`;
  },
];

const RXQ_ASSIGN = ["cycles", "roundrobin", "group"] as const;

/** Undefined if there is no such way. */
function rxqAssign(config: ReadonlyMap<string, string>): string | undefined {
  const wanted = config.get("pmd-rxq-assign") ?? RXQ_ASSIGN[0];
  return RXQ_ASSIGN.find((a) => a === wanted);
}

/** Follows the datapaths and their settings, and logs what ovs-vswitchd says about them. */
export class DatapathLog {
  private readonly vs: VSwitch;
  private readonly up = new OvsMap<DpType, DpType>((type) => hashString(type));
  /** Threads of each datapath. */
  threads: Threads = threadsOf(new Map());
  private settings: readonly string[] = SETTINGS.map((text) => text(new Map()));
  private madeBefore = false;
  /** Threads are numbered as they start; what the process itself needs has the lower numbers. */
  private nextThread = FIRST_THREAD;
  private readonly revalidators = new Map<DpType, number>();
  private monitor = "";

  constructor(vs: VSwitch) {
    this.vs = vs;
  }

  /** The datapath of a type gets a bridge; says so if it is the first one. */
  add(type: DpType): void {
    if (this.up.has(type)) {
      return;
    }
    this.up.set(type, type);
    const { log } = this.vs;
    if (this.madeBefore) {
      this.nextThread += 2; // those that clean up connections and fragments
    }
    log.info("dpif_netdev_extract", "Default MFEX Extract implementation is scalar.");
    if (!this.madeBefore) {
      log.info("dpif_netdev_impl", "Default DPIF implementation is dpif_scalar.");
    }
    for (const text of PROBED) {
      log.info("ofproto_dpif", `${type}@ovs-${type}: ${text}`);
    }
    this.logThreads(type);
    log.info("dpif_netdev", "pmd-rxq-affinity isolates PMD core");
    log.info("dpif_netdev", "PMD auto load balance interval set to 1 mins");
    log.info("dpif_netdev", "PMD auto load balance improvement threshold set to 25%");
    log.info("dpif_netdev", "PMD auto load balance load threshold set to 95%");
    log.info("dpif_netdev", "PMD auto load balance is disabled.");
    if (!this.madeBefore) {
      log.info("dpif_netdev", "PMD max sleep request is 0 usecs.");
      log.info("dpif_netdev", "PMD load based sleeps are disabled.");
    }
    this.madeBefore = true;
  }

  /** Forgets the datapaths that have no bridge any more. */
  keep(types: ReadonlySet<DpType>): void {
    for (const type of this.up.values()) {
      if (!types.has(type)) {
        this.up.delete(type);
      }
    }
  }

  /**
   * Says what a change of other_config of the root row changes for threads, as the last thing;
   * true if they start anew.
   */
  configureThreads(config: ReadonlyMap<string, string>): boolean {
    const threads = threadsOf(config);
    const { handlers, revalidators } = this.threads;
    if (threads.handlers !== handlers || threads.revalidators !== revalidators) {
      this.threads = threads;
      for (const type of this.up.values()) {
        this.logThreads(type);
      }
      return true;
    }
    return false;
  }

  /** Name of the first thread that revalidates the flows of a datapath. */
  revalidator(type: DpType): string {
    return `revalidator${this.revalidatorIds(type)[0] ?? ""}`;
  }

  /** Numbers of the threads that revalidate the flows of a datapath. */
  revalidatorIds(type: DpType): number[] {
    const first = this.revalidators.get(type);
    return first === undefined
      ? []
      : Array.from({ length: this.threads.revalidators }, (_, i) => first + i);
  }

  /** There are interfaces that are monitored (BFD, CFM), or not: a thread comes or goes. */
  configureMonitor(monitors: boolean): void {
    if (monitors === (this.monitor !== "")) {
      return;
    }
    const name = monitors ? `monitor${this.nextThread++}` : this.monitor;
    this.monitor = monitors ? name : "";
    this.vs.log.inThread(name, () => {
      const what = monitors ? "created" : "terminated";
      this.vs.log.info("ofproto_dpif_monitor", `monitor thread ${what}`);
    });
  }

  /** The same for the datapath, as the first thing. */
  configure(config: ReadonlyMap<string, string>): void {
    const settings = SETTINGS.map((text) => text(config));
    for (const _ of this.up.values()) {
      if (rxqAssign(config) === undefined) {
        const what = "Unsupported rx queue to PMD assignment mode in pmd-rxq-assign.";
        this.vs.log.warn("dpif_netdev", `${what} Defaulting to 'cycles'.`);
      }
      for (const text of settings.filter((t, i) => t !== this.settings[i])) {
        this.vs.log.info("dpif_netdev", text);
      }
    }
    this.settings = settings;
  }

  private logThreads(type: DpType): void {
    const { log } = this.vs;
    const { handlers, revalidators } = this.threads;
    this.revalidators.set(type, this.nextThread + handlers);
    this.nextThread += handlers + revalidators;
    log.info(
      "ofproto_dpif_upcall",
      `Setting n-handler-threads to ${handlers}, setting n-revalidator-threads to ${revalidators}`,
    );
    log.info("ofproto_dpif_upcall", `Starting ${handlers + revalidators} threads`);
  }
}

// The root of one switch: everything that ovs-vswitchd would hold hangs from a VSwitch object.
//
// There is no state outside of it, so that one process can hold many switches. Time, randomness
// and files come in as parameters; `run()` is one turn of the main loop and happens after each
// command and whenever the clock is moved.

import { DummyMacs } from "../datapath/dummy-netdev.ts";
import { encodeUtf8 } from "../lib/bytes.ts";
import type { Clock, FileSystem, Rng } from "../lib/env.ts";
import { hashString } from "../lib/hash.ts";
import { OvsMap } from "../lib/hmap.ts";
import { Vlog } from "../lib/vlog.ts";
import type { Ofproto } from "../openflow/ofproto.ts";
import { RecircPool } from "../openflow/recirc.ts";
import { newXlateConfig, type XBridge, type XlateConfig } from "../openflow/xbridge.ts";
import { Database } from "../ovsdb/database.ts";
import { transact } from "../ovsdb/transaction.ts";
import { vswitchSchema } from "../ovsdb/vswitch-schema.ts";
import { AutoAttach, refreshAutoAttach } from "./auto-attach.ts";
import { Backer, type DpType } from "./backer.ts";
import type { Bridge } from "./bridge.ts";
import { refreshIface } from "./bridge-ports.ts";
import { runBridge, runPorts } from "./bridge-run.ts";
import { Coverage } from "./coverage.ts";
import { CtTimeouts } from "./ct-timeouts.ts";
import type { Device } from "./device.ts";
import { DummyStreams } from "./dummy-streams.ts";
import { LinkProtocols } from "./link-protocols.ts";
import { wireNativeTunnels } from "./native-wiring.ts";
import { logTunnelPacket } from "./packet-log.ts";
import type { PacketPath } from "./packet-path.ts";
import { Packets } from "./packets.ts";
import { configurePort } from "./port-config.ts";
import { nextWakeMs } from "./port-protocols.ts";
import { Monitor } from "./protocol-monitor.ts";
import { DEFAULT_SETTINGS, reconfigure, type SwitchSettings } from "./reconfigure.ts";
import { DatapathLog, logStart } from "./start-log.ts";
import { TreesOfSwitch } from "./spanning-trees.ts";
import { StatusUpdater } from "./status.ts";

export { OVS_VERSION } from "./version.ts";

/** Turns of the main loop at one time, and times that it catches up with, at most. */
export const TURNS_MAX = 64;
export const CATCH_UP_TURNS_MAX = 100_000;

/** Addresses that ovs-vswitchd's first datapath uses up before a port gets one. */
const MACS_OF_FIRST_DATAPATH = 14;

export interface VSwitchEnv {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly fs: FileSystem;
  /** Directory that messages name as the one of sockets and of the log. */
  readonly rundir?: string;
  /** File of the log, from the start. */
  readonly logFile?: string;
  /** The database, with the changes of those who keep it; else there is a new one in memory. */
  readonly db?: Database;
  /** Colours of ovs-ofctl as OVS_COLORS has them, such as "ac=01;31:dr=34". */
  readonly colors?: string;
}

/** A database in memory with the one row that every switch has. */
function newDatabase(rng: Rng): Database {
  const db = new Database(vswitchSchema(), rng);
  transact(db, (txn) => txn.insert("Open_vSwitch"));
  return db;
}

/**
 * Monotonic time that can be stopped and moved (ovs: lib/timeval.c). While it runs it follows its
 * source plus all the warps so far.
 */
export class SwitchClock implements Clock {
  private readonly source: Clock;
  private warpedMs = 0;
  private stoppedAt: number | undefined;
  private pinnedMs: number | undefined;

  constructor(source: Clock) {
    this.source = source;
  }

  nowMs(): number {
    return this.pinnedMs ?? (this.stoppedAt ?? this.source.nowMs()) + this.warpedMs;
  }

  /** `time/stop`: from now on only `warp` moves the clock. */
  stop(): void {
    this.stoppedAt = this.source.nowMs();
  }

  /** Lets a clock that was stopped go on from where it stands. */
  start(): void {
    if (this.stoppedAt !== undefined) {
      this.warpedMs += this.stoppedAt - this.source.nowMs();
      this.stoppedAt = undefined;
    }
  }

  /** Stopping and warping do not touch the time of day, as in OVS. */
  wallMs(): number {
    return this.source.wallMs();
  }

  get isStopped(): boolean {
    return this.stoppedAt !== undefined;
  }

  warp(ms: number): void {
    this.warpedMs += ms;
  }

  /** Shows a time that was passed over, for what should have happened then; undefined ends it. */
  pin(ms: number | undefined): void {
    this.pinnedMs = ms;
  }
}

/** A bridge as an OpenFlow connection finds it. */
export interface OpenflowTarget {
  readonly ofproto: Ofproto;
  /** Bits `1 << version`. */
  readonly versions: number;
}

export class VSwitch {
  readonly env: VSwitchEnv;
  readonly clock: SwitchClock;
  readonly rng: Rng;
  readonly fs: FileSystem;
  readonly log: Vlog;
  readonly db: Database;
  readonly xcfg: XlateConfig = newXlateConfig();
  readonly recircs = new RecircPool();
  readonly bridges = new OvsMap<string, Bridge>((name) => hashString(name));
  readonly backers = new Map<DpType, Backer>();
  readonly devices = new Map<string, Device>();
  readonly dummyMacs = new DummyMacs();
  readonly ctTimeouts = new CtTimeouts();
  readonly coverage = new Coverage();
  readonly trees = new TreesOfSwitch();
  readonly autoAttach = new AutoAttach();
  readonly protocols = new LinkProtocols();
  readonly monitor = new Monitor();
  readonly streams = new DummyStreams((text) => this.log.warn("netdev_dummy", text));
  /** Ways to look datapath flows up, with their priorities (dpif-netdev/subtable-lookup-*). */
  readonly lookupPriorities = new Map([
    ["autovalidator", 0],
    ["generic", 1],
  ]);
  /**
   * What other hosts do when the switch connects to them: there are none, or they answer, as those
   * of a dumped host did.
   */
  otherHosts: "refuse" | "answer" = "refuse";
  /** The daemon was told to end: ovs-appctl finds it no more. */
  stopped = false;
  /** The implementation of datapath actions that was chosen: another name for the same one. */
  actionsImpl = "scalar";
  settings: SwitchSettings = DEFAULT_SETTINGS;
  /** What moves packets. */
  packets: PacketPath | null = new Packets(this);
  /** Directory that messages name as the one of sockets. */
  rundir = "/var/run/openvswitch";
  /** Directory that messages name as the one of the log. */
  logDir = "/var/log/openvswitch";
  readonly datapathLog = new DatapathLog(this);
  private readonly status = new StatusUpdater(this);
  private lastId = 0;
  private lastHelloXid = 0;
  private sockets = 0;
  /** When the main loop turned last. */
  private ranMs = 0;
  /** What each turn of the main loop does, in order of registration. */
  private runners: (() => void)[] = [];

  constructor(env: VSwitchEnv) {
    this.env = env;
    this.clock = new SwitchClock(env.clock);
    this.rng = env.rng;
    this.fs = env.fs;
    this.log = new Vlog(this.clock);
    this.rundir = env.rundir ?? this.rundir;
    this.logDir = env.rundir ?? this.logDir;
    if (env.logFile !== undefined) {
      this.openLog(env.logFile);
      logStart(this);
    }
    this.coverage.include(this.trees.counters);
    wireNativeTunnels(this);
    this.xcfg.onTunnelPacket = (port, key) => logTunnelPacket(this, port, key);
    this.db = env.db ?? newDatabase(env.rng);
    this.reconfigure();
  }

  /** The transaction id of the next hello that the switch says. */
  nextHelloXid(): number {
    this.lastHelloXid++;
    return this.lastHelloXid;
  }

  /** The number of a connection that a Unix socket of the switch takes, whoever it is from. */
  nextSocket(): number {
    this.sockets++;
    return this.sockets - 1;
  }

  /** A number that no bridge or port of this switch has had. */
  nextId(): number {
    this.lastId++;
    return this.lastId;
  }

  /** The datapath of a type, made when its first bridge is. */
  backer(type: DpType): Backer {
    const there = this.backers.get(type);
    if (there !== undefined) {
      return there;
    }
    if (this.backers.size === 0) {
      for (let i = 0; i < MACS_OF_FIRST_DATAPATH; i++) {
        this.dummyMacs.next();
      }
    }
    this.packets?.dropHandmade(type);
    const made = new Backer(type, this.settings.vlanLimit);
    this.backers.set(type, made);
    return made;
  }

  /** Takes a datapath away, with its flows and connections, once its last bridge is gone. */
  dropUnusedBacker(type: DpType): void {
    const backer = this.backers.get(type);
    if (backer !== undefined && ![...this.bridges.values()].some((b) => b.type === type)) {
      this.backers.delete(type);
      this.packets?.forget(backer);
    }
  }

  bridgeByName(name: string): XBridge | null {
    return this.bridges.get(name)?.xbridge ?? null;
  }

  /** Types of the datapaths that exist. */
  dpTypes(): string[] {
    return [...this.backers.keys()];
  }

  openflowTarget(name: string): OpenflowTarget | null {
    const br = this.bridges.get(name);
    return br === undefined ? null : { ofproto: br.ofproto, versions: br.versions };
  }

  /** A device's state or address changed outside of the database. */
  deviceChanged(name: string): void {
    for (const br of this.bridges.values()) {
      const iface = br.ifaces.get(name);
      if (iface !== undefined) {
        // The port stops or starts to be live first, then OpenFlow hears of the device.
        runPorts(br);
        refreshIface(br, iface);
      }
    }
    this.packets?.needRevalidate();
    this.statusChanged();
  }

  /** Makes the bridges what the database says. Megaflows outlast a change that is `quiet`. */
  reconfigure(quiet = false): void {
    this.coverage.inc("bridge_reconfigure");
    reconfigure(this, quiet);
    this.run();
  }

  /** What the database shows of the switch is out of date. */
  statusChanged(): void {
    this.status.touch();
  }

  /** Appends log lines to a file from now on. */
  openLog(name: string): void {
    this.log.openFile(name, (line) => {
      this.fs.appendFile(name, encodeUtf8(line));
    });
  }

  /** `vlog/reopen`: starts the log file anew under its name unless it is still that file. */
  reopenLog(): string {
    const name = this.log.logFile;
    if (name !== undefined && !(this.log.isOpen && this.fs.exists(name))) {
      this.openLog(name);
    }
    return "";
  }

  /** Adds something to do in each turn of the main loop; answers what removes it. */
  onRun(runner: () => void): () => void {
    this.runners.push(runner);
    return () => {
      this.runners = this.runners.filter((r) => r !== runner);
    };
  }

  /**
   * Does what protocols should have done since the last turn, each at its time. Time that was
   * warped over is lost to them, as in OVS. To be called before anything else happens at a later
   * time.
   */
  catchUp(): void {
    const { clock } = this;
    const nowMs = clock.nowMs();
    if (!clock.isStopped) {
      let atMs = this.ranMs;
      for (let i = 0; i < CATCH_UP_TURNS_MAX; i++) {
        const dueMs = this.nextWakeMs();
        // Who is due at a time that had its turn is not heard again before a millisecond later.
        atMs = Math.max(dueMs, atMs + (i === 0 ? 0 : 1));
        if (atMs >= nowMs) {
          break;
        }
        clock.pin(atMs);
        this.turns(atMs);
      }
      clock.pin(undefined);
    }
  }

  /** When some protocol is due next; Infinity if there is none. */
  nextWakeMs(): number {
    let ms = this.monitor.wakeMs();
    for (const br of this.bridges.values()) {
      ms = Math.min(ms, nextWakeMs(br), br.ofproto.conns.wakeMs());
    }
    return ms;
  }

  /** Turns the main loop at one time until nothing changes any more, or so often. */
  private turns(nowMs: number, turnsMax = TURNS_MAX): void {
    this.ranMs = nowMs;
    this.streams.run(nowMs);
    for (let i = 0; i < turnsMax; i++) {
      this.packets?.run();
      let again = this.monitor.run(nowMs);
      for (const br of this.bridges.values()) {
        again = runBridge(br, nowMs) || again;
      }
      if (!again && this.packets?.isPending !== true) {
        return;
      }
    }
  }

  /** Moves time over without a chance for anything to happen in between. */
  warp(ms: number): void {
    this.clock.warp(ms);
    this.ranMs += ms;
  }

  /** Turns the main loop: packets, timers, expiry, status. */
  run(turnsMax = TURNS_MAX): void {
    const nowMs = this.clock.nowMs();
    this.turns(nowMs, turnsMax);
    for (const runner of this.runners) {
      runner();
    }
    if (this.xcfg.native.run(nowMs)) {
      this.packets?.needRevalidate();
    }
    this.coverage.run(nowMs);
    this.recircs.run(nowMs);
    this.status.run();
    refreshAutoAttach(this, configurePort);
  }
}

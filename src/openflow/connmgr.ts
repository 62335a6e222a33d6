// Ofconn and ConnMgr: the OpenFlow connections of a bridge and who gets which asynchronous message.
//
// A connection is a queue of encoded messages to the peer, plus what the peer negotiated: version,
// flow format, role, which events it wants. "Service" connections are tools that connected to the
// bridge; they get no events until they ask for them with a nonzero miss_send_len. "Primary" ones
// are the controllers that the database names (ovs: ofproto/connmgr.c).

import { newMatch } from "../flow/match.ts";
import { OFP } from "../flow/of-version.ts";
import { type LogSink, OFPP } from "../flow/ofp-port.ts";
import type { Action } from "./actions/types.ts";
import type { Bundle } from "./bundle.ts";
import { FailOpen } from "./fail-open.ts";
import { InBand, type Remote } from "./in-band.ts";
import { defaultAsync, encodeRoleStatus } from "./messages/connection.ts";
import { encodeErrorReply } from "./messages/hello.ts";
import { encodePortStatus } from "./messages/port.ts";
import { protocolFromVersion, protocolToVersion } from "./messages/version.ts";
import type { GroupModContext } from "./messages/group.ts";
import { encodeFlowRemoved } from "./messages/flow-removed.ts";
import { encodePacketIn } from "./messages/packet-in.ts";
import { encodeRequestForward } from "./messages/requestforward.ts";
import { encodeTableStatus } from "./messages/table.ts";
import { newMonitorMap } from "./flow-monitor.ts";
import { startFlowUpdates } from "./messages/monitor.ts";
import type { OfpErr } from "./messages/errors.ts";
import { decodeRawPartial } from "./messages/raw.ts";
import { type Multipart, MultipartAssembler } from "./messages/multipart.ts";
import { OFPFC, OFPR, PACKET_IN_FORMAT, type PacketInPrivate } from "./messages/types-flow.ts";
import {
  type AsyncConfig,
  OAM,
  OFPCR,
  OFPPR,
  type PhyPort,
  type RequestForward,
  type TableStatus,
} from "./messages/types-switch.ts";
import { logSent } from "./vconn-log.ts";
import type { Ofproto } from "./ofproto.ts";
import { type ControllerSettings, Services } from "./ofservice.ts";
import { flowRemovedOf } from "./ofproto-stats.ts";
import type { Rule } from "./rule.ts";

/** Milliseconds that a bundle may stay without a message (ovs: BUNDLE_IDLE_TIMEOUT_DEFAULT). */
export const BUNDLE_IDLE_MS = 10_000;
/** Milliseconds between two looks for stale bundles. */
export const BUNDLE_EXPIRY_INTERVAL_MS = 1000;
/** Bytes of a missed packet that a controller gets by default. */
export const MISS_SEND_LEN_DEFAULT = 128;
/** Priority of the flow that lets a bridge without controllers act as a plain switch. */
export const STANDALONE_PRIORITY = 0;
/** Messages that may wait in a connection; further asynchronous ones are dropped. */
export const CONN_QUEUE_MAX = 1_000_000;

export type ConnType = "primary" | "service";

/** What a bridge does without its controllers: forward like a plain switch, or stay as it is. */
export type FailMode = "standalone" | "secure";

export interface ConnSettings {
  readonly type: ConnType;
  /** Name in the log, such as "br0<->unix#3". */
  readonly name: string;
  /** The OpenFlow version that was agreed on. */
  readonly version: number;
  /** Called for each message to the peer; without it they queue up for `receive`. */
  readonly onMessage?: (bytes: Uint8Array) => void;
}

/** When flow mods of a connection were last reported in the log. */
interface FlowModReport {
  adds: number;
  modifies: number;
  deletes: number;
  firstMs: number;
  lastMs: number;
  nextMs: number;
  backoffMs: number;
}

export class Ofconn {
  readonly type: ConnType;
  readonly name: string;
  readonly version: number;
  #protocol: number;
  /** Set when Open vSwitch would have asked for the protocol, see `wantsPacketInOnMiss`. */
  #protocolIsKnown = false;
  role: number = OFPCR.EQUAL;
  packetInFormat: number = PACKET_IN_FORMAT.STANDARD;
  missSendLen: number;
  controllerId = 0;
  readonly monitors = newMonitorMap();
  /** Sequence number at which the monitors of this connection were paused, or 0. */
  monitorPaused = 0;
  /** Flow updates that wait for the end of the change that they belong to. */
  #updates: Multipart | null = null;
  sentAbbrevUpdate = false;
  readonly bundles = new Map<number, Bundle>();
  readonly assembler = new MultipartAssembler();
  readonly ofproto: Ofproto;
  /** Told what is wrong with the peer's messages. */
  readonly decodeLog: LogSink;
  #asyncConfig: AsyncConfig | null = null;
  readonly #onMessage: ((bytes: Uint8Array) => void) | null;
  #queue: Uint8Array[] = [];
  #nextBundleCheckMs = Number.NEGATIVE_INFINITY;
  readonly #report: FlowModReport = {
    adds: 0,
    modifies: 0,
    deletes: 0,
    firstMs: 0,
    lastMs: 0,
    nextMs: Number.POSITIVE_INFINITY,
    backoffMs: Number.NEGATIVE_INFINITY,
  };

  constructor(ofproto: Ofproto, s: ConnSettings) {
    this.ofproto = ofproto;
    this.decodeLog = ofproto.decodeLog;
    this.type = s.type;
    this.name = s.name;
    this.version = s.version;
    this.#protocol = protocolFromVersion(s.version);
    this.missSendLen = s.type === "primary" ? MISS_SEND_LEN_DEFAULT : 0;
    this.#onMessage = s.onMessage ?? null;
  }

  /** Messages that nobody took in time. */
  lost = 0;

  get protocol(): number {
    this.#protocolIsKnown = true;
    return this.#protocol;
  }

  set protocol(protocol: number) {
    this.#protocolIsKnown = true;
    this.#protocol = protocol;
  }

  send(bytes: Uint8Array): void {
    logSent(this.ofproto.log, this.name, bytes);
    if (this.#onMessage !== null) {
      this.#onMessage(bytes);
    } else if (this.#queue.length < CONN_QUEUE_MAX) {
      this.#queue.push(bytes);
    } else {
      this.lost++;
    }
  }

  /** Takes what was sent so far. */
  receive(): Uint8Array[] {
    const out = this.#queue;
    this.#queue = [];
    return out;
  }

  sendError(request: Uint8Array, error: OfpErr): void {
    const info = decodeRawPartial(request);
    const type = typeof info === "string" ? "invalid" : info.name;
    const text = `${this.name}: sending ${error} error reply to ${type} message`;
    this.ofproto.log.logRl("connmgr", "info", { name: "send_error", rate: 10, burst: 10 }, text);
    this.send(encodeErrorReply(error, request));
  }

  /** Where flow updates of the current operation go. */
  startUpdates(): Multipart {
    if (this.#updates !== null) {
      return this.#updates;
    }
    const updates = startFlowUpdates(this.protocol);
    this.#updates = updates;
    this.sentAbbrevUpdate = false;
    return updates;
  }

  sendUpdates(): void {
    const updates = this.#updates;
    this.#updates = null;
    for (const msg of updates?.messages() ?? []) {
      this.send(msg);
    }
  }

  get asyncConfig(): AsyncConfig {
    return this.#asyncConfig ?? defaultAsync(this.version);
  }

  setAsyncConfig(config: AsyncConfig): void {
    const copy = { primary: [...config.primary], secondary: [...config.secondary] };
    if (protocolToVersion(this.protocol) < OFP.v14) {
      // Older versions know one "action" reason for what later ones tell apart.
      for (const masks of [copy.primary, copy.secondary]) {
        const bits = masks[OAM.PACKET_IN] ?? 0;
        masks[OAM.PACKET_IN] = (bits & (1 << OFPR.ACTION)) !== 0 ? bits | ACTION_BITS : bits;
      }
    }
    this.#asyncConfig = copy;
  }

  get invalidTtlToController(): boolean {
    return ((this.asyncConfig.primary[OAM.PACKET_IN] ?? 0) & (1 << OFPR.INVALID_TTL)) !== 0;
  }

  setInvalidTtlToController(enable: boolean): void {
    const base = this.asyncConfig;
    const primary = [...base.primary];
    const bits = primary[OAM.PACKET_IN] ?? 0;
    const bit = 1 << OFPR.INVALID_TTL;
    primary[OAM.PACKET_IN] = enable ? bits | bit : bits & ~bit;
    this.setAsyncConfig({ primary, secondary: base.secondary });
  }

  /** True if an event of this kind and reason is to be sent (ovs: ofconn_receives_async_msg). */
  wants(oam: number, reason: number): boolean {
    this.#protocolIsKnown = true;
    if (this.type === "service" && this.missSendLen === 0) {
      return false;
    }
    const config = this.asyncConfig;
    const masks = this.role === OFPCR.SECONDARY ? config.secondary : config.primary;
    return ((masks[oam] ?? 0) & (1 << reason)) !== 0;
  }

  /**
   * Since OpenFlow 1.3 a miss is no reason for a message. Open vSwitch looks at what was agreed on
   * only when it needs it, at the first event or request that depends on it, and until then takes
   * the connection for one of before (ovs: ofconn_get_protocol, update_want_packet_in_on_miss).
   */
  get wantsPacketInOnMiss(): boolean {
    const isOld = !this.#protocolIsKnown || protocolToVersion(this.#protocol) < OFP.v13;
    return this.controllerId === 0 && isOld;
  }

  /** Counts a flow mod for the log. */
  reportFlowMod(command: number): void {
    const r = this.#report;
    if (command === OFPFC.ADD) {
      r.adds++;
    } else if (command <= OFPFC.MODIFY_STRICT) {
      r.modifies++;
    } else {
      r.deletes++;
    }
    const nowMs = this.ofproto.clock.nowMs();
    if (r.nextMs === Number.POSITIVE_INFINITY) {
      r.firstMs = nowMs;
      r.nextMs = Math.max(nowMs + 10_000, r.backoffMs);
      r.backoffMs = r.nextMs + 60_000;
    }
    r.lastMs = nowMs;
  }

  logFlowMods(): void {
    const r = this.#report;
    const total = r.adds + r.deletes + r.modifies;
    r.nextMs = Number.POSITIVE_INFINITY;
    if (total === 0) {
      return;
    }
    const agoS = Math.floor((this.ofproto.clock.nowMs() - r.firstMs) / 1000);
    const intervalS = Math.floor((r.lastMs - r.firstMs) / 1000);
    const when =
      intervalS === agoS
        ? ` in the last ${agoS} s`
        : intervalS > 0
          ? ` in the ${intervalS} s starting ${agoS} s ago`
          : ` ${agoS} s ago`;
    const kinds = [
      r.adds > 0 ? `${r.adds} adds` : "",
      r.deletes > 0 ? `${r.deletes} deletes` : "",
      r.modifies > 0 ? `${r.modifies} modifications` : "",
    ].filter((s) => s !== "");
    const text = `${total} flow_mods${when} (${kinds.join(", ")})`;
    this.ofproto.log.info("connmgr", `${this.name}: ${text}`);
    r.adds = 0;
    r.modifies = 0;
    r.deletes = 0;
  }

  /** Does what is due with time. */
  run(): void {
    const nowMs = this.ofproto.clock.nowMs();
    if (nowMs >= this.#nextBundleCheckMs) {
      this.#nextBundleCheckMs = nowMs + BUNDLE_EXPIRY_INTERVAL_MS;
      for (const bundle of [...this.bundles.values()]) {
        if (bundle.usedMs <= nowMs - BUNDLE_IDLE_MS) {
          this.sendError(bundle.openMsg, "OFPBFC_TIMEOUT");
          this.bundles.delete(bundle.id);
        }
      }
    }
    if (nowMs >= this.#report.nextMs) {
      this.logFlowMods();
    }
    for (const late of this.assembler.expire(nowMs)) {
      this.send(encodeErrorReply("OFPBRC_MULTIPART_REQUEST_TIMEOUT", late));
    }
  }
}

/** Reasons that OpenFlow 1.4 split from "action". */
const ACTION_BITS = (1 << OFPR.ACTION_SET) | (1 << OFPR.GROUP) | (1 << OFPR.PACKET_OUT);

export class ConnMgr {
  readonly #ofproto: Ofproto;
  readonly #conns = new Set<Ofconn>();
  readonly services: Services;
  #failMode: FailMode = "secure";
  #failOpen: FailOpen | null = null;
  #inBand: InBand | null = null;
  /** Besides the controllers, whom in-band control reaches: managers of the database. */
  #managers: readonly Remote[] = [];
  #inBandQueue = -1;
  /** Generation id of the last master or slave request, -1 before the first. */
  #electionId: bigint | null = null;

  constructor(ofproto: Ofproto) {
    this.#ofproto = ofproto;
    this.services = new Services(ofproto);
  }

  /** The name of the next connection to the bridge's own socket. */
  nextServiceName(): string {
    return `${this.#ofproto.name}<->unix#${this.#ofproto.provider.nextSocket()}`;
  }

  connect(s: Omit<ConnSettings, "name" | "type"> & Partial<ConnSettings>): Ofconn {
    const name = s.name ?? this.nextServiceName();
    const conn = new Ofconn(this.#ofproto, { ...s, type: s.type ?? "service", name });
    this.#conns.add(conn);
    return conn;
  }

  disconnect(conn: Ofconn): void {
    if (this.#conns.delete(conn)) {
      conn.logFlowMods();
    }
  }

  /** In order of connection. */
  get all(): Iterable<Ofconn> {
    return this.#conns;
  }

  /** Makes the controllers and listeners those that the database names. */
  setControllers(controllers: readonly ControllerSettings[]): void {
    const had = this.hasControllers();
    this.services.set(controllers);
    this.#updateInBand();
    this.#updateFailOpen();
    // A bridge that gets its first controller or loses its last one starts with empty tables.
    if (had !== this.hasControllers()) {
      this.#ofproto.flush();
    }
  }

  setFailMode(mode: FailMode): void {
    if (this.#failMode !== mode) {
      this.#failMode = mode;
      this.#updateFailOpen();
      if (!this.hasControllers()) {
        this.#ofproto.flush();
      }
    }
  }

  /** What in-band control uses and reaches besides the controllers. */
  setInBand(queue: number, managers: readonly Remote[]): void {
    if (queue !== this.#inBandQueue) {
      this.#inBandQueue = queue;
      this.#updateInBand();
    }
    const old = this.#managers;
    const same = managers.every((m, i) => m.ip === old[i]?.ip && m.port === old[i]?.port);
    if (managers.length !== old.length || !same) {
      this.#managers = managers;
      this.#updateInBand();
    }
  }

  #updateInBand(): void {
    const remotes = [...this.services.inBandRemotes(), ...this.#managers];
    if (remotes.length > 0) {
      this.#inBand ??= new InBand(this.#ofproto);
    }
    // Without anybody to reach it takes its flows away and ends when it runs next.
    this.#inBand?.configure(remotes, this.#inBandQueue);
  }

  #updateFailOpen(): void {
    if (this.hasControllers() && this.#failMode === "standalone") {
      this.#failOpen ??= new FailOpen(this.#ofproto, this);
    } else {
      this.#failOpen?.recover();
      this.#failOpen = null;
    }
  }

  /** After the tables were emptied: without controllers, a standalone bridge is a plain switch. */
  flushed(): void {
    this.#failOpen?.flushed(this.#ofproto.clock.nowMs());
    if (!this.hasControllers() && this.#failMode === "standalone") {
      const normal: Action = { kind: "output", port: OFPP.NORMAL, maxLen: 0 };
      this.#ofproto.addFlow(newMatch(), STANDALONE_PRIORITY, [normal]);
    }
  }

  /** The bridge goes, and with it its connections. */
  destroy(): void {
    this.services.destroy();
    this.#failOpen?.recover();
    this.#failOpen = null;
    this.#inBand = null;
  }

  get hasInBand(): boolean {
    return this.#inBand !== null;
  }

  /** Flows of table 0 that connections do not see. */
  get nHiddenRules(): number {
    return (this.#inBand?.nRules ?? 0) + (this.#failOpen?.nRules ?? 0);
  }

  /** True if the database names controllers to be in charge, connected or not. */
  hasControllers(): boolean {
    return this.services.hasPrimary;
  }

  isAnyControllerAdmitted(): boolean {
    return this.services.isAnyAdmitted;
  }

  wantsPacketInOnMiss(): boolean {
    return [...this.#conns].some((c) => c.wantsPacketInOnMiss);
  }

  /** When controllers give the switch something to do; Infinity if there are none. */
  wakeMs(): number {
    const inBandMs = this.#inBand?.wakeMs() ?? Number.POSITIVE_INFINITY;
    return Math.min(inBandMs, this.#failOpen?.wakeMs() ?? inBandMs, this.services.wakeMs());
  }

  run(): void {
    const nowMs = this.#ofproto.clock.nowMs();
    if (this.#inBand?.run(nowMs) === false) {
      this.#inBand = null;
    }
    for (const conn of this.#conns) {
      conn.run();
    }
    this.#failOpen?.run(nowMs);
    this.services.run(nowMs);
  }

  get electionId(): bigint | null {
    return this.#electionId;
  }

  /** False if the id is older than the last one (ovs: ofconn_set_primary_election_id). */
  setElectionId(id: bigint): boolean {
    if (this.#electionId !== null && BigInt.asIntN(64, id - this.#electionId) < 0n) {
      return false;
    }
    this.#electionId = id;
    return true;
  }

  /** A new primary demotes the one before. */
  setRole(conn: Ofconn, role: number): void {
    if (role !== conn.role && role === OFPCR.PRIMARY) {
      for (const other of this.#conns) {
        if (other.role === OFPCR.PRIMARY) {
          other.role = OFPCR.SECONDARY;
          const generationId = this.#electionId ?? 0xffff_ffff_ffff_ffffn;
          const status = { role: OFPCR.SECONDARY, reason: 0, generationId };
          const msg = encodeRoleStatus(status, other.version);
          if (msg !== null) {
            other.send(msg);
          }
        }
      }
    }
    conn.role = role;
  }

  /** `source` made the change; `old` suppresses messages in which nothing would differ. */
  sendPortStatus(source: Ofconn | null, old: PhyPort | null, pp: PhyPort, reason: number): void {
    for (const conn of this.#conns) {
      if (!conn.wants(OAM.PORT_STATUS, reason) || (conn === source && conn.version < OFP.v15)) {
        continue;
      }
      const msg = encodePortStatus({ reason, desc: pp }, conn.version);
      if (reason === OFPPR.MODIFY && old !== null) {
        const before = encodePortStatus({ reason, desc: old }, conn.version);
        if (sameBytes(msg, before)) {
          continue;
        }
      }
      conn.send(msg);
    }
  }

  sendFlowRemoved(rule: Rule): void {
    const fr = flowRemovedOf(this.#ofproto, rule);
    for (const conn of this.#conns) {
      if (conn.wants(OAM.FLOW_REMOVED, fr.reason)) {
        conn.send(encodeFlowRemoved(fr, conn.protocol));
      }
    }
  }

  sendTableStatus(ts: TableStatus): void {
    for (const conn of this.#conns) {
      if (conn.wants(OAM.TABLE_STATUS, ts.reason)) {
        const msg = encodeTableStatus(ts, conn.version);
        if (msg !== null) {
          conn.send(msg);
        }
      }
    }
  }

  /** `cx`: what became of a group, for versions that cannot express the request itself. */
  sendRequestForward(source: Ofconn, rf: RequestForward, cx: GroupModContext = {}): void {
    for (const conn of this.#conns) {
      const knows = rf.reason === 0 || conn.version >= OFP.v13;
      if (knows && conn !== source && conn.wants(OAM.REQUESTFORWARD, rf.reason)) {
        const msg = encodeRequestForward(rf, protocolToVersion(conn.protocol), cx);
        if (msg !== null) {
          conn.send(msg);
        }
      }
    }
  }

  /** Sends a packet to each connection with this controller id that wants it. */
  sendPacketIn(pin: PacketInPrivate, controllerId: number): void {
    for (const conn of this.#conns) {
      const wants = conn.wants(OAM.PACKET_IN, pin.reason);
      if (wants && conn.controllerId === controllerId) {
        conn.send(encodePacketIn(pin, conn.protocol, conn.packetInFormat));
      }
    }
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

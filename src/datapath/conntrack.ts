// Conntrack: the connection tracker of a datapath.
//
// A packet finds its connection by its key, moves the connection on by its protocol's rules and
// gets state, mark and label. A packet without one may found a connection if the action commits;
// then limits, helpers, timeouts and address translation are decided. A connection is forgotten
// when it has expired (looked for every SWEEP_MS), or when it is flushed.
//
// A translated connection has a second place in the table by the key of its replies. A packet that
// is already translated is looked up by what it was before. (ovs: lib/conntrack.c)

import { CS } from "../flow/flow-is.ts";
import { type FlowKey, get, K } from "../flow/flow-key.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { Counters } from "../lib/counters.ts";
import type { Rng } from "../lib/env.ts";
import type { PacketBuf } from "../packet/packet.ts";
import { algOf, type AlgEnv, type AlgPacket, type AlgType } from "./ct-alg.ts";
import { handleFtp, handleTftp, helperFits } from "./ct-alg.ts";
import { Conn, NAT_ACTION } from "./ct-conn.ts";
import { CT_COUNTERS } from "./ct-counters.ts";
import { type Expectation, Expectations } from "./ct-expect.ts";
import { extractConnKey, L4View } from "./ct-extract.ts";
import { ConnKey, DST, SRC } from "./ct-key.ts";
import {
  type CtFound,
  originalKey,
  putLabel,
  setCtLabel,
  setCtMark,
  writeCtInvalid,
  writeCtMetadata,
} from "./ct-metadata.ts";
import { type NatInfo, natInfoOf, natPacket, uniqueTuple } from "./ct-nat.ts";
import { initConn, updateConn, validNew } from "./ct-proto.ts";
import { SweepLists } from "./ct-sweep.ts";
import { ConnTable, NO_SLOT } from "./ct-table.ts";
import { Segment } from "./ct-tcp.ts";
import type { CtAction, CtProvider } from "./ct-provider.ts";
import { type CtPolicyLookup, type CtTimeoutName, timeoutMs } from "./ct-timeout.ts";
import { type ZoneLimit, ZoneLimits } from "./ct-zones.ts";
import { Ipf } from "./ipf.ts";
import type { OdpNat } from "./odp-action.ts";
import type { PacketBatch } from "./packet-batch.ts";

/** Connections at a time unless the limit is changed. */
export const CT_CONNS_MAX = 3000000;
/** How often expired connections are looked for while the clock runs. */
export const CT_SWEEP_MS = 20000;
/** A sweep ends behind the list with which it has seen this part of the allowed connections. */
const SWEEP_PART = 64;
const NAT_STATE = CS.snat | CS.dnat;

/** What a tracker needs of its surroundings. */
export interface CtEnv {
  readonly rng: Rng;
  readonly policies: CtPolicyLookup;
  /** A warning that may come with every packet. */
  readonly warn: (module: "conntrack" | "ipf" | "dpif_netdev", text: string) => void;
}

/** A `ct(...)` action as all packets of a batch share it. */
class CtCall {
  zone = 0;
  force = false;
  commit = false;
  mark: CtAction["mark"] = null;
  label: CtAction["label"] = null;
  nat: NatInfo | null = null;
  helper: string | null = null;
  tpId = 0;
  // Of the flow that the packets matched, not of the packets.
  dlType = 0;
  tpSrc = 0;
  tpDst = 0;
}

/** A packet on its way through the tracker. */
class Lookup implements CtFound {
  readonly key = new ConnKey();
  readonly l4 = new L4View();
  zone = 0;
  icmpRelated = false;
  reply = false;
  plain = false;
}

export class Conntrack implements CtProvider {
  readonly counters = new Counters(CT_COUNTERS);
  readonly limits = new ZoneLimits();
  readonly ipf: Ipf;
  maxConns = CT_CONNS_MAX;
  /** There are connections that the switch has not seen itself. */
  restored = false;
  /** Told of each connection that a packet founds. */
  onFounded: ((conn: Conn) => void) | null = null;
  private readonly env: CtEnv;
  private readonly table: ConnTable;
  private readonly conns = new Set<Conn>();
  private readonly expectations = new Expectations();
  // Both are used again for every packet, so that a packet of a known connection allocates nothing.
  private readonly ctx = new Lookup();
  private readonly call = new CtCall();
  private readonly nats = new WeakMap<OdpNat, NatInfo>();
  private readonly algEnv: AlgEnv;
  private nowMs = 0;
  private lastRunMs = Number.NEGATIVE_INFINITY;
  private readonly swept = new SweepLists();

  constructor(env: CtEnv) {
    this.env = env;
    this.table = new ConnTable(env.rng.u32());
    this.ipf = new Ipf(this.counters, (text) => env.warn("ipf", text));
    this.algEnv = {
      expectations: this.expectations,
      warn: (text) => env.warn("conntrack", text),
      setSkew: (conn, skew, reply) => this.setSkew(conn, skew, reply),
    };
  }

  /** Whether sequence numbers of TCP are checked. */
  get seqCheck(): boolean {
    return this.updateEnv.seqCheck;
  }

  set seqCheck(enabled: boolean) {
    this.updateEnv.seqCheck = enabled;
  }

  /** Connections, the expired ones included until they are swept away. */
  get count(): number {
    return this.conns.size;
  }

  execute(batch: PacketBatch, action: CtAction, flow: FlowKey, nowMs: number): void {
    this.nowMs = nowMs;
    const call = this.callOf(action, flow);
    const { dlType } = call;
    if (action.nat !== null && action.nat.type !== null && !call.commit) {
      this.env.warn("dpif_netdev", "NAT specified without commit.");
    }
    this.ipf.before(batch, dlType, call.zone, nowMs);
    const { packets } = batch;
    for (let i = 0; i < packets.length; i++) {
      this.packet(packets[i] as PacketBuf, call);
    }
    this.ipf.after(batch, dlType, nowMs);
  }

  private callOf(action: CtAction, flow: FlowKey): CtCall {
    const { call } = this;
    call.zone = action.zone;
    call.force = action.force;
    call.commit = action.commit || action.force;
    call.mark = action.mark;
    call.label = action.label;
    call.nat = action.nat === null ? null : this.natOf(action.nat);
    call.helper = action.helper;
    call.tpId = action.timeout === null ? 0 : this.policyId(action.timeout);
    call.dlType = get(flow, K.dl_type);
    call.tpSrc = get(flow, K.tp_src);
    call.tpDst = get(flow, K.tp_dst);
    return call;
  }

  private natOf(nat: OdpNat): NatInfo {
    let info = this.nats.get(nat);
    if (info === undefined) {
      info = natInfoOf(nat);
      this.nats.set(nat, info);
    }
    return info;
  }

  private policyId(text: string): number {
    if (/^\d+$/.test(text)) {
      return Number(text);
    }
    this.env.warn("dpif_netdev", `Invalid Timeout Policy ID: ${text}.`);
    return 0;
  }

  private packet(p: PacketBuf, call: CtCall): void {
    const { md } = p;
    const { zone } = call;
    const conn = md.conn instanceof Conn ? md.conn : null;
    if (md.ctState === CS.inv) {
      writeCtInvalid(p, zone);
    } else if (
      conn !== null &&
      conn.key.zone === zone &&
      !call.force &&
      algOf(p, call) === "none"
    ) {
      this.known(p, conn, call);
    } else if (!extractConnKey(p, call.dlType, zone, this.ctx, this.counters)) {
      md.ctState = CS.inv;
      writeCtInvalid(p, zone);
    } else {
      this.track(p, call);
    }
  }

  /** A packet that has already been tracked in this zone (ovs: process_one_fast). */
  private known(p: PacketBuf, conn: Conn, call: CtCall): void {
    const { md } = p;
    if (call.nat !== null) {
      natOnce(p, conn, call.zone, md.reply, md.icmpRelated);
      md.conn = null;
    }
    md.ctZone = call.zone;
    md.ctMark = conn.mark;
    putLabel(md.ctLabel, conn.label);
    this.commitData(p, conn, call);
  }

  private commitData(p: PacketBuf, conn: Conn, { mark, label }: CtCall): void {
    if (mark !== null) {
      setCtMark(p, conn, mark.value, mark.mask);
    }
    if (label !== null) {
      setCtLabel(p, conn, label.value, label.mask);
    }
  }

  /** The connection of a packet (ovs: process_one). */
  private track(p: PacketBuf, call: CtCall): void {
    const { ctx } = this;
    const { md } = p;
    if (md.ctState !== 0 && md.ctZone !== call.zone) {
      md.ctState = 0;
    }
    let conn = this.lookup(p, call);
    if (conn === "lost") {
      md.ctState |= CS.inv;
      writeCtInvalid(p, call.zone);
      return;
    }
    const alg = algOf(p, call);
    let isNew = false;
    if (conn !== null) {
      isNew = this.updateWithAlg(p, conn, call, alg);
      if (call.nat !== null && !isNew) {
        natOnce(p, conn, call.zone, ctx.reply, ctx.icmpRelated);
      }
    } else {
      conn = this.original(p, call);
      if (conn !== null) {
        isNew = this.update(p, conn);
      } else if (ctx.icmpRelated) {
        md.ctState = CS.inv;
      } else {
        isNew = true;
      }
    }
    let exp: Expectation | null = null;
    if (isNew) {
      ctx.plain = false;
      exp = this.expected(ctx.key);
      if (this.table.find(ctx.key, this.nowMs) === null) {
        conn = this.found(p, call, alg, exp);
      }
    }
    this.finish(p, call, alg, conn, exp);
  }

  private finish(
    p: PacketBuf,
    call: CtCall,
    alg: AlgType,
    conn: Conn | null,
    exp: Expectation | null,
  ): void {
    const { ctx } = this;
    writeCtMetadata(p, conn, exp, ctx);
    if (conn !== null) {
      this.commitData(p, conn, call);
      if (conn.alg !== null) {
        this.help(p, conn, call, alg);
      }
    }
    p.md.conn = call.nat === null ? conn : null;
    p.md.reply = ctx.reply;
    p.md.icmpRelated = ctx.icmpRelated;
  }

  private expected(key: ConnKey): Expectation | null {
    const { srcPort } = key;
    key.srcPort = 0;
    const exp = this.expectations.find(key);
    key.srcPort = srcPort;
    return exp;
  }

  /** Finds the connection of a packet; "lost" if it is a reply to one that has expired. */
  private lookup(p: PacketBuf, call: CtCall): Conn | null | "lost" {
    const { ctx, table } = this;
    ctx.zone = call.zone;
    ctx.reply = false;
    ctx.plain = false;
    const natted = (p.md.ctState & NAT_STATE) !== 0;
    if (natted) {
      ctx.key.reverse();
    }
    const conn = table.find(ctx.key, this.nowMs);
    if (conn === null) {
      if (natted) {
        this.counters.inc("conntrack_lookup_natted_miss");
        ctx.key.reverse();
      }
      return null;
    }
    ctx.reply = table.reply;
    if (natted) {
      ctx.reply = !ctx.reply;
      ctx.key.copyFrom(ctx.reply !== table.unNat ? conn.revKey : conn.key);
    }
    if (call.force && ctx.reply) {
      if (!table.unNat) {
        conn.expirationMs = 0;
      }
      return null;
    }
    if (!table.unNat) {
      ctx.plain = conn.isPlain;
      return conn;
    }
    const parent = table.findAt(conn.key, ctx.key, this.nowMs);
    ctx.reply = parent === null || table.reply;
    return parent ?? "lost";
  }

  /** The connection that a translated packet belonged to before. */
  private original(p: PacketBuf, call: CtCall): Conn | null {
    const key = call.nat === null ? originalKey(p, this.ctx.key) : null;
    return key === null ? null : this.table.find(key, this.nowMs);
  }

  private algPacket(p: PacketBuf, call: CtCall): AlgPacket {
    const { key, reply } = this.ctx;
    const v6 = key.dlType === ETH_TYPE.IPV6;
    return { p, v6, proto: key.proto, reply, nat: call.nat !== null };
  }

  private help(p: PacketBuf, conn: Conn, call: CtCall, alg: AlgType): void {
    if (alg === "ftp") {
      handleFtp(this.algEnv, this.algPacket(p, call), conn, true);
    } else if (alg === "tftp") {
      handleTftp(this.algEnv, this.algPacket(p, call), conn);
    }
  }

  /** Sequence numbers of FTP are as the connection's end sees them when they are checked. */
  private updateWithAlg(p: PacketBuf, conn: Conn, call: CtCall, alg: AlgType): boolean {
    if (alg !== "ftp") {
      return this.update(p, conn);
    }
    const a = this.algPacket(p, call);
    if (a.reply !== conn.seqSkewReply) {
      handleFtp(this.algEnv, a, conn, false);
      return this.update(p, conn);
    }
    const isNew = this.update(p, conn);
    if (!isNew) {
      handleFtp(this.algEnv, a, conn, false);
    }
    return isNew;
  }

  private setSkew(conn: Conn, skew: number, reply: boolean): void {
    const there = this.table.find(conn.key, this.nowMs);
    if (there !== null && skew !== 0) {
      there.seqSkew = skew;
      there.seqSkewReply = reply;
    }
  }

  private readonly updateEnv = {
    counters: this.counters,
    seqCheck: true,
    segment: new Segment(),
    expire: (conn: Conn, name: CtTimeoutName) => this.expire(conn, name),
  };

  private expire(conn: Conn, name: CtTimeoutName): void {
    conn.expirationMs = this.nowMs + timeoutMs(name, conn.tpId, this.env.policies);
  }

  /** Moves a connection on; true if the packet begins another one instead. */
  private update(p: PacketBuf, conn: Conn): boolean {
    const { md } = p;
    const { icmpRelated, reply } = this.ctx;
    if (icmpRelated) {
      md.ctState |= reply ? CS.rel | CS.rpl : CS.rel;
      return false;
    }
    if (conn.algRelated) {
      md.ctState |= CS.rel;
    }
    switch (updateConn(conn, p, this.ctx, this.updateEnv)) {
      case "valid":
        md.ctState = (md.ctState | CS.est | (reply ? CS.rpl : 0)) & ~CS.new;
        return false;
      case "invalid":
        md.ctState = CS.inv;
        return false;
      case "valid_new":
        md.ctState |= CS.new;
        return false;
      case "new":
        conn.expirationMs = 0;
        return true;
    }
  }

  /** Founds a connection, or says why there is none (ovs: conn_not_found). */
  private found(p: PacketBuf, call: CtCall, alg: AlgType, exp: Expectation | null): Conn | null {
    const { key } = this.ctx;
    if (!validNew(p, key.proto, this.counters)) {
      p.md.ctState = CS.inv;
      return null;
    }
    p.md.ctState = exp === null ? CS.new : CS.new | CS.rel;
    if (!call.commit) {
      return null;
    }
    const limit = this.limits.of(key.zone);
    if (limit !== null && limit.count >= limit.limit) {
      return null;
    }
    if (this.conns.size >= this.maxConns) {
      this.counters.inc("conntrack_full");
      return null;
    }
    return this.commit(p, call, alg, exp, limit);
  }

  private commit(
    p: PacketBuf,
    call: CtCall,
    alg: AlgType,
    exp: Expectation | null,
    limit: ZoneLimit | null,
  ): Conn | null {
    const conn = new Conn();
    conn.key.copyFrom(this.ctx.key);
    conn.revKey.copyFrom(this.ctx.key).reverse();
    conn.tpId = call.tpId;
    this.expire(conn, initConn(conn, p));
    conn.alg = helperFits(call.helper, alg) ? call.helper : null;
    if (exp !== null) {
      conn.algRelated = true;
      conn.mark = exp.parentMark;
      conn.setLabel(exp.parentLabel);
      conn.parentKey = exp.parentKey;
    }
    if (call.nat !== null) {
      if (!this.translate(conn, call.nat, exp)) {
        this.env.warn("conntrack", TUPLES_EXHAUSTED);
        return null;
      }
      natPacket(p, conn, false, this.ctx.icmpRelated);
    }
    this.insert(conn, call.nat !== null);
    this.limits.admit(conn, limit);
    this.onFounded?.(conn);
    return conn;
  }

  private insert(conn: Conn, translated: boolean): void {
    if (translated) {
      conn.natSlot = this.table.insert(conn, true);
    }
    conn.slot = this.table.insert(conn, false);
    this.conns.add(conn);
    this.swept.add(conn);
  }

  /** Decides what the replies of a new connection look like; false if no tuple is free. */
  private translate(conn: Conn, nat: NatInfo, exp: Expectation | null): boolean {
    conn.natAction = nat.action;
    if (exp === null) {
      const taken = (key: ConnKey) => this.table.find(key, this.nowMs) !== null;
      return uniqueTuple(conn, nat, { basis: this.table.basis, rng: this.env.rng, taken });
    }
    conn.revKey.setAddr(exp.replacesReplyDst ? DST : SRC, exp.replyAddr, 0);
    conn.natAction = exp.replacesReplyDst ? NAT_ACTION.SRC : NAT_ACTION.DST;
    return true;
  }

  /** Forgets a connection. */
  private clean(conn: Conn): void {
    if (conn.reclaimed) {
      return;
    }
    conn.reclaimed = true;
    if (conn.alg !== null) {
      this.expectations.forget(conn.key);
    }
    for (const slot of [conn.slot, conn.natSlot]) {
      if (slot !== NO_SLOT) {
        this.table.remove(slot);
      }
    }
    this.conns.delete(conn);
    this.swept.delete(conn);
    this.limits.release(conn);
  }

  /** Does what time asks for; a clock that is moved by hand wakes the sweeper each time. */
  run(nowMs: number, byHand: boolean): void {
    const due = byHand ? nowMs !== this.lastRunMs : nowMs >= this.lastRunMs + CT_SWEEP_MS;
    if (due) {
      this.lastRunMs = nowMs;
      this.ipf.clean(nowMs);
      this.swept.sweep(nowMs, Math.trunc(this.maxConns / SWEEP_PART), (conn) => this.clean(conn));
    }
  }

  /** Connections that have not expired, oldest first; of one zone or of all. */
  *list(zone: number | null, nowMs: number): Generator<Conn> {
    for (const conn of this.conns) {
      if (nowMs < conn.expirationMs && (zone === null || conn.key.zone === zone)) {
        yield conn;
      }
    }
  }

  /** Forgets the connections of a zone, or all. */
  flush(zone: number | null): void {
    for (const conn of this.conns) {
      if (zone === null || conn.key.zone === zone) {
        this.clean(conn);
      }
    }
  }

  /** Forgets the connection of a key; false if there is none of it, or only a translated one. */
  flushKey(key: ConnKey, nowMs: number): boolean {
    const conn = this.table.find(key, nowMs);
    if (conn === null || this.table.unNat) {
      this.env.warn("conntrack", "Must flush tuple using the original pre-NATed tuple");
      return false;
    }
    this.clean(conn);
    return true;
  }

  /** Puts a connection in as it is, for instance from a dump; false if there are too many. */
  restore(conn: Conn): boolean {
    if (this.conns.size >= this.maxConns) {
      return false;
    }
    this.insert(conn, conn.natAction !== 0);
    this.restored = true;
    return true;
  }

  /** The connection that a key belongs to, and in which direction, without any effect. */
  peek(key: ConnKey, nowMs: number): { conn: Conn; reply: boolean } | null {
    const conn = this.table.find(key, nowMs);
    return conn === null ? null : { conn, reply: this.table.unNat || this.table.reply };
  }
}

const TUPLES_EXHAUSTED =
  "Unable to NAT due to tuple space exhaustion - " +
  "if DoS attack, use firewalling and/or zone partitioning.";

/** Translates a packet unless that has been done in this zone (ovs: handle_nat). */
function natOnce(p: PacketBuf, conn: Conn, zone: number, reply: boolean, related: boolean): void {
  const done = (p.md.ctState & NAT_STATE) !== 0;
  if (conn.natAction !== 0 && (!done || zone !== p.md.ctZone)) {
    p.md.ctState &= ~NAT_STATE;
    natPacket(p, conn, reply, related);
  }
}

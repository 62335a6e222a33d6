// Executes datapath actions on packets.
//
// What only a datapath can do (output, recirculation, conntrack, meters, tunnels, upcalls) goes
// through an ExecuteEnv; all else changes bytes here. `steal` says that nobody needs the packets
// afterwards, which saves copies for the last action; packets that live on are cloned before
// actions that may change them. ovs: lib/odp-execute.c odp_execute_actions.

import { extract } from "../flow/extract.ts";
import { flowHash5tuple, flowHashSymmetricL3l4 } from "../flow/flow-hash.ts";
import { type FlowKey, newKey } from "../flow/flow-key.ts";
import type { Rng } from "../lib/env.ts";
import { hashInt } from "../lib/hash.ts";
import { putU16, putU32 } from "../lib/bytes.ts";
import { pushEth, popEth } from "../packet/ethernet.ts";
import { addMpls, popMpls, pushMpls } from "../packet/mpls.ts";
import { NSH, nshFirstWord, popNsh, pushNsh } from "../packet/nsh.ts";
import { NO_OFS, type PacketBuf } from "../packet/packet.ts";
import { ethPopVlan, ethPushVlan } from "../packet/vlan.ts";
import type { CtAction } from "./ct-provider.ts";
import { DROP_ACTION_COUNTERS, type DpCounters, type DpLosses } from "./dp-counters.ts";
import { executeSet, executeSetMasked } from "./execute-set.ts";
import type { OdpAction } from "./odp-action.ts";
import { NSH_WORDS } from "./odp-key-table.ts";
import { PacketBatch } from "./packet-batch.ts";

/** Actions nested in actions that are followed; deeper ones drop the packet. */
export const EXECUTE_DEPTH_MAX = 64;
/** A `sample` probability that means "always". */
const ALWAYS = 0xffffffff;
/** Bit of add_mpls: the label goes before the network layer. */
const MPLS_L3_FLAG = 1;

export type UserspaceAction = Extract<OdpAction, { kind: "userspace" }>;
export type TnlPushAction = Extract<OdpAction, { kind: "tnl_push" }>;

/** The datapath around the packets. */
export interface ExecuteEnv {
  readonly counters: DpCounters;
  readonly losses: DpLosses;
  readonly rng: Rng;
  /** Sends each packet, cut as asked; must not keep or change it. */
  output(batch: PacketBatch, port: number): void;
  lbOutput(batch: PacketBatch, bondId: number): void;
  /** Puts headers on in place. */
  tunnelPush(batch: PacketBatch, action: TnlPushAction): void;
  /** Takes over the batch. */
  tunnelPop(batch: PacketBatch, port: number): void;
  /** Takes over the batch. */
  recirculate(batch: PacketBatch, recircId: number): void;
  userspace(batch: PacketBatch, action: UserspaceAction, steal: boolean): void;
  conntrack(batch: PacketBatch, action: CtAction, flow: FlowKey): void;
  ctClear(p: PacketBuf): void;
  meter(batch: PacketBatch, meterId: number): void;
}

/** `flow` is what the packets matched. */
export function executeActions(
  env: ExecuteEnv,
  batch: PacketBatch,
  steal: boolean,
  actions: readonly OdpAction[],
  flow: FlowKey,
  depth = 0,
): void {
  if (depth > EXECUTE_DEPTH_MAX) {
    env.losses.inc("actions_too_deep", batch.packets.length);
    return;
  }
  const n = actions.length;
  for (let i = 0; i < n && batch.packets.length > 0; i++) {
    const a = actions[i] as OdpAction;
    const stealNow = steal && i === n - 1;
    if (!executeAssisted(env, batch, stealNow, a, flow)) {
      executeOne(env, batch, stealNow, a, flow, depth);
    }
    if (a.kind === "drop") {
      return;
    }
  }
}

/** The actions that need the datapath; false for all others. */
function executeAssisted(
  env: ExecuteEnv,
  batch: PacketBatch,
  steal: boolean,
  a: OdpAction,
  flow: FlowKey,
): boolean {
  switch (a.kind) {
    case "output":
      env.output(batch, a.port);
      batch.resetCut();
      return true;
    case "lb_output":
      env.lbOutput(batch, a.bondId);
      batch.resetCut();
      return true;
    case "tnl_push":
      // As a last action it would have no effect.
      if (!steal) {
        batch.applyCut();
        env.tunnelPush(batch, a);
      }
      return true;
    case "tnl_pop": {
      const own = steal ? batch : batch.clone();
      if (!steal) {
        batch.resetCut();
      }
      own.applyCut();
      env.tunnelPop(own, a.port);
      return true;
    }
    case "recirc":
      env.recirculate(steal ? batch : batch.clone(), a.recircId);
      return true;
    case "userspace": {
      const own = batch.trunc && !steal ? batch.clone() : batch;
      if (own !== batch) {
        batch.resetCut();
      }
      own.applyCut();
      env.userspace(own, a, steal || own !== batch);
      return true;
    }
    case "ct":
      env.conntrack(batch, a, flow);
      return true;
    case "meter":
      env.meter(batch, a.meterId);
      return true;
    default:
      return false;
  }
}

function executeOne(
  env: ExecuteEnv,
  batch: PacketBatch,
  steal: boolean,
  a: OdpAction,
  flow: FlowKey,
  depth: number,
): void {
  switch (a.kind) {
    case "trunc":
      batch.trunc = true;
      for (const p of batch.packets) {
        p.setCut(a.maxLen);
      }
      return;
    case "clone": {
      const own = steal ? batch : batch.clone();
      if (!steal) {
        batch.resetCut();
      }
      executeActions(env, own, true, a.actions, flow, depth + 1);
      return;
    }
    case "sample":
      for (const p of [...batch.packets]) {
        executeSample(env, p, steal, a, flow, depth);
      }
      return;
    case "check_pkt_len":
      for (const p of [...batch.packets]) {
        const larger = p.sendBytes() - p.l2PadBytes > a.size;
        const own = PacketBatch.of(steal ? p : p.clone());
        own.trunc = batch.trunc;
        executeActions(env, own, true, larger ? a.greater : a.lessEqual, flow, depth + 1);
      }
      return;
    case "pop_nsh": {
      const lost = batch.filter(popNsh);
      env.counters.inc("datapath_drop_nsh_decap_error", lost);
      return;
    }
    case "drop":
      env.counters.inc(
        DROP_ACTION_COUNTERS[a.error] ?? "drop_action_of_pipeline",
        batch.packets.length,
      );
      return;
    default:
      for (const p of batch.packets) {
        executeOnPacket(env, p, a);
      }
  }
}

function executeSample(
  env: ExecuteEnv,
  p: PacketBuf,
  steal: boolean,
  a: Extract<OdpAction, { kind: "sample" }>,
  flow: FlowKey,
  depth: number,
): void {
  if (a.probability < ALWAYS && env.rng.u32() >= a.probability) {
    if (steal) {
      env.counters.inc("datapath_drop_sample_error");
    }
    return;
  }
  const own = PacketBatch.of(steal ? p : p.clone());
  executeActions(env, own, true, a.actions, flow, depth + 1);
}

/** The actions that change one packet. */
function executeOnPacket(env: ExecuteEnv, p: PacketBuf, a: OdpAction): void {
  switch (a.kind) {
    case "set_masked":
      executeSetMasked(p, a.attr, a.value, a.mask);
      return;
    case "set":
      executeSet(p, a.key);
      return;
    case "push_vlan":
      ethPushVlan(p, a.tpid, a.tci);
      return;
    case "pop_vlan":
      ethPopVlan(p);
      return;
    case "hash":
      p.md.dpHash = packetHash(p, a.alg, a.basis);
      return;
    case "push_mpls":
      if (p.l3Ofs !== NO_OFS || p.l25Ofs !== NO_OFS) {
        pushMpls(p, a.ethType, a.lse);
      }
      return;
    case "pop_mpls":
      popMpls(p, a.ethType);
      return;
    case "add_mpls": {
      const l3 = (a.tunFlags & MPLS_L3_FLAG) !== 0;
      if (!l3 || p.l3Ofs !== NO_OFS || p.l25Ofs !== NO_OFS) {
        addMpls(p, a.ethType, a.lse, l3);
      }
      return;
    }
    case "push_eth":
      if (!p.isEth()) {
        pushEth(p, {
          dstHi: a.dst[0] as number,
          dstLo: a.dst[1] as number,
          srcHi: a.src[0] as number,
          srcLo: a.src[1] as number,
        });
      }
      return;
    case "pop_eth":
      if (p.isEth() && p.l3Ofs !== NO_OFS) {
        popEth(p);
      }
      return;
    case "push_nsh":
      pushNsh(p, nshHeader(a.key, a.md2));
      return;
    case "ct_clear":
      env.ctClear(p);
      return;
    default:
      return;
  }
}

/** What `hash(...)` stores for a packet. */
export function packetHash(p: PacketBuf, alg: "l4" | "sym_l4", basis: number): number {
  if (alg === "l4" && p.rssValid) {
    return hashInt(p.rssHash, basis);
  }
  const key = newKey();
  extract(p, key);
  return alg === "l4" ? flowHash5tuple(key, basis) : flowHashSymmetricL3l4(key, basis, false);
}

/** The bytes that push_nsh puts in front (ovs: odp_nsh_hdr_from_attr). */
function nshHeader(key: Uint32Array, md2: Uint8Array | null): Uint8Array {
  const mdType = key[NSH_WORDS.mdtype] as number;
  const bytes =
    mdType === NSH.MD_TYPE1 ? NSH.MD1_BYTES : NSH.BASE_BYTES + (md2 === null ? 0 : md2.length);
  const b = new Uint8Array(bytes);
  putU16(b, 0, nshFirstWord(key[NSH_WORDS.flags] as number, key[NSH_WORDS.ttl] as number, bytes));
  b[NSH.MD_TYPE] = mdType;
  b[NSH.NEXT_PROTO] = key[NSH_WORDS.np] as number;
  putU32(b, NSH.PATH_HDR, key[NSH_WORDS.path] as number);
  if (mdType === NSH.MD_TYPE1) {
    for (let i = 0; i < 4; i++) {
      putU32(b, NSH.CONTEXT + 4 * i, key[NSH_WORDS.c1 + i] as number);
    }
  } else if (md2 !== null) {
    b.set(md2, NSH.BASE_BYTES);
  }
  return b;
}

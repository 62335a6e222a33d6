// The text of a megaflow that dumps and the log share: its key, its counters and its ids.
//
// ovs: lib/dpif.c dpif_flow_stats_format, lib/odp-util.c odp_format_ufid.

import type { Megaflow } from "../datapath/megaflow.ts";
import {
  ODP_SUPPORT_SHOWN,
  odpFlowKeyFromFlow,
  odpFlowKeyFromMask,
} from "../datapath/odp-flow-from.ts";
import type { PortNames } from "../datapath/odp-text-fields.ts";
import { formatOdpFlow } from "../datapath/odp-text.ts";
import { TNL_F_UDPIF } from "../flow/extract.ts";
import { type FlowKey, get, getU, K } from "../flow/flow-key.ts";
import { ODPP_NONE } from "../openflow/xbridge.ts";
import { putU32 } from "../lib/bytes.ts";
import { formatAltHex } from "../lib/number.ts";
import { formatTcpFlags } from "../packet/l4.ts";

/** Raw Geneve options in the words of a key or mask, as many as the key has; null without any. */
function geneveOf(key: FlowKey, words: FlowKey): Uint8Array | null {
  const bytes = key[K.tun_md_present.word + 1] as number;
  const isMask = key !== words;
  if ((get(key, K.tun_flags) & TNL_F_UDPIF) === 0 || (isMask && bytes === 0)) {
    return null;
  }
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 4) {
    putU32(out, i, words[K.tun_md_opts.word + (i >> 2)] as number);
  }
  return out;
}

/** Key and mask of a megaflow as text. */
export function formatMegaflowKey(
  f: Megaflow,
  vlanLimit: number,
  names: PortNames,
  verbose: boolean,
): string {
  return formatKey(f.key, f.mask, vlanLimit, names, verbose);
}

/** The key of a packet as text. */
export function formatPacketKey(key: FlowKey, vlanLimit: number): string {
  return formatKey(key, null, vlanLimit, null, true);
}

/** What the datapath is told about a packet besides its bytes (ovs: odp_key_from_dp_packet). */
export function formatMetadata(flow: FlowKey, inPort: number): string {
  const mark = formatAltHex(getU(flow, K.pkt_mark));
  const port = inPort === ODPP_NONE ? "" : `,in_port(${inPort})`;
  return `skb_priority(0),skb_mark(${mark})${port}`;
}

function formatKey(
  flow: FlowKey,
  mask: FlowKey | null,
  vlanLimit: number,
  names: PortNames,
  verbose: boolean,
): string {
  const p = {
    flow,
    mask: mask ?? flow,
    support: ODP_SUPPORT_SHOWN,
    vlanLimit,
    geneve: geneveOf(flow, flow),
    geneveMask: geneveOf(flow, mask ?? flow),
  };
  const maskAttrs = mask === null ? null : odpFlowKeyFromMask(p, mask);
  return formatOdpFlow(odpFlowKeyFromFlow(p), maskAttrs, names, verbose);
}

/** Packets, bytes, age and flags of a megaflow. */
export function formatFlowStats(f: Megaflow, nowMs: number): string {
  const { packets, bytes, usedMs, tcpFlags } = f.stats;
  const used = usedMs === 0 ? "never" : `${((nowMs - usedMs) / 1000).toFixed(3)}s`;
  const flags = tcpFlags === 0 ? "" : `, flags:${formatTcpFlags(tcpFlags)}`;
  return `packets:${packets}, bytes:${bytes}, used:${used}${flags}`;
}

/** A UUID made of a number: the same for the same number, others look unlike it. */
function ufidOf(id: number): string {
  const hex = (n: number) => (n >>> 0).toString(16).padStart(8, "0");
  const a = hex(Math.imul(id, 0x9e3779b1));
  const b = hex(Math.imul(id ^ 0x5bd1e995, 0x85ebca6b));
  const c = hex(Math.imul(id + 0x27d4eb2f, 0xc2b2ae35));
  return `ufid:${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${hex(id)}`;
}

/** A number that looks like the unique id of a flow. */
export function formatUfid(f: Megaflow): string {
  return ufidOf(f.id);
}

/** The same for the id of what the flow matches. */
export function megaUfid(f: Megaflow): string {
  return ufidOf(~f.id);
}

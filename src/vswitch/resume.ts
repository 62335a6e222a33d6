// Packets that a controller held go on: NXT_RESUME.
//
// The message holds the packet, its metadata and a continuation, of which a frozen state is made
// again; the translation thaws it as after a recirculation. Without actions left there is still the
// end of the pipeline to do, so an action that does nothing takes their place: no actions would mean
// a table lookup. ovs: ofproto/ofproto-dpif.c nxt_resume, ofproto-dpif-xlate.c xlate_resume.

import { extract } from "../flow/extract.ts";
import { get, getU, K, newKey } from "../flow/flow-key.ts";
import { getU32 } from "../lib/bytes.ts";
import type { Action } from "../openflow/actions/types.ts";
import { cacheEffects } from "../openflow/cache-effects.ts";
import { isErr, type OfpErr } from "../openflow/messages/errors.ts";
import { decodePacketIn } from "../openflow/messages/packet-in.ts";
import { pullMsg } from "../openflow/messages/raw.ts";
import type { PacketInPrivate } from "../openflow/messages/types-flow.ts";
import { type FrozenState, frozenMetadata } from "../openflow/recirc.ts";
import { NO_RECORDER } from "../openflow/trace.ts";
import { xlateActions } from "../openflow/xlate.ts";
import { pushStats, type XlateCache } from "../openflow/xlate-cache.ts";
import { PacketBuf } from "../packet/packet.ts";
import type { Bridge } from "./bridge.ts";
import { setMetadataFromFlow } from "./packet-flow.ts";
import type { DatapathPair } from "./packets.ts";
import type { VSwitch } from "./vswitch.ts";

/** Number of no bridge. */
const BRIDGE_GONE = -1;
const NOTHING: readonly Action[] = [{ kind: "note", data: new Uint8Array(0) }];

/** The words of a value on the stack, the most significant first. */
function wordsOf(b: Uint8Array): Uint32Array {
  const padded = new Uint8Array(Math.ceil(b.length / 4) * 4);
  padded.set(b, padded.length - b.length);
  const words = new Uint32Array(padded.length / 4);
  return words.map((_, i) => getU32(padded, 4 * i));
}

function frozenStateOf(vs: VSwitch, pin: PacketInPrivate): FrozenState {
  const bridge = [...vs.bridges.values()].find((b) => String(b.rowUuid) === pin.bridge);
  return {
    // Not the table that paused: the actions tell theirs.
    tableId: 0,
    bridgeId: bridge?.xbridge.id ?? BRIDGE_GONE,
    metadata: frozenMetadata(pin.flowMetadata.flow),
    stack: pin.stack.toReversed().map(wordsOf),
    mirrors: pin.mirrors,
    conntracked: pin.conntracked,
    wasMpls: false,
    xportId: 0,
    actions: pin.actions.length > 0 ? pin.actions : NOTHING,
    actionSet: pin.actionSet,
    userdata: null,
  };
}

/** Continues the packet that a message brings back. */
export function resumePacket(
  vs: VSwitch,
  bridge: Bridge,
  { dp }: DatapathPair,
  message: Uint8Array,
): OfpErr | null {
  const msg = pullMsg(message);
  const { tunTable, vlMff } = bridge.ofproto;
  const d = isErr(msg) ? msg : decodePacketIn(msg, { loose: false, tab: tunTable, vlMff });
  if (isErr(d)) {
    return d;
  }
  const { pin } = d;
  const packet = PacketBuf.of(pin.packet, getU(pin.flowMetadata.flow, K.packet_type));
  setMetadataFromFlow(packet.md, pin.flowMetadata.flow);
  const flow = newKey();
  extract(packet, flow, dp.vlanLimit);
  const tcpFlags = get(flow, K.tcp_flags);
  const xcache: XlateCache = [];
  const nowMs = vs.clock.nowMs();
  const xout = xlateActions({
    xcfg: vs.xcfg,
    xbridge: bridge.xbridge,
    flow: flow.slice(),
    packet,
    sideEffects: false,
    actions: null,
    rule: null,
    tcpFlags,
    recircs: vs.recircs,
    frozen: frozenStateOf(vs, pin),
    stats: null,
    xcache,
    recorder: NO_RECORDER,
    recircQueue: null,
    depth: 0,
    resubmits: 0,
    inPacketOut: false,
    nowMs,
    onSpecial: null,
  });
  const effects = cacheEffects(vs.xcfg, () => vs.clock.nowMs());
  pushStats(xcache, { packets: 1, bytes: packet.size, usedMs: nowMs, tcpFlags }, effects);
  setMetadataFromFlow(packet.md, pin.flowMetadata.flow);
  packet.md.inPort = pin.odpPort ?? 0;
  dp.execute(packet, xout.odp, flow);
  for (const id of xout.recircIds) {
    vs.recircs.unref(id);
  }
  return xout.error === "bridge_not_found" ? "NXR_STALE" : null;
}

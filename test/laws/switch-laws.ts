// Laws of a whole switch, each as a function of a seed that answers what does not hold, or null.
//
// They are asked with few frames by the tests and with many by tools/fuzz.ts. `notes` counts what the
// generated traffic met, so that a law is known to have been asked about something.

import type { Megaflow } from "../../src/datapath/megaflow.ts";
import type { OdpAction } from "../../src/datapath/odp-action.ts";
import { formatOdpActions } from "../../src/datapath/odp-text-actions.ts";
import { flowCompose } from "../../src/flow/compose.ts";
import { extract } from "../../src/flow/extract.ts";
import { type FlowKey, get, K, newKey } from "../../src/flow/flow-key.ts";
import { MPLS_LSE_COUNT, VLAN_HEADER_COUNT } from "../../src/flow/slots.ts";
import { formatHex } from "../../src/lib/bytes.ts";
import { NO_RECORDER } from "../../src/openflow/trace.ts";
import { xlateLookup } from "../../src/openflow/xlate-lookup.ts";
import { xlateActions } from "../../src/openflow/xlate.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { formatMegaflowKey } from "../../src/vswitch/megaflow-text.ts";
import { setMetadataFromFlow } from "../../src/vswitch/packet-flow.ts";
import type { DatapathPair } from "../../src/vswitch/packets.ts";
import { sameActions } from "../../src/vswitch/same-actions.ts";
import { layersOf, u16, wrongSums } from "../arbitraries/layers.ts";
import { type Pick, seeded } from "../arbitraries/matches.ts";
import { type Arrival, Traffic } from "../arbitraries/traffic.ts";
import { HOST_PORTS, UNDERLAY_PORTS, World } from "../arbitraries/worlds.ts";

export type Notes = Map<string, number>;

export function note(notes: Notes, what: string, by = 1): void {
  notes.set(what, (notes.get(what) ?? 0) + by);
}

/** Frames between two steps of the clock. */
const BURST = 20;
const GTPU_PORT = 2152;
const GRE_SEQ = 0x1000;

const MOVED_ONE_IN = 60;

export function trafficFor(r: Pick, damageOneIn: number, movedOneIn = MOVED_ONE_IN): Traffic {
  const ports = { ports: HOST_PORTS, underlay: UNDERLAY_PORTS };
  return new Traffic(r, { ...ports, damageOneIn, movedOneIn });
}

/** Frames for a world; answers go by what `world` sends. */
function* arrivals(world: World, r: Pick, n: number, damageOneIn: number): Generator<Arrival> {
  const traffic = trafficFor(r, damageOneIn);
  const also = world.onSent;
  world.onSent = (port, frame) => {
    also(port, frame);
    traffic.sent(port, frame);
  };
  for (let i = 0; i < n; i++) {
    yield traffic.next();
  }
}

const differs = (what: string, a: string, b: string) => `${what}\n--- one\n${a}\n--- other\n${b}`;

/** The first line in which two texts differ, with the one before. */
function firstDifference(a: string, b: string): readonly [string, string] {
  const [x, y] = [a.split("\n"), b.split("\n")];
  const i = x.findIndex((line, n) => line !== y[n]);
  const at = i < 0 ? x.length : i;
  return [x.slice(at, at + 4).join("\n"), y.slice(at, at + 4).join("\n")];
}

/** What two switches came to know has to be the same; `but` takes out what may differ. */
function sameState(a: World, b: World, but = (text: string) => text): string | null {
  const [x, y] = [a.state(), b.state()];
  for (const [what, whole] of Object.entries(x)) {
    const [text, other] = [but(whole), but(y[what] ?? "")];
    if (text !== other) {
      return differs(what, ...firstDifference(text, other));
    }
  }
  return null;
}

/**
 * The switch with its caches equals the switch without: the same frames out of the same ports after
 * each frame, and at the end the same counters, connections, addresses, groups.
 */
export function cachesChangeNothing(seed: number, frames: number, notes: Notes): string | null {
  const cached = new World(seeded(seed));
  const plain = new World(seeded(seed));
  plain.run("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:emc-insert-inv-prob=0");
  plain.run("ovs-appctl", "upcall/disable-megaflows");
  plain.watch();
  let [a, b]: string[][] = [[], []];
  cached.onSent = (port, frame) => a?.push(`${port} ${formatHex(frame)}`);
  plain.onSent = (port, frame) => b?.push(`${port} ${formatHex(frame)}`);
  const r = seeded(seed + 1);
  let n = 0;
  for (const { port, frame } of arrivals(cached, r, frames, 12)) {
    [a, b] = [[], []];
    cached.receive(port, frame);
    plain.receive(port, frame);
    plain.run("ovs-appctl", "revalidator/purge");
    // What is credited late is credited to what the tables say by then.
    cached.run("ovs-appctl", "revalidator/wait");
    if (a.join("\n") !== b.join("\n")) {
      const given = `frame ${n} on ${port}: ${formatHex(frame)}`;
      return `${given}\n${differs("sent", a.join("\n"), b.join("\n"))}`;
    }
    note(notes, "caches: frames sent", a.length);
    n++;
    if (n % BURST === 0) {
      const wrong = step(cached, plain, r);
      if (wrong !== null) {
        return `after frame ${n}: ${wrong}`;
      }
    }
  }
  for (const { dp, ct } of cached.pairs()) {
    note(notes, "caches: hits", dp.stats.hits);
    note(notes, "caches: misses", dp.stats.misses);
    note(notes, "caches: recirculations", dp.stats.recirculations);
    note(notes, "caches: connections", ct.count);
  }
  return null;
}

/**
 * What a packet meets behind a tunnel is credited with the bytes of its header; with a cached
 * translation also all that comes after, since Open vSwitch adds a header and never takes it away
 * again. (ovs: ofproto/ofproto-dpif-xlate-cache.c XC_TUNNEL_HEADER)
 */
const butForBytes = (text: string) =>
  text.replace(/\b(n_bytes|bytes|byte_count|byte_in_count)[=:]\d+/g, "");

/** All is credited before time passes, since what is credited counts as used now. */
function step(a: World, b: World, r: Pick): string | null {
  const wrong = sameState(a, b, butForBytes);
  const ms = [1, 500, 1500, 12_000, 40_000][r(5)] ?? 1;
  for (const w of [a, b]) {
    w.warp(ms);
  }
  return wrong;
}

/**
 * Megaflows are disjoint, or tables changed between them and they do the same; each is right for
 * all packets that it covers.
 */
export function megaflowsAreSound(seed: number, frames: number, notes: Notes): string | null {
  const world = new World(seeded(seed));
  const r = seeded(seed + 1);
  let n = 0;
  for (const { port, frame } of arrivals(world, r, frames, 12)) {
    world.receive(port, frame);
    n++;
    if (n % BURST === 0) {
      const wrong = checkMegaflows(world, r, notes, 40);
      if (wrong !== null) {
        return `after frame ${n}: ${wrong}`;
      }
      world.warp(r(3) === 0 ? 3000 : 1);
    }
  }
  return null;
}

/**
 * Takes `samples` packets and pairs. Megaflows that were out of date are translated again before;
 * what their packets are credited to may put others out of date.
 */
export function checkMegaflows(
  world: World,
  r: Pick,
  notes: Notes,
  samples: number,
): string | null {
  if (!world.settle()) {
    note(notes, "sound: unsettled");
    return null;
  }
  for (const pair of world.pairs()) {
    const flows = [...pair.dp.flows.values()];
    for (let i = 0; flows.length > 0 && i < samples; i++) {
      const a = flows[r(flows.length)] as Megaflow;
      const b = flows[r(flows.length)] as Megaflow;
      const mayDiffer = hasPriorityTag(a) || !pair.udpif.canModify(a) || !pair.udpif.canModify(b);
      if (a !== b && !disjoint(a, b) && !sameActions(a.actions, b.actions) && !mayDiffer) {
        return `megaflows overlap: ${show(a)}\n${show(b)}`;
      }
      const wrong = soundFor(world, pair, a, b, r, notes);
      if (wrong !== null) {
        return wrong;
      }
    }
  }
  return null;
}

/** A tag without VLAN, of which NORMAL does not look at the priority (see `covered`). */
function hasPriorityTag(f: Megaflow): boolean {
  return (get(f.key, K.vlan_tci) & VLAN_VID_CFI) === VLAN_CFI_BIT;
}

/** True if some bit that both look at differs. */
function disjoint(a: Megaflow, b: Megaflow): boolean {
  return a.key.some((w, i) => {
    const both = (a.mask[i] as number) & (b.mask[i] as number);
    return ((w ^ (b.key[i] as number)) & both) !== 0;
  });
}

function show(f: Megaflow): string {
  const match = formatMegaflowKey(f, VLAN_HEADER_COUNT, null, true);
  return `#${f.id} ${match} actions ${formatOdpActions(f.actions, null)}`;
}

const VLAN_PCP = 0xe000;
const VLAN_CFI_BIT = 0x1000;
const VLAN_VID_CFI = 0x1fff;
const METADATA = [K.packet_type, K.dp_hash, K.pkt_mark, K.skb_priority, K.ct_state, K.ct_zone];

/** A packet that `f` covers, with the rest from `other` or from nowhere. */
function covered(
  f: Megaflow,
  other: Megaflow,
  r: Pick,
  vlanLimit: number,
): { p: PacketBuf; key: FlowKey } | null {
  const key = newKey();
  const noise = r(3) === 0;
  for (let i = 0; i < key.length; i++) {
    const mask = f.mask[i] as number;
    const free = noise && r(4) === 0 ? r(2 ** 30) * 4 + r(4) : (other.key[i] as number);
    key[i] = ((f.key[i] as number) & mask) | (free & ~mask);
  }
  for (const slot of METADATA) {
    key[slot.word] = f.key[slot.word] as number; // 0 unless something set it
  }
  // NORMAL does not look at priorities of tags, though it drops a tag without VLAN and priority: so
  // it is in Open vSwitch.
  for (let i = 0; i < VLAN_HEADER_COUNT; i++) {
    const w = K.vlan_tpid.word + i;
    key[w] = ((key[w] as number) & ~VLAN_PCP) | ((f.key[w] as number) & VLAN_PCP);
  }
  // How many tags are behind the first is not looked at either, though the tags are counted.
  key.set(
    f.key.subarray(K.vlan_tpid.word + 1, K.vlan_tpid.word + VLAN_HEADER_COUNT),
    K.vlan_tpid.word + 1,
  );
  // Labels are counted by whether they are 0 where a stack has no bottom, without a look at the rest
  // of their bits.
  // And a change of some bits of a label writes all of them, as the first packet had them; so does
  // a label that is popped for one output and pushed again for the next.
  const setsLabel = /set\(mpls\(|push_mpls\(/.test(formatOdpActions(f.actions, null));
  for (let i = 0; i < MPLS_LSE_COUNT; i++) {
    const w = K.mpls_lse.word + i;
    const own = f.key[w] as number;
    key[w] = own === 0 || setsLabel ? own : key[w] || own;
  }
  if (get(key, K.recirc_id) === 0) {
    key.set(f.key.subarray(K.ct_state.word, K.ct_label.word + 4), K.ct_state.word);
  }
  if (get(key, K.packet_type) !== 0) {
    return null;
  }
  const p = new PacketBuf();
  flowCompose(p, key, 20 + r(60));
  // A tunnel is all or nothing, and the words behind it belong together.
  key.set(f.key.subarray(0, K.metadata.word));
  setMetadataFromFlow(p.md, key);
  const there = newKey();
  extract(p, there, vlanLimit);
  there.set(f.key.subarray(0, K.metadata.word));
  // Without a protocol nothing of the network layer is set, and nobody notes the look at it
  // (ovs: lib/odp-util.c commit_set_nw_action).
  const alike = (get(there, K.nw_proto) === 0) === (get(f.key, K.nw_proto) === 0);
  const covers = (w: number, i: number) =>
    ((w ^ (f.key[i] as number)) & (f.mask[i] as number)) === 0;
  const fits = alike && there.every(covers);
  return fits ? { p, key: there } : null;
}

function soundFor(
  world: World,
  pair: DatapathPair,
  f: Megaflow,
  other: Megaflow,
  r: Pick,
  notes: Notes,
): string | null {
  if (f.actions.some((a) => a.kind === "userspace" && a.cookie?.type === "slow_path")) {
    note(notes, "sound: slow or lost"); // each packet is translated by itself
    return null;
  }
  if (!pair.udpif.canModify(f)) {
    note(notes, "sound: cannot be changed"); // so that it may be out of date, as in Open vSwitch
    return null;
  }
  const made = covered(f, other, r, pair.dp.vlanLimit);
  if (made === null) {
    note(notes, "sound: no packet");
    return null;
  }
  const actions = translate(world, pair, made.key);
  if (actions === null) {
    note(notes, "sound: slow or lost");
    return null;
  }
  note(notes, "sound: packets");
  note(notes, "sound: packets unlike the first", made.key.every((w, i) => w === f.key[i]) ? 0 : 1);
  if (sameActions(f.actions, actions)) {
    return null;
  }
  const words = [...made.key].flatMap((w, i) =>
    w === f.key[i] ? [] : [`${slotAt(i)} ${f.key[i]?.toString(16)} -> ${w.toString(16)}`],
  );
  const other2 = formatOdpActions(actions, null);
  return `${show(f)} but ${other2} for ${formatHex(made.p.data())}\n${words.join("\n")}`;
}

function slotAt(word: number): string {
  return Object.entries(K).findLast(([, s]) => s.word <= word)?.[0] ?? `${word}`;
}

/** The actions of a key translated afresh, without effects; null if it goes up or is lost. */
function translate({ vs }: World, { dp }: DatapathPair, key: FlowKey): readonly OdpAction[] | null {
  const found = xlateLookup(vs.xcfg, vs.recircs, dp.type, key);
  if (typeof found === "string") {
    return null;
  }
  const flow = key.slice();
  flow[K.in_port.word] = found.ofpInPort;
  const out = xlateActions({
    xcfg: vs.xcfg,
    xbridge: found.xbridge,
    flow,
    packet: null,
    sideEffects: false,
    actions: null,
    rule: null,
    tcpFlags: get(flow, K.tcp_flags),
    recircs: vs.recircs,
    frozen: null,
    stats: null,
    xcache: [], // what goes to controllers says whether it is meant
    recorder: NO_RECORDER,
    recircQueue: null,
    depth: 0,
    resubmits: 0,
    inPacketOut: false,
    nowMs: vs.clock.nowMs(),
    onSpecial: null,
  });
  for (const id of out.recircIds) {
    vs.recircs.unref(id);
  }
  return out.slow === 0 ? out.odp : null;
}

/**
 * Whatever the tables do to frames with right checksums, what leaves has right ones, inside tunnels
 * and in packets that errors quote as well.
 */
export function checksumsStayRight(seed: number, frames: number, notes: Notes): string | null {
  const world = new World(seeded(seed));
  const r = seeded(seed + 1);
  let wrong: string | null = null;
  world.onSent = (port, frame) => {
    const bad = wrongButForKnown(frame);
    for (const l of layersOf(frame)) {
      note(notes, `sums: ${l.quoted ? "quoted " : ""}${l.kind}`);
    }
    wrong ??= bad.length === 0 ? null : `${bad.join(", ")} on ${port}: ${formatHex(frame)}`;
  };
  let n = 0;
  for (const { port, frame } of arrivals(world, r, frames, 0)) {
    world.receive(port, frame);
    if (wrong !== null) {
      return `frame ${n} on ${port}: ${formatHex(frame)}\n${wrong}`;
    }
    n++;
    if (n % BURST === 0) {
      world.warp(r(3) === 0 ? 3000 : 1);
    }
  }
  return null;
}

/**
 * Layers whose checksum is wrong, but for those that Open vSwitch itself gets wrong.
 *
 * It fills in the length of GTP-U after it has computed the UDP checksum around it, and
 * so do we: that checksum is not asked for. Nor are those inside, since a tag may have been pushed
 * into a packet that has no Ethernet header any more. (ovs: lib/netdev-native-tnl.c netdev_gtpu_push_header)
 */
export function wrongButForKnown(frame: Uint8Array): string[] {
  const layers = layersOf(frame);
  const gtpu = layers.filter((l) => l.kind === "udp" && u16(frame, l.at + 2) === GTPU_PORT);
  const at = (wrong: string) => Number(/\d+$/.exec(wrong)?.[0]);
  // An error of ICMPv6 is translated as if its own checksum were where that of the connection's
  // protocol is, which is in the packet that it quotes. (ovs: lib/conntrack.c nat_packet)
  const quotes6 = layers.some((l) => l.kind === "icmp6");
  // The sequence number of GRE is written after its checksum. (netdev_gre_push_header)
  const numbered = layers.some((l) => l.kind === "gre" && (u16(frame, l.at) & GRE_SEQ) !== 0);
  return wrongSums(frame).filter(
    (w) =>
      !gtpu.some((l) => at(w) >= l.at) &&
      !(quotes6 && w.startsWith("quoted ")) &&
      !(numbered && w.startsWith("gre ")),
  );
}

/** The same run twice gives the same bytes and the same state. */
export function runsAreTheSame(seed: number, frames: number): string | null {
  const run = () => {
    const world = new World(seeded(seed));
    const sent: string[] = [];
    world.onSent = (port, frame) => sent.push(`${port} ${formatHex(frame)}`);
    const r = seeded(seed + 1);
    for (const { port, frame } of arrivals(world, r, frames, 8)) {
      world.receive(port, frame);
      if (r(BURST) === 0) {
        world.warp(1 + r(4000));
      }
    }
    return { sent, world };
  };
  const [a, b] = [run(), run()];
  const [x, y] = [a.sent.join("\n"), b.sent.join("\n")];
  return x === y ? sameState(a.world, b.world) : differs("sent", ...firstDifference(x, y));
}

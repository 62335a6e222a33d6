// Worlds under long traffic, a part of it damaged, with the laws on.
//
// A calm world keeps its megaflows: it gets its frames in long bursts, between which all flows are
// revalidated. A restless one has tables that learn, hosts that wander, and short bursts. What is
// asked when:
//
// - of each frame: nothing throws; of a world without damage, each checksum of each frame that leaves
//   equals a recomputation;
// - after each burst: each frame was sent, held, handed up or counted as lost, and nothing is beyond
//   its limit (megaflows, connections, fragments, addresses);
// - after one burst in `SOUND_ONE_IN`, and at the end of a world, of a sample of megaflows: they are
//   disjoint, and a packet made to fit into one, unlike its first, translates to the same actions;
// - at the end of a world: once all is flushed and has aged, no megaflow, connection, fragment,
//   address or recirculation id is left;
// - of one world in `TWIN_ONE_IN`: for the first frames the switch sends what one without caches
//   sends, and comes to know the same.

import { formatHex } from "../../src/lib/bytes.ts";
import { layersOf, u16 } from "../arbitraries/layers.ts";
import { type Pick, seeded } from "../arbitraries/matches.ts";
import type { Arrival, Traffic } from "../arbitraries/traffic.ts";
import { World } from "../arbitraries/worlds.ts";
import {
  cachesChangeNothing,
  checkMegaflows,
  note,
  type Notes,
  trafficFor,
  wrongButForKnown,
} from "./switch-laws.ts";

/** Frames that a world gets, and between two turns of its switch. */
const CALM = { frames: 20_000, burst: 5000 } as const;
const RESTLESS = { frames: 4000, burst: 64 } as const;
/** One world in so many is restless, is without damage, is compared with one without caches. */
const RESTLESS_ONE_IN = 4;
const CLEAN_ONE_IN = 5;
const TWIN_ONE_IN = 7;
const TWIN_FRAMES = 60;
const DAMAGED_ONE_IN = 4;
/** Within a burst the clock moves on after so many frames, by less than so much. */
const TICK_FRAMES = 50;
const TICK_MS = 6;
/** Megaflows that are looked at after a burst, one time in so many. */
const SOUND_ONE_IN = 4;
const SOUND_SAMPLES = 10;
/** Those that are looked at once a world has had its traffic. */
const LAST_SAMPLES = 40;
/** One frame in so many that leave has its layers noted. */
const NOTED_ONE_IN = 32;
/** Frames that a failure shows. */
const SHOWN_FRAMES = 32;
/** More fragments follow, or an offset. */
const FRAGMENT = 0x3fff;
/** Routing and fragment headers, and those that may stand before them. */
const EXTENSIONS = [0, 43, 44, 51, 60, 135];
/** Longer than anything in the switch lives without traffic, in steps that let it be noticed. */
const LONG_MS = 700_000;
const LONG_STEPS = 70;

const isRestless = (seed: number) => seed % RESTLESS_ONE_IN === 0;

/** Frames that the world of a seed is meant to get. */
export function worldFrames(seed: number): number {
  return (isRestless(seed) ? RESTLESS : CALM).frames;
}

/** Gives a world `frames` frames; answers what does not hold. */
export function fuzzWorld(seed: number, frames: number, notes: Notes): string | null {
  const run = new FuzzRun(seed, notes);
  try {
    const wrong = run.traffic(frames) ?? run.aftermath();
    if (wrong !== null || seed % TWIN_ONE_IN !== 0) {
      return wrong;
    }
    note(notes, "worlds with a twin");
    return cachesChangeNothing(seed, Math.min(frames, TWIN_FRAMES), notes);
  } catch (e) {
    const text = e instanceof Error ? (e.stack ?? e.message) : String(e);
    return `${text}\nlast frames:\n${run.lastFrames()}`;
  }
}

/**
 * Fragments that waited too long go on with the next packet of conntrack, whatever that is, and
 * meet its actions: an IPv4 fragment may get a hop limit. (ovs: lib/ipf.c ipf_send_expired_frags)
 * A routing header says that the destination of the checksum is another.
 */
function isExempt(frame: Uint8Array): boolean {
  return layersOf(frame).some((l) =>
    l.kind === "ip4"
      ? (u16(frame, l.at + 6) & FRAGMENT) !== 0
      : l.kind === "ip6" && hasExtension(frame, l.at),
  );
}

function hasExtension(frame: Uint8Array, at: number): boolean {
  return EXTENSIONS.includes(frame[at + 6] ?? 0);
}

class FuzzRun {
  private readonly notes: Notes;
  private readonly r: Pick;
  private readonly world: World;
  private readonly source: Traffic;
  private readonly clean: boolean;
  private readonly burst: number;
  private last: Arrival[] = [];
  private wrong: string | null = null;
  private sent = 0;

  constructor(seed: number, notes: Notes) {
    this.notes = notes;
    this.r = seeded(Math.imul(seed, 0x9e3779b1));
    const calm = !isRestless(seed);
    this.burst = (calm ? CALM : RESTLESS).burst;
    this.clean = seed % CLEAN_ONE_IN === 0;
    this.world = new World(seeded(seed), calm, seeded(seed + 2));
    const movedOneIn = calm ? 2 ** 30 : RESTLESS.burst;
    this.source = trafficFor(seeded(seed + 1), this.clean ? 0 : DAMAGED_ONE_IN, movedOneIn);
    this.world.onSent = (port, frame) => this.onSent(port, frame);
    note(notes, `worlds ${calm ? "calm" : "restless"}`);
  }

  private onSent(port: string, frame: Uint8Array): void {
    this.sent++;
    this.source.sent(port, frame);
    if (this.sent % NOTED_ONE_IN === 0) {
      for (const l of layersOf(frame)) {
        note(this.notes, `sent layers: ${l.quoted ? "quoted " : ""}${l.kind}`);
      }
    }
    if (this.clean && this.wrong === null && !isExempt(frame)) {
      const bad = wrongButForKnown(frame);
      this.wrong = bad.length === 0 ? null : `${bad.join(", ")} on ${port}: ${formatHex(frame)}`;
    }
  }

  lastFrames(): string {
    const shown = this.last.slice(-SHOWN_FRAMES);
    return shown.map((a) => `${a.port} ${formatHex(a.frame)}`).join("\n");
  }

  traffic(frames: number): string | null {
    const { world, r, burst } = this;
    for (let n = 0; n < frames; n += burst) {
      this.last = [];
      const before = this.fates();
      for (let i = 0; i < burst && n + i < frames; i++) {
        const a = this.source.next();
        this.last.push(a);
        world.inject(a.port, a.frame);
        if ((i + 1) % TICK_FRAMES === 0) {
          world.vs.clock.warp(r(TICK_MS));
        }
      }
      world.vs.packets?.run();
      note(this.notes, "frames in", this.last.length);
      const wrong = this.wrong ?? this.vanished(before, this.last.length) ?? this.limits();
      if (wrong !== null) {
        return `${wrong}\nafter frames:\n${this.lastFrames()}`;
      }
      world.warp(r(10) === 0 ? 1 + r(20_000) : r(60));
      if (r(SOUND_ONE_IN) === 0) {
        const unsound = checkMegaflows(world, r, this.notes, SOUND_SAMPLES);
        if (unsound !== null) {
          return unsound;
        }
      }
    }
    this.coverage();
    return checkMegaflows(world, r, this.notes, LAST_SAMPLES);
  }

  /** What can become of a frame, summed. */
  private fates(): number {
    let sum = 0;
    for (const { dp } of this.world.pairs()) {
      const { stats } = dp;
      sum += stats.outputs + stats.handedUp + stats.held - stats.badHeaders;
      sum += dp.counters.total + dp.losses.total;
    }
    return sum;
  }

  /** Each frame is sent, counted as lost, held or handed up. */
  private vanished(before: number, given: number): string | null {
    const fates = this.fates() - before;
    return fates < given ? `${given} in, ${fates} accounted for` : null;
  }

  private limits(): string | null {
    const { vs } = this.world;
    for (const { dp, ct, udpif } of this.world.pairs()) {
      if (ct.ipf.nFrags > ct.ipf.maxFrags || ct.ipf.nFrags < 0) {
        return `${ct.ipf.nFrags} fragments`;
      }
      if (ct.count > ct.maxConns || dp.flows.size > 2 * udpif.flowLimit) {
        return `${ct.count} connections, ${dp.flows.size} megaflows`;
      }
    }
    for (const br of vs.bridges.values()) {
      if (br.xbridge.ml.size > br.xbridge.ml.maxEntries) {
        return `${br.xbridge.ml.size} addresses`;
      }
    }
    return null;
  }

  /** What the world has gone through, before it is over. */
  private coverage(): void {
    const { notes } = this;
    for (const { dp, ct } of this.world.pairs()) {
      for (const f of dp.flows.values()) {
        for (const a of f.actions) {
          note(notes, `actions: ${a.kind}`);
        }
      }
      for (const set of [dp.counters, dp.losses, ct.counters]) {
        for (const c of set.snapshot()) {
          note(notes, `counted: ${c.name}`, c.count);
        }
      }
      for (const [what, n] of Object.entries(dp.stats)) {
        note(notes, `datapath: ${what}`, Number(n));
      }
      note(notes, "connections", ct.count);
      const states = [...ct.list(null, this.world.vs.clock.nowMs())];
      note(notes, "connections translated", states.filter((c) => c.natAction !== 0).length);
    }
  }

  /** Nothing is left of what is over. */
  aftermath(): string | null {
    const { world } = this;
    world.onSent = () => {};
    // What trees send goes through the tables, for ever.
    world.run("ovs-vsctl", "set", "bridge", "br1", "stp_enable=false", "rstp_enable=false");
    world.run("ovs-appctl", "dpctl/flush-conntrack");
    for (let i = 0; i < LONG_STEPS; i++) {
      world.warp(LONG_MS / LONG_STEPS);
    }
    for (const { dp, ct } of world.pairs()) {
      ct.ipf.clean(world.vs.clock.nowMs());
      if (dp.flows.size + ct.count + ct.ipf.nFrags > 0) {
        const left = `${dp.flows.size} megaflows, ${ct.count} connections`;
        return `left over: ${left}, ${ct.ipf.nFrags} fragments`;
      }
    }
    const { recircs, bridges } = world.vs;
    const bundles = [...bridges.values()].flatMap((br) => br.xbridge.xbundles);
    const held = bundles.filter(({ bond }) => bond !== null && bond.recircId !== 0).length;
    if (recircs.size > held) {
      return `left over: ${recircs.size - held} recirculation ids`;
    }
    const macs = [...world.vs.bridges.values()].reduce((n, br) => n + br.xbridge.ml.size, 0);
    return macs > 0 ? `left over: ${macs} addresses` : null;
  }
}

// Laws of a whole switch under traffic that gets somewhere; `npm run fuzz -- --frames N` asks them for
// longer. Each law also says what it was asked about, which must not be nothing.
import { describe, expect, it } from "vitest";
import {
  cachesChangeNothing,
  checksumsStayRight,
  megaflowsAreSound,
  type Notes,
  runsAreTheSame,
} from "./switch-laws.ts";

type Law = (seed: number, frames: number, notes: Notes) => string | null;

/** Asks a law of the worlds of some seeds; `atLeast` is what it has to have met. */
function ask(
  law: Law,
  seeds: readonly number[],
  frames: number,
  atLeast: Readonly<Record<string, number>>,
) {
  const notes: Notes = new Map();
  for (const seed of seeds) {
    expect(law(seed, frames, notes), `seed ${seed}`).toBeNull();
  }
  for (const [what, n] of Object.entries(atLeast)) {
    expect(notes.get(what) ?? 0, what).toBeGreaterThanOrEqual(n);
  }
}

describe("laws of a whole switch", () => {
  it("the switch with caches equals the switch without", () => {
    ask(cachesChangeNothing, [5, 7], 40, {
      "caches: hits": 20,
      "caches: misses": 40,
      "caches: recirculations": 10,
      "caches: connections": 5,
    });
  });

  it("megaflows are disjoint and right for all that they cover", () => {
    ask(megaflowsAreSound, [3, 8], 60, { "sound: packets unlike the first": 100 });
  });

  it("checksums stay right, whatever the tables do", () => {
    ask(checksumsStayRight, [3, 5, 8], 100, {
      "sums: tcp": 50,
      "sums: udp": 50,
      "sums: sctp": 1,
      "sums: icmp": 3,
      "sums: quoted ip4": 3,
      "sums: vxlan": 3,
      "sums: geneve": 3,
      "sums: gre": 3,
    });
  });

  it("the same run twice gives the same bytes", () => {
    ask(runsAreTheSame, [8], 80, {});
  });
});

// Frames of every length and of no sense, on every port and inside every kind of tunnel: nothing
// throws, and each is sent, handed up, held, or lost under a name.
import { expect, it } from "vitest";
import { mendSums } from "../arbitraries/layers.ts";
import { seeded } from "../arbitraries/matches.ts";
import { TUNNELS } from "../arbitraries/traffic.ts";
import { HOST_PORTS, UNDERLAY_PORTS, World } from "../arbitraries/worlds.ts";
import { trafficFor } from "./switch-laws.ts";

const BYTES_MAX = 140;
const INNER_MAX = 90;
/** What garbage begins with, so that it is looked at: nothing, or an Ethernet type. */
const BEGINNINGS = ["", "0800", "86dd", "0806", "8100", "88a8", "8847", "894f", "6558"] as const;
const FILLS = [0x00, 0xff, 0x45, 0x60] as const;

function garbage(bytes: number, type: string, fill: number): Uint8Array {
  const b = new Uint8Array(bytes).fill(fill);
  b.set(Uint8Array.of(0x50, 0x54, 0, 0, 0, 2, 0x50, 0x54, 0, 0, 0, 1).subarray(0, bytes));
  if (type !== "" && bytes >= 14) {
    b[12] = Number.parseInt(type.slice(0, 2), 16);
    b[13] = Number.parseInt(type.slice(2), 16);
  }
  return b;
}

/** What became of frames: sent, lost, handed up or held. */
function fates(world: World): number {
  return world.pairs().reduce((n, { dp }) => {
    const { outputs, handedUp, held, badHeaders } = dp.stats;
    return n + outputs + handedUp + held - badHeaders + dp.counters.total + dp.losses.total;
  }, 0);
}

function give(world: World, port: string, frame: Uint8Array): void {
  const before = fates(world);
  world.inject(port, frame);
  expect(fates(world) - before, `${port} ${frame.length}`).toBeGreaterThan(0);
}

it("frames of every length on every port", () => {
  const world = new World(seeded(11), true);
  const ports = [...HOST_PORTS, ...UNDERLAY_PORTS];
  for (let n = 0; n <= BYTES_MAX; n++) {
    for (const [i, type] of BEGINNINGS.entries()) {
      const fill = FILLS[(n + i) % FILLS.length] ?? 0;
      give(world, ports[(n + i) % ports.length] ?? "p1", garbage(n, type, fill));
    }
    world.vs.packets?.run();
  }
  const counted = world.pairs().map(({ dp }) => dp.counters.get("datapath_drop_rx_invalid_packet"));
  expect(counted).toEqual([14 * BEGINNINGS.length]); // shorter than an Ethernet header
});

it("frames of every length inside every tunnel", () => {
  const world = new World(seeded(12), true);
  const traffic = trafficFor(seeded(13), 0);
  for (let kind = 0; kind < TUNNELS; kind++) {
    for (let n = 0; n <= INNER_MAX; n++) {
      const type = BEGINNINGS[n % BEGINNINGS.length] ?? "";
      const inner = garbage(n, type, FILLS[(n + kind) % FILLS.length] ?? 0);
      give(world, "u1", traffic.encapsulated(inner, kind));
      // The same tunnel, cut within its own header.
      const cut = traffic.encapsulated(inner, kind).slice(0, n);
      mendSums(cut);
      give(world, "u1", cut);
    }
    world.vs.packets?.run();
  }
  const popped = world.pairs().map(({ dp }) => dp.stats.recirculations);
  expect(popped[0]).toBeGreaterThan((TUNNELS * INNER_MAX) / 4);
});

// A sequence: what is done to a switch, step by step, and where the two sides are compared.

import type { Arbitrary } from "fast-check";

/** One step. `run` lines are split at spaces; `input` goes to standard input, a line each. */
export type Step =
  | { readonly do: "frame"; readonly port: string; readonly hex: string }
  | { readonly do: "run"; readonly line: string; readonly input?: readonly string[] }
  /** Moves the clock, which stands still otherwise. */
  | { readonly do: "warp"; readonly ms: number }
  /** Lets megaflows follow what has changed, and counters come to rest. */
  | { readonly do: "rest" }
  /** Compares everything that can be seen of both switches. */
  | { readonly do: "look" };

export interface Sequence {
  readonly steps: readonly Step[];
}

export const LOOK: Step = { do: "look" };
export const REST: Step = { do: "rest" };

/**
 * A command line. ovs-ofctl is to speak OpenFlow 1.3 or later: as long as a connection of an older
 * version is there, Open vSwitch sends what no flow matches to the controller, and it does not see
 * at once that ovs-ofctl has gone.
 */
export function run(line: string, input?: readonly string[]): Step {
  return input === undefined ? { do: "run", line } : { do: "run", line, input };
}

export function frame(port: string, bytes: Uint8Array): Step {
  let hex = "";
  for (const b of bytes) {
    hex += b.toString(16).padStart(2, "0");
  }
  return { do: "frame", port, hex };
}

/** A trace on a bridge of what a frame would meet now. */
export function trace(bridge: string, sent: Step): Step {
  const [port, hex] = sent.do === "frame" ? [sent.port, sent.hex] : ["", ""];
  return run(`ovs-appctl ofproto/trace ${bridge} in_port=${port} ${hex}`);
}

export function warp(ms: number): Step {
  return { do: "warp", ms };
}

/**
 * The steps with a rest behind each frame. Where a frame may teach or move a MAC, a neighbour or a
 * flow, megaflows are translated again. In Open vSwitch threads of their own do that meanwhile: a
 * frame that follows at once meets megaflows of before or of after, as it happens.
 */
export function paced(steps: readonly Step[]): Step[] {
  return steps.flatMap((step) => (step.do === "frame" ? [step, REST] : [step]));
}

/**
 * Flows of a bridge instead of those that it had. Open vSwitch takes deleted rules out of its
 * classifier when its threads have come to rest, and which subtables are asked first depends on
 * that; so there is a pause before the new ones.
 */
export function flows(bridge: string, lines: readonly string[], version = "OpenFlow15"): Step[] {
  return [
    run(`ovs-ofctl -O OpenFlow15 del-flows ${bridge}`),
    warp(10),
    run(`ovs-ofctl -O ${version} add-flows ${bridge} -`, lines),
  ];
}

/** What is compared in a look. */
export interface Look {
  readonly line: string;
  /** `lines`: Open vSwitch prints the lines in the order of a hash table with a random seed. */
  readonly order: "exact" | "lines";
  /** Why, and what in the text is random in Open vSwitch itself; it is made neutral. */
  readonly neutral?: (text: string) => string;
}

/** A topology, what is looked at in it, and the sequences that make sense there. */
export interface SequenceKind {
  readonly name: string;
  /** Command lines, run once. */
  readonly setup: readonly string[];
  /** Prints what the switch tells controllers, from before the first sequence on. */
  readonly monitor?: string;
  /** Runs before each sequence, to forget the one before. */
  readonly reset: readonly Step[];
  /** Ports whose `tx_pcap` is PORT.pcap. */
  readonly captures: readonly string[];
  /** Makes neutral what is random in a frame (hex digits) that is sent. */
  readonly neutralFrame?: (hex: string) => string;
  readonly looks: readonly Look[];
  readonly sequence: Arbitrary<Sequence>;
}

/** Megaflows; they are in a hash table with a random seed, and their names are random too. */
export const MEGAFLOWS: Look = { line: "ovs-appctl dpctl/dump-flows", order: "lines" };
export const WHOLE_MEGAFLOWS: Look = {
  line: "ovs-appctl dpctl/dump-flows -m",
  order: "lines",
  neutral: (text) => text.replace(/^ufid:[0-9a-f-]+, /gm, ""),
};

/** Ports, and how many packets found megaflows. */
export const DATAPATH: Look = { line: "ovs-appctl dpctl/show -s", order: "exact" };

/**
 * The flows of a bridge with their counters. Flows of the same priority come in the order in which
 * their subtables were made, and a subtable of deleted flows lives on for a while that depends on
 * threads of Open vSwitch: lines are sorted here; the order of dumps is the business of traces.
 */
export function flowsOf(bridge: string): Look {
  return { line: `ovs-ofctl -O OpenFlow15 dump-flows ${bridge}`, order: "lines" };
}

/**
 * The MAC table of a bridge. Entries are in the order of their last use, and revalidators credit
 * the uses by megaflows in the order of a hash table.
 */
export function macsOf(bridge: string): Look {
  return { line: `ovs-appctl fdb/show ${bridge}`, order: "lines" };
}

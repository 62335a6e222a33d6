// Rule sets and lookup keys for classifier benchmarks.
//
// ClassBench filter sets (one rule a line, first line highest priority) become OpenFlow rules: a port
// range that is no prefix becomes several rules, all with the priority of their line. Keys are drawn
// with a Pareto-like skew over the rules, wildcards filled at random, some keys repeated; everything
// from a fixed seed. Two synthetic sets stand for an OVN-like pipeline and for random masks.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { type FlowKey, newKey, set } from "../src/flow/flow-key.ts";
import { K, type Slot } from "../src/flow/slots.ts";

/** A rule as [slot, value, mask] triples. */
export interface BenchRule {
  readonly priority: number;
  readonly parts: readonly (readonly [Slot, number, number])[];
}

export interface RuleSet {
  readonly name: string;
  readonly rules: readonly BenchRule[];
}

/** A small, fast, seeded generator (xorshift32): whole numbers below `n`. */
export function random(seed: number): (n: number) => number {
  let s = seed | 1;
  return (n) => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) % n;
  };
}

const LINE =
  /^@([\d.]+)\/(\d+)\s+([\d.]+)\/(\d+)\s+(\d+) : (\d+)\s+(\d+) : (\d+)\s+0x(\w+)\/0x(\w+)/;

/** Reads a ClassBench file. */
export function classbench(path: string): RuleSet {
  const rules: BenchRule[] = [];
  const lines = readFileSync(path, "utf8").trim().split("\n");
  for (const [i, line] of lines.entries()) {
    const m = LINE.exec(line);
    if (m === null) {
      throw new Error(`${path}:${i + 1}: not a ClassBench rule: ${line}`);
    }
    const [src, srcLen, dst, dstLen, sLo, sHi, dLo, dHi] = m.slice(1, 9) as string[];
    const parts: [Slot, number, number][] = [[K.dl_type, 0x800, 0xffff]];
    prefix(parts, K.nw_src, src as string, Number(srcLen));
    prefix(parts, K.nw_dst, dst as string, Number(dstLen));
    if (Number.parseInt(m[10] as string, 16) !== 0) {
      parts.push([K.nw_proto, Number.parseInt(m[9] as string, 16), 0xff]);
    }
    for (const s of rangeToPrefixes(Number(sLo), Number(sHi))) {
      for (const d of rangeToPrefixes(Number(dLo), Number(dHi))) {
        const ports: [Slot, number, number][] = [];
        if (s[1] !== 0) {
          ports.push([K.tp_src, ...s]);
        }
        if (d[1] !== 0) {
          ports.push([K.tp_dst, ...d]);
        }
        rules.push({ priority: lines.length - i, parts: [...parts, ...ports] });
      }
    }
  }
  return { name: basename(path, ".rules"), rules };
}

function prefix(parts: [Slot, number, number][], slot: Slot, ip: string, len: number): void {
  if (len > 0) {
    const mask = len === 32 ? 0xffffffff : (-1 << (32 - len)) >>> 0;
    const value = ip.split(".").reduce((v, b) => v * 256 + Number(b), 0);
    parts.push([slot, (value & mask) >>> 0, mask]);
  }
}

/** The fewest [value, mask] pairs of 16 bits that cover lo..hi. */
export function rangeToPrefixes(lo: number, hi: number): [number, number][] {
  const out: [number, number][] = [];
  for (let at = lo; at <= hi; ) {
    let size = 1;
    while (at % (size * 2) === 0 && at + size * 2 - 1 <= hi && size < 65536) {
      size *= 2;
    }
    out.push([at, (0x10000 - size) & 0xffff]);
    at += size;
  }
  return out;
}

/** Logical pipeline: 20 masks, metadata and a register in all of them, addresses in some. */
export function ovnLike(rules: number): RuleSet {
  const rnd = random(7);
  const shapes: (readonly Slot[])[] = [
    [K.metadata],
    [K.metadata, K.reg14],
    [K.metadata, K.reg15],
    [K.metadata, K.dl_dst],
    [K.metadata, K.dl_src],
    [K.metadata, K.reg14, K.dl_src],
    [K.metadata, K.dl_type],
    [K.metadata, K.dl_type, K.nw_dst],
    [K.metadata, K.dl_type, K.nw_src],
    [K.metadata, K.reg14, K.dl_type, K.nw_src],
    [K.metadata, K.dl_type, K.nw_proto],
    [K.metadata, K.dl_type, K.nw_proto, K.tp_dst],
    [K.metadata, K.ct_state],
    [K.metadata, K.ct_state, K.dl_type],
    [K.metadata, K.reg15, K.ct_state],
    [K.metadata, K.reg15, K.dl_type, K.nw_dst],
    [K.metadata, K.dl_type, K.nw_proto, K.nw_dst],
    [K.metadata, K.reg15, K.dl_dst],
    [K.reg14],
    [K.metadata, K.reg0, K.dl_type],
  ];
  const out: BenchRule[] = [];
  for (let i = 0; i < rules; i++) {
    const shape = shapes[i % shapes.length] as readonly Slot[];
    const parts = shape.map((slot): [Slot, number, number] => {
      const value = slot === K.dl_type ? 0x800 : slot === K.nw_proto ? 6 : rnd(500) + 1;
      return [slot, value & slot.max, slot.max];
    });
    out.push({ priority: 1 + (i % shapes.length) * 10, parts });
  }
  return { name: `ovn-like-${rules}`, rules: out };
}

/** Rules under `masks` random masks over addresses, ports, MACs and registers. */
export function randomMasks(rules: number, masks: number): RuleSet {
  const rnd = random(11);
  const slots = [K.in_port, K.reg0, K.dl_type, K.nw_src, K.nw_dst, K.nw_proto, K.tp_src, K.tp_dst];
  const shapes: [Slot, number][][] = [];
  for (let i = 0; i < masks; i++) {
    const shape = slots
      .filter((s) => rnd(2) === 0 || s === K.dl_type)
      .map((s): [Slot, number] => {
        const cut = s.bits > 8 && s !== K.dl_type ? rnd(s.bits) : 0;
        return [s, ((s.max - (2 ** cut - 1)) & s.max) >>> 0];
      });
    shapes.push(shape);
  }
  const out: BenchRule[] = [];
  for (let i = 0; i < rules; i++) {
    const shape = shapes[i % masks] as [Slot, number][];
    const parts = shape.map(([slot, mask]): [Slot, number, number] => {
      const value = slot === K.dl_type ? 0x800 : (rnd(65536) * 65536 + rnd(65536)) >>> 0;
      return [slot, (value & mask) >>> 0, mask];
    });
    out.push({ priority: 1 + rnd(1000), parts });
  }
  return { name: `random-${rules}x${masks}`, rules: out };
}

/** `count` keys for a set: skewed towards the first rules, every third one a repetition. */
export function lookupKeys(rules: readonly BenchRule[], count: number): FlowKey[] {
  const rnd = random(3);
  const keys: FlowKey[] = [];
  while (keys.length < count) {
    if (keys.length > 16 && rnd(3) === 0) {
      keys.push(keys[keys.length - 1 - rnd(16)] as FlowKey);
      continue;
    }
    const u = (rnd(1_000_000) + 1) / 1_000_000;
    const at = Math.min(rules.length - 1, Math.floor(rules.length * u * u));
    keys.push(fillIn((rules[at] as BenchRule).parts, rnd));
  }
  return keys;
}

/** A TCP packet's key that matches the parts; what they leave open is random. */
function fillIn(parts: BenchRule["parts"], rnd: (n: number) => number): FlowKey {
  const key = newKey();
  const word = () => (rnd(65536) * 65536 + rnd(65536)) >>> 0;
  set(key, K.dl_type, 0x800);
  set(key, K.nw_proto, [6, 17, 1][rnd(3)] as number);
  for (const slot of [K.nw_src, K.nw_dst, K.tp_src, K.tp_dst, K.reg0, K.in_port]) {
    set(key, slot, word() & slot.max);
  }
  for (const [slot, value, mask] of parts) {
    if (slot.words > 1) {
      key[slot.word + slot.words - 1] = value;
    } else {
      const old = ((key[slot.word] as number) >>> slot.shift) & slot.max;
      set(key, slot, (old & ~mask) | value);
    }
  }
  return key;
}

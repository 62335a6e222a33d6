// Classifier bench: lookups without and with un-wildcarding, against Open vSwitch's own classifier
// (bench/rival/) where that is built, with equal answers and equal masks as a condition.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { Classifier } from "../src/datapath/classifier.ts";
import { newClsRule, VERSION_MIN } from "../src/datapath/classifier-rule.ts";
import { type FlowKey, get, newKey, orBits, set } from "../src/flow/flow-key.ts";
import { miniMatchOf } from "../src/flow/minimatch.ts";
import { K, type Slot } from "../src/flow/slots.ts";
import { classbench, lookupKeys, ovnLike, type RuleSet, randomMasks } from "./rule-sets.ts";
import { median, type Table } from "./table.ts";

/** Few enough that they stay in the cache, as the key of a packet just received does. */
const KEYS = 256;
const ROUNDS = 5;
const WIDE = new Set<Slot>([K.metadata, K.dl_src, K.dl_dst]);

export interface ClassifierBenchOptions {
  /** Directory with ClassBench `.rules` files, if there is one. */
  readonly sets: string | undefined;
  /** The built rival program, if there is one. */
  readonly rival: string | undefined;
}

interface Figures {
  readonly plainNs: number;
  readonly wcNs: number;
  readonly bytes: number;
  readonly ruleSum: number;
  readonly maskSum: number;
}

/** Runs the bench; one row a rule set. Throws if the two sides disagree. */
export async function classifierBench(options: ClassifierBenchOptions): Promise<Table> {
  const rows: string[][] = [];
  for (const set of ruleSets(options.sets)) {
    rows.push(await measureSet(set, options.rival));
  }
  return {
    title: "Classifier, ns per lookup",
    header: [
      "set (rules, subtables)",
      "tablewalk",
      "C",
      "ratio",
      "tablewalk, wildcards",
      "C, wildcards",
      "ratio",
      "bytes a rule",
      "C bytes",
    ],
    rows,
  };
}

function ruleSets(dir: string | undefined): RuleSet[] {
  const files =
    dir !== undefined && existsSync(dir)
      ? readdirSync(dir).filter((f) => f.endsWith(".rules"))
      : [];
  return [
    ...files.sort().map((f) => classbench(`${dir}/${f}`)),
    ovnLike(2400),
    ovnLike(38500),
    randomMasks(1000, 50),
    randomMasks(10000, 200),
  ];
}

async function measureSet(rs: RuleSet, rivalPath: string | undefined): Promise<string[]> {
  const cls = load(rs);
  const keys = lookupKeys(rs.rules, KEYS);
  const rival = rivalPath === undefined ? null : new Rival(rivalPath, rs, keys);
  const passes = 64;
  const ours: Figures[] = [];
  const theirs: Figures[] = [];
  measure(cls, keys, passes); // warm up
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(measure(cls, keys, passes));
    if (rival !== null) {
      theirs.push(await rival.go(passes));
    }
  }
  rival?.close();
  const [a, b] = [ours[0] as Figures, theirs[0]];
  if (b !== undefined && (a.ruleSum !== b.ruleSum || a.maskSum !== b.maskSum)) {
    throw new Error(
      `${rs.name}: answers differ: rules ${a.ruleSum} / ${b.ruleSum}, masks ${a.maskSum} / ${b.maskSum}`,
    );
  }
  const mid = (of: Figures[], pick: (f: Figures) => number) => median(of.map(pick));
  const plain = mid(ours, (f) => f.plainNs);
  const wc = mid(ours, (f) => f.wcNs);
  const ratio = (n: number, pick: (f: Figures) => number) =>
    theirs.length === 0 ? "" : `${(mid(theirs, pick) / n).toFixed(1)}x`;
  const their = (pick: (f: Figures) => number) =>
    theirs.length === 0 ? "" : mid(theirs, pick).toFixed(0);
  return [
    `${rs.name} (${cls.size}, ${cls.subtableCount})`,
    plain.toFixed(0),
    their((f) => f.plainNs),
    ratio(plain, (f) => f.plainNs),
    wc.toFixed(0),
    their((f) => f.wcNs),
    ratio(wc, (f) => f.wcNs),
    a.bytes.toFixed(0),
    their((f) => f.bytes),
  ];
}

export function load(rs: RuleSet): Classifier<number> {
  const isIpv4 = (key: FlowKey) => get(key, K.dl_type) === 0x800;
  const cls = new Classifier<number>();
  cls.setPrefixFields([
    { name: "ip_dst", word: K.nw_dst.word, bits: 32, prereqsOk: isIpv4 },
    { name: "ip_src", word: K.nw_src.word, bits: 32, prereqsOk: isIpv4 },
  ]);
  const flow = newKey();
  const wc = newKey();
  for (const r of rs.rules) {
    flow.fill(0);
    wc.fill(0);
    for (const [slot, value, mask] of r.parts) {
      put(flow, slot, value);
      if (WIDE.has(slot)) {
        wc[slot.word] = slot.bits === 48 ? 0xffff : 0xffffffff;
        wc[slot.word + 1] = 0xffffffff;
      } else {
        orBits(wc, slot, mask);
      }
    }
    cls.replace(newClsRule(miniMatchOf(flow, wc), r.priority, r.priority), VERSION_MIN);
  }
  return cls;
}

function put(key: FlowKey, slot: Slot, value: number): void {
  if (slot.words > 1) {
    key[slot.word + slot.words - 1] = value;
  } else {
    set(key, slot, value);
  }
}

function measure(cls: Classifier<number>, keys: readonly FlowKey[], passes: number): Figures {
  const wc = newKey();
  let ruleSum = 0;
  let sum = 0;
  const t0 = cpuMs();
  for (let p = 0; p < passes; p++) {
    for (const key of keys) {
      ruleSum = (ruleSum + (cls.lookup(VERSION_MIN, key, null)?.priority ?? 0)) >>> 0;
    }
  }
  const t1 = cpuMs();
  for (let p = 0; p < passes; p++) {
    for (const key of keys) {
      wc.fill(0);
      cls.lookup(VERSION_MIN, key, wc);
      sum = (sum + maskSum(wc)) >>> 0;
    }
  }
  const t2 = cpuMs();
  const lookups = passes * keys.length;
  return {
    plainNs: ((t1 - t0) * 1e6) / lookups,
    wcNs: ((t2 - t1) * 1e6) / lookups,
    bytes: cls.bytes / cls.size,
    ruleSum,
    maskSum: sum,
  };
}

/** Processor time of this process: other programs on the machine do not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The same sum over a mask that the rival makes. */
function maskSum(wc: FlowKey): number {
  let h = get(wc, K.dl_type);
  for (const word of [
    wc[K.nw_src.word],
    wc[K.nw_dst.word],
    get(wc, K.nw_proto),
    wc[K.tp_src.word],
    wc[K.in_port.word],
    wc[K.reg0.word],
    wc[K.reg14.word],
    wc[K.reg15.word],
  ]) {
    h = Math.imul(h ^ (word as number), 0x01000193);
  }
  return h >>> 0;
}

/** The rival process, loaded with the same rules and keys. */
class Rival {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterableIterator<string>;
  private readonly reader: Interface;

  constructor(path: string, rs: RuleSet, keys: readonly FlowKey[]) {
    this.process = spawn(path);
    this.reader = createInterface({ input: this.process.stdout });
    this.lines = this.reader[Symbol.asyncIterator]();
    const hex = (n: number) => n.toString(16);
    for (const r of rs.rules) {
      const parts = r.parts.map(([slot, value, mask]) =>
        WIDE.has(slot) ? `${slot.name}=${hex(value)}` : `${slot.name}=${hex(value)}/${hex(mask)}`,
      );
      this.process.stdin.write(`rule ${hex(r.priority)} ${parts.join(" ")}\n`);
    }
    const slots = [...new Set(rs.rules.flatMap((r) => r.parts.map((p) => p[0])))];
    const all = new Set([...slots, K.nw_src, K.nw_dst, K.tp_src, K.tp_dst, K.dl_type, K.nw_proto]);
    for (const key of keys) {
      const parts = [...all, K.reg0, K.in_port].map((slot) => {
        const value = slot.words > 1 ? (key[slot.word + slot.words - 1] as number) : get(key, slot);
        return `${slot.name}=${hex(value >>> 0)}`;
      });
      this.process.stdin.write(`key ${parts.join(" ")}\n`);
    }
  }

  async go(passes: number): Promise<Figures> {
    this.process.stdin.write(`go ${passes}\n`);
    const { value } = await this.lines.next();
    const [plainNs, wcNs, bytes, ruleSum, maskSum] = String(value).split(" ").map(Number);
    return {
      plainNs: plainNs as number,
      wcNs: wcNs as number,
      bytes: bytes as number,
      ruleSum: ruleSum as number,
      maskSum: maskSum as number,
    };
  }

  close(): void {
    this.process.stdin.end();
    this.reader.close();
  }
}

// Table features and statistics as text (ovs: lib/ofp-table.c ofputil_table_features_format).
//
// Many tables are alike, so that each is described as far as it differs from the one before, and
// runs of tables that do not differ at all are one line. That a table's next tables lack the table
// itself counts as no difference. Names with a common prefix, or numbered ones, are folded:
// `tun_metadata0...tun_metadata63`, `tun_{src,dst}`.

import { formatActionNames } from "../actions/actions.ts";
import { INSTRUCTIONS } from "../actions/types.ts";
import { fieldsOf } from "./table-features-put.ts";
import { altHex, type Text } from "./text.ts";
import type {
  ActionFeatures,
  InstructionFeatures,
  TableFeatures,
  TableStats,
} from "./types-switch.ts";

const COMMAND_NAMES = ["replace", "modify", "enable", "disable"];
/** Digits of numbers that may be counted up. */
const SEQUENCE_DIGITS_MAX = 9;

function isNumber(s: string): boolean {
  return /^\d+$/.test(s) && s.length <= SEQUENCE_DIGITS_MAX;
}

/** True for "a1", "a2": equal up to a number that is one greater. */
function areSequential(a: string, b: string): boolean {
  let i = 0;
  while (i < a.length && a[i] === b[i]) {
    i++;
  }
  const [x, y] = [a.slice(i), b.slice(i)];
  return isNumber(x) && isNumber(y) && Number(x) + 1 === Number(y);
}

/** How many names at the start count up; two are not worth folding. */
function sequentialRun(ids: readonly string[]): number {
  let n = 1;
  while (n < ids.length && areSequential(ids[n - 1] ?? "", ids[n] ?? "")) {
    n++;
  }
  return n === 2 ? 1 : n;
}

/** Length of the common prefix that ends with an underscore. */
function commonPrefix(a: string, b: string): number {
  let out = 0;
  for (let i = 0; i < a.length && a[i] === b[i]; i++) {
    out = a[i] === "_" ? i + 1 : out;
  }
  return out;
}

function prefixRun(ids: readonly string[], skip: number): { run: number; extra: number } {
  const first = (ids[0] ?? "").slice(skip);
  if (ids.length < 2) {
    return { run: ids.length, extra: 0 };
  }
  const extra = commonPrefix(first, (ids[1] ?? "").slice(skip));
  if (extra === 0) {
    return { run: 1, extra: 0 };
  }
  let run = 2;
  while (run < ids.length && commonPrefix(first, (ids[run] ?? "").slice(skip)) !== 0) {
    run++;
  }
  return { run, extra };
}

/** Folds a list of names; `skip` characters of each have been printed. */
function foldNames(list: readonly string[], skip = 0): string {
  const out: string[] = [];
  let ids = list;
  while (ids.length > 0) {
    const first = (ids[0] ?? "").slice(skip);
    const p = prefixRun(ids, skip);
    const suffix = sequentialRun(ids);
    const run = Math.max(p.run, suffix);
    if (suffix >= p.run) {
      out.push(run > 1 ? `${first}...${(ids[run - 1] ?? "").slice(skip)}` : first);
    } else {
      out.push(`${first.slice(0, p.extra)}{${foldNames(ids.slice(0, run), skip + p.extra)}}`);
    }
    ids = ids.slice(run);
  }
  return out.join(skip > 0 ? "," : " ");
}

function fieldNames(set: ReadonlySet<string>): string {
  const list = fieldsOf(set).map((f) => f.name);
  return list.length === 0 ? "" : ` ${foldNames(list)}`;
}

function sameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a === b || (a.size === b.size && [...a].every((x) => b.has(x)));
}

function sameActions(a: ActionFeatures, b: ActionFeatures): boolean {
  return sameSet(a.actions, b.actions) && sameSet(a.setFields, b.setFields);
}

function noActions(a: ActionFeatures): boolean {
  return a.actions.size === 0 && a.setFields.size === 0;
}

/** Equal, but for the lower table's next tables having the higher one, which lacks itself. */
function sameNext(
  a: ReadonlySet<number>,
  aId: number,
  b: ReadonlySet<number>,
  bId: number,
): boolean {
  if (bId === aId + 1 && a.has(bId) && !b.has(bId)) {
    return sameSet(new Set([...a].filter((id) => id !== bId)), b);
  }
  return aId === bId + 1 ? sameNext(b, bId, a, aId) : sameSet(a, b);
}

interface OfTableId {
  readonly f: InstructionFeatures;
  readonly id: number;
}

function sameInstructions(a: OfTableId, b: OfTableId): boolean {
  return (
    sameNext(a.f.next, a.id, b.f.next, b.id) &&
    sameSet(a.f.instructions, b.f.instructions) &&
    sameActions(a.f.write, b.f.write) &&
    sameActions(a.f.apply, b.f.apply)
  );
}

function noInstructions(f: InstructionFeatures): boolean {
  return f.next.size === 0 && f.instructions.size === 0 && noActions(f.write) && noActions(f.apply);
}

function sameFeatures(a: TableFeatures, b: TableFeatures): boolean {
  return (
    a.metadataMatch === b.metadataMatch &&
    a.metadataWrite === b.metadataWrite &&
    a.missConfig === b.missConfig &&
    a.supportsEviction === b.supportsEviction &&
    a.supportsVacancyEvents === b.supportsVacancyEvents &&
    a.maxEntries === b.maxEntries &&
    sameInstructions({ f: a.nonmiss, id: a.tableId }, { f: b.nonmiss, id: b.tableId }) &&
    sameInstructions({ f: a.miss, id: a.tableId }, { f: b.miss, id: b.tableId }) &&
    sameSet(a.match, b.match)
  );
}

function noFeatures(tf: TableFeatures): boolean {
  return (
    tf.metadataMatch === 0n &&
    tf.metadataWrite === 0n &&
    tf.missConfig === "default" &&
    tf.supportsEviction < 0 &&
    tf.supportsVacancyEvents < 0 &&
    tf.maxEntries === 0 &&
    noInstructions(tf.nonmiss) &&
    noInstructions(tf.miss) &&
    tf.match.size === 0
  );
}

function sameStats(a: TableStats, b: TableStats): boolean {
  return (
    a.activeCount === b.activeCount &&
    a.lookupCount === b.lookupCount &&
    a.matchedCount === b.matchedCount
  );
}

/** "1-3,7" */
function ranges(set: ReadonlySet<number>): string {
  const ids = [...set].sort((a, b) => a - b);
  const out: string[] = [];
  for (let i = 0; i < ids.length; ) {
    let j = i;
    while (ids[j + 1] === (ids[j] ?? 0) + 1) {
      j++;
    }
    out.push(i === j ? `${ids[i]}` : `${ids[i]}-${ids[j]}`);
    i = j + 1;
  }
  return out.join(",");
}

function actionText(a: ActionFeatures): string {
  const actions = a.actions.size === 0 ? "" : `        actions: ${formatActionNames(a.actions)}\n`;
  const fields = fieldNames(a.setFields);
  return actions + (fields === "" ? "" : `        supported on Set-Field:${fields}\n`);
}

function instructionText(f: InstructionFeatures, prev: InstructionFeatures | null): string {
  let out = f.next.size === 0 ? "" : `      next tables: ${ranges(f.next)}\n`;
  if (f.instructions.size > 0) {
    const list = INSTRUCTIONS.filter((name) => f.instructions.has(name)).join(",");
    const same = prev !== null && sameSet(f.instructions, prev.instructions);
    out += same
      ? "      (same instructions)\n"
      : `      instructions: ${list.replaceAll(",", " ")}\n`;
  }
  const same =
    prev !== null && sameActions(f.write, prev.write) && sameActions(f.apply, prev.apply);
  if (same && f.write.setFields.size > 0) {
    return `${out}      (same actions)\n`;
  }
  if (!sameActions(f.write, f.apply)) {
    out += `      Write-Actions features:\n${actionText(f.write)}`;
    return `${out}      Apply-Actions features:\n${actionText(f.apply)}`;
  }
  return noActions(f.write)
    ? out
    : `${out}      Write-Actions and Apply-Actions features:\n${actionText(f.write)}`;
}

function instructionsText(tf: TableFeatures, prev: TableFeatures | null): string {
  const id = tf.tableId;
  const own = { f: tf.nonmiss, id };
  const alike =
    prev !== null &&
    sameInstructions(own, { f: prev.nonmiss, id: prev.tableId }) &&
    sameInstructions({ f: tf.miss, id }, { f: prev.miss, id: prev.tableId });
  if (alike) {
    return noInstructions(tf.nonmiss) ? "" : "    (same instructions)\n";
  }
  const prevNonmiss = prev?.nonmiss ?? null;
  if (!sameInstructions(own, { f: tf.miss, id })) {
    return (
      `    instructions (other than table miss):\n${instructionText(tf.nonmiss, prevNonmiss)}` +
      `    instructions (table miss):\n${instructionText(tf.miss, prev?.miss ?? null)}`
    );
  }
  return noInstructions(tf.nonmiss)
    ? ""
    : `    instructions (table miss and others):\n${instructionText(tf.nonmiss, prevNonmiss)}`;
}

function matchLine(tf: TableFeatures, title: string, mask: boolean, wild: boolean): string {
  const set = [...tf.match].filter((f) => tf.mask.has(f) === mask && tf.wildcard.has(f) === wild);
  return set.length === 0 ? "" : `      ${title}:${fieldNames(new Set(set))}\n`;
}

function matchText(tf: TableFeatures, prev: TableFeatures | null): string {
  if (tf.match.size === 0) {
    return "";
  }
  if (prev !== null && sameSet(tf.match, prev.match)) {
    return "    (same matching)\n";
  }
  return (
    "    matching:\n" +
    matchLine(tf, "arbitrary mask", true, true) +
    matchLine(tf, "exact match or wildcard", false, true) +
    matchLine(tf, "must exact match", false, false)
  );
}

function featuresText(tf: TableFeatures, prev: TableFeatures | null): string {
  let out = "";
  if (tf.metadataMatch !== 0n || tf.metadataWrite !== 0n) {
    const [match, write] = [altHex(tf.metadataMatch), altHex(tf.metadataWrite)];
    out += `    metadata: match=${match} write=${write}\n`;
  }
  out += tf.missConfig === "default" ? "" : `    config=${tf.missConfig}\n`;
  const support = (has: number): string => `${has === 0 ? "not " : ""}supported\n`;
  out += tf.supportsEviction < 0 ? "" : `    eviction: ${support(tf.supportsEviction)}`;
  const vacancy = tf.supportsVacancyEvents;
  out += vacancy < 0 ? "" : `    vacancy events: ${support(vacancy)}`;
  out += tf.maxEntries === 0 ? "" : `    max_entries=${tf.maxEntries}\n`;
  return out + instructionsText(tf, prev) + matchText(tf, prev);
}

interface Shown {
  readonly features: TableFeatures;
  readonly stats: TableStats | null;
}

/** Prints tables one after the other; `finish` after the last. */
export class TablePrinter {
  readonly #out: Text;
  #prev: Shown | null = null;
  #firstDitto = -1;
  #lastDitto = -1;

  constructor(out: Text) {
    this.#out = out;
  }

  add(features: TableFeatures, stats: TableStats | null): void {
    const prev = this.#prev;
    this.#prev = { features, stats };
    if (prev === null && features.command !== 0) {
      this.#out.put(`\n  command: ${COMMAND_NAMES[features.command] ?? ""}`);
    }
    const prevStats = prev?.stats ?? null;
    const alikeStats = stats === null || (prevStats !== null && sameStats(stats, prevStats));
    const alike = prev !== null && sameFeatures(features, prev.features);
    if (alikeStats && alike && features.name === "") {
      this.#firstDitto = this.#firstDitto < 0 ? features.tableId : this.#firstDitto;
      this.#lastDitto = features.tableId;
      return;
    }
    this.finish();
    this.#firstDitto = -1;
    const name = features.name === "" ? "" : ` ("${features.name}")`;
    this.#out.put(`\n  table ${features.tableId}${name}:`);
    if (alikeStats && alike) {
      this.#out.put(" ditto");
      return;
    }
    this.#out.put("\n");
    if (stats !== null) {
      const { activeCount, lookupCount, matchedCount } = stats;
      this.#out.put(`    active=${activeCount}, lookup=${lookupCount}, matched=${matchedCount}\n`);
    }
    if (alike) {
      this.#out.put(noFeatures(features) ? "" : "    (same features)\n");
      return;
    }
    this.#out.put(featuresText(features, prev?.features ?? null));
  }

  /** Prints the tables that were like the one before them. */
  finish(): void {
    if (this.#firstDitto < 0) {
      return;
    }
    const [first, last] = [this.#firstDitto, this.#lastDitto];
    const which = first === last ? `table ${first}` : `tables ${first}...${last}`;
    this.#out.put(`\n  ${which}: ditto\n`);
  }
}

// What OpenFlow asks of and changes in the tables as such: features, statistics, description, mod.
//
// Open vSwitch's tables can all do the same; only name, size limit and what happens on a miss
// differ (ovs: ofproto/ofproto.c query_tables, handle_table_features_change, table_mod).

import { FIELDS } from "../flow/fields.ts";
import { OFPTT_ALL } from "../flow/ofp-port.ts";
import { ACTION_KINDS } from "./actions/table.ts";
import { type ActionKind, INSTRUCTIONS } from "./actions/types.ts";
import type { OfpErr } from "./messages/errors.ts";
import { U32_MAX, U64_MAX } from "./messages/types-flow.ts";
import type {
  ActionFeatures,
  InstructionFeatures,
  TableDesc,
  TableFeatures,
  TableMod,
  TableStats,
} from "./messages/types-switch.ts";
import type { Ofproto } from "./ofproto.ts";
import { EVICTION, NAME_LEVEL, type OfTable, VACANCY } from "./oftable.ts";

/** Flows per table that are promised where no limit is set. */
export const TABLE_MAX_ENTRIES = 1_000_000;
/** The only eviction policy: other criteria, importance, lifetime (OFPTMPEF14_*). */
export const EVICTION_FLAGS = 7;
/** Commands of a table features request (OpenFlow 1.5). */
export const OFPTFC15 = { REPLACE: 0, MODIFY: 1, ENABLE: 2, DISABLE: 3 } as const;

/** Every kind of action. */
export const ALL_KINDS: ReadonlySet<ActionKind> = new Set(ACTION_KINDS);
const OXM_FIELDS = FIELDS.filter((f) => f.oxm.length > 0);
const MATCHABLE: ReadonlySet<string> = new Set(OXM_FIELDS.map((f) => f.name));
const MASKABLE: ReadonlySet<string> = new Set(
  OXM_FIELDS.filter((f) => f.maskable).map((f) => f.name),
);
const ALL_ACTIONS: ActionFeatures = {
  actions: ALL_KINDS,
  setFields: new Set(OXM_FIELDS.filter((f) => f.writable).map((f) => f.name)),
};

/** The features of every table, hidden ones included. */
export function tableFeatures(p: Ofproto): TableFeatures[] {
  return p.tables.map((table) => {
    const next = new Set(p.tables.filter((t) => t.id > table.id && !t.hidden).map((t) => t.id));
    const instructions = new Set<string>(
      INSTRUCTIONS.filter((name) => name !== "goto_table" || next.size > 0),
    );
    const all: InstructionFeatures = { next, instructions, write: ALL_ACTIONS, apply: ALL_ACTIONS };
    return {
      command: OFPTFC15.REPLACE,
      tableId: table.id,
      name: table.name ?? "",
      metadataMatch: U64_MAX,
      metadataWrite: U64_MAX,
      maxEntries: Math.min(TABLE_MAX_ENTRIES, table.maxFlows),
      anyProperties: true,
      missConfig: table.missConfig,
      supportsEviction: 0,
      supportsVacancyEvents: 0,
      nonmiss: all,
      miss: all,
      match: MATCHABLE,
      mask: MASKABLE,
      wildcard: MATCHABLE,
    };
  });
}

export function tableStats(p: Ofproto, table: OfTable): TableStats {
  return {
    tableId: table.id,
    activeCount: table.nFlows - (table.id === 0 ? p.conns.nHiddenRules : 0),
    lookupCount: BigInt(table.nMatched + table.nMissed),
    matchedCount: BigInt(table.nMatched),
  };
}

export function tableDesc(table: OfTable): TableDesc {
  return {
    tableId: table.id,
    eviction: (table.eviction & EVICTION.OPENFLOW) !== 0 ? "on" : "off",
    evictionFlags: EVICTION_FLAGS,
    vacancy: table.vacancyEvent !== VACANCY.NONE ? "on" : "off",
    tableVacancy: { down: table.vacancyDown, up: table.vacancyUp, vacancy: table.vacancy() },
  };
}

/** Null is success. */
export function tableMod(p: Ofproto, tm: TableMod): OfpErr | null {
  if (tm.tableId !== OFPTT_ALL && tm.tableId >= p.nTables) {
    return "OFPTMFC_BAD_TABLE";
  }
  if (tm.evictionFlags !== U32_MAX && tm.evictionFlags !== EVICTION_FLAGS) {
    return "OFPTMFC_BAD_CONFIG";
  }
  if (tm.tableId !== OFPTT_ALL && p.table(tm.tableId).readonly) {
    return "OFPTMFC_EPERM";
  }
  for (const table of p.tables) {
    const chosen = tm.tableId === OFPTT_ALL ? !table.hidden && !table.readonly : true;
    if (chosen && (tm.tableId === OFPTT_ALL || tm.tableId === table.id)) {
      applyTableMod(p, table, tm);
    }
  }
  p.provider.needRevalidate();
  return null;
}

function applyTableMod(p: Ofproto, table: OfTable, tm: TableMod): void {
  if (tm.miss !== "default") {
    table.missConfig = tm.miss;
  }
  let { eviction } = table;
  if (tm.eviction === "on") {
    eviction |= EVICTION.OPENFLOW;
  } else if (tm.eviction === "off") {
    eviction &= ~EVICTION.OPENFLOW;
  }
  if (eviction !== table.eviction) {
    table.configureEviction(eviction, table.evictionFields, p.rng);
  }
  if (tm.vacancy === "default") {
    return;
  }
  table.vacancyDown = tm.tableVacancy.down;
  table.vacancyUp = tm.tableVacancy.up;
  if (tm.vacancy === "off") {
    table.vacancyEvent = VACANCY.NONE;
  } else if (table.vacancyEvent === VACANCY.NONE) {
    table.vacancyEvent = table.vacancy() < table.vacancyUp ? VACANCY.UP : VACANCY.DOWN;
  }
}

/** Why a change of features was refused: the error, and the log's line about it. */
export interface FeaturesRefused {
  readonly error: OfpErr;
  readonly log: string;
}

/** Changes what can be changed of the features: the names. Null is success. */
export function changeTableFeatures(
  p: Ofproto,
  wanted: readonly TableFeatures[],
): FeaturesRefused | null {
  const command = wanted[0]?.command;
  if (command === undefined) {
    return null;
  }
  const old = tableFeatures(p);
  const seen = new Map(wanted.map((tf) => [tf.tableId, tf]));
  for (const table of p.tables.filter((t) => t.hidden)) {
    if (seen.has(table.id)) {
      return { error: "OFPTFFC_EPERM", log: `can't modify hidden table ${table.id}` };
    }
    seen.set(table.id, old[table.id] as TableFeatures);
  }
  if (command === OFPTFC15.ENABLE || command === OFPTFC15.DISABLE) {
    return { error: "OFPTFFC_EPERM", log: "" };
  }
  if (command === OFPTFC15.MODIFY) {
    for (const tf of old) {
      seen.set(tf.tableId, merged(seen.get(tf.tableId), tf));
    }
  }
  const refused = checkCount(p, seen) ?? checkFeatures(p, old, seen);
  if (refused === null) {
    for (const [id, tf] of seen) {
      p.table(id).setName(tf.name, NAME_LEVEL.OPENFLOW);
    }
  }
  return refused;
}

/** A request without properties leaves the properties as they are (OpenFlow 1.5.1, 7.3.5.18.1). */
function merged(wanted: TableFeatures | undefined, old: TableFeatures): TableFeatures {
  if (wanted === undefined || wanted.anyProperties) {
    return wanted ?? old;
  }
  const { nonmiss, miss, match, mask, wildcard } = old;
  return { ...wanted, anyProperties: true, nonmiss, miss, match, mask, wildcard };
}

function checkCount(p: Ofproto, seen: ReadonlyMap<number, TableFeatures>): FeaturesRefused | null {
  let count = 0;
  while (seen.has(count)) {
    count++;
  }
  const skipped = seen.size > count;
  if (count === p.nTables && !skipped) {
    return null;
  }
  const log = skipped
    ? `can't disable table ${count}`
    : `can't change number of tables from ${p.nTables} to ${count}`;
  return { error: count > p.nTables ? "OFPTFFC_TOO_MANY" : "OFPTFFC_EPERM", log };
}

function checkFeatures(
  p: Ofproto,
  old: readonly TableFeatures[],
  seen: ReadonlyMap<number, TableFeatures>,
): FeaturesRefused | null {
  const wantedOf = (tf: TableFeatures): TableFeatures => seen.get(tf.tableId) ?? tf;
  if (old.some((tf) => tf.maxEntries !== wantedOf(tf).maxEntries)) {
    return { error: "OFPTFFC_EPERM", log: "can't change max_entries" };
  }
  for (const tf of old) {
    const { name } = wantedOf(tf);
    const table = p.table(tf.tableId);
    if (!table.maySetName(name, NAME_LEVEL.OPENFLOW)) {
      const now = table.name ?? '""';
      const why = `because it is already set to ${now} via OVSDB`;
      return {
        error: "OFPTFFC_EPERM",
        log: `can't change name of table ${table.id} to ${name} ${why}`,
      };
    }
  }
  const grown = old.find((tf) => !isSuperset(tf, wantedOf(tf)));
  return grown === undefined
    ? null
    : { error: "OFPTFFC_EPERM", log: `can't increase table features for table ${grown.tableId}` };
}

/** True if `a` offers all that `b` asks for (ovs: ofputil_table_features_are_superset). */
function isSuperset(a: TableFeatures, b: TableFeatures): boolean {
  const sets: (readonly [ReadonlySet<unknown>, ReadonlySet<unknown>])[] = [
    [a.match, b.match],
    [a.mask, b.mask],
    [a.wildcard, b.wildcard],
  ];
  for (const [x, y] of [
    [a.nonmiss, b.nonmiss],
    [a.miss, b.miss],
  ] as const) {
    sets.push([x.next, y.next], [x.instructions, y.instructions]);
    for (const part of ["write", "apply"] as const) {
      sets.push([x[part].actions, y[part].actions], [x[part].setFields, y[part].setFields]);
    }
  }
  return (
    (a.metadataMatch | b.metadataMatch) === a.metadataMatch &&
    (a.metadataWrite | b.metadataWrite) === a.metadataWrite &&
    sets.every(([x, y]) => [...y].every((v) => x.has(v)))
  );
}

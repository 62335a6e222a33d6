// Messages about tables: modification, description, status (ovs: lib/ofp-table.c). Features and
// statistics are in table-features.ts and table-stats.ts.
//
// One 32-bit word configures a table: in OpenFlow 1.1 and 1.2 what to do with packets that miss, from
// 1.4 on eviction and vacancy events.

import { OFP } from "../../flow/of-version.ts";
import {
  formatTable,
  type LogSink,
  type NameMap,
  OFPTT_ALL,
  tableFromString,
} from "../../flow/ofp-port.ts";
import { Cursor, type Writer } from "../../lib/bytes.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { strToInt } from "../../lib/number.ts";
import { Tokens } from "../../lib/tokens.ts";
import { type Decoded, isErr, type OfpErr } from "./errors.ts";
import type { Multipart } from "./multipart.ts";
import { type Property, propU32, pullProp, putPropU32, unknownProp } from "./property.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { formatBits } from "./text.ts";
import { U32_MAX } from "./types-flow.ts";
import {
  OFPTR,
  type TableDesc,
  type TableMiss,
  type TableMod,
  type TableSetting,
  type TableStatus,
  type TableVacancy,
} from "./types-switch.ts";
import type { VersionBitmap } from "./version.ts";

const MISS_MASK = 3;
const MISS_NAMES: readonly TableMiss[] = ["controller", "continue", "drop"];
const EVICTION_BIT = 1 << 2;
const VACANCY_BIT = 1 << 3;
const PROP_EVICTION = 2;
const PROP_VACANCY = 3;
const VACANCY_PROP_BYTES = 8;
const EVICTION_FLAG_NAMES = { OTHER: 1 << 0, IMPORTANCE: 1 << 1, LIFETIME: 1 << 2 };
const PERCENT_MAX = 100;
/** The last table, which has no next one. */
const LAST_TABLE = 0xfe;
const V11_V12: VersionBitmap = (1 << OFP.v11) | (1 << OFP.v12);
const V14_UP: VersionBitmap = (1 << OFP.v14) | (1 << OFP.v15);

/** The configuration word of a version. */
export function encodeTableConfig(
  miss: TableMiss,
  eviction: TableSetting,
  vacancy: TableSetting,
  version: number,
): number {
  if (version === OFP.v11 || version === OFP.v12) {
    return Math.max(MISS_NAMES.indexOf(miss), 0);
  }
  if (version < OFP.v14) {
    return 0;
  }
  return (eviction === "on" ? EVICTION_BIT : 0) | (vacancy === "on" ? VACANCY_BIT : 0);
}

export function decodeTableMiss(config: number, version: number, log: LogSink | null): TableMiss {
  if (version !== OFP.v11 && version !== OFP.v12) {
    return "default";
  }
  const miss = MISS_NAMES[config & MISS_MASK];
  if (miss === undefined) {
    log?.("WARN", "ofp_table", `bad table miss config ${config | 0}`);
  }
  return miss ?? "controller";
}

function setting(config: number, bit: number, version: number): TableSetting {
  if (version < OFP.v14) {
    return "default";
  }
  return (config & bit) !== 0 ? "on" : "off";
}

function putVacancy(w: Writer, v: TableVacancy): void {
  w.u16(PROP_VACANCY).u16(VACANCY_PROP_BYTES).u8(v.down).u8(v.up).u8(v.vacancy).zeros(1);
}

function vacancyProp(p: Property): Decoded<TableVacancy> {
  if (p.bytes.length !== VACANCY_PROP_BYTES) {
    return "OFPBPC_BAD_LEN";
  }
  const [down = 0, up = 0, vacancy = 0] = p.bytes.subarray(4);
  return { down, up, vacancy };
}

/** What a table mod's vacancy must hold to. */
function modVacancyProp(p: Property, log: LogSink | null): Decoded<TableVacancy> {
  const v = vacancyProp(p);
  if (isErr(v)) {
    return v;
  }
  let bad = "";
  if (v.down > v.up) {
    bad = "Value of vacancy_down is greater than vacancy_up";
  } else if (v.down > PERCENT_MAX || v.up > PERCENT_MAX) {
    bad = "Vacancy threshold percentage should not be greater than 100";
  } else if (v.vacancy !== 0) {
    bad = "Vacancy value should be zero for table-mod messages";
  } else {
    return v;
  }
  log?.("WARN", "ofp_table", bad);
  return "OFPBPC_BAD_VALUE";
}

/** Null in OpenFlow 1.0, which has no such message. */
export function encodeTableMod(tm: TableMod, version: number, xid: number): Uint8Array | null {
  if (version === OFP.v10) {
    return null;
  }
  const v14 = version >= OFP.v14;
  const w = startMsg(v14 ? "OFPT14_TABLE_MOD" : "OFPT11_TABLE_MOD", version, xid);
  w.u8(tm.tableId)
    .zeros(3)
    .u32(encodeTableConfig(tm.miss, tm.eviction, tm.vacancy, version));
  if (v14 && tm.evictionFlags !== U32_MAX) {
    putPropU32(w, PROP_EVICTION, tm.evictionFlags);
  }
  if (v14 && tm.vacancy === "on") {
    putVacancy(w, { ...tm.tableVacancy, vacancy: 0 });
  }
  return finishMsg(w);
}

/**
 * Open vSwitch reads the eviction flags of a table mod into the wrong member: they replace whether
 * there is eviction (ovs: ofputil_decode_table_mod).
 */
function evictionFromFlags(flags: number): TableSetting {
  const names: readonly TableSetting[] = ["default", "on", "off"];
  return names[flags] ?? "***error***";
}

export function decodeTableMod(msg: Msg): Decoded<TableMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const tableId = c.u8();
  c.skip(3);
  const config = c.u32();
  const tm: TableMod = {
    tableId,
    miss: decodeTableMiss(config, msg.version, msg.log),
    eviction: setting(config, EVICTION_BIT, msg.version),
    evictionFlags: U32_MAX,
    vacancy: setting(config, VACANCY_BIT, msg.version),
    tableVacancy: { down: 0, up: 0, vacancy: 0 },
  };
  while (msg.raw === "OFPT14_TABLE_MOD" && c.left > 0) {
    const p = pullProp(c);
    const err = isErr(p) ? p : tableModProp(p, tm, msg.log);
    if (err !== null) {
      return err;
    }
  }
  return tm;
}

function tableModProp(p: Property, tm: TableMod, log: LogSink | null): OfpErr | null {
  if (p.type === PROP_EVICTION) {
    const flags = propU32(p);
    tm.eviction = isErr(flags) ? tm.eviction : evictionFromFlags(flags);
    return isErr(flags) ? flags : null;
  }
  if (p.type !== PROP_VACANCY) {
    return "OFPBRC_BAD_TYPE";
  }
  const v = modVacancyProp(p, log);
  tm.tableVacancy = isErr(v) ? tm.tableVacancy : v;
  return isErr(v) ? v : null;
}

function evictionFlagsText(flags: number): string {
  return flags === U32_MAX ? "(default)" : formatBits(flags, EVICTION_FLAG_NAMES, "|");
}

export function formatTableMod(tm: TableMod, tables: NameMap | null): string {
  let out =
    tm.tableId === OFPTT_ALL
      ? " table_id: ALL_TABLES"
      : ` table_id=${formatTable(tm.tableId, tables)}`;
  out += tm.miss === "default" ? "" : `, flow_miss_config=${tm.miss}`;
  out += tm.eviction === "default" ? "" : `, eviction=${tm.eviction}`;
  if (tm.evictionFlags !== U32_MAX) {
    out += `eviction_flags=${evictionFlagsText(tm.evictionFlags)}`;
  }
  out += tm.vacancy === "default" ? "" : `, vacancy=${tm.vacancy}`;
  if (tm.vacancy === "on") {
    out += ` vacancy:${tm.tableVacancy.down},${tm.tableVacancy.up}`;
  }
  return out;
}

export interface ParsedTableMod {
  readonly tm: TableMod;
  /** A new name for the table, which takes a table features message; null if none. */
  readonly name: string | null;
  readonly versions: VersionBitmap;
}

interface SettingRow {
  readonly change: Partial<TableMod>;
  readonly versions: VersionBitmap;
}

const SETTINGS: Readonly<Record<string, SettingRow>> = {
  controller: { change: { miss: "controller" }, versions: V11_V12 },
  continue: { change: { miss: "continue" }, versions: V11_V12 },
  drop: { change: { miss: "drop" }, versions: V11_V12 },
  evict: { change: { eviction: "on" }, versions: V14_UP },
  noevict: { change: { eviction: "off" }, versions: V14_UP },
  novacancy: { change: { vacancy: "off" }, versions: V14_UP },
};

/** Reads the two arguments of `ovs-ofctl mod-table`. */
export function parseTableMod(
  tableText: string,
  text: string,
  tables: NameMap | null,
  log: LogSink | null = null,
): Result<ParsedTableMod> {
  const all = tableText.toLowerCase() === "all";
  const tableId = all ? OFPTT_ALL : tableFromString(tableText, tables, log);
  if (tableId === null) {
    return fail(`unknown table "${tableText}"`, tableText);
  }
  const tm: TableMod = {
    tableId,
    miss: "default",
    eviction: "default",
    evictionFlags: U32_MAX,
    vacancy: "default",
    tableVacancy: { down: 0, up: 0, vacancy: 0 },
  };
  const row = Object.hasOwn(SETTINGS, text) ? SETTINGS[text] : undefined;
  if (row !== undefined) {
    if (tableId === LAST_TABLE && row.change.miss === "continue") {
      return fail("last table's flow miss handling can not be continue", text);
    }
    return ok({ tm: { ...tm, ...row.change }, name: null, versions: row.versions });
  }
  // Any prefix of "vacancy" will do before the colon.
  const word = text.split(":", 1)[0] ?? "";
  if ("vacancy".startsWith(word)) {
    const v = parseVacancy(text);
    return v.ok
      ? ok({ tm: { ...tm, vacancy: "on", tableVacancy: v.value }, name: null, versions: V14_UP })
      : v;
  }
  if (tableId !== OFPTT_ALL && text.startsWith("name:")) {
    return ok({ tm, name: text.slice("name:".length), versions: (1 << OFP.v13) | V14_UP });
  }
  return fail(`invalid table_mod setting ${text}`, text);
}

function parseVacancy(text: string): Result<TableVacancy> {
  const tokens = new Tokens(text);
  tokens.next(":");
  const limits: number[] = [];
  for (const which of ["down", "up"]) {
    const token = tokens.next(",");
    if (token === null) {
      return fail(`Vacancy ${which} value missing`, text);
    }
    const n = strToInt(token, 0);
    if (n === undefined || n < 0 || n > PERCENT_MAX) {
      return fail(`Invalid vacancy ${which} value "${token}"`, text);
    }
    limits.push(n);
  }
  const [down = 0, up = 0] = limits;
  if (down > up) {
    const why = "vacancy up should be greater than vacancy down (OFPBPC_BAD_VALUE)";
    return fail(`Invalid vacancy range, ${why}`, text);
  }
  return ok({ down, up, vacancy: 0 });
}

function putTableDesc(w: Writer, td: TableDesc, version: number, always: boolean): void {
  const start = w.length;
  w.u16(0).u8(td.tableId).zeros(1);
  w.u32(encodeTableConfig("default", td.eviction, td.vacancy, version));
  if (always || td.evictionFlags !== U32_MAX) {
    putPropU32(w, PROP_EVICTION, td.evictionFlags);
  }
  if (always || td.vacancy === "on") {
    putVacancy(w, td.tableVacancy);
  }
  w.patchU16(start, w.length - start);
}

export function appendTableDesc(m: Multipart, td: TableDesc): void {
  const start = m.writer.length;
  putTableDesc(m.writer, td, m.version, false);
  m.postAppend(start);
}

/** Takes one table's description; null at the end. */
export function pullTableDesc(c: Cursor, version: number): Decoded<TableDesc> | null {
  if (c.left === 0) {
    return null;
  }
  if (c.left < 8) {
    return "OFPBRC_BAD_LEN";
  }
  const [length, tableId] = [c.u16(), c.u8()];
  c.skip(1);
  const config = c.u32();
  if (length < 8 || length - 8 > c.left) {
    return "OFPBRC_BAD_LEN";
  }
  const td: TableDesc = {
    tableId,
    eviction: setting(config, EVICTION_BIT, version),
    evictionFlags: U32_MAX,
    vacancy: setting(config, VACANCY_BIT, version),
    tableVacancy: { down: 0, up: 0, vacancy: 0 },
  };
  for (const props = c.sub(length - 8); props.left > 0; ) {
    const p = pullProp(props);
    const err = isErr(p) ? p : tableDescProp(p, td);
    if (err !== null) {
      return err;
    }
  }
  return td;
}

function tableDescProp(p: Property, td: TableDesc): OfpErr | null {
  if (p.type === PROP_EVICTION) {
    const flags = propU32(p);
    td.evictionFlags = isErr(flags) ? td.evictionFlags : flags;
    return isErr(flags) ? flags : null;
  }
  if (p.type !== PROP_VACANCY) {
    return unknownProp(true, p.type);
  }
  const v = vacancyProp(p);
  td.tableVacancy = isErr(v) ? td.tableVacancy : v;
  return isErr(v) ? v : null;
}

export function formatTableDesc(td: TableDesc, tables: NameMap | null): string {
  const { down, up, vacancy } = td.tableVacancy;
  const limits =
    td.vacancy === "on" ? ` vacancy_down=${down}% vacancy_up=${up}% vacancy=${vacancy}%` : "";
  return (
    `\n  table ${formatTable(td.tableId, tables)}:\n` +
    `   eviction=${td.eviction} eviction_flags=${evictionFlagsText(td.evictionFlags)}\n` +
    `   vacancy=${td.vacancy}${limits}\n`
  );
}

/** Null before OpenFlow 1.4, which has no such message. */
export function encodeTableStatus(ts: TableStatus, version: number): Uint8Array | null {
  if (version < OFP.v14) {
    return null;
  }
  const w = startMsg("OFPT14_TABLE_STATUS", version, 0);
  w.u8(ts.reason).zeros(7);
  putTableDesc(w, ts.desc, version, true);
  return finishMsg(w);
}

export function decodeTableStatus(msg: Msg): Decoded<TableStatus> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const reason = c.u8();
  c.skip(7);
  if (reason !== OFPTR.VACANCY_DOWN && reason !== OFPTR.VACANCY_UP) {
    return "OFPBPC_BAD_VALUE";
  }
  const desc = pullTableDesc(c, msg.version);
  return desc === null ? "OFPBRC_BAD_LEN" : isErr(desc) ? desc : { reason, desc };
}

export function formatTableStatus(ts: TableStatus, tables: NameMap | null): string {
  const reason = ts.reason === OFPTR.VACANCY_DOWN ? "VACANCY_DOWN" : "VACANCY_UP";
  return ` reason=${reason}\ntable_desc:-${formatTableDesc(ts.desc, tables)}`;
}

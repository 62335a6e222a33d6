// Table statistics, which before OpenFlow 1.3 also tell a table's features (ovs: lib/ofp-table.c).

import { OFP } from "../../flow/of-version.ts";
import { FIELDS } from "../../flow/fields.ts";
import type { Cursor, Writer } from "../../lib/bytes.ts";
import { actionBitmapFromOpenflow, actionBitmapToOpenflow } from "../actions/codec.ts";
import { oxmBitmapFromFields, oxmBitmapToFields } from "../field-array.ts";
import type { LogSink } from "../../flow/ofp-port.ts";
import type { Decoded } from "./errors.ts";
import { OFPFW10 } from "./match-wire.ts";
import type { Multipart } from "./multipart.ts";
import { fixedText } from "./port.ts";
import type { Msg } from "./raw.ts";
import { decodeTableMiss, encodeTableConfig } from "./table.ts";
import {
  emptyFeatures,
  instructionsFromBitmap,
  instructionsToBitmap,
  TABLE_NAME_BYTES,
} from "./table-features.ts";
import { fieldsOf } from "./table-features-put.ts";
import type { TableFeatures, TableMiss, TableStats } from "./types-switch.ts";

type Bits = readonly (readonly [number, string])[];

/** Wildcard bits of OpenFlow 1.0 by field. */
const BITS10: Bits = [
  [OFPFW10.IN_PORT, "in_port"],
  [OFPFW10.DL_VLAN, "vlan_vid"],
  [OFPFW10.DL_SRC, "eth_src"],
  [OFPFW10.DL_DST, "eth_dst"],
  [OFPFW10.DL_TYPE, "eth_type"],
  [OFPFW10.NW_PROTO, "nw_proto"],
  [OFPFW10.TP_SRC, "tcp_src"],
  [OFPFW10.TP_DST, "tcp_dst"],
  [OFPFW10.NW_BITS << OFPFW10.NW_SRC_SHIFT, "ip_src"],
  [OFPFW10.NW_BITS << OFPFW10.NW_DST_SHIFT, "ip_dst"],
  [OFPFW10.DL_VLAN_PCP, "vlan_pcp"],
  [OFPFW10.NW_TOS, "nw_tos"],
];

/** Bits of OpenFlow 1.1's bitmaps of fields. */
const BITS11: Bits = [
  [1 << 0, "in_port"],
  [1 << 1, "vlan_vid"],
  [1 << 2, "vlan_pcp"],
  [1 << 3, "eth_type"],
  [1 << 4, "nw_tos"],
  [1 << 5, "nw_proto"],
  [1 << 6, "tcp_src"],
  [1 << 7, "tcp_dst"],
  [1 << 8, "mpls_label"],
  [1 << 9, "mpls_tc"],
  [1 << 11, "eth_src"],
  [1 << 12, "eth_dst"],
  [1 << 13, "ip_src"],
  [1 << 14, "ip_dst"],
  [1 << 15, "metadata"],
];

/** OpenFlow 1.1 sends the switch's own number of what to do on a miss, not OpenFlow's. */
const MISS_NUMBERS: readonly TableMiss[] = ["default", "controller", "continue", "drop"];

function toBits(fields: ReadonlySet<string>, map: Bits): number {
  return map.filter(([, name]) => fields.has(name)).reduce((bits, [b]) => bits | b, 0);
}

function fromBits(bits: number, map: Bits): Set<string> {
  return new Set(map.filter(([b]) => (bits & b) !== 0).map(([, name]) => name));
}

/** Fields that need not be matched, or cannot. */
function wildOrUnmatchable(tf: TableFeatures): ReadonlySet<string> {
  const list = FIELDS.filter((f) => tf.wildcard.has(f.name) || !tf.match.has(f.name));
  return new Set(list.map((f) => f.name));
}

function put11(w: Writer, ts: TableStats, tf: TableFeatures): void {
  w.u32(toBits(wildOrUnmatchable(tf), BITS11)).u32(toBits(tf.match, BITS11));
  w.u32(instructionsToBitmap(tf.nonmiss.instructions, OFP.v11));
  w.u32(actionBitmapToOpenflow(tf.nonmiss.write.actions, OFP.v11));
  w.u32(actionBitmapToOpenflow(tf.nonmiss.apply.actions, OFP.v11));
  w.u32(MISS_NUMBERS.indexOf(tf.missConfig)).u32(tf.maxEntries).u32(ts.activeCount);
}

function put12(w: Writer, ts: TableStats, tf: TableFeatures): void {
  const fields = (set: ReadonlySet<string>): bigint => oxmBitmapFromFields(fieldsOf(set), OFP.v12);
  w.u64(fields(tf.match)).u64(fields(tf.wildcard));
  w.u32(actionBitmapToOpenflow(tf.nonmiss.write.actions, OFP.v12));
  w.u32(actionBitmapToOpenflow(tf.nonmiss.apply.actions, OFP.v12));
  w.u64(fields(tf.nonmiss.write.setFields)).u64(fields(tf.nonmiss.apply.setFields));
  w.u64(tf.metadataMatch).u64(tf.metadataWrite);
  w.u32(instructionsToBitmap(tf.nonmiss.instructions, OFP.v12));
  w.u32(encodeTableConfig(tf.missConfig, "default", "default", OFP.v12));
  w.u32(tf.maxEntries).u32(ts.activeCount);
}

/** Table statistics are never split, as in Open vSwitch. */
export function appendTableStats(m: Multipart, ts: TableStats, tf: TableFeatures): void {
  const w = m.writer;
  w.u8(ts.tableId);
  if (m.version >= OFP.v13) {
    w.zeros(3).u32(ts.activeCount).u64(ts.lookupCount).u64(ts.matchedCount);
    return;
  }
  w.zeros(m.version === OFP.v10 ? 3 : 7).fixedString(tf.name, TABLE_NAME_BYTES);
  if (m.version === OFP.v10) {
    w.u32(toBits(wildOrUnmatchable(tf), BITS10))
      .u32(tf.maxEntries)
      .u32(ts.activeCount);
  } else if (m.version === OFP.v11) {
    put11(w, ts, tf);
  } else {
    put12(w, ts, tf);
  }
  w.u64(ts.lookupCount).u64(ts.matchedCount);
}

export interface TableStatsAndFeatures {
  readonly stats: TableStats;
  readonly features: TableFeatures;
}

function union(a: ReadonlySet<string>, b: ReadonlySet<string>): Set<string> {
  return new Set([...a, ...b]);
}

type Rest = Partial<TableFeatures> & { readonly activeCount: number };

function pull10(c: Cursor): Rest {
  const match = fromBits(c.u32(), BITS10);
  return { match, wildcard: match, maxEntries: c.u32(), activeCount: c.u32() };
}

function pull11(c: Cursor, log: LogSink | null): Rest {
  const wildcard = fromBits(c.u32(), BITS11);
  const match = union(fromBits(c.u32(), BITS11), wildcard);
  const instructions = instructionsFromBitmap(c.u32(), OFP.v11);
  // Open vSwitch takes the write actions for both.
  const actions = actionBitmapFromOpenflow(c.u32(), OFP.v11);
  c.skip(4);
  const both = { actions, setFields: new Set<string>() };
  const nonmiss = { next: new Set<number>(), instructions, write: both, apply: both };
  const missConfig = decodeTableMiss(c.u32(), OFP.v11, log);
  const counts = { maxEntries: c.u32(), activeCount: c.u32() };
  return { match, wildcard, nonmiss, miss: nonmiss, missConfig, ...counts };
}

function pull12(c: Cursor, log: LogSink | null): Rest {
  const fields = (): Set<string> =>
    new Set(oxmBitmapToFields(c.u64(), OFP.v12).map((f) => f.name as string));
  const exact = fields();
  const wildcard = fields();
  const writeActions = actionBitmapFromOpenflow(c.u32(), OFP.v12);
  const applyActions = actionBitmapFromOpenflow(c.u32(), OFP.v12);
  const write = { actions: writeActions, setFields: fields() };
  const apply = { actions: applyActions, setFields: fields() };
  const [metadataMatch, metadataWrite] = [c.u64(), c.u64()];
  const instructions = instructionsFromBitmap(c.u32(), OFP.v12);
  const missConfig = decodeTableMiss(c.u32(), OFP.v12, log);
  const nonmiss = { next: new Set<number>(), instructions, write, apply };
  const counts = { maxEntries: c.u32(), activeCount: c.u32() };
  const match = union(exact, wildcard);
  const metadata = { metadataMatch, metadataWrite };
  return { match, wildcard, nonmiss, miss: nonmiss, missConfig, ...metadata, ...counts };
}

const ENTRY_BYTES = [0, 64, 88, 128, 24, 24, 24];

/** Takes one table's statistics; null at the end. */
export function pullTableStats(c: Cursor, msg: Msg): Decoded<TableStatsAndFeatures> | null {
  if (c.left === 0) {
    return null;
  }
  if (c.left < (ENTRY_BYTES[msg.version] ?? 0)) {
    return "OFPBRC_BAD_LEN";
  }
  const tableId = c.u8();
  const base = emptyFeatures(tableId);
  if (msg.version >= OFP.v13) {
    c.skip(3);
    const stats = {
      tableId,
      activeCount: c.u32(),
      lookupCount: c.u64(),
      matchedCount: c.u64(),
    };
    return { stats, features: base };
  }
  c.skip(msg.version === OFP.v10 ? 3 : 7);
  const name = fixedText(c.view(TABLE_NAME_BYTES));
  const pull = msg.version === OFP.v10 ? pull10 : msg.version === OFP.v11 ? pull11 : pull12;
  const { activeCount, ...rest } = pull(c, msg.log);
  const stats = { tableId, activeCount, lookupCount: c.u64(), matchedCount: c.u64() };
  return { stats, features: { ...base, ...rest, name } };
}

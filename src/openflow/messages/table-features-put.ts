// Table features, written to the wire: what a switch answers (ovs: lib/ofp-table.c
// ofputil_append_table_features). Reading them is in table-features.ts.
//
// A switch has the same sets in all its tables; what becomes of a set is remembered.

import { FIELDS, type Field } from "../../flow/fields.ts";
import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { Writer } from "../../lib/bytes.ts";
import { actionBitmapToOpenflow } from "../actions/codec.ts";
import { putOxmHeader } from "../oxm-field.ts";
import type { Multipart } from "./multipart.ts";
import { endProp, startProp } from "./property.ts";
import {
  TABLE_NAME_BYTES,
  CAP_EVICTION,
  CAP_VACANCY,
  FPT,
  instructionsToBitmap,
} from "./table-features.ts";
import type { InstructionFeatures, TableFeatures } from "./types-switch.ts";
import { knownVersion } from "./version.ts";

function putIds(w: Writer, type: number, bits: number): void {
  const at = startProp(w, type);
  for (let i = 0; i < 32; i++) {
    if (((bits >>> i) & 1) !== 0) {
      w.u16(i).u16(4);
    }
  }
  endProp(w, at);
}

/** Per set of names, which do not change: a switch has the same sets in all its tables. */
const fieldsOfSet = new WeakMap<ReadonlySet<string>, readonly Field[]>();

/** The fields of a set of names, in the order of the field table. */
export function fieldsOf(set: ReadonlySet<string>): readonly Field[] {
  const known = fieldsOfSet.get(set);
  if (known !== undefined) {
    return known;
  }
  const fields = FIELDS.filter((f) => set.has(f.name));
  fieldsOfSet.set(set, fields);
  return fields;
}

/** Payloads by set of fields, set of maskable ones (or the former again) and version. */
const fieldsPayload = new WeakMap<
  ReadonlySet<string>,
  WeakMap<ReadonlySet<string>, Map<OfVersion, Uint8Array>>
>();

function payloadOf(
  fields: ReadonlySet<string>,
  masks: ReadonlySet<string> | null,
  version: OfVersion,
): Uint8Array {
  let byMasks = fieldsPayload.get(fields);
  if (byMasks === undefined) {
    byMasks = new WeakMap();
    fieldsPayload.set(fields, byMasks);
  }
  let byVersion = byMasks.get(masks ?? fields);
  if (byVersion === undefined) {
    byVersion = new Map();
    byMasks.set(masks ?? fields, byVersion);
  }
  let payload = byVersion.get(version);
  if (payload === undefined) {
    const w = new Writer();
    for (const f of fieldsOf(fields)) {
      putOxmHeader(w, f, version, masks?.has(f.name) ?? false);
    }
    payload = w.bytes();
    byVersion.set(version, payload);
  }
  return payload;
}

function putFields(
  w: Writer,
  type: number,
  fields: ReadonlySet<string>,
  masks: ReadonlySet<string> | null,
  version: OfVersion,
): void {
  const at = startProp(w, type);
  w.put(payloadOf(fields, masks, version));
  endProp(w, at);
}

function putInstructionFeatures(
  w: Writer,
  f: InstructionFeatures,
  miss: 0 | 1,
  version: OfVersion,
): void {
  putIds(w, FPT.INSTRUCTIONS + miss, instructionsToBitmap(f.instructions, version));
  const at = startProp(w, FPT.NEXT_TABLES + miss);
  for (const id of [...f.next].sort((a, b) => a - b)) {
    w.u8(id);
  }
  endProp(w, at);
  putIds(w, FPT.WRITE_ACTIONS + miss, actionBitmapToOpenflow(f.write.actions, version));
  putFields(w, FPT.WRITE_SETFIELD + miss, f.write.setFields, null, version);
  putIds(w, FPT.APPLY_ACTIONS + miss, actionBitmapToOpenflow(f.apply.actions, version));
  putFields(w, FPT.APPLY_SETFIELD + miss, f.apply.setFields, null, version);
}

/** `raw`: properties as they came, which are sent instead of the decoded ones. */
export function appendTableFeatures(
  m: Multipart,
  tf: TableFeatures,
  raw: Uint8Array | null = null,
): void {
  const w = m.writer;
  const version = knownVersion(m.version);
  const start = w.length;
  const cap = (has: number, bit: number): number => (version >= OFP.v14 && has !== 0 ? bit : 0);
  w.u16(0)
    .u8(tf.tableId)
    .u8(version >= OFP.v15 ? tf.command : 0)
    .zeros(4);
  w.fixedString(tf.name, TABLE_NAME_BYTES).u64(tf.metadataMatch).u64(tf.metadataWrite);
  w.u32(cap(tf.supportsEviction, CAP_EVICTION) | cap(tf.supportsVacancyEvents, CAP_VACANCY));
  w.u32(tf.maxEntries);
  if (raw !== null) {
    w.put(raw);
  } else if (tf.anyProperties) {
    putInstructionFeatures(w, tf.nonmiss, 0, version);
    putInstructionFeatures(w, tf.miss, 1, version);
    putFields(w, FPT.MATCH, tf.match, tf.mask, version);
    putFields(w, FPT.WILDCARDS, tf.wildcard, null, version);
  }
  w.patchU16(start, w.length - start);
  m.postAppend(start);
}

// The TLV map: which tunnel options become which `tun_metadata<n>` (ovs: lib/ofp-match.c).

import { TUN_METADATA_COUNT, TUN_METADATA_OPT_BYTES } from "../../flow/fields.ts";
import type { LogSink } from "../../flow/ofp-port.ts";
import { P, type Protocols } from "../../flow/of-version.ts";
import { Cursor, type Writer } from "../../lib/bytes.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { TextScan } from "../../lib/scan.ts";
import { type Decoded, isErr } from "./errors.ts";
import { finishMsg, type Msg, startMsg } from "./raw.ts";
import { altHex } from "./text.ts";
import { NXTTMC, type TlvMap, type TlvTableMod, type TlvTableReply } from "./types-switch.ts";

/** The module that the log names. */
const LOG = "ofp_match";
const COMMAND_NAMES = ["ADD", "DEL", "CLEAR"];

function putMappings(w: Writer, mappings: readonly TlvMap[]): void {
  for (const m of mappings) {
    w.u16(m.optionClass).u8(m.optionType).u8(m.optionLen).u16(m.index).zeros(2);
  }
}

function pullMappings(c: Cursor, maxFields: number, log: LogSink | null): Decoded<TlvMap[]> {
  const mappings: TlvMap[] = [];
  while (c.left > 0) {
    const [optionClass, optionType, optionLen, index] = [c.u16(), c.u8(), c.u8(), c.u16()];
    c.skip(2);
    if (optionLen % 4 !== 0 || optionLen > TUN_METADATA_OPT_BYTES) {
      const bad = `option length (${optionLen}) is not a valid option size`;
      log?.("WARN", LOG, `tlv table ${bad}`);
      return "NXTTMFC_BAD_OPT_LEN";
    }
    if (index >= maxFields) {
      const bad = `field index (${index}) is too large (max ${maxFields - 1})`;
      log?.("WARN", LOG, `tlv table ${bad}`);
      return "NXTTMFC_BAD_FIELD_IDX";
    }
    mappings.push({ optionClass, optionType, optionLen, index });
  }
  return mappings;
}

export function encodeTlvTableMod(tm: TlvTableMod, version: number, xid: number): Uint8Array {
  const w = startMsg("NXT_TLV_TABLE_MOD", version, xid);
  w.u16(tm.command).zeros(6);
  putMappings(w, tm.mappings);
  return finishMsg(w);
}

export function decodeTlvTableMod(msg: Msg): Decoded<TlvTableMod> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const command = c.u16();
  c.skip(6);
  if (command > NXTTMC.CLEAR) {
    msg.log?.("WARN", LOG, `tlv table mod command (${command}) is out of range`);
    return "NXTTMFC_BAD_COMMAND";
  }
  const mappings = pullMappings(c, TUN_METADATA_COUNT, msg.log);
  return isErr(mappings) ? mappings : { command, mappings };
}

export function encodeTlvTableRequest(version: number, xid: number): Uint8Array {
  return finishMsg(startMsg("NXT_TLV_TABLE_REQUEST", version, xid));
}

export function encodeTlvTableReply(request: Msg, r: TlvTableReply): Uint8Array {
  const w = startMsg("NXT_TLV_TABLE_REPLY", request.version, request.xid);
  w.u32(r.maxOptionSpace).u16(r.maxFields).zeros(10);
  putMappings(w, r.mappings);
  return finishMsg(w);
}

export function decodeTlvTableReply(msg: Msg): Decoded<TlvTableReply> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const [maxOptionSpace, maxFields] = [c.u32(), c.u16()];
  c.skip(10);
  const mappings = pullMappings(c, maxFields, msg.log);
  return isErr(mappings) ? mappings : { maxOptionSpace, maxFields, mappings };
}

function mappingTable(mappings: readonly TlvMap[]): string {
  const rows = mappings.map(
    (m) =>
      `\n ${altHex(m.optionClass).padStart(6)}  ${altHex(m.optionType).padStart(4)}  ` +
      `${String(m.optionLen).padStart(6)}  tun_metadata${m.index}`,
  );
  return (
    " mapping table:\n  class  type  length  match field\n" +
    ` ------  ----  ------  --------------${rows.join("")}`
  );
}

export function formatTlvTableMod(tm: TlvTableMod): string {
  const table = tm.command === NXTTMC.CLEAR ? "" : mappingTable(tm.mappings);
  return `\n ${COMMAND_NAMES[tm.command] ?? ""}${table}`;
}

export function formatTlvTableReply(r: TlvTableReply): string {
  const allocated = r.mappings.reduce((n, m) => n + m.optionLen, 0);
  return (
    `\n max option space=${r.maxOptionSpace} max fields=${r.maxFields}\n` +
    ` allocated option space=${allocated}\n\n${mappingTable(r.mappings)}`
  );
}

/** Reads `{class=0xffff,type=0,len=4}->tun_metadata0,…`. */
export function parseTlvTableMod(
  text: string,
  command: number,
): Result<{ tm: TlvTableMod; usable: Protocols }> {
  const mappings: TlvMap[] = [];
  const scan = new TextScan(text);
  while (!scan.atEnd()) {
    scan.lit(",");
    const m = scanMapping(scan);
    if (m === null) {
      return fail("invalid tlv mapping", text, scan.pos);
    }
    mappings.push(m);
  }
  return ok({ tm: { command, mappings }, usable: P.NXM_OXM_ANY });
}

function scanMapping(scan: TextScan): TlvMap | null {
  const numbers: number[] = [];
  for (const before of ["{class=", ",type=", ",len=", "}->tun_metadata"]) {
    if (!scan.lit(before) || !scan.int(0)) {
      return null;
    }
    numbers.push(scan.value);
  }
  const [cls = 0, type = 0, len = 0, index = 0] = numbers;
  return {
    optionClass: cls & 0xffff,
    optionType: type & 0xff,
    optionLen: len & 0xff,
    index: index & 0xffff,
  };
}

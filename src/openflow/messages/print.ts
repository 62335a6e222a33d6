// Messages as `ovs-ofctl ofp-print` and `snoop` show them (ovs: lib/ofp-print.c ofp_to_string).
//
// A printer (printers.ts) appends to a text and answers an error if the message cannot be read; what
// it had appended before stays, the error and a hex dump follow. A message that is too short, cut, or
// has bytes behind its end is only dumped.

import type { LogSink } from "../../flow/ofp-port.ts";
import { OFP } from "../../flow/of-version.ts";
import { getU16, getU32 } from "../../lib/bytes.ts";
import { isErr, type PrintErr } from "./errors.ts";
import { type NameMaps, NO_NAMES } from "./names.ts";
import { type PrintContext, PRINTERS } from "./printers.ts";
import {
  decodeRawPartial,
  isStatReply,
  isStatRequest,
  multipartFlags,
  OFP_HEADER,
  OFPSF_REPLY_MORE,
  pullMsg,
} from "./raw.ts";
import { hexDump, Text } from "./text.ts";

/** Verbosity from which every message is dumped as well. */
const VERBOSITY_DUMP = 5;
/** Messages within messages that are printed; deeper ones are only dumped. */
export const PRINT_DEPTH_MAX = 16;

/** `OFPST_FLOW reply (OF1.3) (xid=0x2):` without the name. */
function versionText(bytes: Uint8Array): string {
  const version = bytes[OFP_HEADER.VERSION] ?? 0;
  const xid = ` (xid=0x${getU32(bytes, OFP_HEADER.XID).toString(16)}):`;
  if (version === OFP.v10) {
    return xid;
  }
  return version >= OFP.v11 && version <= OFP.v15
    ? ` (OF1.${version - 1})${xid}`
    : ` (OF 0x${version.toString(16).padStart(2, "0")})${xid}`;
}

function flagsText(bytes: Uint8Array): string {
  const version = bytes[OFP_HEADER.VERSION] ?? 0;
  const type = bytes[OFP_HEADER.TYPE] ?? 0;
  const request = isStatRequest(version, type);
  let flags = request || isStatReply(version, type) ? multipartFlags(bytes) : 0;
  if (flags === 0) {
    return "";
  }
  let out = " flags=";
  if ((!request || version >= OFP.v13) && (flags & OFPSF_REPLY_MORE) !== 0) {
    out += "[more]";
    flags &= ~OFPSF_REPLY_MORE;
  }
  const unknown = flags.toString(16).padStart(4, "0");
  return flags === 0 ? out : `${out}[***unknown flags 0x${unknown}***]`;
}

/** What stands in the place of a message that cannot be looked into; undefined if it can. */
function badLengthText(bytes: Uint8Array): string | undefined {
  const n = bytes.length;
  if (n === 0) {
    return "OpenFlow message is empty\n";
  }
  if (n < OFP_HEADER.BYTES) {
    return `OpenFlow packet too short (only ${n} bytes):\n`;
  }
  const length = getU16(bytes, OFP_HEADER.LENGTH);
  if (length > n) {
    const info = decodeRawPartial(bytes);
    const name = isErr(info) ? "" : `${info.name}${versionText(bytes)}\n`;
    return `${name}(***truncated to ${n} bytes from ${length}***)\n`;
  }
  return length < n ? `(***only uses ${length} bytes out of ${n}***)\n` : undefined;
}

function newline(out: Text): void {
  if (out.s !== "" && !out.endsWith("\n")) {
    out.put("\n");
  }
}

function printBody(out: Text, bytes: Uint8Array, cx: PrintContext): PrintErr | null {
  const msg = pullMsg(bytes, cx.log);
  if (isErr(msg)) {
    out.put(`***decode error: ${msg}***\n`);
    return msg;
  }
  out.put(`${msg.info.name}${versionText(bytes)}`);
  const header = out.s.length;
  out.put(flagsText(bytes));
  const err = PRINTERS[msg.type](out, msg, cx);
  if (err === null) {
    out.chomp(" ");
    return null;
  }
  if (out.s.length > header) {
    out.chomp(" ");
    newline(out);
  } else {
    out.put(" ");
  }
  out.put(`***decode error: ${err}***\n`);
  return err;
}

function print(
  bytes: Uint8Array,
  verbosity: number,
  names: NameMaps,
  log: LogSink | null,
  depth: number,
): string {
  const bad = badLengthText(bytes);
  if (bad !== undefined || depth > PRINT_DEPTH_MAX) {
    return (bad ?? "") + hexDump(bytes, true);
  }
  const out = new Text();
  const inner = (b: Uint8Array, v: number): string => print(b, v, names, log, depth + 1);
  const err = printBody(out, bytes, { names, verbosity, inner, log });
  if (verbosity >= VERBOSITY_DUMP || err !== null) {
    newline(out);
    out.put(hexDump(bytes, true));
  }
  newline(out);
  return out.s;
}

/** The text of a message, which ends with a newline. `log` takes what is wrong with it. */
export function ofpPrint(
  bytes: Uint8Array,
  verbosity: number,
  names: NameMaps = NO_NAMES,
  log: LogSink | null = null,
): string {
  return print(bytes, verbosity, names, log, 0);
}

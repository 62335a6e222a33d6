// Bundles: messages that a switch applies all or none (ovs: lib/ofp-bundle.c).

import { OFP, P, type Protocols } from "../../flow/of-version.ts";
import { Cursor, getU16, getU32 } from "../../lib/bytes.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { COMMAND_IN_TEXT, parseFlowMod, stripComment } from "../flow-text.ts";
import type { TextContext } from "../match-parse.ts";
import { type Decoded, isErr } from "./errors.ts";
import { parseGroupMod } from "./group-parse.ts";
import { parsePacketOut } from "./packet-out.ts";
import { finishMsg, type Msg, OFP_HEADER, pullMsg, startMsg } from "./raw.ts";
import { type MsgType, msgTypeName } from "./raw-table.ts";
import { altHex, formatBits } from "./text.ts";
import { type BundleAdd, type BundleCtrl, type BundleMsg, OFPBF } from "./types-switch.ts";

/** The module that the log names. */
const LOG = "ofp_bundle";
const TYPE_NAMES = [
  "OPEN_REQUEST",
  "OPEN_REPLY",
  "CLOSE_REQUEST",
  "CLOSE_REPLY",
  "COMMIT_REQUEST",
  "COMMIT_REPLY",
  "DISCARD_REQUEST",
  "DISCARD_REPLY",
];
const FLAG_NAMES = { atomic: OFPBF.ATOMIC, ordered: OFPBF.ORDERED };
const BUNDLABLE: readonly MsgType[] = ["PORT_MOD", "FLOW_MOD", "GROUP_MOD", "PACKET_OUT"];

function ctrlBytes(bc: BundleCtrl, version: number, xid: number): Uint8Array {
  const raw = version === OFP.v13 ? "ONFT13_BUNDLE_CONTROL" : "OFPT14_BUNDLE_CONTROL";
  return finishMsg(startMsg(raw, version, xid).u32(bc.bundleId).u16(bc.type).u16(bc.flags));
}

export function encodeBundleCtrl(bc: BundleCtrl, version: number, xid: number): Uint8Array {
  return ctrlBytes(bc, version, xid);
}

export function encodeBundleCtrlReply(request: Msg, bc: BundleCtrl): Uint8Array {
  return ctrlBytes(bc, request.version, request.xid);
}

export function decodeBundleCtrl(msg: Msg): Decoded<BundleCtrl> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  return { bundleId: c.u32(), type: c.u16(), flags: c.u16() };
}

export function formatBundleCtrl(bc: BundleCtrl): string {
  const flags = formatBits(bc.flags, FLAG_NAMES, " ");
  return `\n bundle_id=${altHex(bc.bundleId)} type=${TYPE_NAMES[bc.type] ?? ""} flags=${flags}`;
}

/** The message within keeps its xid, which must be that of the whole. */
export function encodeBundleAdd(add: BundleAdd, version: number, xid: number): Uint8Array {
  const raw = version === OFP.v13 ? "ONFT13_BUNDLE_ADD_MESSAGE" : "OFPT14_BUNDLE_ADD_MESSAGE";
  const w = startMsg(raw, version, xid);
  return finishMsg(w.u32(add.bundleId).zeros(2).u16(add.flags).put(add.msg));
}

export function decodeBundleAdd(msg: Msg): Decoded<BundleAdd> {
  const c = new Cursor(msg.bytes, msg.bodyOfs);
  const bundleId = c.u32();
  c.skip(2);
  const flags = c.u16();
  const rest = c.view(c.left);
  if (rest.length < OFP_HEADER.BYTES) {
    return "OFPBFC_MSG_BAD_LEN";
  }
  if (rest[OFP_HEADER.VERSION] !== msg.version) {
    return "OFPBFC_BAD_VERSION";
  }
  const length = getU16(rest, OFP_HEADER.LENGTH);
  if (length < OFP_HEADER.BYTES || length > rest.length) {
    return "OFPBFC_MSG_BAD_LEN";
  }
  if (getU32(rest, OFP_HEADER.XID) !== msg.xid) {
    return "OFPBFC_MSG_BAD_XID";
  }
  const inner = pullMsg(rest, msg.log, msg.debug);
  if (isErr(inner)) {
    const what = `contained message is unparsable (${inner})`;
    msg.log?.("WARN", LOG, `OFPT14_BUNDLE_ADD_MESSAGE ${what}`);
    return "OFPBFC_MSG_UNSUP";
  }
  if (!BUNDLABLE.includes(inner.type)) {
    const name = msgTypeName(inner.type);
    msg.log?.("WARN", LOG, `${name} message not allowed inside OFPT14_BUNDLE_ADD_MESSAGE`);
    return "OFPBFC_MSG_UNSUP";
  }
  return { bundleId, flags, msg: rest.subarray(0, length) };
}

/** `inner` is the text of the message within. */
export function formatBundleAdd(add: BundleAdd, inner: string): string {
  const flags = formatBits(add.flags, FLAG_NAMES, " ");
  return `\n bundle_id=${altHex(add.bundleId)} flags=${flags}\n${inner}`;
}

interface ParsedBundle {
  readonly msgs: BundleMsg[];
  readonly usable: Protocols;
}

function parseLine(line: string, cx: TextContext): Result<{ msg: BundleMsg; usable: Protocols }> {
  const s = line.replace(/^[ \t\r\n]*/, "");
  const word = /^[^, \t\r\n]*/.exec(s)?.[0] ?? "";
  const rest = s.slice(word.length);
  if ("flow".startsWith(word)) {
    const r = parseFlowMod(rest, COMMAND_IN_TEXT, cx);
    return r.ok ? ok({ msg: { kind: "flow_mod", fm: r.value.fm }, usable: r.value.usable }) : r;
  }
  if ("group".startsWith(word)) {
    const r = parseGroupMod(rest, null, cx);
    return r.ok ? ok({ msg: { kind: "group_mod", gm: r.value.gm }, usable: r.value.usable }) : r;
  }
  if ("packet-out".startsWith(word)) {
    const r = parsePacketOut(rest, cx);
    return r.ok ? ok({ msg: { kind: "packet_out", po: r.value.po }, usable: r.value.usable }) : r;
  }
  return fail(`Unsupported bundle message type: ${word}`, line);
}

/** Reads a file of flows, groups and packet-outs, each line beginning with what it is. */
export function parseBundleFile(name: string, text: string, cx: TextContext): Result<ParsedBundle> {
  const msgs: BundleMsg[] = [];
  let usable: Protocols = P.ANY;
  for (const [i, line] of text.split("\n").entries()) {
    const content = stripComment(line);
    if (content === undefined) {
      continue;
    }
    const r = parseLine(content, cx);
    if (!r.ok) {
      return fail(`${name}:${i + 1}: ${r.error.message}`, line);
    }
    msgs.push(r.value.msg);
    usable &= r.value.usable;
  }
  return ok({ msgs, usable });
}

// Bundles: messages that are collected and then take effect together, or not at all.
//
// Messages are decoded when they are added. A commit starts all of them on one new version of the
// tables; if one fails, those before it are reverted, else the version is made visible and all of
// them are finished. Port mods are not atomic (ovs: ofproto/bundles.c, ofproto.c do_bundle_commit).

import type { Ofconn } from "./connmgr.ts";
import { flowModFinish, type FlowModOp, flowModRevert, flowModStart } from "./flow-mod.ts";
import { groupModFinish, type GroupModOp, groupModRevert, groupModStart } from "./group-mod.ts";
import type { OfpErr } from "./messages/errors.ts";
import type { PacketOut } from "./messages/types-flow.ts";
import { OFPBF, type PortMod } from "./messages/types-switch.ts";
import type { Ofproto } from "./ofproto.ts";
import { portModFinish, portModStart } from "./ofproto-ports.ts";

/** Messages in one bundle. */
export const BUNDLE_MESSAGES_MAX = 10_000_000;

export type BundleEntry = {
  /** The bundle-add message that brought it; errors refer to it. */
  readonly msg: Uint8Array;
  readonly xid: number;
} & (
  | { readonly kind: "flow_mod"; readonly op: FlowModOp }
  | { readonly kind: "group_mod"; readonly op: GroupModOp }
  | { readonly kind: "port_mod"; readonly pm: PortMod }
  | { readonly kind: "packet_out"; readonly po: PacketOut; version: number }
);

export interface Bundle {
  readonly id: number;
  readonly flags: number;
  /** The message that opened it. */
  readonly openMsg: Uint8Array;
  readonly entries: BundleEntry[];
  closed: boolean;
  usedMs: number;
}

export function openBundle(
  conn: Ofconn,
  id: number,
  flags: number,
  openMsg: Uint8Array,
): OfpErr | null {
  const old = conn.bundles.get(id);
  if (old !== undefined) {
    conn.ofproto.log.info("bundles", `Bundle ${id.toString(16)} already exists.`);
    conn.bundles.delete(id);
    return "OFPBFC_BAD_ID";
  }
  create(conn, id, flags, openMsg);
  return null;
}

function create(conn: Ofconn, id: number, flags: number, openMsg: Uint8Array): Bundle {
  const usedMs = conn.ofproto.clock.nowMs();
  const bundle = { id, flags, openMsg, entries: [], closed: false, usedMs };
  conn.bundles.set(id, bundle);
  return bundle;
}

export function closeBundle(conn: Ofconn, id: number, flags: number): OfpErr | null {
  const bundle = conn.bundles.get(id);
  if (bundle === undefined) {
    return "OFPBFC_BAD_ID";
  }
  const error = usable(bundle, flags);
  if (error !== null) {
    conn.bundles.delete(id);
    return error;
  }
  bundle.usedMs = conn.ofproto.clock.nowMs();
  bundle.closed = true;
  return null;
}

function usable(bundle: Bundle, flags: number): OfpErr | null {
  if (bundle.closed) {
    return "OFPBFC_BUNDLE_CLOSED";
  }
  return bundle.flags === flags ? null : "OFPBFC_BAD_FLAGS";
}

export function discardBundle(conn: Ofconn, id: number): OfpErr | null {
  return conn.bundles.delete(id) ? null : "OFPBFC_BAD_ID";
}

/** Adds a message; a bundle that was not opened is opened by its first message. */
export function addToBundle(
  conn: Ofconn,
  id: number,
  flags: number,
  entry: BundleEntry,
): OfpErr | null {
  const bundle = conn.bundles.get(id) ?? create(conn, id, flags, entry.msg);
  const error = usable(bundle, flags);
  if (error !== null) {
    conn.bundles.delete(id);
    return error;
  }
  if (bundle.entries.length >= BUNDLE_MESSAGES_MAX) {
    return "OFPBFC_MSG_TOO_MANY";
  }
  bundle.usedMs = conn.ofproto.clock.nowMs();
  bundle.entries.push(entry);
  return null;
}

/** The bundle is gone afterwards, whatever the outcome. */
export function commitBundle(conn: Ofconn, id: number, flags: number): OfpErr | null {
  const p = conn.ofproto;
  const bundle = conn.bundles.get(id);
  if (bundle === undefined) {
    return "OFPBFC_BAD_ID";
  }
  conn.bundles.delete(id);
  if (bundle.flags !== flags) {
    return "OFPBFC_BAD_FLAGS";
  }
  for (const table of p.tables) {
    table.cls.defer();
  }
  const failed = start(p, bundle);
  if (failed !== null) {
    conn.sendError(failed.entry.msg, failed.error);
    revert(p, bundle, failed.entry);
  }
  for (const table of p.tables) {
    table.cls.publish();
  }
  if (failed === null) {
    finish(p, conn, bundle);
  }
  p.monitors.flush();
  for (const entry of failed === null ? bundle.entries : []) {
    if (entry.kind === "packet_out") {
      p.provider.packetOut(entry.po, entry.version);
    }
  }
  return failed === null ? null : "OFPBFC_MSG_FAILED";
}

interface Failure {
  readonly entry: BundleEntry;
  readonly error: OfpErr;
}

function start(p: Ofproto, bundle: Bundle): Failure | null {
  let version = p.tablesVersion + 1;
  let afterPortMod = false;
  for (const entry of bundle.entries) {
    if (entry.kind !== "port_mod" && afterPortMod) {
      afterPortMod = false;
      version++;
    }
    let error: OfpErr | null = null;
    switch (entry.kind) {
      case "flow_mod":
        entry.op.version = version;
        error = flowModStart(p, entry.op);
        break;
      case "group_mod":
        entry.op.version = version;
        error = groupModStart(p, entry.op);
        break;
      case "packet_out":
        entry.version = version;
        error = p.checkActions(entry.po.actions);
        break;
      case "port_mod":
        afterPortMod = true;
        error =
          (bundle.flags & OFPBF.ATOMIC) !== 0 ? "OFPBFC_MSG_FAILED" : portModStart(p, entry.pm);
        break;
    }
    if (error !== null) {
      return { entry, error };
    }
  }
  return null;
}

/** Undoes what was started before the message that failed, the last first. */
function revert(p: Ofproto, bundle: Bundle, failed: BundleEntry): void {
  const done = bundle.entries.slice(0, bundle.entries.indexOf(failed)).reverse();
  for (const entry of done) {
    if (entry.kind === "flow_mod") {
      flowModRevert(p, entry.op);
    } else if (entry.kind === "group_mod") {
      groupModRevert(p, entry.op);
    }
  }
}

function finish(p: Ofproto, conn: Ofconn, bundle: Bundle): void {
  for (const entry of bundle.entries) {
    const req = { conn, xid: entry.xid };
    switch (entry.kind) {
      case "flow_mod":
        p.setVersion(entry.op.version);
        flowModFinish(p, entry.op, req);
        break;
      case "group_mod":
        p.setVersion(entry.op.version);
        groupModFinish(p, entry.op, req);
        break;
      case "packet_out":
        p.setVersion(entry.version);
        break;
      case "port_mod":
        portModFinish(p, conn, entry.pm);
        break;
    }
  }
}

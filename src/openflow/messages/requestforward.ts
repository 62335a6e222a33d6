// Requestforward: a controller hears of another's group or meter mod (ovs: lib/ofp-monitor.c).

import { OFP, type OfVersion } from "../../flow/of-version.ts";
import { getU16, getU32 } from "../../lib/bytes.ts";
import { type Decoded, isErr } from "./errors.ts";
import { decodeGroupMod, encodeGroupMod, type GroupModContext } from "./group.ts";
import { formatGroupMod } from "./group-text.ts";
import { decodeMeterMod, encodeMeterMod } from "./meter.ts";
import { formatMeterMod } from "./meter-text.ts";
import type { NameMaps } from "./names.ts";
import { finishMsg, type Msg, OFP_HEADER, pullMsg, startMsg } from "./raw.ts";
import type { RawName } from "./raw-table.ts";
import { OFPRFR, type RequestForward } from "./types-switch.ts";

function rawOf(version: number): RawName {
  if (version < OFP.v13) {
    return "NXT_REQUESTFORWARD";
  }
  return version === OFP.v13 ? "ONFT13_REQUESTFORWARD" : "OFPT14_REQUESTFORWARD";
}

/** Null if the version cannot express the request. */
export function encodeRequestForward(
  rf: RequestForward,
  version: OfVersion,
  cx: GroupModContext = {},
): Uint8Array | null {
  const inner =
    rf.reason === OFPRFR.GROUP_MOD
      ? encodeGroupMod(rf.groupMod, version, rf.xid, cx)
      : encodeMeterMod(rf.meterMod, version, rf.xid);
  return inner === null ? null : finishMsg(startMsg(rawOf(version), version, 0).put(inner));
}

export function decodeRequestForward(msg: Msg): Decoded<RequestForward> {
  const rest = msg.bytes.subarray(msg.bodyOfs);
  const length = getU16(rest, OFP_HEADER.LENGTH);
  if (length < OFP_HEADER.BYTES || length > rest.length) {
    return "OFPBFC_MSG_BAD_LEN";
  }
  if (rest[OFP_HEADER.VERSION] !== msg.version) {
    return "OFPBRC_BAD_VERSION";
  }
  const inner = pullMsg(rest, msg.log, msg.debug);
  if (isErr(inner)) {
    return inner;
  }
  const xid = getU32(rest, OFP_HEADER.XID);
  if (inner.type === "GROUP_MOD") {
    const groupMod = decodeGroupMod(inner);
    return isErr(groupMod) ? groupMod : { reason: OFPRFR.GROUP_MOD, xid, groupMod };
  }
  if (inner.type === "METER_MOD") {
    const meterMod = decodeMeterMod(inner);
    return isErr(meterMod) ? meterMod : { reason: OFPRFR.METER_MOD, xid, meterMod };
  }
  return "OFPBFC_MSG_UNSUP";
}

export function formatRequestForward(rf: RequestForward, version: number, names: NameMaps): string {
  return rf.reason === OFPRFR.GROUP_MOD
    ? ` reason=group_mod${formatGroupMod(rf.groupMod, version, names)}`
    : ` reason=meter_mod${formatMeterMod(rf.meterMod)}`;
}

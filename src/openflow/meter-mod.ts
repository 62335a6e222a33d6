// Meter mods (ovs: ofproto/ofproto.c handle_meter_mod and what it calls).

import { deleteFlows } from "./flow-mod.ts";
import type { OfpErr } from "./messages/errors.ts";
import { type MeterMod, OFPM13, OFPMC } from "./messages/types-group.ts";
import { OFPRFR } from "./messages/types-switch.ts";
import type { Ofproto, Requester } from "./ofproto.ts";
import { REMOVED } from "./rule.ts";

/** Null is success. */
export function meterMod(p: Ofproto, mm: MeterMod, req: Requester | null): OfpErr | null {
  const error = apply(p, mm);
  if (error === null && req !== null) {
    p.conns.sendRequestForward(req.conn, { reason: OFPRFR.METER_MOD, xid: req.xid, meterMod: mm });
  }
  return error;
}

function apply(p: Ofproto, mm: MeterMod): OfpErr | null {
  if (mm.command === OFPMC.DELETE) {
    deleteMeters(p, mm.meter.meterId);
    return null;
  }
  const error = checkConfig(p, mm);
  if (error !== null) {
    return error;
  }
  switch (mm.command) {
    case OFPMC.ADD:
      return addMeter(p, mm);
    case OFPMC.MODIFY:
      return modifyMeter(p, mm);
    default:
      return "OFPMMFC_BAD_COMMAND";
  }
}

function checkConfig(p: Ofproto, { meter }: MeterMod): OfpErr | null {
  const features = p.provider.meterFeatures();
  const virtual = meter.meterId === OFPM13.SLOWPATH || meter.meterId === OFPM13.CONTROLLER;
  if (features.maxMeters === 0 || meter.meterId === 0 || (meter.meterId > OFPM13.MAX && !virtual)) {
    return "OFPMMFC_INVALID_METER";
  }
  return meter.bands.length > features.maxBands ? "OFPMMFC_OUT_OF_BANDS" : null;
}

function addMeter(p: Ofproto, { meter }: MeterMod): OfpErr | null {
  if (p.meters.get(meter.meterId) !== null) {
    return "OFPMMFC_METER_EXISTS";
  }
  const id = p.provider.meterSet(-1, meter);
  if (typeof id === "string") {
    return id;
  }
  p.meters.add(meter, id, p.clock.nowMs());
  return null;
}

function modifyMeter(p: Ofproto, { meter }: MeterMod): OfpErr | null {
  const old = p.meters.get(meter.meterId);
  if (old === null) {
    return "OFPMMFC_UNKNOWN_METER";
  }
  const id = p.provider.meterSet(old.providerMeterId, meter);
  if (typeof id === "string") {
    return id;
  }
  old.config = meter;
  return null;
}

/** Deletes one meter or all, with the flows that use them; unknown ones do not matter. */
function deleteMeters(p: Ofproto, meterId: number): void {
  if (meterId === OFPM13.ALL) {
    deleteAllMeters(p);
  } else if (meterId !== 0) {
    deleteMeter(p, meterId);
  }
}

export function deleteAllMeters(p: Ofproto): void {
  for (const meter of p.meters.all()) {
    deleteMeter(p, meter.meterId);
  }
}

function deleteMeter(p: Ofproto, meterId: number): void {
  const meter = p.meters.remove(meterId);
  if (meter !== null) {
    deleteFlows(p, [...meter.rules], REMOVED.METER_DELETE);
    p.provider.meterDel(meter.providerMeterId);
  }
}

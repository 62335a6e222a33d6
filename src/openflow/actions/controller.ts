// Row of the action table: packets to a controller, with all options.
//
// ovs: lib/ofp-actions.c parse_CONTROLLER ff., lib/ofp-prop.c for the properties of the long form.

import { hexValue, type Writer } from "../../lib/bytes.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import { OFPP } from "../../flow/ofp-port.ts";
import type { OfpErr } from "../messages/errors.ts";
import { formatPacketInReason, OFPR, parsePacketInReason } from "../packet-in-reason.ts";
import { MAX_LEN_ALL } from "./output.ts";
import { alwaysOk } from "./rows.ts";
import { chompComma, formatHexDots, readU16, readU32 } from "./text.ts";
import {
  type ActionDef,
  type ActionOf,
  NX_CTLR_NO_METER,
  type ParseContext,
  type ParseOutcome,
} from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

type Controller = ActionOf<"controller">;
type Options = { -readonly [M in keyof Omit<Controller, "kind" | "raw">]: Controller[M] };

const NO_DATA = new Uint8Array(0);
const UNKNOWN_PROVIDER_METER = 0xffffffff;

function defaults(): Options {
  return {
    maxLen: MAX_LEN_ALL,
    controllerId: 0,
    reason: OFPR.ACTION,
    pause: false,
    userdata: NO_DATA,
    meterId: NX_CTLR_NO_METER,
    providerMeterId: UNKNOWN_PROVIDER_METER,
  };
}

function parse(arg: string, pp: ParseContext): ParseOutcome {
  const o = defaults();
  let userdata: string | null = null;
  if (/^[0-9]+$/.test(arg)) {
    const n = readU16(arg, "max_len");
    if (typeof n === "string") {
      return n;
    }
    o.maxLen = n;
  } else {
    const scan = new KeyValueScan(arg);
    for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
      if (kv.key === "userdata") {
        userdata = kv.value;
        continue;
      }
      const error = parseOption(kv.key, kv.value, o);
      if (error !== null) {
        return error;
      }
    }
  }
  const plain = o.reason === OFPR.ACTION && o.controllerId === 0 && userdata === null && !o.pause;
  if (plain && o.meterId === NX_CTLR_NO_METER) {
    pp.out.push({ kind: "output", port: OFPP.CONTROLLER, maxLen: o.maxLen });
    return null;
  }
  if (userdata !== null) {
    const { bytes, rest } = readHexBytes(userdata);
    if (rest < userdata.length) {
      return "bad hex digit in `controller' action `userdata'";
    }
    o.userdata = bytes;
  }
  pp.out.push({ kind: "controller", ...o });
  return null;
}

function parseOption(key: string, value: string, o: Options): ParseOutcome {
  switch (key) {
    case "reason": {
      const reason = parsePacketInReason(value);
      if (reason === null) {
        return `unknown reason "${value}"`;
      }
      o.reason = reason;
      return null;
    }
    case "max_len":
    case "id": {
      const n = readU16(value, key);
      if (typeof n === "string") {
        return n;
      }
      o[key === "id" ? "controllerId" : "maxLen"] = n;
      return null;
    }
    case "pause":
      o.pause = true;
      return null;
    case "meter_id": {
      const n = readU32(value);
      if (typeof n === "string") {
        return n;
      }
      o.meterId = n;
      return null;
    }
    default:
      return `unknown key "${key}" parsing controller action`;
  }
}

const HEX_SEPARATORS = " .\t\r\n";

/** Pairs of hex digits, with dots and blanks between them; `rest` is where they end. */
export function readHexBytes(text: string): { bytes: Uint8Array; rest: number } {
  const bytes: number[] = [];
  let i = 0;
  for (;;) {
    while (i < text.length && HEX_SEPARATORS.includes(text.charAt(i))) {
      i++;
    }
    const hi = hexValue(text.charCodeAt(i));
    const lo = hexValue(text.charCodeAt(i + 1));
    if (hi < 0 || lo < 0) {
      return { bytes: Uint8Array.from(bytes), rest: i };
    }
    bytes.push(hi * 16 + lo);
    i += 2;
  }
}

function format(a: Controller): string {
  const plain = a.reason === OFPR.ACTION && a.controllerId === 0 && a.userdata.length === 0;
  if (plain && !a.pause && a.meterId === NX_CTLR_NO_METER) {
    return `CONTROLLER:${a.maxLen}`;
  }
  let s = "controller(";
  if (a.reason !== OFPR.ACTION) {
    s += `reason=${formatPacketInReason(a.reason)},`;
  }
  if (a.maxLen !== MAX_LEN_ALL) {
    s += `max_len=${a.maxLen},`;
  }
  if (a.controllerId !== 0) {
    s += `id=${a.controllerId},`;
  }
  if (a.userdata.length > 0) {
    s += `userdata=${formatHexDots(a.userdata)},`;
  }
  if (a.pause) {
    s += "pause,";
  }
  if (a.meterId !== NX_CTLR_NO_METER) {
    s += `meter_id=${a.meterId},`;
  }
  return `${chompComma(s)})`;
}

/** Layout of the short form: byte offsets. */
const NAC = { MAX_LEN: 10, CONTROLLER_ID: 12, REASON: 14 } as const;
/** Where the properties of the long form begin, and their types. */
const NAC2_PROPS = 16;
const PROP = {
  MAX_LEN: 0,
  CONTROLLER_ID: 1,
  REASON: 2,
  USERDATA: 3,
  PAUSE: 4,
  METER_ID: 5,
} as const;
const PROP_HEADER_BYTES = 4;

function encode(a: Controller, out: Writer, version: Parameters<typeof putRaw>[2]): void {
  const long = a.userdata.length > 0 || a.pause || a.meterId !== NX_CTLR_NO_METER;
  if (!long && a.raw !== "nx_controller2") {
    const at = putRaw(out, "nx_controller", version);
    out.patchU16(at + NAC.MAX_LEN, a.maxLen);
    out.patchU16(at + NAC.CONTROLLER_ID, a.controllerId);
    out.patchU8(at + NAC.REASON, a.reason);
    return;
  }
  const start = putRaw(out, "nx_controller2", version);
  if (a.maxLen !== MAX_LEN_ALL) {
    putProp(out, PROP.MAX_LEN, [a.maxLen >>> 8, a.maxLen & 0xff, 0, 0]);
  }
  if (a.controllerId !== 0) {
    putProp(out, PROP.CONTROLLER_ID, [a.controllerId >>> 8, a.controllerId & 0xff, 0, 0]);
  }
  if (a.reason !== OFPR.ACTION) {
    putProp(out, PROP.REASON, [a.reason]);
  }
  if (a.userdata.length > 0) {
    putProp(out, PROP.USERDATA, a.userdata);
  }
  if (a.pause) {
    putProp(out, PROP.PAUSE, []);
  }
  if (a.meterId !== NX_CTLR_NO_METER) {
    const m = a.meterId;
    putProp(out, PROP.METER_ID, [m >>> 24, (m >>> 16) & 0xff, (m >>> 8) & 0xff, m & 0xff]);
  }
  padAction(out, start);
}

/** A property: type, length without padding, payload, padding to 8 bytes. */
function putProp(out: Writer, type: number, payload: ArrayLike<number>): void {
  const at = out.length;
  out.u16(type).u16(PROP_HEADER_BYTES + payload.length);
  out.put(Uint8Array.from(payload)).pad(8, at);
}

function decodeLong(raw: RawView): Options | OfpErr {
  if (!raw.zero(10, NAC2_PROPS)) {
    return "NXBRC_MUST_BE_ZERO";
  }
  const o = defaults();
  let ofs = NAC2_PROPS;
  while (ofs < raw.length) {
    const length = raw.u16(ofs + 2);
    const padded = (length + 7) & ~7;
    if (length < PROP_HEADER_BYTES || padded > raw.length - ofs) {
      return "OFPBPC_BAD_LEN";
    }
    const error = takeProp(raw, ofs, length - PROP_HEADER_BYTES, o);
    if (error !== null) {
      return error;
    }
    ofs += padded;
  }
  return o;
}

/** Least payload of each property. */
const PROP_MIN: Readonly<Record<number, number>> = {
  [PROP.MAX_LEN]: 2,
  [PROP.CONTROLLER_ID]: 2,
  [PROP.REASON]: 1,
  [PROP.USERDATA]: 0,
  [PROP.PAUSE]: 0,
  [PROP.METER_ID]: 4,
};
const PROP_EXPERIMENTER = 0xffff;

function takeProp(raw: RawView, ofs: number, payload: number, o: Options): OfpErr | null {
  const type = raw.u16(ofs);
  const at = ofs + PROP_HEADER_BYTES;
  if (type === PROP_EXPERIMENTER) {
    if (payload < 8) {
      return "OFPBPC_BAD_LEN";
    }
    return raw.u32(at) === 0 ? "OFPBPC_BAD_EXPERIMENTER" : "OFPBPC_BAD_EXP_TYPE";
  }
  const min = PROP_MIN[type];
  if (min === undefined) {
    return "OFPBPC_BAD_TYPE";
  }
  // Shorter numbers may be longer than they need, those of 32 bits not (ovs: ofpprop_parse_u32).
  if (payload < min || (type === PROP.METER_ID && payload !== min)) {
    return "OFPBPC_BAD_LEN";
  }
  switch (type) {
    case PROP.MAX_LEN:
      o.maxLen = raw.u16(at);
      break;
    case PROP.CONTROLLER_ID:
      o.controllerId = raw.u16(at);
      break;
    case PROP.REASON:
      o.reason = raw.u8(at);
      break;
    case PROP.USERDATA:
      o.userdata = raw.bytes.slice(at, at + payload);
      break;
    case PROP.PAUSE:
      o.pause = true;
      break;
    case PROP.METER_ID:
      o.meterId = raw.u32(at);
      break;
  }
  return null;
}

export const controller: ActionDef<"controller"> = {
  kind: "controller",
  name: "controller",
  parsers: { controller: parse },
  format,
  encode,
  decoders: {
    nx_controller: (raw, dc) => {
      dc.out.push({
        kind: "controller",
        ...defaults(),
        maxLen: raw.u16(NAC.MAX_LEN),
        controllerId: raw.u16(NAC.CONTROLLER_ID),
        reason: raw.u8(NAC.REASON),
        raw: "nx_controller",
      });
      return null;
    },
    nx_controller2: (raw, dc) => {
      const o = decodeLong(raw);
      if (typeof o === "string") {
        return o;
      }
      dc.out.push({ kind: "controller", ...o, raw: "nx_controller2" });
      return null;
    },
  },
  check: alwaysOk,
  setClass: null,
  doc: "Sends the packet to a controller, with a reason, user data, or a pause that it can resume.",
};

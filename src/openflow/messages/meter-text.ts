// Meters as text: what `ovs-ofctl add-meter` reads and `dump-meters` prints (ovs: lib/ofp-meter.c).

import { P, type Protocols } from "../../flow/of-version.ts";
import { fail, ok, type Result } from "../../lib/errors.ts";
import { strToU32, strToU8 } from "../../lib/number.ts";
import { Tokens } from "../../lib/tokens.ts";
import { formatBits, formatDuration, hex } from "./text.ts";
import {
  type MeterBand,
  type MeterConfig,
  type MeterFeatures,
  type MeterMod,
  type MeterStats,
  OFPM13,
  OFPMBT,
  OFPMC,
  OFPMF,
} from "./types-group.ts";

const SPACES = ", \t\r\n";
const FLAG_NAMES = {
  kbps: OFPMF.KBPS,
  pktps: OFPMF.PKTPS,
  burst: OFPMF.BURST,
  stats: OFPMF.STATS,
} as const;
const BAND_NAMES = { drop: OFPMBT.DROP, dscp_remark: OFPMBT.DSCP_REMARK } as const;
const SPECIAL_IDS: Readonly<Record<string, number>> = {
  all: OFPM13.ALL,
  controller: OFPM13.CONTROLLER,
  slowpath: OFPM13.SLOWPATH,
};

function flagOf(name: string): number | undefined {
  return Object.entries(FLAG_NAMES).find(([n]) => n === name)?.[1];
}

function bandType(name: string): number | undefined {
  return Object.entries(BAND_NAMES).find(([n]) => n === name)?.[1];
}

export interface ParsedMeterMod {
  readonly mm: MeterMod;
  readonly usable: Protocols;
}

/** `command` is one of OFPMC, or null for a text that only names a meter. */
export function parseMeterMod(text: string, command: number | null): Result<ParsedMeterMod> {
  const full = command === OFPMC.ADD || command === OFPMC.MODIFY;
  let head = text;
  let bandText = "";
  if (full) {
    const at = text.indexOf("band");
    const equals = at < 0 ? -1 : text.indexOf("=", at + 1);
    if (equals < 0) {
      return fail("must specify bands", text);
    }
    head = text.slice(0, at);
    bandText = text.slice(equals + 1);
  }
  const meter = parseHead(head, full);
  if (!meter.ok) {
    return meter;
  }
  if (meter.value.meterId === 0) {
    return fail("must specify 'meter'", text);
  }
  if (full && meter.value.flags === 0) {
    return fail("meter must specify either 'kbps' or 'pktps'", text);
  }
  const bands = full ? parseBands(bandText, meter.value.flags) : ok([]);
  if (!bands.ok) {
    return bands;
  }
  const mm = { command: command ?? OFPMC.ADD, meter: { ...meter.value, bands: bands.value } };
  return ok({ mm, usable: P.OF13_UP });
}

function parseHead(text: string, flags: boolean): Result<{ meterId: number; flags: number }> {
  const tokens = new Tokens(text);
  const out = { meterId: 0, flags: 0 };
  for (;;) {
    const name = tokens.next(`=${SPACES}`);
    if (name === null) {
      return ok(out);
    }
    const flag = flags ? flagOf(name) : undefined;
    if (flag !== undefined) {
      out.flags |= flag;
      continue;
    }
    const value = tokens.next(SPACES);
    if (value === null) {
      return fail(`field ${name} missing value`, text);
    }
    if (name !== "meter") {
      return fail(`unknown keyword ${name}`, text);
    }
    const id = parseMeterId(value, name);
    if (!id.ok) {
      return id;
    }
    out.meterId = id.value;
  }
}

function parseMeterId(value: string, name: string): Result<number> {
  const special = Object.hasOwn(SPECIAL_IDS, value) ? SPECIAL_IDS[value] : undefined;
  if (special !== undefined) {
    return ok(special);
  }
  const id = strToU32(value);
  if (id.ok && (id.value > OFPM13.MAX || id.value === 0)) {
    return fail(`invalid value for ${name}`, value);
  }
  return id;
}

function parseBands(text: string, flags: number): Result<MeterBand[]> {
  const tokens = new Tokens(text);
  const bands: MeterBand[] = [];
  for (;;) {
    const name = tokens.next(`=${SPACES}`);
    if (name === null) {
      break;
    }
    const value = tokens.next(SPACES);
    if (value === null) {
      return fail(`field ${name} missing value`, text);
    }
    const error = bandField(bands, name, value);
    if (error !== null) {
      return fail(error, text);
    }
  }
  if (bands.length === 0) {
    return fail("meter must have bands", text);
  }
  for (const b of bands) {
    const error = bandError(b, flags);
    if (error !== null) {
      return fail(error, text);
    }
  }
  return ok(bands);
}

/** Applies one `name=value` to the last band; `type` begins a new one. */
function bandField(bands: MeterBand[], name: string, value: string): string | null {
  if (name === "type") {
    const type = bandType(value);
    bands.push({ type: type ?? 0, precLevel: 0, rate: 0, burstSize: 0 });
    return type === undefined ? `field ${name} unknown value ${value}` : null;
  }
  const band = bands.at(-1);
  if (band === undefined) {
    return "band must start with the 'type' keyword";
  }
  const number = name === "prec_level" ? strToU8(value, name) : strToU32(value);
  if (name === "rate") {
    band.rate = number.ok ? number.value : 0;
  } else if (name === "burst_size") {
    band.burstSize = number.ok ? number.value : 0;
  } else if (name === "prec_level") {
    band.precLevel = number.ok ? number.value : 0;
  } else {
    return `unknown keyword ${name}`;
  }
  return number.ok ? null : number.error.message;
}

function bandError(b: MeterBand, flags: number): string | null {
  if (b.type === OFPMBT.DSCP_REMARK && b.precLevel === 0) {
    return "'dscp_remark' band must have 'prec_level'";
  }
  if (b.type !== OFPMBT.DSCP_REMARK && b.precLevel !== 0) {
    return "Only 'dscp_remark' band may have 'prec_level'";
  }
  if (b.rate === 0) {
    return "band must have 'rate'";
  }
  const burst = (flags & OFPMF.BURST) !== 0;
  if (burst && b.burstSize === 0) {
    return "band must have 'burst_size' when 'burst' flag is set";
  }
  return !burst && b.burstSize !== 0
    ? "band may have 'burst_size' only when 'burst' flag is set"
    : null;
}

/** `meter=1`, with the given character between. */
export function formatMeterId(id: number, separator: string): string {
  if (id <= OFPM13.MAX) {
    return `meter${separator}${id}`;
  }
  const special = Object.entries(SPECIAL_IDS).find(([, n]) => n === id);
  return `meter${separator}${special?.[0] ?? "unknown"}`;
}

function formatBand(b: MeterBand, flags: number): string {
  const type = Object.entries(BAND_NAMES).find(([, n]) => n === b.type)?.[0] ?? String(b.type);
  const burst = (flags & OFPMF.BURST) !== 0 ? ` burst_size=${b.burstSize}` : "";
  const prec = b.type === OFPMBT.DSCP_REMARK ? ` prec_level=${b.precLevel}` : "";
  return `\ntype=${type} rate=${b.rate}${burst}${prec}`;
}

export function formatMeterConfig(mc: MeterConfig): string {
  let flags = "";
  let rest = mc.flags;
  for (const [name, bit] of Object.entries(FLAG_NAMES)) {
    if ((rest & bit) !== 0) {
      flags += `${name} `;
      rest &= ~bit;
    }
  }
  flags += rest === 0 ? "" : `flags:${hex(rest)} `;
  const bands = mc.bands.map((b) => formatBand(b, mc.flags)).join("");
  return `${formatMeterId(mc.meterId, "=")} ${flags}bands=${bands}\n`;
}

export function formatMeterMod(mm: MeterMod): string {
  const command = [" ADD ", " MOD ", " DEL "][mm.command] ?? ` cmd:${mm.command} `;
  return command + formatMeterConfig(mm.meter);
}

export function formatMeterStats(ms: MeterStats): string {
  const bands = ms.bands.map(
    (b, i) => `${i}: packet_count:${b.packetCount} byte_count:${b.byteCount}\n`,
  );
  return (
    `${formatMeterId(ms.meterId, ":")} flow_count:${ms.flowCount} ` +
    `packet_in_count:${ms.packetInCount} byte_in_count:${ms.byteInCount} ` +
    `duration:${formatDuration(ms.durationS, ms.durationNs)} bands:\n${bands.join("")}`
  );
}

export function formatMeterFeatures(f: MeterFeatures): string {
  const types = { drop: 1 << OFPMBT.DROP, dscp_remark: 1 << OFPMBT.DSCP_REMARK };
  return (
    `\nmax_meter:${f.maxMeters} max_bands:${f.maxBands} max_color:${f.maxColor}\n` +
    `band_types: ${formatBits(f.bandTypes, types, " ")}\n` +
    `capabilities: ${formatBits(f.capabilities, FLAG_NAMES, " ")}\n`
  );
}

// OpenFlow port and table numbers as text: reserved names, names of ports and tables, ranges.
//
// A port number here has 16 bits, as in OpenFlow 1.0; OpenFlow 1.1 and later use 32 bits, whose
// reserved range is the same one moved up by OFPP11_OFFSET. (ovs: lib/ofp-port.c, lib/ofp-table.c,
// lib/namemap.c)

import { strToUint } from "../lib/number.ts";

/** Reserved ports and limits of 16-bit port numbers (OpenFlow 1.0, enum ofp_port). */
export const OFPP = {
  /** Ports below are ordinary. */
  MAX: 0xff00,
  FIRST_RESV: 0xfff7,
  UNSET: 0xfff7,
  IN_PORT: 0xfff8,
  TABLE: 0xfff9,
  NORMAL: 0xfffa,
  FLOOD: 0xfffb,
  ALL: 0xfffc,
  CONTROLLER: 0xfffd,
  LOCAL: 0xfffe,
  NONE: 0xffff,
  ANY: 0xffff,
  LAST_RESV: 0xffff,
} as const;

/** 32-bit ports from here on are reserved. */
export const OFPP11_MAX = 0xffffff00;
/** What is added to a reserved 16-bit port to get the 32-bit one. */
export const OFPP11_OFFSET = OFPP11_MAX - OFPP.MAX;
/** Table id that means all tables, or none. */
export const OFPTT_ALL = 255;

/** Names of ports or tables, both ways (ovs: struct namemap). */
export interface NameMap {
  nameOf(number: number): string | null;
  /** Null if nothing, or more than one thing, has the name. */
  numberOf(name: string): number | null;
}

/** Takes what Open vSwitch logs about an input that it accepts or refuses. */
export type LogSink = (level: "ERR" | "WARN" | "INFO", module: string, text: string) => void;

const RESERVED_NAMES = [
  ["IN_PORT", OFPP.IN_PORT],
  ["TABLE", OFPP.TABLE],
  ["NORMAL", OFPP.NORMAL],
  ["FLOOD", OFPP.FLOOD],
  ["ALL", OFPP.ALL],
  ["CONTROLLER", OFPP.CONTROLLER],
  ["LOCAL", OFPP.LOCAL],
  ["ANY", OFPP.ANY],
  ["UNSET", OFPP.UNSET],
  // The old spelling of ANY, only read.
  ["NONE", OFPP.NONE],
] as const;

const BY_NAME = new Map<string, number>(RESERVED_NAMES);
const BY_NUMBER = new Map<number, string>(
  RESERVED_NAMES.filter(([name]) => name !== "NONE").map(([name, port]) => [port, name]),
);

/**
 * Reads a number, a reserved name in any case, or a name of `ports`, perhaps in quotes; null if it
 * is none of these. 32-bit numbers of the reserved range are mapped into 16 bits.
 * (ovs: ofputil_port_from_string)
 */
export function portFromString(
  text: string,
  ports: NameMap | null,
  log: LogSink | null = null,
): number | null {
  if (text.startsWith("-")) {
    log?.("WARN", "ofp_port", `Negative value ${text} is not a valid port number.`);
    return null;
  }
  const number = strToUint(text, 10);
  if (number === undefined) {
    return BY_NAME.get(text.toUpperCase()) ?? numberFromName(text, ports);
  }
  if (number < OFPP.MAX) {
    return number;
  }
  if (number < OFPP.FIRST_RESV) {
    log?.(
      "WARN",
      "ofp_port",
      `port ${number} is a reserved OF1.0 port number that will be translated to ` +
        `${number + OFPP11_OFFSET} when talking to an OF1.1 or later controller`,
    );
  } else if (number <= OFPP.LAST_RESV) {
    log?.(
      "WARN",
      "ofp_port",
      `referring to port ${formatPort(number, null)} as ${number} is deprecated for ` +
        "compatibility with OpenFlow 1.1 and later",
    );
  } else if (number < OFPP11_MAX) {
    log?.(
      "WARN",
      "ofp_port",
      `port ${number} is outside the supported range 0 through ffff or ` +
        "0xffffff00 through 0xffffffff",
    );
    return null;
  } else {
    return number - OFPP11_OFFSET;
  }
  return number;
}

/** The number of a name, which may stand in quotes with JSON's escapes. */
function numberFromName(text: string, names: NameMap | null): number | null {
  if (names === null) {
    return null;
  }
  if (!text.startsWith('"')) {
    return names.numberOf(text);
  }
  const name = text.length > 1 && text.endsWith('"') ? unquote(text) : null;
  return name === null ? null : names.numberOf(name);
}

function unquote(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}

/** A port as users see it: reserved name, name of `ports`, or number (ovs: ofputil_format_port). */
export function formatPort(port: number, ports: NameMap | null): string {
  const reserved = BY_NUMBER.get(port);
  if (reserved !== undefined) {
    return reserved;
  }
  const name = ports?.nameOf(port) ?? null;
  return name === null ? String(port) : quoteName(name);
}

/** A table's number or name; null if it is neither (ovs: ofputil_table_from_string). */
export function tableFromString(
  text: string,
  tables: NameMap | null,
  log: LogSink | null = null,
): number | null {
  if (text.startsWith("-")) {
    log?.("WARN", "ofp_table", `Negative value ${text} is not a valid table number.`);
    return null;
  }
  const number = strToUint(text, 10);
  if (number === undefined) {
    const named = numberFromName(text, tables);
    return named === OFPTT_ALL ? null : named;
  }
  if (number > OFPTT_ALL) {
    log?.("WARN", "ofp_table", `table ${number} is outside the supported range 0 through 255`);
    return null;
  }
  return number;
}

/** A table's name of `tables`, or its number (ovs: ofputil_format_table). */
export function formatTable(table: number, tables: NameMap | null): string {
  const name = tables?.nameOf(table) ?? null;
  return name === null ? String(table) : quoteName(name);
}

/** A name as it stands in output: in quotes unless it is letters and digits, a letter first. */
function quoteName(name: string): string {
  return /^[A-Za-z][A-Za-z0-9]*$/.test(name) ? name : JSON.stringify(name);
}

/** The 16-bit number of a 32-bit port, or null if it has none (ovs: ofputil_port_from_ofp11). */
export function portFromOfp11(port: number, log: LogSink | null = null): number | null {
  if (port < OFPP.MAX) {
    return port;
  }
  if (port >= OFPP11_MAX) {
    return port - OFPP11_OFFSET;
  }
  const range = `0 through ${OFPP.MAX - 1} or 0x${OFPP11_MAX.toString(16)} through 0xffffffff`;
  log?.("WARN", "ofp_port", `port ${port} is outside the supported range ${range}`);
  return null;
}

/** The 32-bit number of a 16-bit port (ovs: ofputil_port_to_ofp11). */
export function portToOfp11(port: number): number {
  return port < OFPP.MAX ? port : port + OFPP11_OFFSET;
}

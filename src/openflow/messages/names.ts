// Ports, tables, groups and queues by number and name, as text.
//
// Tools print and accept a port or table by number or, where they know the switch's names, by name.
// A NameMap holds those names; one that stands for two numbers (or the reverse) is not used. Names
// that are not plain words are printed as JSON strings, and quoted names are read the same way
// (ovs: lib/namemap.c, lib/ofp-port.c, lib/ofp-table.c, lib/ofp-group.c).
//
// A port is OpenFlow 1.0's 16-bit number throughout; later versions' 32-bit numbers are mapped
// where messages are read and written.

/** Reserved ports, as 16-bit numbers. */
export const OFPP = {
  /** One more than the last port number that a user can give out. */
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
} as const;

/** First reserved port number of OpenFlow 1.1 and later, and its distance to the 16-bit one. */
export const OFPP11_MAX = 0xffffff00;
export const OFPP11_OFFSET = OFPP11_MAX - OFPP.MAX;

/** Reserved group numbers. */
export const OFPG = { MAX: 0xffffff00, ALL: 0xfffffffc, ANY: 0xffffffff } as const;
/** All queues of a port. */
export const OFPQ_ALL = 0xffffffff;
/** All tables. */
export const OFPTT_ALL = 0xff;

/** Order matters for printing: `ANY` before its old name `NONE`. */
const NAMED_PORTS: readonly (readonly [string, number])[] = [
  ["IN_PORT", OFPP.IN_PORT],
  ["TABLE", OFPP.TABLE],
  ["NORMAL", OFPP.NORMAL],
  ["FLOOD", OFPP.FLOOD],
  ["ALL", OFPP.ALL],
  ["CONTROLLER", OFPP.CONTROLLER],
  ["LOCAL", OFPP.LOCAL],
  ["ANY", OFPP.ANY],
  ["UNSET", OFPP.UNSET],
  ["NONE", OFPP.NONE],
];

/** Numbers and names of one switch's ports or tables. */
export class NameMap {
  readonly #byName = new Map<string, { number: number; name: string; duplicate: boolean }>();
  readonly #byNumber = new Map<number, { number: number; name: string; duplicate: boolean }>();

  put(number: number, name: string): void {
    const named = this.#byName.get(name);
    if (named !== undefined) {
      named.duplicate ||= named.number !== number;
      return;
    }
    const numbered = this.#byNumber.get(number);
    if (numbered !== undefined) {
      numbered.duplicate = true;
      return;
    }
    const node = { number, name, duplicate: false };
    this.#byName.set(name, node);
    this.#byNumber.set(number, node);
  }

  getName(number: number): string | undefined {
    const node = this.#byNumber.get(number);
    return node === undefined || node.duplicate ? undefined : node.name;
  }

  getNumber(name: string): number | undefined {
    const node = this.#byName.get(name);
    return node === undefined || node.duplicate ? undefined : node.number;
  }
}

export type PortMap = NameMap;
export type TableMap = NameMap;

/** The maps that text is read and written with; an absent map knows no names. */
export interface NameMaps {
  readonly ports?: PortMap | undefined;
  readonly tables?: TableMap | undefined;
}

/** A port or table name, quoted unless it is a plain word. */
export function formatName(name: string): string {
  return /^[A-Za-z][A-Za-z0-9]*$/.test(name) ? name : jsonString(name);
}

/** Name of a reserved port, or undefined. */
export function reservedPortName(port: number): string | undefined {
  return NAMED_PORTS.find(([, n]) => n === port)?.[0];
}

export function formatPort(port: number, ports?: PortMap): string {
  const reserved = port >= OFPP.FIRST_RESV ? reservedPortName(port) : undefined;
  if (reserved !== undefined) {
    return reserved;
  }
  const name = ports?.getName(port);
  return name === undefined ? String(port) : formatName(name);
}

export function formatTable(table: number, tables?: TableMap): string {
  const name = tables?.getName(table);
  return name === undefined ? String(table) : formatName(name);
}

/**
 * An unsigned decimal or 0x-prefixed or octal number that a C `unsigned int` holds, read as
 * strtoll(base 0) does for base "auto"; undefined for anything else (ovs: str_to_uint).
 */
export function strToUint(s: string, base: 0 | 10 = 10): number | undefined {
  const re = base === 10 ? /^[\t-\r ]*[+-]?\d+$/ : /^[\t-\r ]*[+-]?(0[xX][0-9a-fA-F]+|\d+)$/;
  if (!re.test(s)) {
    return undefined;
  }
  const t = s.trim();
  const negative = t.startsWith("-");
  const digits = t.replace(/^[+-]/, "");
  const octal = base === 0 && /^0\d/.test(digits);
  if (octal && !/^[0-7]+$/.test(digits)) {
    return undefined;
  }
  const n = octal ? Number.parseInt(digits, 8) : Number(digits);
  const value = negative ? -n : n;
  return value < 0 || value > 0xffffffff ? undefined : value;
}

/** A port from a number, a reserved name in any case or a name of the map. */
export function portFromString(s: string, ports?: PortMap): number | undefined {
  if (s.startsWith("-")) {
    return undefined;
  }
  const n = strToUint(s);
  if (n !== undefined) {
    if (n <= 0xffff) {
      return n;
    }
    return n < OFPP11_MAX ? undefined : n - OFPP11_OFFSET;
  }
  const upper = s.toUpperCase();
  const named = NAMED_PORTS.find(([name]) => name === upper);
  return named === undefined ? lookUpName(s, ports) : named[1];
}

/** A table from a number of at most 255 or a name of the map. */
export function tableFromString(s: string, tables?: TableMap): number | undefined {
  if (s.startsWith("-")) {
    return undefined;
  }
  const n = strToUint(s);
  if (n !== undefined) {
    return n > 255 ? undefined : n;
  }
  return lookUpName(s, tables);
}

function lookUpName(s: string, map: NameMap | undefined): number | undefined {
  if (!s.startsWith('"')) {
    return map?.getNumber(s);
  }
  const name = s.length > 1 && s.endsWith('"') ? parseJsonString(s) : undefined;
  return name === undefined ? undefined : map?.getNumber(name);
}

function parseJsonString(s: string): string | undefined {
  try {
    const value: unknown = JSON.parse(s);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A JSON string as Open vSwitch writes it. JSON.stringify agrees on every ASCII character. */
export function jsonString(s: string): string {
  return JSON.stringify(s).replace(/\u007f/g, "\\u007f");
}

/** A group from a number below the reserved ones, or `any` or `all`. */
export function groupFromString(s: string): number | undefined {
  const lower = s.toLowerCase();
  if (lower === "any") {
    return OFPG.ANY;
  }
  if (lower === "all") {
    return OFPG.ALL;
  }
  return strToUint(s);
}

export function formatGroup(group: number): string {
  return group === OFPG.ANY ? "ANY" : group === OFPG.ALL ? "ALL" : String(group);
}

/** A 16-bit port from OpenFlow 1.1's 32-bit number; undefined in the unusable range between. */
export function portFromOfp11(port: number): number | undefined {
  if (port < OFPP.MAX) {
    return port;
  }
  return port >= OFPP11_MAX ? port - OFPP11_OFFSET : undefined;
}

/** OpenFlow 1.1's 32-bit number of a port. */
export function portToOfp11(port: number): number {
  return port < OFPP.MAX ? port : port + OFPP11_OFFSET;
}

// The options of ovs-ofctl, as one record that every ovs-ofctl command gets.
//
// Reference: ovs: utilities/ovs-ofctl.c parse_options; the errors are its texts.

import { OFP, P } from "../flow/of-version.ts";
import {
  formatVersionBitmapNames,
  protocolsFromString,
  protocolsFromVersions,
  protocolsToString,
  protocolsToVersions,
  versionsFromString,
} from "../openflow/messages/version.ts";
import { getoptLong, type OptSpec, type ParsedOpt } from "./getopt.ts";
import { verbosityError } from "./tool-log.ts";

export interface SortKey {
  /** Field name as the user wrote it; undefined sorts by priority. */
  readonly field: string | undefined;
  readonly descending: boolean;
}

export type PacketInFormat = "standard" | "nxt_packet_in" | "nxt_packet_in2";

export interface OfctlOptions {
  readonly strict: boolean;
  readonly readd: boolean;
  readonly bundle: boolean;
  readonly mayCreate: boolean;
  readonly readOnly: boolean;
  readonly timestamp: boolean;
  readonly pcap: boolean;
  readonly raw: boolean;
  readonly color: boolean;
  readonly stats: boolean;
  /** True after --names, false after --no-names, undefined without either. */
  readonly names: boolean | undefined;
  /** Number of -m options. */
  readonly verbosity: number;
  /** Arguments of -v, in order; a bare one is empty. */
  readonly logSpecs: readonly string[];
  /** Bitmap of allowed OpenFlow versions, bit `1 << version`. */
  readonly versions: number;
  /** Bits of `P` that may be used: -F and -O together. */
  readonly protocols: number;
  /** The format chosen with -P, or undefined. */
  readonly packetInFormat: PacketInFormat | undefined;
  /** Criteria of --sort and --rsort in order; not empty means sorting was asked for. */
  readonly sort: readonly SortKey[];
}

const none = (name: string, short?: string): OptSpec =>
  short === undefined ? { name, arg: "none" } : { name, arg: "none", short };
const required = (name: string, short?: string): OptSpec =>
  short === undefined ? { name, arg: "required" } : { name, arg: "required", short };
const optional = (name: string, short?: string): OptSpec =>
  short === undefined ? { name, arg: "optional" } : { name, arg: "optional", short };

/** Options of the daemon library, in the order that the real tools list them. */
const DAEMON: readonly OptSpec[] = [
  none("detach"),
  none("no-self-confinement"),
  none("no-chdir"),
  optional("pidfile"),
  none("overwrite-pidfile"),
  none("monitor"),
  required("user"),
];

/** Options of the logging library. */
export const VLOG_OPTIONS: readonly OptSpec[] = [
  optional("verbose", "v"),
  optional("log-file"),
  required("syslog-method"),
  required("syslog-target"),
];

/** Options of the TLS library: accepted, because no connection leaves the process. */
export const SSL_OPTIONS: readonly OptSpec[] = [
  required("private-key", "p"),
  required("certificate", "c"),
  required("ca-cert", "C"),
  required("ssl-protocols"),
  required("ssl-ciphers"),
];

const SPECS: readonly OptSpec[] = [
  required("timeout", "t"),
  none("strict"),
  none("readd"),
  required("flow-format", "F"),
  required("packet-in-format", "P"),
  none("more", "m"),
  none("timestamp"),
  optional("sort"),
  optional("rsort"),
  none("names"),
  none("no-names"),
  none("stats"),
  none("no-stats"),
  required("unixctl"),
  none("help", "h"),
  none("option", "o"),
  none("bundle"),
  optional("color"),
  none("may-create"),
  none("pcap"),
  none("raw"),
  none("read-only"),
  ...DAEMON,
  none("version", "V"),
  required("protocols", "O"),
  ...VLOG_OPTIONS,
  ...SSL_OPTIONS,
];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface Draft extends Mutable<OfctlOptions> {
  print?: "help" | "option" | "version";
  keys: SortKey[];
  logSpecs: string[];
}

const FLAGS: Readonly<Record<string, (d: Draft) => void>> = {
  strict: (d) => {
    d.strict = true;
  },
  readd: (d) => {
    d.readd = true;
  },
  more: (d) => {
    d.verbosity++;
  },
  timestamp: (d) => {
    d.timestamp = true;
  },
  names: (d) => {
    d.names = true;
  },
  "no-names": (d) => {
    d.names = false;
  },
  stats: (d) => {
    d.stats = true;
  },
  "no-stats": (d) => {
    d.stats = false;
  },
  help: (d) => {
    d.print ??= "help";
  },
  option: (d) => {
    d.print ??= "option";
  },
  version: (d) => {
    d.print ??= "version";
  },
  bundle: (d) => {
    d.bundle = true;
  },
  "may-create": (d) => {
    d.mayCreate = true;
  },
  pcap: (d) => {
    d.pcap = true;
  },
  raw: (d) => {
    d.raw = true;
  },
  "read-only": (d) => {
    d.readOnly = true;
  },
};

const PACKET_IN_FORMATS: Readonly<Record<string, PacketInFormat>> = {
  standard: "standard",
  openflow10: "standard",
  nxt_packet_in: "nxt_packet_in",
  nxm: "nxt_packet_in",
  nxt_packet_in2: "nxt_packet_in2",
};
const COLORS: Readonly<Record<string, boolean>> = {
  always: true,
  yes: true,
  force: true,
  never: false,
  no: false,
  none: false,
  auto: false,
  tty: false,
  "if-tty": false,
};

/** Options with a value; the answer is an error text or undefined. */
const VALUES: Readonly<Record<string, (d: Draft, arg: string) => string | undefined>> = {
  timeout: (_d, arg) =>
    /^\s*\+?\d+$/.test(arg) && Number(arg) > 0
      ? undefined
      : `value ${arg} on -t or --timeout is invalid`,
  "flow-format": (d, arg) => {
    const parsed = protocolsFromString(arg);
    if (typeof parsed !== "number") {
      return parsed.error;
    }
    d.protocols = parsed;
    return undefined;
  },
  "packet-in-format": (d, arg) => {
    d.packetInFormat = PACKET_IN_FORMATS[arg];
    return d.packetInFormat === undefined ? `unknown packet-in format \`${arg}'` : undefined;
  },
  protocols: (d, arg) => {
    const parsed = versionsFromString(arg);
    if (typeof parsed !== "number") {
      return parsed.error;
    }
    d.versions = parsed === 0 ? protocolDefaultVersions() : parsed;
    return undefined;
  },
};

/** What an empty -O list stands for. */
function protocolDefaultVersions(): number {
  return protocolsToVersions(P.ANY);
}

function apply(d: Draft, opt: ParsedOpt): string | undefined {
  if (opt.name === "sort" || opt.name === "rsort") {
    const field = opt.arg?.toLowerCase() === "priority" ? undefined : opt.arg;
    d.keys.push({ field, descending: opt.name === "rsort" });
    return undefined;
  }
  if (opt.name === "color") {
    const on = opt.arg === undefined ? false : COLORS[opt.arg.toLowerCase()];
    if (on === undefined) {
      return `incorrect value \`${opt.arg}' for --color`;
    }
    d.color = on;
    return undefined;
  }
  if (opt.name === "verbose") {
    d.logSpecs.push(opt.arg ?? "");
  }
  FLAGS[opt.name]?.(d);
  return VALUES[opt.name]?.(d, opt.arg ?? "");
}

/** Applies the rules that tie -O, -F and --bundle together. */
function settleVersions(d: Draft): string | undefined {
  const bundleVersions = protocolsToVersions(P.OF13_UP);
  if (d.bundle && !(d.versions & bundleVersions)) {
    d.versions = (d.versions | (1 << OFP.v14)) & bundleVersions;
  }
  const spoken = protocolsFromVersions(d.versions);
  if (!(d.protocols & spoken)) {
    return (
      `None of the enabled OpenFlow versions (${formatVersionBitmapNames(d.versions)}) supports ` +
      `any of the enabled flow formats (${protocolsToString(d.protocols)}).  (Use -O to enable ` +
      "additional OpenFlow versions or -F to enable additional flow formats.)"
    );
  }
  d.protocols &= spoken;
  d.versions &= protocolsToVersions(d.protocols);
  return undefined;
}

export type OfctlParsed =
  | { readonly kind: "run"; readonly options: OfctlOptions; readonly argv: readonly string[] }
  | { readonly kind: "print"; readonly what: "help" | "option" | "version" }
  | { readonly kind: "error"; readonly error: string };

/** Options when a command line has none. */
export function defaultOfctlOptions(): OfctlOptions {
  const parsed = parseOfctlOptions([]);
  if (parsed.kind !== "run") {
    throw new Error("an empty command line has no bad option");
  }
  return parsed.options;
}

/** Parses a command line of ovs-ofctl (without the program's name). */
export function parseOfctlOptions(args: readonly string[]): OfctlParsed {
  const d: Draft = {
    strict: false,
    readd: false,
    bundle: false,
    mayCreate: false,
    readOnly: false,
    timestamp: false,
    pcap: false,
    raw: false,
    color: false,
    stats: true,
    names: undefined,
    verbosity: 0,
    logSpecs: [],
    versions: 1 << OFP.v10,
    protocols: P.ANY,
    packetInFormat: undefined,
    sort: [],
    keys: [],
  };
  const parsed = getoptLong(args, SPECS, false, (opt) => {
    const error = verbosityError("ovs-ofctl", opt) ?? apply(d, opt);
    // What is printed ends the program: the rest of the line is not looked at.
    return d.print === undefined ? error : "";
  });
  if (d.print !== undefined) {
    return { kind: "print", what: d.print };
  }
  if ("error" in parsed) {
    return { kind: "error", error: parsed.error };
  }
  const error = settleVersions(d);
  if (error !== undefined) {
    return { kind: "error", error };
  }
  // Sorting by anything ends with a pass by descending priority.
  const sort = d.keys.length > 0 ? [...d.keys, { field: undefined, descending: true }] : [];
  const { print: _print, keys: _keys, ...options } = d;
  return { kind: "run", options: { ...options, sort }, argv: parsed.rest };
}

/** What `ovs-ofctl --option` prints. */
export function formatOptionList(specs: readonly OptSpec[] = SPECS): string {
  return specs
    .map((s) => {
      const value = s.arg === "required" ? "ARG" : "[ARG]";
      const long = `--${s.name}${s.arg === "none" ? "" : `=${value}`}\n`;
      const short = s.short === undefined ? "" : `-${s.short} ${s.arg === "none" ? "" : value}\n`;
      return long + short;
    })
    .join("");
}

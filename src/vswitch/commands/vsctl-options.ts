// The commands of ovs-vsctl, and the options of its command line: those of the program, and those of
// commands that may stand before the first one.
//
// ovs: utilities/ovs-vsctl.c parse_options.

import { CELL_FORMATS, TABLE_FORMATS, type TableStyle } from "../../ovsdb/text-table.ts";
import type { OptSpec, ParsedOpt } from "../getopt.ts";
import { type CtlCommand, die } from "./vsctl-core.ts";
import { SSL_OPTIONS, VLOG_OPTIONS } from "../ofctl-options.ts";
import { CONFIG_CTL_COMMANDS } from "./vsctl-config.ts";
import { DB_CTL_COMMANDS } from "./vsctl-db.ts";
import { PORT_CTL_COMMANDS } from "./vsctl-ports.ts";
import { SHOW_CTL_COMMANDS } from "./vsctl-show.ts";

export const ME = "ovs-vsctl";

export const CTL_COMMANDS: readonly CtlCommand[] = [
  ...PORT_CTL_COMMANDS,
  ...CONFIG_CTL_COMMANDS,
  ...SHOW_CTL_COMMANDS,
  ...DB_CTL_COMMANDS,
];

export const GLOBAL_OPTIONS: readonly OptSpec[] = [
  { name: "db", arg: "required" },
  { name: "no-syslog", arg: "none" },
  { name: "no-wait", arg: "none" },
  { name: "dry-run", arg: "none" },
  { name: "oneline", arg: "none" },
  { name: "timeout", arg: "required", short: "t" },
  { name: "retry", arg: "none" },
  { name: "help", arg: "none", short: "h" },
  { name: "commands", arg: "none" },
  { name: "options", arg: "none" },
  { name: "leader-only", arg: "none" },
  { name: "no-leader-only", arg: "none" },
  { name: "shuffle-remotes", arg: "none" },
  { name: "no-shuffle-remotes", arg: "none" },
  { name: "version", arg: "none", short: "V" },
  ...VLOG_OPTIONS,
  { name: "format", arg: "required", short: "f" },
  { name: "data", arg: "required", short: "d" },
  { name: "no-headings", arg: "none" },
  { name: "pretty", arg: "none" },
  { name: "bare", arg: "none" },
  { name: "max-column-width", arg: "required" },
  ...SSL_OPTIONS,
  { name: "bootstrap-ca-cert", arg: "required" },
  { name: "peer-ca-cert", arg: "required" },
];

/** Options of all commands: they may stand before the first one. */
export const LOCAL_OPTIONS: readonly OptSpec[] = [
  ...new Map(
    CTL_COMMANDS.flatMap((c) => c.options.split(","))
      .filter((o) => o !== "")
      .map((o): [string, OptSpec] => {
        const name = o.replace(/^--|[=?]$/g, "");
        return [name, { name, arg: o.endsWith("=") ? "required" : "none" }];
      }),
  ).values(),
];

export interface GlobalOptions {
  wait: boolean;
  dryRun: boolean;
  oneline: boolean;
  timeoutS: number | undefined;
  /** Where the database is said to be. */
  db: string | undefined;
  style: TableStyle;
  print: "help" | "commands" | "options" | "version" | undefined;
  readonly local: Map<string, string | undefined>;
  /** Arguments of -v, in order; a bare one is empty. */
  readonly logSpecs: string[];
}

function oneOf<T extends string>(all: readonly T[], value: string, what: string): T {
  return all.find((v) => v === value) ?? die(`unknown ${what} format "${value}"`);
}

function positive(text: string, what: string): number {
  const n = /^\s*\+?\d+$/.test(text) ? Number(text) : 0;
  return n > 0 ? n : die(`value ${text} on ${what} is invalid`);
}

function applyStyle(style: TableStyle, { name, arg = "" }: ParsedOpt): TableStyle {
  switch (name) {
    case "format":
      return { ...style, format: oneOf(TABLE_FORMATS, arg, "output") };
    case "data":
      return { ...style, cells: oneOf(CELL_FORMATS, arg, "data") };
    case "no-headings":
      return { ...style, headings: false };
    case "pretty":
      return { ...style, pretty: true };
    case "bare":
      return { ...style, format: "list", cells: "bare", headings: false };
    case "max-column-width":
      return { ...style, maxColumnWidth: Number.parseInt(arg, 10) || 0 };
    default:
      return style;
  }
}

export function applyOption(o: GlobalOptions, opt: ParsedOpt): void {
  const { name, arg } = opt;
  o.style = applyStyle(o.style, opt);
  switch (name) {
    case "db":
      o.db = arg;
      return;
    case "no-wait":
      o.wait = false;
      return;
    case "dry-run":
      o.dryRun = true;
      return;
    case "oneline":
      o.oneline = true;
      return;
    case "timeout":
      o.timeoutS = positive(arg ?? "", "-t or --timeout");
      return;
    case "verbose":
      o.logSpecs.push(arg ?? "");
      return;
    case "help":
    case "commands":
    case "options":
    case "version":
      o.print ??= name;
      return;
  }
  if (LOCAL_OPTIONS.some((s) => s.name === name)) {
    o.local.set(`--${name}`, arg);
  }
}

// What ovs-vsctl says of itself: help, the lists of its commands and options, its version.
//
// ovs: lib/db-ctl-base.c ctl_print_commands, ctl_print_options.

import { hashString } from "../../lib/hash.ts";
import { OvsMap } from "../../lib/hmap.ts";
import { ok, type Reply } from "../command.ts";
import { OVS_VERSION, type VSwitch } from "../vswitch.ts";
import { type CtlCommand, rowIdHelp } from "./vsctl-core.ts";
import { ME, CTL_COMMANDS, GLOBAL_OPTIONS, type GlobalOptions } from "./vsctl-options.ts";
import { CONFIG_CTL_COMMANDS } from "./vsctl-config.ts";
import { DB_CTL_COMMANDS } from "./vsctl-db.ts";
import { PORT_CTL_COMMANDS } from "./vsctl-ports.ts";
import { SHOW_CTL_COMMANDS } from "./vsctl-show.ts";

/**
 * Arguments as `--commands` prints them: each word with !, ?, + or * for how often it comes. Read
 * from the end, because a word is known to repeat by the dots behind it (ovs:
 * print_command_arguments).
 */
function argumentMarks(usage: string): string {
  let out = "";
  let stack: boolean[] = [];
  let repeated = false;
  let wholeOptional = false;
  for (let i = usage.length - 1; i >= 0; i--) {
    const c = usage[i] ?? "";
    const next = usage[i + 1];
    switch (c) {
      case "]":
        stack = [next === undefined || next === " " || next === ".", ...stack];
        break;
      case "[":
        wholeOptional = (i === 0 || usage[i - 1] === " ") && stack[0] === true;
        out = (wholeOptional && repeated ? "*" : "?") + out;
        stack = stack.slice(1);
        break;
      case " ":
        out = ` ${wholeOptional ? "" : repeated ? "+" : "!"}${out}`;
        repeated = false;
        wholeOptional = false;
        break;
      case ".":
        repeated = true;
        break;
      default:
        out = c + out;
    }
  }
  return usage === "" || usage.startsWith("[") ? out : (repeated ? "+" : "!") + out;
}

/** Commands in the order of OVS's hash map of them. */
function hashedCommands(): CtlCommand[] {
  const map = new OvsMap<string, CtlCommand>((name) => hashString(name));
  for (const c of [
    ...DB_CTL_COMMANDS,
    ...SHOW_CTL_COMMANDS,
    ...PORT_CTL_COMMANDS,
    ...CONFIG_CTL_COMMANDS,
  ]) {
    map.set(c.name, c);
  }
  return [...map.values()];
}

function optionList(): string {
  return GLOBAL_OPTIONS.map((s) => {
    const arg = s.arg === "none" ? "" : "ARG";
    const short = s.short === undefined ? "" : `-${s.short}${arg === "" ? "" : ` ${arg}`}\n`;
    return `--${s.name}${arg === "" ? "" : `=${arg}`}\n${short}`;
  }).join("");
}

export function printed(what: NonNullable<GlobalOptions["print"]>, vs: VSwitch): Reply {
  switch (what) {
    case "version":
      return ok(`${ME} (Open vSwitch) ${OVS_VERSION}\nDB Schema ${vs.db.schema.version}\n`);
    case "options":
      return ok(optionList());
    case "commands":
      return ok(
        hashedCommands()
          .map((c) => {
            const options = c.options.split(",").filter((s) => s !== "");
            return `${options.map((s) => `[${s}] `).join("")},${c.name},${argumentMarks(c.usage)}\n`;
          })
          .join(""),
      );
    case "help":
      return ok(helpText(vs));
  }
}

function helpText(vs: VSwitch): string {
  const commands = CTL_COMMANDS.map((c) => {
    const head = `${c.name} ${c.usage}`.trimEnd();
    return `  ${head.padEnd(40)} ${c.doc}\n`;
  });
  const tables = [...vs.db.schema.tables.keys()].sort().map((t) => {
    const by = rowIdHelp(t);
    return `  ${t}: by UUID${by === undefined ? "" : `, ${by}`}\n`;
  });
  return (
    `${ME}: ovs-vswitchd management utility\nusage: ${ME} [OPTIONS] COMMAND [ARG...]\n\n` +
    `Commands:\n${commands.join("")}\nTables and how to name their rows:\n${tables.join("")}`
  );
}

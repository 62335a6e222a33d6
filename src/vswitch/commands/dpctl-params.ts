// What the dpctl/* commands share: options, naming a datapath, errors.
//
// ovs: lib/dpctl.c dpctl_unixctl_handler, opt_dpif_open, dpctl_error; lib/dpif.c dp_parse_name.

import { hashString } from "../../lib/hash.ts";
import { OvsMap } from "../../lib/hmap.ts";
import type { PortNames } from "../../datapath/odp-text-fields.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import { isTunnelType } from "../../openflow/tunnel-config.ts";
import { logNoIfindex } from "../device.ts";
import { type DatapathPair, Packets } from "../packets.ts";
import type { VSwitch } from "../vswitch.ts";

/** Texts of the errors that commands end with (strerror). */
export const ERRNO = {
  ENOENT: "No such file or directory",
  EINVAL: "Invalid argument",
  ESRCH: "No such process",
  EPERM: "Operation not permitted",
  ENODEV: "No such device",
  EEXIST: "File exists",
  EOPNOTSUPP: "Operation not supported",
  EBUSY: "Device or resource busy",
  EFBIG: "File too large",
  EAFNOSUPPORT: "Address family not supported by protocol",
} as const;
export type Errno = keyof typeof ERRNO;

/** The packet path of a switch, which every running switch has. */
export function packetsOf(vs: VSwitch): Packets | null {
  return vs.packets instanceof Packets ? vs.packets : null;
}

/** One run of a dpctl command: options, what it has printed, whether it failed. */
export class DpctlRun {
  readonly ctx: CommandContext;
  /** Arguments behind the options; `argv[0]` is the name of the command. */
  argv: readonly string[];
  verbosity = 0;
  statistics = false;
  /** --may-create: a flow that is to be changed need not be there. */
  mayCreate = false;
  names = false;
  failed = false;
  private out = "";

  constructor(ctx: CommandContext, argv: readonly string[]) {
    this.ctx = ctx;
    this.argv = argv;
  }

  print(text: string): void {
    this.out += text;
  }

  /** Prints an error line and makes the command fail. */
  error(errno: Errno | null, text: string): false {
    const why = errno === null ? "" : ` (${ERRNO[errno]})`;
    this.out += `ovs-vswitchd: ${text}${why}\n`;
    this.failed = true;
    return false;
  }

  /** Prints a line about something wrong that does not make the command fail. */
  note(text: string): void {
    this.out += `ovs-vswitchd: ${text}\n`;
  }

  reply(): Reply {
    return this.failed ? appctlError(this.out) : appctlOk(this.out);
  }

  /** Takes the options off; false if one is unknown. */
  parseOptions(): boolean {
    const rest = [...this.argv];
    let setNames = false;
    while (rest.length > 1) {
      const arg = rest[1] as string;
      if (!arg.startsWith("-") || arg === "-") {
        break;
      }
      if (arg === "--names" || arg === "--no-names") {
        this.names = arg === "--names";
        setNames = true;
      } else if (arg === "--more") {
        this.verbosity++;
      } else if (arg === "--statistics") {
        this.statistics = true;
      } else if (arg === "--may-create") {
        this.mayCreate = true;
      } else if (arg.startsWith("--")) {
        // Counters of flows cannot be cleared in the userspace datapath.
        if (arg !== "--clear") {
          this.out += `Unrecognized option ${arg}`;
          return false;
        }
      } else if (!this.shortOptions(arg.slice(1))) {
        return false;
      }
      rest.splice(1, 1);
    }
    if (!setNames) {
      this.names = this.verbosity > 0;
    }
    this.argv = rest;
    return true;
  }

  private shortOptions(letters: string): boolean {
    for (const c of letters) {
      if (c === "m") {
        this.verbosity++;
      } else if (c === "s") {
        this.statistics = true;
      } else {
        this.out += `Unrecognized option -${c}`;
        return false;
      }
    }
    return true;
  }

  /** All datapaths, in the order of hash maps of their types and then of their names. */
  datapaths(): readonly DatapathPair[] {
    const packets = packetsOf(this.ctx.vs);
    const known = new OvsMap<string, DatapathPair>((name) => hashString(name));
    for (const pair of [...(packets?.all() ?? []), ...(packets?.handmade.values() ?? [])]) {
      known.set(pair.dp.name, pair);
    }
    const byType = new OvsMap<string, OvsMap<string, DatapathPair>>((type) => hashString(type));
    for (const pair of known.values()) {
      const { type, name } = pair.dp;
      const byName = byType.get(type) ?? new OvsMap<string, DatapathPair>((n) => hashString(n));
      byName.set(name, pair);
      byType.set(type, byName);
    }
    return [...byType.values()].flatMap((names) => [...names.values()]);
  }

  /** The datapath of a name such as `system@ovs-system`, or null. */
  find(name: string): DatapathPair | null {
    const at = name.indexOf("@");
    const type = at < 0 ? "system" : name.slice(0, at);
    const dp = name.slice(at + 1);
    return (
      this.datapaths().find(
        (p) => p.dp.type === (type === "" ? "system" : type) && p.dp.name === dp,
      ) ?? null
    );
  }

  /** True if the first argument names a datapath. */
  get hasDatapathArg(): boolean {
    return this.argv.length > 1 && this.find(this.argv[1] as string) !== null;
  }

  /**
   * The datapath that the first argument names, or the only one there is. `maxArgs` is the number
   * of arguments, the command included, with which the first must be a datapath.
   */
  open(maxArgs: number): DatapathPair | null {
    const pair = this.choose(maxArgs);
    if (pair !== null) {
      logOpen(this.ctx.vs, pair);
    }
    return pair;
  }

  private choose(maxArgs: number): DatapathPair | null {
    if (this.hasDatapathArg) {
      return this.find(this.argv[1] as string);
    }
    if (this.argv.length !== maxArgs) {
      const all = this.datapaths();
      if (all.length === 1) {
        return all[0] as DatapathPair;
      }
      this.error(null, all.length === 0 ? "no datapaths exist" : "multiple datapaths, specify one");
    }
    this.error("EINVAL", "datapath not found");
    return null;
  }

  /** Arguments behind the name of the datapath, if one is given. */
  get rest(): readonly string[] {
    return this.argv.slice(this.hasDatapathArg ? 2 : 1);
  }

  /** Names of ports where they are to be shown instead of numbers. */
  portNames(pair: DatapathPair): PortNames {
    return this.names ? allPortNames(pair) : null;
  }
}

/** Who opens a datapath asks for its ports, and each of them for its device. */
function logOpen(vs: VSwitch, { backer, udpif }: DatapathPair): void {
  udpif.dpifLog?.portsListed(backer.ports.size);
  for (const { name, type } of backer.ports.values()) {
    if (isTunnelType(type)) {
      logNoIfindex(vs, name);
    }
  }
}

export function allPortNames(pair: DatapathPair): ReadonlyMap<number, string> {
  return new Map([...pair.backer.ports.values()].map((p) => [p.odpPort, p.name]));
}

/** A row of dpctl/*; `run` prints and fails through the DpctlRun. */
export function dpctlRow(
  name: string,
  usage: string,
  args: readonly [number, number],
  doc: string,
  run: (r: DpctlRun) => void,
): Command {
  return {
    tool: "ovs-appctl",
    name: `dpctl/${name}`,
    usage,
    args,
    doc,
    run: (ctx, argv) => {
      const r = new DpctlRun(ctx, argv);
      if (!r.parseOptions()) {
        r.failed = true;
      } else {
        run(r);
      }
      return r.reply();
    },
  };
}

// What `--in` and `--sent-by` mean: captures, the ports at which their packets arrive, and which
// packets of a capture of both directions do.

import { existsSync } from "node:fs";
import { CaptureMerge, type MergeInput } from "../io/capture-merge.ts";
import { reasonOf } from "../io/system-error.ts";
import { getU16, getU32 } from "../lib/bytes.ts";
import { parseMac } from "../lib/scan.ts";
import { DIRECTION, LINKTYPE, type PcapRecord } from "../packet/pcap-format.ts";
import { findReplayPort, ReplayPort } from "../vswitch/replay/replay-ports.ts";
import type { VSwitch } from "../vswitch/vswitch.ts";

/** One `--in`. */
export interface InSpec {
  /** Null: interfaces are named as the ports. */
  readonly port: string | null;
  readonly path: string;
  /** The only interface of the capture that counts, by name or number. */
  readonly iface: string | null;
}

/** Reads `PORT=FILE`, `PORT=FILE:INTERFACE` or `FILE`. */
export function parseIn(text: string, exists: (path: string) => boolean = existsSync): InSpec {
  const eq = text.indexOf("=");
  const port = eq > 0 ? text.slice(0, eq) : null;
  const rest = eq > 0 ? text.slice(eq + 1) : text;
  const colon = rest.lastIndexOf(":");
  if (port === null || colon <= 0 || exists(rest)) {
    return { port, path: rest, iface: null };
  }
  return { port, path: rest.slice(0, colon), iface: rest.slice(colon + 1) };
}

/** Addresses whose packets arrive at a port, or with `not` those whose do not. */
export interface Senders {
  readonly not: boolean;
  readonly addresses: ReadonlySet<number>;
}

const TWO_32 = 2 ** 32;

/** Reads `PORT=MAC,MAC…` or `PORT=!MAC,…` of `--sent-by`; a text says what is wrong. */
export function parseSenders(text: string): { port: string; senders: Senders } | string {
  const m = /^([^=]+)=(!?)(.+)$/.exec(text);
  if (m === null) {
    return `--sent-by ${text}: PORT=MAC[,MAC...] is needed`;
  }
  const addresses = new Set<number>();
  for (const word of (m[3] ?? "").split(",")) {
    const mac = parseMac(word);
    if (mac === undefined) {
      return `--sent-by ${text}: ${word} is no Ethernet address`;
    }
    addresses.add(mac.hi * TWO_32 + mac.lo);
  }
  return { port: m[1] ?? "", senders: { not: m[2] === "!", addresses } };
}

/** Why packets of a capture did not arrive at any port. */
export interface Skipped {
  not_ethernet: number;
  outbound: number;
  other_sender: number;
  other_interface: number;
  /** Packets at a tunnel without its header. */
  not_tunnelled: number;
}

/** One capture as the replay reads it. */
export class InCapture {
  readonly spec: InSpec;
  readonly skipped: Skipped = {
    not_ethernet: 0,
    outbound: 0,
    other_sender: 0,
    other_interface: 0,
    not_tunnelled: 0,
  };
  /** Packets that arrived; those of them that the capture holds only the beginning of. */
  packets = 0;
  cut = 0;
  /** Interfaces without a port, with their packets. */
  readonly strangers = new Map<string, number>();
  private port: ReplayPort | null = null;
  private env: InEnv | null = null;
  private readonly byIface = new Map<string, ReplayPort | null>();

  constructor(spec: InSpec) {
    this.spec = spec;
  }

  /** Ties the capture to the ports of a switch; a text says why it cannot be. */
  bind(env: InEnv): string | null {
    this.env = env;
    const { port, path } = this.spec;
    if (port !== null) {
      const found = portIn(env, port);
      if (typeof found === "string") {
        return `--in ${port}=${path}: ${found}`;
      }
      this.port = found;
    }
    return null;
  }

  /** The port at which a packet arrives; null if it does not. */
  portOf(input: MergeInput<InCapture>, r: PcapRecord): ReplayPort | null {
    if (r.linkType !== LINKTYPE.ETHERNET) {
      this.skipped.not_ethernet++;
      return null;
    }
    if (r.direction === DIRECTION.OUTBOUND) {
      this.skipped.outbound++;
      return null;
    }
    const port = this.spec.iface === null && this.port !== null ? this.port : this.named(input, r);
    if (port === null) {
      return null;
    }
    const senders = this.env?.senders.get(port.name);
    if (senders !== undefined && !isSender(senders, r)) {
      this.skipped.other_sender++;
      return null;
    }
    return port;
  }

  /** A packet has arrived, or the port did not take it. */
  count(r: PcapRecord, isTaken: boolean): void {
    if (isTaken) {
      this.packets++;
      this.cut += r.origBytes > r.to - r.from ? 1 : 0;
    } else {
      this.skipped.not_tunnelled++;
    }
  }

  /** The port of the interface that a packet was captured at. */
  private named(input: MergeInput<InCapture>, r: PcapRecord): ReplayPort | null {
    const name = input.reader.interfaceName(r.iface);
    const { iface } = this.spec;
    if (iface !== null) {
      if (name === iface || String(r.iface) === iface) {
        return this.port;
      }
      this.skipped.other_interface++;
      return null;
    }
    let port = this.byIface.get(name);
    if (port === undefined) {
      const { env } = this;
      const found = env === null ? null : portIn(env, name);
      port = found instanceof ReplayPort ? found : null;
      this.byIface.set(name, port);
    }
    if (port === null) {
      this.skipped.other_interface++;
      const shown = name === "" ? `interface ${r.iface}` : name;
      this.strangers.set(shown, (this.strangers.get(shown) ?? 0) + 1);
    }
    return port;
  }
}

function isSender({ not, addresses }: Senders, r: PcapRecord): boolean {
  if (r.to - r.from < 12) {
    return true; // Too short to tell, and the switch will say so.
  }
  const mac = getU16(r.bytes, r.from + 6) * TWO_32 + getU32(r.bytes, r.from + 8);
  return addresses.has(mac) !== not;
}

/** What captures are tied to. */
export interface InEnv {
  readonly vs: VSwitch;
  readonly bridge: string | null;
  /** By the names of ports. */
  readonly senders: ReadonlyMap<string, Senders>;
  /** Ports that were found, by what the user calls them: one object each, as it counts. */
  readonly ports: Map<string, ReplayPort>;
}

function portIn(env: InEnv, text: string): ReplayPort | string {
  const found = env.ports.get(text) ?? findReplayPort(env.vs, text, env.bridge);
  if (typeof found !== "string") {
    env.ports.set(text, found);
  }
  return found;
}

/** Opens all captures; a text says what is wrong with the first that cannot be. */
export function openCaptures(specs: readonly InSpec[]): CaptureMerge<InCapture> | string {
  const merge = new CaptureMerge<InCapture>();
  for (const spec of specs) {
    try {
      merge.add(spec.path, new InCapture(spec));
    } catch (e) {
      const hint = spec.port === null ? " (PORT=FILE is usual)" : "";
      return `--in ${spec.path}: ${reasonOf(e)}${hint}`;
    }
  }
  return merge;
}

// Ports of a bridge as the tools print them: dpif/show, and ovs-ofctl show or dump-ports-desc.
//
// dpif/show tells most: whole names, OpenFlow and datapath numbers, type and options. The OpenFlow
// texts cut names at 15 characters, but have the configuration that decides what floods.

/** One port. */
export interface PortText {
  readonly name: string;
  readonly ofpPort: number;
  /** Datapath port number; null where the text does not say. */
  readonly odpPort: number | null;
  /** Interface type, "" where the text does not say. */
  readonly type: string;
  readonly options: ReadonlyMap<string, string>;
}

/** A bridge in dpif/show. */
export interface ShownBridge {
  /** Type of its datapath. */
  readonly dpType: "system" | "netdev";
  /** True if the host's kernel is the datapath: its local port is a device of the kernel. */
  isKernel: boolean;
  readonly ports: PortText[];
}

/** Reads dpif/show: bridges by name. */
export function parseDpifShow(text: string): Map<string, ShownBridge> {
  const bridges = new Map<string, ShownBridge>();
  let shown: ShownBridge | undefined;
  let dpType: ShownBridge["dpType"] = "system";
  for (const line of text.split("\n")) {
    if (/^\S/.test(line)) {
      dpType = line.startsWith("netdev@") ? "netdev" : "system";
    }
    const bridge = /^ {2}(\S+):\s*$/.exec(line);
    if (bridge !== null) {
      shown = { dpType, isKernel: false, ports: [] };
      bridges.set(bridge[1] ?? "", shown);
      continue;
    }
    const m = /^ {4}(\S+) (\d+)\/(\d+|none): \(([\w-]+)(?:: (.*))?\)\s*$/.exec(line);
    if (m !== null) {
      const [, name = "", ofp, odp = "", type = "", options = ""] = m;
      if (dpType === "system" && Number(ofp) === LOCAL && type === "internal" && shown) {
        shown.isKernel = true;
      }
      shown?.ports.push({
        name,
        ofpPort: Number(ofp),
        odpPort: odp === "none" ? null : Number(odp),
        type: type === "dummy-internal" || type === "tap" ? "internal" : type,
        options: readOptions(options),
      });
    }
  }
  return bridges;
}

/** `csum=true, key=flow, remote_ip=10.0.0.1` */
function readOptions(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const part of text.split(", ")) {
    const eq = part.indexOf("=");
    if (eq > 0) {
      options.set(part.slice(0, eq), part.slice(eq + 1));
    }
  }
  return options;
}

/** A port as OpenFlow describes it. */
export interface PortDesc {
  readonly name: string;
  readonly ofpPort: number;
  /** Words after `config:`, such as NO_FLOOD; none for 0. */
  readonly config: readonly string[];
}

const LOCAL = 0xfffe;

/** Reads the port blocks of `ovs-ofctl show` or `dump-ports-desc`. */
export function parsePortDescs(text: string): PortDesc[] {
  const ports: PortDesc[] = [];
  const blocks = text.matchAll(/^ (\d+|LOCAL)\((.*)\): addr:\S+\s*\n\s+config:\s+(.*)$/gm);
  for (const [, number = "", name = "", config = ""] of blocks) {
    ports.push({
      name,
      ofpPort: number === "LOCAL" ? LOCAL : Number(number),
      config: config.trim() === "0" ? [] : config.trim().split(/\s+/),
    });
  }
  return ports;
}

/** OpenFlow ports that flows name by number, for a dump that comes without any port text. */
export function portsInFlows(flows: string): number[] {
  const seen = new Set<number>();
  for (const [, n] of flows.matchAll(/\b(?:in_port=|output:|enqueue:|members?:)(\d+)\b/g)) {
    const port = Number(n);
    if (port > 0 && port < 0xff00) {
      seen.add(port);
    }
  }
  return [...seen].sort((a, b) => a - b);
}

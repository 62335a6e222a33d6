// `tablewalk trace --pcap`: what the tables do with every packet of a capture, as path classes.

import { PcapReader } from "../io/pcap-file.ts";
import { PacketBuf } from "../packet/packet.ts";
import { portFromString } from "../flow/ofp-port.ts";
import { type PathClass, PathClasses } from "../vswitch/path-classes.ts";
import { textTable } from "../vswitch/replay/text-table.ts";
import { portsOf } from "../vswitch/port-names.ts";
import type { VSwitch } from "../vswitch/vswitch.ts";
import { TRACE_EXIT, type TraceOptions } from "./trace.ts";
import { ProgressBar } from "./progress.ts";
import { orRefuse, refuse, say } from "./subcommand.ts";
import { renderTrace } from "./trace-style.ts";

/** DLT_EN10MB: the only link type whose packets can enter a bridge. */
const LINKTYPE_ETHERNET = 1;

/** Traces a capture; answers an exit status. */
export function tracePcap(
  vs: VSwitch,
  bridge: string,
  path: string,
  options: TraceOptions,
): number {
  const br = vs.bridges.get(bridge);
  const inPort = br === undefined ? null : portNumber(options["in-port"], portsOf(br.xbridge));
  if (br === undefined || inPort === null) {
    return refuse(`--in-port ${options["in-port"]}: no such port on ${bridge}`);
  }
  const reader = orRefuse(path, () => new PcapReader(path));
  const found = new PathClasses(br);
  const skipped = readAll(reader, found, inPort);
  const cut = reader.error;
  if (cut !== null) {
    say("trace", cut.message);
  }
  if (skipped > 0) {
    say("trace", `${path}: ${skipped} packets are not Ethernet and were passed over`);
  }
  if (options.class !== undefined) {
    return printClass(found, options.class);
  }
  process.stdout.write(options.json ? toJson(found) : toText(found));
  if (cut !== null) {
    return TRACE_EXIT.error;
  }
  return found.classes.some((c) => c.verdict === "delivered")
    ? TRACE_EXIT.delivered
    : TRACE_EXIT.dropped;
}

function portNumber(text: string | undefined, ports: ReturnType<typeof portsOf>): number | null {
  return text === undefined ? null : portFromString(text, ports, null);
}

/** Feeds all packets; answers how many were no Ethernet. */
function readAll(reader: PcapReader, found: PathClasses, inPort: number): number {
  const bar = new ProgressBar(reader.fileBytes);
  const packet = new PacketBuf();
  let skipped = 0;
  for (let r = reader.next(); r !== null; r = reader.next()) {
    if (r.linkType !== LINKTYPE_ETHERNET) {
      skipped++;
    } else {
      packet.setData(r.data);
      found.add(packet, inPort);
    }
    bar.show(reader.readBytes);
  }
  bar.end();
  reader.close();
  return skipped;
}

function printClass(found: PathClasses, text: string): number {
  const c = found.classes.find((k) => String(k.id) === text);
  if (c === undefined) {
    return refuse(`--class ${text}: there are classes 1 to ${found.classes.length}`);
  }
  process.stdout.write(`Packet ${c.firstPacket}:\n${renderTrace(`${c.firstTrace}\n`)}`);
  return TRACE_EXIT[c.verdict];
}

const COLUMNS = ["class", "packets", "bytes", "verdict", "first", "datapath actions"] as const;

function toText(found: PathClasses): string {
  const sorted = [...found.classes].sort((a, b) => b.packets - a.packets);
  const rows = sorted.map((c) => [
    String(c.id),
    String(c.packets),
    String(c.bytes),
    c.verdict,
    String(c.firstPacket),
    c.actions,
  ]);
  const beyond = found.beyond > 0 ? `${found.beyond} packets of further classes\n` : "";
  return `${textTable(COLUMNS, rows).join("\n")}\n${beyond}`;
}

function toJson(found: PathClasses): string {
  const plain = (c: PathClass) => ({
    class: c.id,
    packets: c.packets,
    bytes: c.bytes,
    verdict: c.verdict,
    first_packet: c.firstPacket,
    path: c.path,
    datapath_actions: c.actions,
    first_trace: c.firstTrace,
  });
  const data = { version: 1, classes: found.classes.map(plain), packets_beyond: found.beyond };
  return `${JSON.stringify(data, null, 2)}\n`;
}

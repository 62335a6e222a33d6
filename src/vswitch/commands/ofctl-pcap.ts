// ofp-parse-pcap: prints the OpenFlow messages of a capture, which are cut out of its TCP streams
// (ovs: utilities/ovs-ofctl.c ofctl_ofp_parse_pcap).

import { extract } from "../../flow/extract.ts";
import { get, K, newKey } from "../../flow/flow-key.ts";
import { formatIpv4 } from "../../lib/address.ts";
import { getU16 } from "../../lib/bytes.ts";
import { atoi } from "../../lib/tokens.ts";
import { OFP_HEADER } from "../../openflow/messages/raw.ts";
import { ETH_TYPE } from "../../packet/ethernet.ts";
import { IP_PROTO } from "../../packet/ip.ts";
import { PacketBuf } from "../../packet/packet.ts";
import { PcapDecoder } from "../../packet/pcap-format.ts";
import { TcpReader, type TcpStream } from "../../packet/tcp-reader.ts";
import { type Command, ANY_ARGS } from "../command.ts";
import { type OfctlSession, ofctlRow } from "./ofctl-session.ts";
import { ofctlFatal } from "./ofctl-vconn.ts";

/** Ports of OpenFlow, unless the user names others. */
const OPENFLOW_PORTS = [6653, 6633];

class MessagePrinter {
  readonly #s: OfctlSession;
  readonly #ports: readonly number[];
  readonly #reader = new TcpReader();
  readonly #key = newKey();
  #first = true;

  constructor(s: OfctlSession, ports: readonly number[]) {
    this.#s = s;
    this.#ports = ports;
  }

  /** Prints the messages that a packet completes. */
  packet(data: Uint8Array, when: string): void {
    const p = PacketBuf.of(data);
    const key = this.#key.fill(0);
    extract(p, key);
    const tcp = get(key, K.dl_type) === ETH_TYPE.IP && get(key, K.nw_proto) === IP_PROTO.TCP;
    const ports = [get(key, K.tp_src), get(key, K.tp_dst)];
    const stream = tcp && ports.some((n) => this.#ports.includes(n)) ? this.#reader.read(p) : null;
    if (stream !== null) {
      this.#messages(stream, when);
    }
  }

  #messages(stream: TcpStream, when: string): void {
    let { payload } = stream;
    while (payload.length >= OFP_HEADER.BYTES) {
      const length = getU16(payload, OFP_HEADER.LENGTH);
      if (length < OFP_HEADER.BYTES || length > payload.length) {
        break;
      }
      const { src, dst, srcPort, dstPort } = stream;
      const ends = `${formatIpv4(src)}.${srcPort} > ${formatIpv4(dst)}.${dstPort}`;
      const text = this.#s.format(payload.slice(0, length), 1);
      this.#s.print(`${this.#first ? "" : "\n"}${when}${ends}:\n${text}`);
      this.#first = false;
      payload = payload.subarray(length);
    }
    stream.payload = payload.slice();
  }
}

function parseCapture(s: OfctlSession, [, name = "", ...ports]: readonly string[]): void {
  const file = s.ctx.vs.fs.readFile(name);
  if (!file.ok) {
    ofctlFatal(`${name}: open failed (${file.message})`);
  }
  const printer = new MessagePrinter(s, ports.length > 0 ? ports.map(atoi) : OPENFLOW_PORTS);
  const decoder = new PcapDecoder();
  decoder.push(file.value);
  for (let r = decoder.next(); r === "record"; r = decoder.next()) {
    const { data, sec, nsec } = decoder.record;
    const ms = sec * 1000 + Math.floor(nsec / 1_000_000);
    const when = s.options.timestamp ? `${new Date(ms).toISOString().slice(11, 23)} ` : "";
    printer.packet(data, when);
  }
}

export const OFCTL_PCAP_COMMANDS: readonly Command[] = [
  ofctlRow(
    "ofp-parse-pcap",
    "pcap",
    [1, ANY_ARGS],
    "Prints the OpenFlow messages of a capture.",
    (s, argv) => parseCapture(s, argv),
  ),
];

// ovs-ofctl commands that show messages, errors and packets without a switch.
//
// ovs: utilities/ovs-ofctl.c ofctl_ofp_print, ofctl_print_error, ofctl_encode_error_reply,
// ofctl_encode_hello, ofctl_parse_key_value, ofctl_parse_pcap, ofctl_compose_packet,
// ofctl_parse_packet.

import { flowCompose } from "../../flow/compose.ts";
import { extract } from "../../flow/extract.ts";
import { type FlowKey, get, K, newKey, set } from "../../flow/flow-key.ts";
import { IP_PROTO } from "../../flow/flow-is.ts";
import { OFPP } from "../../flow/ofp-port.ts";
import { OF_VERSIONS } from "../../flow/of-version.ts";
import { decodeLatin1, encodeUtf8, getU16, getU32 } from "../../lib/bytes.ts";
import { scanInteger } from "../../lib/number.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import { formatFlow } from "../../openflow/flow-format.ts";
import { parseExactFlow } from "../../openflow/match-parse.ts";
import { errCode, errFromName, type OfpErr } from "../../openflow/messages/errors.ts";
import { encodeErrorReply, encodeHello } from "../../openflow/messages/hello.ts";
import { ofpPrint } from "../../openflow/messages/print.ts";
import { OFP_HEADER } from "../../openflow/messages/raw.ts";
import { scanHex } from "../../openflow/oxm-text.ts";
import { PacketBuf } from "../../packet/packet.ts";
import { PcapDecoder } from "../../packet/pcap-format.ts";
import { pcapHeader, pcapRecord } from "../../packet/pcap-write.ts";
import { type Command, ANY_ARGS } from "../command.ts";
import { type OfctlSession, plainDump, ofctlRow, ofctlTestRow } from "./ofctl-session.ts";
import { ofctlFatal } from "./ofctl-vconn.ts";

/** Verbosity of ofp-print unless the user says one. */
const OFP_PRINT_VERBOSITY = 2;
/** Payload of a composed packet unless the user gives one. */
const COMPOSE_PAYLOAD_BYTES = 64;
/** Exit statuses: errno of a file that is missing and of one that is damaged. */
const ENOENT = 2;
const EPROTO = 71;

function atoi(text: string): number {
  return Number.parseInt(text, 10) || 0;
}

/** ofp-print HEX|- [VERBOSITY] */
function printMessage(s: OfctlSession, argv: readonly string[]): number {
  const from = argv[1] ?? "";
  const verbosity = argv[2] === undefined ? OFP_PRINT_VERBOSITY : atoi(argv[2]);
  if (from === "-" && s.options.raw) {
    s.print(ofpPrint(encodeUtf8(s.ctx.stdin), verbosity, s.shownNothing, s.logSink));
    return 0;
  }
  const text = from === "-" ? (s.ctx.stdin.split("\n")[0] ?? "") : from;
  const { bytes, end } = scanHex(text);
  if (end < text.length) {
    ofctlFatal("trailing garbage following hex bytes");
  }
  s.print(ofpPrint(bytes, verbosity, s.shownNothing, s.logSink));
  return 0;
}

/** ofp-parse FILE: the messages that follow each other in a file. */
function parseMessages(s: OfctlSession, argv: readonly string[]): number {
  const name = argv[1] ?? "";
  const bytes = name === "-" ? encodeUtf8(s.ctx.stdin) : s.ctx.vs.fs.readFile(name);
  const b = bytes instanceof Uint8Array ? bytes : bytes.ok ? bytes.value : null;
  if (b === null) {
    return ofctlFatal(`${name}: open (No such file or directory)`);
  }
  for (let at = 0; at < b.length; ) {
    const cut = b.length - at < OFP_HEADER.BYTES;
    const length = cut ? 0 : getU16(b, at + OFP_HEADER.LENGTH);
    if (!cut && length < OFP_HEADER.BYTES) {
      ofctlFatal(`${name}: ${length}-byte message is too short for OpenFlow`);
    }
    if (cut || at + length > b.length) {
      ofctlFatal(`${name}: unexpected end of file mid-message`);
    }
    s.print(s.format(b.subarray(at, at + length), 2));
    at += length;
  }
  return 0;
}

function knownError(name: string): OfpErr {
  return errFromName(name) ?? ofctlFatal(`unknown error "${name}"`);
}

function printError(s: OfctlSession, argv: readonly string[]): number {
  const err = knownError(argv[1] ?? "");
  for (const version of OF_VERSIONS) {
    const c = errCode(err, version);
    if (c !== undefined) {
      const vendor = c.vendor === 0 ? "0" : `0x${c.vendor.toString(16)}`;
      const name = `OpenFlow 1.${version - 1}`;
      s.print(`${name}: vendor ${vendor}, type ${c.type}, code ${c.code}\n`);
    }
  }
  return 0;
}

function encodeError(s: OfctlSession, argv: readonly string[]): number {
  const err = knownError(argv[1] ?? "");
  const text = argv[2] ?? "";
  const { bytes, end } = scanHex(text);
  if (end < text.length) {
    ofctlFatal("Trailing garbage in hex data");
  }
  if (bytes.length < OFP_HEADER.BYTES) {
    ofctlFatal("Request too short");
  }
  if (bytes.length !== getU16(bytes, OFP_HEADER.LENGTH)) {
    ofctlFatal("Request size inconsistent");
  }
  s.print(plainDump(encodeErrorReply(err, bytes, s.logSink)));
  return 0;
}

function printHello(s: OfctlSession, argv: readonly string[]): number {
  const bitmap = Number(BigInt.asUintN(32, scanInteger(argv[1] ?? "").value));
  const hello = encodeHello(bitmap, 1);
  s.print(plainDump(hello));
  s.print(s.format(hello, 0));
  return 0;
}

function printKeyValues(s: OfctlSession, argv: readonly string[]): number {
  for (const text of argv.slice(1)) {
    const parts: string[] = [];
    const scan = new KeyValueScan(text);
    for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
      parts.push(kv.value === "" ? kv.key : `${kv.key}=${kv.value}`);
    }
    s.print(`${parts.join(", ")}\n`);
  }
  return 0;
}

function flowOf(data: Uint8Array, inPort: number): FlowKey {
  const flow = newKey();
  extract(PacketBuf.of(data), flow);
  set(flow, K.in_port, inPort);
  return flow;
}

/** The flow of each packet of capture files; a bad file does not stop the others. */
function parsePcap(s: OfctlSession, argv: readonly string[]): number {
  let exit = 0;
  for (const name of argv.slice(1)) {
    const file = s.ctx.vs.fs.readFile(name);
    if (!file.ok) {
      s.printError(`ovs-ofctl: ${name}: open failed (${file.message})\n`);
      exit = ENOENT;
      continue;
    }
    const decoder = new PcapDecoder();
    decoder.push(file.value);
    for (let r = decoder.next(); r === "record"; r = decoder.next()) {
      s.print(`${formatFlow(flowOf(decoder.record.data, OFPP.ANY))}\n`);
    }
    if (decoder.error !== null || !decoder.finish()) {
      s.printError(`ovs-ofctl: ${name}: read failed (Protocol error)\n`);
      exit = EPROTO;
    }
  }
  return exit;
}

/** compose-packet FLOW [L7]: the packet of a flow, and whether the flow comes out of it again. */
function composePacket(s: OfctlSession, argv: readonly string[]): number {
  const { flow } = s.must(parseExactFlow(argv[1] ?? "", null, s.acceptNothing));
  const packet = new PacketBuf();
  if (argv[2] === undefined) {
    flowCompose(packet, flow, COMPOSE_PAYLOAD_BYTES);
  } else {
    const { bytes, end } = scanHex(argv[2]);
    if (end < argv[2].length) {
      ofctlFatal(`${argv[2]}: trailing garbage in packet data`);
    }
    flowCompose(packet, flow, bytes);
  }
  const data = packet.bytes.slice(packet.start, packet.end);
  if (s.options.pcap) {
    s.print(decodeLatin1(pcapHeader()) + decodeLatin1(pcapRecord(data, 0, 0)));
  } else {
    s.print(plainDump(data));
  }
  const back = flowOf(data, OFPP.ANY);
  if (back.every((w, i) => w === flow[i])) {
    return 0;
  }
  s.printError("specified and extracted flows differ:\n");
  s.printError(`specified: ${formatFlow(flow)}\nextracted: ${formatFlow(back)}`);
  return 1;
}

/** Where the checksum of each protocol lies in its header, and how long that header is. */
const CHECKSUMS = [
  { proto: IP_PROTO.TCP, name: "tcp_csum", at: 16, bytes: 20, wide: false },
  { proto: IP_PROTO.UDP, name: "udp_csum", at: 6, bytes: 8, wide: false },
  { proto: IP_PROTO.SCTP, name: "sctp_csum", at: 8, bytes: 12, wide: true },
  { proto: IP_PROTO.ICMP, name: "icmp_csum", at: 2, bytes: 8, wide: false },
  { proto: IP_PROTO.ICMPV6, name: "icmp6_csum", at: 2, bytes: 4, wide: false },
] as const;

/** A packet's flow and the checksum of its uppermost header (ovs: ofp_packet_to_string). */
export function formatPacket(data: Uint8Array): string {
  const packet = PacketBuf.of(data);
  const flow = newKey();
  extract(packet, flow);
  const proto = get(flow, K.nw_proto);
  const row = CHECKSUMS.find((c) => c.proto === proto);
  const l4 = packet.l4Ofs < 0 ? data.length : packet.l4Ofs;
  const l4Bytes = data.length - packet.l2PadBytes - l4;
  let tail = "";
  if (row !== undefined && packet.l4Ofs >= 0 && l4Bytes >= row.bytes) {
    const sum = row.wide ? getU32(data, l4 + row.at) : getU16(data, l4 + row.at);
    tail = ` ${row.name}:${sum.toString(16)}`;
  }
  return `${formatFlow(flow)}${tail}\n`;
}

function parsePacket(s: OfctlSession): number {
  s.print(formatPacket(encodeUtf8(s.ctx.stdin)));
  return 0;
}

export const OFCTL_PRINT_COMMANDS: readonly Command[] = [
  ofctlTestRow(
    "ofp-print",
    [1, 2],
    "Prints an OpenFlow message given as hex digits.",
    printMessage,
  ),
  ofctlRow("ofp-parse", "file", [1, 1], "Prints the OpenFlow messages in a file.", parseMessages),
  ofctlTestRow(
    "print-error",
    [1, 1],
    "Prints the numbers of an error in each version.",
    printError,
  ),
  ofctlTestRow("encode-error-reply", [2, 2], "Prints the bytes of an error reply.", encodeError),
  ofctlTestRow(
    "encode-hello",
    [1, 1],
    "Prints the bytes of a hello for a set of versions.",
    printHello,
  ),
  ofctlTestRow(
    "parse-key-value",
    [1, ANY_ARGS],
    "Splits texts into keys and values.",
    printKeyValues,
  ),
  ofctlTestRow(
    "parse-pcap",
    [1, ANY_ARGS],
    "Prints the flows of the packets in capture files.",
    parsePcap,
  ),
  ofctlTestRow("compose-packet", [1, 2], "Makes a packet from a flow.", composePacket),
  ofctlTestRow(
    "parse-packet",
    [0, 0],
    "Prints the flow of the packet on standard input.",
    parsePacket,
  ),
];

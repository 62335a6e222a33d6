// ovs-pcap: the packets of a capture as lines of hex digits (ovs: utilities/ovs-pcap.in).
//
// Reads classic captures of either byte order only, as the real tool does. That one ends with a
// trace of its own program if the file cannot be opened; here one line says so.

import { getU32 } from "../../lib/bytes.ts";
import { PCAP_HEADER_BYTES, PCAP_RECORD_BYTES } from "../../packet/pcap-format.ts";
import { fatal, ok, type Reply } from "../command.ts";
import { getoptLong, type OptSpec } from "../getopt.ts";
import { OVS_VERSION, type VSwitch } from "../vswitch.ts";

const ME = "ovs-pcap";

const OPTIONS: readonly OptSpec[] = [
  { name: "help", arg: "none", short: "h" },
  { name: "version", arg: "none", short: "V" },
];

const HELP = `ovs-pcap: print pcap file packet data as hex
usage: ovs-pcap FILE
where FILE is a PCAP file.

The following options are also available:
  -h, --help                  display this help message
  -V, --version               display version information
`;

/** First words of a capture: time stamps in micro- or nanoseconds, either byte order. */
const BIG_ENDIAN_MAGICS = [0xa1b2c3d4, 0xa1b23c4d];
const LITTLE_ENDIAN_MAGICS = [0xd4c3b2a1, 0x4d3cb2a1];

function swap32(v: number): number {
  return ((v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** The packets as lines; what is wrong with the file is told after those before it. */
export function printPcap(data: Uint8Array): Reply {
  if (data.length < PCAP_HEADER_BYTES) {
    return fatal(ME, "end of file reading pcap header");
  }
  const magic = getU32(data, 0);
  const isLittle = LITTLE_ENDIAN_MAGICS.includes(magic);
  if (!isLittle && !BIG_ENDIAN_MAGICS.includes(magic)) {
    const expected = "0xa1b2c3d4, 0xa1b23c4d, 0x4d3cb2a1 or 0xd4c3b2a1";
    return fatal(ME, `bad magic ${magic} reading pcap file (expected ${expected})`);
  }
  const out: string[] = [];
  for (let pos = PCAP_HEADER_BYTES; pos < data.length; ) {
    if (data.length - pos < PCAP_RECORD_BYTES) {
      return fatal(ME, "end of file within pcap record header", out.join(""));
    }
    const word = getU32(data, pos + 8);
    const bytes = isLittle ? swap32(word) : word;
    pos += PCAP_RECORD_BYTES;
    if (data.length - pos < bytes) {
      return fatal(ME, "end of file reading pcap packet data", out.join(""));
    }
    out.push(`${toHex(data.subarray(pos, pos + bytes))}\n`);
    pos += bytes;
  }
  return ok(out.join(""));
}

/** The whole tool; `args` are the words after its name. */
export function runPcap(vs: VSwitch, args: readonly string[]): Reply {
  const parsed = getoptLong(args, OPTIONS, false);
  if ("error" in parsed) {
    return fatal(ME, parsed.error);
  }
  let text = "";
  for (const { name } of parsed.opts) {
    if (name === "help") {
      return ok(text + HELP);
    }
    text += `ovs-pcap (Open vSwitch) ${OVS_VERSION}\n`;
  }
  const [name] = parsed.rest;
  if (name === undefined || parsed.rest.length !== 1) {
    return fatal(ME, "exactly 1 non-option argument required (use --help for help)", text);
  }
  const file = vs.fs.readFile(name);
  return file.ok ? printPcap(file.value) : fatal(ME, `${name}: ${file.message}`, text);
}

// All that reads what others wrote, each with a way to make bad input for it.
//
// The only thing asked of a target is that it comes back, soon and without throwing. One row a parser;
// an input is text or bytes, so that it can be shown and tried again.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packTar } from "modern-tar";
import { parseConn } from "../../src/datapath/ct-dump.ts";
import { formatConn } from "../../src/datapath/ct-text.ts";
import { Conntrack } from "../../src/datapath/conntrack.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { parseOdpFlow } from "../../src/datapath/odp-text-parse.ts";
import { odpFlowKeyToFlow } from "../../src/datapath/odp-flow.ts";
import { formatOdpActions } from "../../src/datapath/odp-text-actions.ts";
import { formatOdpFlow } from "../../src/datapath/odp-text.ts";
import { extract } from "../../src/flow/extract.ts";
import { newKey } from "../../src/flow/flow-key.ts";
import { MaskPool } from "../../src/flow/mask-pool.ts";
import { readInputs } from "../../src/io/inputs.ts";
import { concatBytes, encodeUtf8, formatHex, parseHex } from "../../src/lib/bytes.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import {
  formatActions,
  parseActions,
  parseInstructions,
} from "../../src/openflow/actions/actions.ts";
import { DumpReader } from "../../src/openflow/dump-reader.ts";
import { COMMAND_IN_TEXT, parseFlow, parseFlowStatsRequest } from "../../src/openflow/flow-text.ts";
import { NO_CONTEXT } from "../../src/openflow/match-parse.ts";
import { formatMatch } from "../../src/openflow/match-text.ts";
import { parseBundleFile } from "../../src/openflow/messages/bundle.ts";
import { newCtMatch, newTuple, parseCtTuple } from "../../src/openflow/messages/ct.ts";
import { parseGroupMod } from "../../src/openflow/messages/group-parse.ts";
import { parseMeterMod } from "../../src/openflow/messages/meter-text.ts";
import { parseFlowMonitorRequest } from "../../src/openflow/messages/monitor.ts";
import { parsePacketOut } from "../../src/openflow/messages/packet-out.ts";
import { ofpPrint } from "../../src/openflow/messages/print.ts";
import { parseTableMod } from "../../src/openflow/messages/table.ts";
import { parseTlvTableMod } from "../../src/openflow/messages/tlv-table.ts";
import { handleMessage } from "../../src/openflow/ofproto-handle.ts";
import { oxmDecodeMatch } from "../../src/openflow/oxm.ts";
import { formatNxMatch, parseNxMatch } from "../../src/openflow/oxm-text.ts";
import { loadDatabase } from "../../src/ovsdb/db-file.ts";
import { catchDbError } from "../../src/ovsdb/db-error.ts";
import { sha1Hex } from "../../src/ovsdb/sha1.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { PcapDecoder } from "../../src/packet/pcap-format.ts";
import {
  pcapHeader,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  pcapRecord,
} from "../../src/packet/pcap-write.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { isOfUse, sortHostDump } from "../../src/vswitch/host-dump/host-dump.ts";
import { openHostDump } from "../../src/vswitch/host-dump/open.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";
import { testBridge } from "../openflow/ofproto-harness.ts";
import { damagedBytes, damagedText, one } from "./damage.ts";
import { flowSeeds, messageSeeds, recordSeeds, seedCommands, seedTexts } from "./fuzz-seeds.ts";
import { matchText, nxMatchText, type Pick } from "./matches.ts";

export type FuzzInput = string | Uint8Array;

export interface FuzzTarget {
  readonly name: string;
  /** How often it has a turn against the others: what is slow has fewer. */
  readonly share: number;
  make(r: Pick): FuzzInput;
  run(input: FuzzInput): void | Promise<void>;
}

function textTarget(
  name: string,
  seeds: () => readonly string[],
  run: (text: string) => void,
  share = 10,
): FuzzTarget {
  let known: readonly string[] | null = null;
  return {
    name,
    share,
    make: (r) => {
      known ??= seeds();
      return damagedText(r, known);
    },
    run: (input) => run(input as string),
  };
}

function bytesTarget(
  name: string,
  seeds: () => readonly Uint8Array[],
  run: (bytes: Uint8Array) => void,
  share = 10,
): FuzzTarget {
  let known: readonly Uint8Array[] | null = null;
  return {
    name,
    share,
    make: (r) => {
      known ??= seeds();
      return damagedBytes(r, known);
    },
    run: (input) => run(input as Uint8Array),
  };
}

function newVSwitch(): VSwitch {
  const fs = new MemoryFileSystem();
  return new VSwitch({ clock: new ManualClock(), rng: new SeededRng(1), fs });
}

function flowText(text: string): void {
  for (const command of [COMMAND_IN_TEXT, 0, 3]) {
    const r = parseFlow(text, command, NO_CONTEXT);
    if (r.ok) {
      formatMatch(r.value.fm.match, null, r.value.fm.priority);
      formatActions(r.value.fm.actions);
    }
  }
  parseFlowStatsRequest(text, false, NO_CONTEXT);
}

function actionText(text: string): void {
  const list = text.slice(text.indexOf("actions=") + "actions=".length);
  parseActions(list);
  parseInstructions(list);
}

function otherText(text: string): void {
  parseTlvTableMod(text, 0);
  parsePacketOut(text, NO_CONTEXT);
  parseFlowMonitorRequest(text, NO_CONTEXT);
  parseBundleFile("file", text, NO_CONTEXT);
  parseCtTuple(text, newTuple(), newCtMatch());
  parseTableMod("all", text, null);
  parseTableMod(text, "drop", null);
}

function dumpText(text: string): void {
  const reader = new DumpReader(NO_CONTEXT);
  const masks = new MaskPool();
  for (let at = 0; at <= text.length; ) {
    const lf = text.indexOf("\n", at);
    const end = lf < 0 ? text.length : lf;
    if (reader.read(text, at, end) === "flow") {
      reader.pack(masks);
    }
    at = end + 1;
  }
}

function odpKeyText(text: string): void {
  for (const masked of [false, true]) {
    const r = parseOdpFlow(text, new Map([["p1", 1]]), masked);
    if (r.ok) {
      formatOdpFlow(r.value.key, masked ? r.value.mask : null, null, true);
      odpFlowKeyToFlow(r.value.key, 2);
    }
  }
}

function odpActionText(text: string): void {
  const actions = parseOdpActions(text, new Map([["p2", 2]]));
  if (actions !== null) {
    formatOdpActions(actions, null);
  }
}

function nxmBytes(bytes: Uint8Array): void {
  formatNxMatch(bytes);
  oxmDecodeMatch(bytes);
  oxmDecodeMatch(bytes, { loose: true, cookie: true });
}

/** A few messages to a bridge, in hex. */
function converse(lines: string): void {
  const { p } = testBridge();
  for (const version of [1, 4, 6]) {
    const conn = p.conns.connect({ version });
    for (const line of lines.split("\n")) {
      handleMessage(conn, parseHex(line) ?? new Uint8Array(0));
    }
    p.conns.disconnect(conn);
  }
}

function record(json: string): Uint8Array {
  const bytes = encodeUtf8(json);
  return concatBytes([encodeUtf8(`OVSDB JSON ${bytes.length} ${sha1Hex(bytes)}\n`), bytes]);
}

/** A database whose last record is spoiled, with a right checksum most of the time. */
function databaseTarget(): FuzzTarget {
  let records: string[] | null = null;
  return {
    name: "ovsdb file",
    share: 4,
    make: (r) => {
      records ??= recordSeeds();
      const spoilt = damagedText(r, records);
      const file = concatBytes([...records.slice(0, r(records.length + 1)), spoilt].map(record));
      return r(4) === 0 ? damagedBytes(r, [file]) : file;
    },
    run: (input) => {
      catchDbError(() => loadDatabase(input as Uint8Array, "conf.db", new SeededRng(1)));
    },
  };
}

function captures(): Uint8Array[] {
  const frame = parseHex(FRAMES[0] ?? "") as Uint8Array;
  return [
    concatBytes([pcapHeader(), pcapRecord(frame, 1, 2), pcapRecord(frame, 3, 4)]),
    concatBytes([pcapngSection(), pcapngInterface("p1"), pcapngPacket(0, frame, 1, 2)]),
  ];
}

function decodeCapture(bytes: Uint8Array): void {
  const d = new PcapDecoder();
  for (let at = 0; at < bytes.length; at += 97) {
    d.push(bytes.subarray(at, at + 97));
    let state = d.next();
    while (state === "record") {
      state = d.next();
    }
    if (state === "error") {
      return;
    }
  }
  d.finish();
}

/** Connections as several versions print them, and as the kernel's own tool does. */
const CONNECTIONS = [
  "tcp,orig=(src=10.1.1.1,dst=10.1.1.2,sport=1,dport=2),reply=(src=10.1.1.2,dst=10.9.9.9,sport=2," +
    "dport=7),zone=5,mark=7,labels=0x12,protoinfo=(state=ESTABLISHED)",
  "tcp,orig=(src=1.1.1.1,dst=1.1.1.2,sport=1,dport=2,packets=3,bytes=4),reply=(src=1.1.1.2," +
    "dst=1.1.1.1,sport=2,dport=1,packets=1,bytes=2),start=2020-01-01T00:00:00.000,id=77,zone=9," +
    "status=SEEN_REPLY|CONFIRMED,timeout=100,protoinfo=(state_orig=ESTABLISHED,state_reply=" +
    "TIME_WAIT,wscale_orig=7,wscale_reply=7,flags_orig=WINDOW_SCALE|SACK_PERM)",
  "tcp,orig=(src=1.1.1.1,dst=1.1.1.2,sport=1,dport=2),reply=(src=1.1.1.2,dst=1.1.1.1,sport=2," +
    "dport=1),zone=1,helper=ftp,parent=(src=1.1.1.1,dst=1.1.1.2,sport=9,dport=21)",
  "icmp,orig=(src=1.1.1.1,dst=1.1.1.2,id=9,type=8,code=0),reply=(src=1.1.1.2,dst=1.1.1.1,id=9," +
    "type=0,code=0),timeout=30",
  "icmpv6,orig=(src=fe80::1,dst=fe80::2,id=9,type=128,code=0),reply=(src=fe80::2,dst=fe80::1," +
    "id=9,type=129,code=0)",
  "udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=5 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=53 " +
    "dport=5 mark=0 zone=1 use=1",
] as const;

/** Every line, into a tracker and out again. */
function connectionText(text: string): void {
  const ct = new Conntrack({ rng: new SeededRng(1), policies: () => undefined, warn: () => {} });
  for (const line of text.split("\n")) {
    const conn = parseConn(line, 0);
    if (conn.ok) {
      ct.restore(conn.value);
    }
  }
  for (const conn of ct.list(null, 0)) {
    formatConn(conn, { verbose: true, stats: true, nowMs: 0 });
  }
}

/** Frames in hex: UDP in VLANs, TCP over IPv6 with headers between, ARP, MPLS, NSH. */
const FRAMES = [
  `50540000000150540000000288a800058100000708004500001c000000004011f96b0a0000010a00000200010002${"00".repeat(4)}`,
  `50540000000150540000000286dd6000000000240040${"fe80000000000000000000000000000".padEnd(32, "1")}${"f".repeat(32)}2c00050200000000060000010000000700010002000000010000000250121000${"00".repeat(4)}`,
  `ffffffffffff5054000000020806000108000604000150540000000${"20a000001000000000000"}0a000002`,
  "505400000001505400000002884700007040000081404500001400000000400166e70a0000010a000002",
  "505400000001505400000002894f0fc601030000010000000001000000020000000300000004450000140000",
];

function parseFrame(bytes: Uint8Array): void {
  extract(PacketBuf.of(bytes), newKey());
}

/** Files of a host, in the order in which they are found. */
function hostTarget(): FuzzTarget {
  let seeds: string[] | null = null;
  return {
    name: "host dump",
    share: 1,
    make: (r) => {
      seeds ??= seedTexts("host");
      const files: string[] = [];
      for (let n = 1 + r(6); n > 0; n--) {
        files.push(damagedText(r, seeds));
      }
      return JSON.stringify(files);
    },
    run: (input) => {
      const texts = JSON.parse(input as string) as string[];
      const files = texts.map((t, i) => ({ name: `file${i}`, bytes: encodeUtf8(t) }));
      texts.forEach(isOfUse);
      openHostDump(newVSwitch(), sortHostDump(files), null);
    },
  };
}

let tarFile: string | null = null;

function tarTarget(): FuzzTarget {
  return {
    name: "archive",
    share: 1,
    make: (r) => damagedBytes(r, TARS),
    run: async (input) => {
      tarFile ??= join(mkdtempSync(join(tmpdir(), "tablewalk-fuzz-")), "host.tar");
      writeFileSync(tarFile, input as Uint8Array);
      await readInputs([tarFile], () => true);
    },
  };
}

const TARS: readonly Uint8Array[] = [
  await packTar([
    { header: { name: "a/flows", size: 5 }, body: "hello" },
    { header: { name: "b", size: 600 }, body: "x".repeat(600) },
  ]),
];

/** Command lines with spoiled words on a switch that is made anew each time. */
function commandTarget(): FuzzTarget {
  const setup = seedCommands("setup");
  const lines = [...seedCommands("command"), ...setup];
  const words = lines.flat();
  return {
    name: "command line",
    share: 1,
    make: (r) => {
      const script: string[][] = [];
      for (let n = 4; n > 0; n--) {
        const argv = [...one(r, lines)];
        const at = 1 + r(argv.length - 1);
        argv[at] = damagedText(r, r(4) === 0 ? words : [argv[at] ?? ""]);
        script.push(argv);
      }
      return JSON.stringify(script);
    },
    run: (input) => {
      const vs = newVSwitch();
      for (const argv of [...setup, ...(JSON.parse(input as string) as string[][])]) {
        runCommandLine(vs, argv);
      }
    },
  };
}

function conversationTarget(): FuzzTarget {
  let seeds: Uint8Array[] | null = null;
  return {
    name: "openflow to a bridge",
    share: 4,
    make: (r) => {
      seeds ??= messageSeeds();
      const lines: string[] = [];
      for (let n = 1 + r(5); n > 0; n--) {
        lines.push(formatHex(wellSized(r, damagedBytes(r, seeds))));
      }
      return lines.join("\n");
    },
    run: (input) => converse(input as string),
  };
}

/** A message whose length in the header is right, most of the time. */
function wellSized(r: Pick, bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  if (out.length >= 4 && r(5) > 0) {
    out[2] = (out.length >> 8) & 0xff;
    out[3] = out.length & 0xff;
  }
  return out;
}

function messageTarget(): FuzzTarget {
  let seeds: Uint8Array[] | null = null;
  return {
    name: "openflow message",
    share: 10,
    make: (r) => {
      seeds ??= messageSeeds();
      return wellSized(r, damagedBytes(r, seeds));
    },
    run: (input) => {
      ofpPrint(input as Uint8Array, 3);
    },
  };
}

function nxmTarget(): FuzzTarget {
  return {
    name: "nxm",
    share: 10,
    make: (r) => {
      const good = parseNxMatch(nxMatchText(r));
      return damagedBytes(r, [good.ok ? good.value : new Uint8Array(0)]);
    },
    run: (input) => nxmBytes(input as Uint8Array),
  };
}

function matchTarget(): FuzzTarget {
  return {
    name: "match text",
    share: 10,
    make: (r) => damagedText(r, [matchText(r), matchText(r)]),
    run: (input) => flowText(`${input as string},actions=drop`),
  };
}

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  matchTarget(),
  textTarget("flow text", flowSeeds, flowText),
  textTarget("action text", flowSeeds, actionText),
  textTarget(
    "group text",
    () => seedTexts("group"),
    (t) => {
      parseGroupMod(t, null, { ports: null, tables: null });
    },
  ),
  textTarget(
    "meter text",
    () => seedTexts("meter"),
    (t) => {
      parseMeterMod(t, null);
      parseMeterMod(t, 0);
    },
  ),
  textTarget("other texts", () => seedTexts("other"), otherText),
  textTarget(
    "nxm text",
    () => [nxMatchText((n) => n >> 1), "NXM_OF_IN_PORT(0001)"],
    (t) => {
      parseNxMatch(t);
    },
  ),
  textTarget("flow dump", () => seedTexts("dump"), dumpText),
  textTarget("datapath key", () => seedTexts("odp-key"), odpKeyText),
  textTarget("datapath actions", () => seedTexts("odp-actions"), odpActionText),
  nxmTarget(),
  messageTarget(),
  conversationTarget(),
  databaseTarget(),
  textTarget("connections", () => CONNECTIONS, connectionText),
  bytesTarget("capture", captures, decodeCapture),
  bytesTarget("frame", () => FRAMES.map((f) => parseHex(f) ?? new Uint8Array(0)), parseFrame),
  hostTarget(),
  tarTarget(),
  commandTarget(),
];

/** Milliseconds of computing that an input may take on a slow machine, however busy that is. */
export const FUZZ_MS_MAX = 2000;

/** What is wrong with how a target takes an input, or null. */
export async function tryInput(target: FuzzTarget, input: FuzzInput): Promise<string | null> {
  const start = performance.now();
  try {
    await target.run(input);
    if (performance.now() - start <= FUZZ_MS_MAX) {
      return null;
    }
    // It may have waited for others: once more, by the time of the processor, which is dear to ask for.
    const before = process.cpuUsage();
    await target.run(input);
    const used = process.cpuUsage(before);
    const ms = (used.user + used.system) / 1000;
    return ms > FUZZ_MS_MAX ? `took ${Math.round(ms)} ms` : null;
  } catch (e) {
    return e instanceof Error ? (e.stack ?? e.message) : String(e);
  }
}

/** An input as text, not too long to be shown. */
export function showInput(input: FuzzInput): string {
  return typeof input === "string" ? JSON.stringify(input) : `hex ${formatHex(input)}`;
}

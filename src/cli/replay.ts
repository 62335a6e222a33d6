// `tablewalk replay`: captures through the whole switch of a host that is only there as files.
//
// What was used and what is missing goes to standard error, the report to standard output. Exit
// status: 0 all captures were replayed, 2 something is wrong. A capture that is cut or damaged is
// replayed up to there, and the report says so.

import { closeSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import type { CaptureMerge } from "../io/capture-merge.ts";
import { ManualClock } from "../lib/env.ts";
import { strToRange } from "../lib/number.ts";
import type { FlowLine } from "../vswitch/host-dump/tables.ts";
import { type FileCoverage, lcovText } from "../vswitch/replay/flow-coverage.ts";
import { Replay, REPLAY_START_MS } from "../vswitch/replay/replay.ts";
import { REPLAY_REPORT_VERSION, reportOf } from "../vswitch/replay/replay-report.ts";
import { type CaptureReport, type FullReport, replayText } from "../vswitch/replay/replay-text.ts";
import type { VSwitch } from "../vswitch/vswitch.ts";
import { chunked, jsonPieces } from "./json-out.ts";
import { chooseBridge, openHost } from "./open-host.ts";
import { ProgressBar } from "./progress.ts";
import {
  type InCapture,
  type InSpec,
  openCaptures,
  parseIn,
  parseSenders,
  type Senders,
} from "./replay-inputs.ts";
import { openOutputs, type Outputs } from "./replay-outputs.ts";
import { EXIT_ERROR, okOr, orRefuse, refuse, runSubcommand, say as sayOf } from "./subcommand.ts";
import { renderTrace } from "./trace-style.ts";

export const REPLAY_USAGE = `usage: tablewalk replay --from PATH... --in PORT=FILE... [OPTION...]

Sends the packets of captures through a whole switch: caches, connections, learned addresses,
meters and timeouts, all at the times of the captures. PATH is what tablewalk trace takes.

  --from PATH        a file, directory or archive of the host (may be repeated)
  --in PORT=FILE     packets that arrive at a port, from a pcap or pcapng (may be repeated);
                     PORT is an interface's name, or an OpenFlow number of the bridge; at a
                     tunnel arrive those that have its outer header, as captured at a NIC
  --in PORT=FILE:IF  only those that the pcapng has of interface IF
  --in FILE          a pcapng whose interfaces are named as the ports
  --sent-by PORT=MAC[,MAC...]
                     only these senders' packets arrive at PORT, for captures of both
                     directions; PORT=!MAC,... all but these
  --out-dir DIR      a capture of what leaves, for each port; tunnels of a kernel datapath share
                     one, such as genev_sys_6081.pcap, of packets without outer header
  --out FILE         one pcapng of what leaves at all ports
  --coverage FILE    how many packets took each flow of the dumps, as an lcov tracefile, or as
                     JSON if FILE ends with .json (may be repeated)
  --bridge BRIDGE    the bridge that port numbers, and dumps without a name, belong to
  --ct-dump FILE     connections that there are at the start, as dpctl/dump-conntrack shows them
  --mtu BYTES        of all ports, longer packets do not leave; without it 1500, and no limit
                     with a kernel datapath, whose captures show packets before segmentation
  --linger SECONDS   lets time pass after the last packet
  --class K          prints the first packet of path class K as a trace
  --json             the report as data (docs/replay.schema.json)
  --quiet            nothing on standard error but errors

Captures are merged by time stamp. The dumps are the state at the first packet: flows, addresses
and connections are as old then as they show. A tracefile has the dump as its source file, each
flow's line as a line of code and each table as a function; genhtml makes pages of it. The exit
status is 0, or 2 if something is wrong; what was read before is in the report.
`;

/** Exit statuses. */
export const REPLAY_EXIT = { done: 0, error: EXIT_ERROR } as const;

const NAME = "replay";

/** Packets that a port can be told to take. */
const MTU_MIN = 68;
const MTU_MAX = 65_535;
/** Longest time after the last packet: a year. */
const LINGER_SECONDS_MAX = 366 * 24 * 3600;
const MS_PER_SEC = 1000;
/** Packets between two looks at the progress. */
const PROGRESS_EVERY = 2048;

const OPTIONS = {
  from: { type: "string", multiple: true },
  in: { type: "string", multiple: true },
  "sent-by": { type: "string", multiple: true },
  "out-dir": { type: "string" },
  out: { type: "string" },
  coverage: { type: "string", multiple: true },
  bridge: { type: "string" },
  "ct-dump": { type: "string" },
  mtu: { type: "string" },
  linger: { type: "string" },
  class: { type: "string" },
  json: { type: "boolean", default: false },
  quiet: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false });
}
type ReplayOptions = ReturnType<typeof parse>["values"];

const say = (text: string) => sayOf(NAME, text);

/** The subcommand; answers an exit status. */
export async function replayMain(args: readonly string[]): Promise<number> {
  return runSubcommand(NAME, async () => {
    const { values } = parse(args);
    if (values.help) {
      process.stdout.write(REPLAY_USAGE);
      return REPLAY_EXIT.done;
    }
    return replay(values);
  });
}

async function replay(values: ReplayOptions): Promise<number> {
  if (values.from === undefined || values.in === undefined) {
    return refuse("--from and --in are needed; `tablewalk replay --help` tells more");
  }
  const limits = limitsOf(values);
  const specs = values.in.map((text) => parseIn(text));
  const merge = okOr(openCaptures(specs));
  const source = clockOf(merge);
  const lines: FlowLine[] = [];
  const host = { from: values.from, bridge: values.bridge, ctDump: values["ct-dump"] };
  const vs = okOr(await openHost({ ...host, quiet: values.quiet, clock: source, lines }, say));
  if (values.bridge !== undefined) {
    okOr(chooseBridge(vs, values.bridge));
  }
  bindCaptures(merge, vs, values);
  setMtu(vs, limits.mtu);
  const run = new Replay(vs, source, lines);
  const outputs = outputsOf(run, merge, specs, values);
  const coverage = openCoverage(values.coverage ?? []);
  readAll(run, merge);
  run.linger(limits.lingerMs);
  run.finish();
  outputs.close();
  merge.close();
  const report = {
    version: REPLAY_REPORT_VERSION,
    captures: captureReports(merge),
    ...reportOf(run),
  };
  writeCoverage(report.coverage, coverage);
  complainOf(report.captures, values.quiet);
  hintAtMtu(report, values);
  const failed = report.captures.some((c) => c.error !== null) || isNothing(report);
  return print(report, values) && !failed ? REPLAY_EXIT.done : REPLAY_EXIT.error;
}

function limitsOf(values: ReplayOptions): { mtu: number | null; lingerMs: number } {
  const mtu = values.mtu === undefined ? null : strToRange(values.mtu, MTU_MIN, MTU_MAX);
  if (mtu === undefined) {
    return refuse(`--mtu ${values.mtu}: a number from ${MTU_MIN} to ${MTU_MAX} is needed`);
  }
  const linger = Number(values.linger ?? 0);
  if (!(linger >= 0 && linger <= LINGER_SECONDS_MAX)) {
    refuse(`--linger ${values.linger}: seconds up to ${LINGER_SECONDS_MAX} are needed`);
  }
  return { mtu, lingerMs: Math.round(linger * MS_PER_SEC) };
}

/** A clock that shows the time of the first packet as the time of day. */
function clockOf(merge: CaptureMerge<InCapture>): ManualClock {
  const heads = merge.inputs.flatMap((i) => i.head ?? []);
  const firstMs = Math.min(...heads.map((h) => h.sec * MS_PER_SEC + Math.floor(h.nsec / 1e6)));
  return new ManualClock(REPLAY_START_MS, Number.isFinite(firstMs) ? firstMs - REPLAY_START_MS : 0);
}

function bindCaptures(merge: CaptureMerge<InCapture>, vs: VSwitch, values: ReplayOptions): void {
  const senders = new Map<string, Senders>();
  for (const text of values["sent-by"] ?? []) {
    const parsed = okOr(parseSenders(text));
    senders.set(parsed.port, parsed.senders);
  }
  const env = { vs, bridge: values.bridge ?? null, senders, ports: new Map() };
  for (const { tag } of merge.inputs) {
    const error = tag.bind(env);
    if (error !== null) {
      refuse(error);
    }
  }
}

/**
 * Captures at a kernel datapath have packets as they were before segmentation, which the kernel
 * does not hold against any MTU.
 */
function setMtu(vs: VSwitch, mtu: number | null): void {
  for (const br of vs.bridges.values()) {
    const usual = br.backer.support.tnl_push_pop ? null : MTU_MAX;
    for (const { device } of br.ifaces.values()) {
      if (device.netdev !== null) {
        device.netdev.mtu = mtu ?? usual ?? device.netdev.mtu;
      }
    }
  }
}

function outputsOf(
  run: Replay,
  merge: CaptureMerge<InCapture>,
  specs: readonly InSpec[],
  values: ReplayOptions,
): Outputs {
  const { out } = values;
  const outDir = values["out-dir"];
  if (out !== undefined && outDir !== undefined) {
    refuse("--out and --out-dir exclude each other");
  }
  const nanos = merge.inputs.some((i) => i.reader.hasNanos);
  const what = outDir === undefined ? `--out ${out}` : `--out-dir ${outDir}`;
  const inputs = specs.map((s) => s.path);
  return orRefuse(what, () => openOutputs(run, { out, outDir, nanos, inputs }));
}

/** Feeds all packets. */
function readAll(run: Replay, merge: CaptureMerge<InCapture>): void {
  const bar = new ProgressBar(merge.fileBytes);
  let n = 0;
  for (let input = merge.next(); input !== null; input = merge.next()) {
    const r = input.head;
    const port = r === null ? null : input.tag.portOf(input, r);
    if (r !== null && port !== null) {
      input.tag.count(r, run.receive(port, r.sec, r.nsec, r));
    }
    if (++n % PROGRESS_EVERY === 0) {
      bar.show(merge.readBytes);
    }
  }
  bar.end();
}

function captureReports(merge: CaptureMerge<InCapture>): CaptureReport[] {
  return merge.inputs.map(({ tag, reader, backward }) => ({
    capture: tag.spec.path,
    port: tag.spec.port,
    interface: tag.spec.iface,
    packets: tag.packets,
    cut_packets: tag.cut,
    backward_times: backward,
    skipped: { ...tag.skipped },
    interfaces_without_port: Object.fromEntries(tag.strangers),
    error: reader.error?.message ?? null,
  }));
}

function complainOf(captures: readonly CaptureReport[], quiet: boolean): void {
  for (const c of captures) {
    if (c.error !== null) {
      say(c.error);
    }
    const notes: string[] = [];
    for (const [name, packets] of Object.entries(c.interfaces_without_port)) {
      notes.push(`${packets} packets of ${name}, which is no port, were passed over`);
    }
    if (c.skipped.not_ethernet > 0) {
      notes.push(`${c.skipped.not_ethernet} packets are not Ethernet and were passed over`);
    }
    if (c.cut_packets > 0) {
      notes.push(`${c.cut_packets} packets are there only in part (snapshot length)`);
    }
    if (c.backward_times > 0) {
      notes.push(`${c.backward_times} packets are older than the one before`);
    }
    for (const note of quiet ? [] : notes) {
      process.stderr.write(`note: ${c.capture}: ${note}\n`);
    }
  }
}

/** There were packets, but none of them arrived: that is not what anybody wanted. */
function isNothing({ packets, captures }: FullReport): boolean {
  const skipped = captures.flatMap((c) => Object.values(c.skipped));
  if (packets > 0 || !skipped.some((n) => n > 0)) {
    return false;
  }
  say("no packet arrived at any port");
  return true;
}

/** Devices refuse what is too long for them. */
function hintAtMtu({ drops }: FullReport, { mtu, quiet }: ReplayOptions): void {
  const refused = drops.find((d) => d.counter === "device_refused");
  if (refused !== undefined && mtu === undefined && !quiet) {
    const text = `${refused.packets} packets were refused by ports; were they too long? (--mtu)`;
    process.stderr.write(`note: ${text}\n`);
  }
}

/** A file that the coverage goes to once all packets are through. */
interface CoverageFile {
  readonly path: string;
  readonly fd: number;
}

/** Opened before the first packet: who waits for a long replay wants to know then. */
function openCoverage(paths: readonly string[]): CoverageFile[] {
  return paths.map((path) => ({
    path,
    fd: orRefuse(`--coverage ${path}`, () => openSync(path, "w")),
  }));
}

function writeCoverage(files: readonly FileCoverage[], to: readonly CoverageFile[]): void {
  for (const { path, fd } of to) {
    const text = path.endsWith(".json") ? jsonPieces(files) : lcovText(files);
    for (const chunk of chunked(text)) {
      writeSync(fd, chunk);
    }
    closeSync(fd);
  }
}

/** Prints the report, or what was asked of it; false if it is not there. */
function print(report: FullReport, values: ReplayOptions): boolean {
  if (values.class !== undefined) {
    const c = report.classes.find((k) => String(k.class) === values.class);
    if (c === undefined) {
      say(`--class ${values.class}: there are ${report.classes.length} classes`);
      return false;
    }
    process.stdout.write(`Packet ${c.first_packet}:\n${renderTrace(`${c.first_trace}\n`)}`);
    return true;
  }
  for (const chunk of values.json ? chunked(jsonPieces(report)) : [replayText(report)]) {
    process.stdout.write(chunk);
  }
  return true;
}

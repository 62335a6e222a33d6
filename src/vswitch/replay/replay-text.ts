// The report of a replay as a text to read.

import type { SwitchReport } from "./replay-report.ts";
import { textTable } from "./text-table.ts";

/** Lines of lists, classes and ports of one class that the text shows; the data has all. */
const SHOWN_MAX = 12;
const CLASSES_SHOWN_MAX = 25;
const PORTS_SHOWN_MAX = 3;
/** Columns of a line of a list. */
const LINE_CHARS_MAX = 240;

/** What became of the packets of one capture. */
export interface CaptureReport {
  readonly capture: string;
  /** Null: the interfaces of the capture are named as the ports. */
  readonly port: string | null;
  readonly interface: string | null;
  /** Packets that arrived at ports. */
  readonly packets: number;
  /** Those of them that the capture holds only the beginning of. */
  readonly cut_packets: number;
  readonly backward_times: number;
  readonly skipped: {
    readonly not_ethernet: number;
    readonly outbound: number;
    readonly other_sender: number;
    readonly other_interface: number;
    readonly not_tunnelled: number;
  };
  readonly interfaces_without_port: Readonly<Record<string, number>>;
  /** What ended the reading early. */
  readonly error: string | null;
}

export interface FullReport extends SwitchReport {
  readonly version: number;
  readonly captures: readonly CaptureReport[];
}

const count = (n: number) => n.toLocaleString("en");
const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** The whole text. */
export function replayText(r: FullReport): string {
  const parts = [
    headText(r),
    classesText(r),
    section("Drops", countersText(r.drops)),
    section("Other counters", countersText(r.counters)),
    section("Ports", portsText(r)),
    coverageText(r),
    listText("Megaflows made", r.megaflows),
    listText("Connections made", r.connections),
  ];
  return parts.filter((p) => p !== "").join("\n");
}

function section(title: string, body: string): string {
  return body === "" ? "" : `${title}\n${body}`;
}

function indent(lines: readonly string[]): string {
  return lines.map((l) => `  ${l}\n`).join("");
}

/** Shows the first lines and says how many more there are. */
function cut(lines: readonly string[], total = lines.length): string {
  const shown = lines
    .slice(0, SHOWN_MAX)
    .map((l) => (l.length > LINE_CHARS_MAX ? `${l.slice(0, LINE_CHARS_MAX)}…` : l));
  const more = total - shown.length;
  return indent(more > 0 ? [...shown, `… and ${count(more)} more`] : shown);
}

function headText(r: FullReport): string {
  const { packets, captures } = r;
  let text = `Replayed ${plural(packets, "packet")} (${plural(r.bytes, "byte")}) of `;
  text += plural(captures.length, "capture");
  if (r.first_time !== null && r.last_time !== null) {
    const seconds = secondsBetween(r.first_time, r.last_time);
    text += `, ${seconds} s of traffic from ${dateText(r.first_time)} on`;
  }
  text += `: ${count(r.delivered)} delivered, ${count(r.dropped)} dropped`;
  text += r.held > 0 ? `, ${count(r.held)} held as fragments.\n` : ".\n";
  const broken = captures.filter((c) => c.error !== null);
  return text + broken.map((c) => `Ended early: ${c.error}\n`).join("");
}

function secondsBetween(first: string, last: string): string {
  const split = (t: string) => t.split(".").map(Number);
  const [s0 = 0, n0 = 0] = split(first);
  const [s1 = 0, n1 = 0] = split(last);
  return (s1 - s0 + (n1 - n0) / 1e9).toFixed(3);
}

/** A time of day in UTC, if it is one. */
function dateText(time: string): string {
  const ms = Number(time.slice(0, time.indexOf("."))) * 1000;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? time : date.toISOString().replace(/\.\d+Z$/, "Z");
}

type ReplayClass = SwitchReport["classes"][number];

/** Classes of which packets were lost come first: they are what one looks for. */
function classesText(r: FullReport): string {
  const lost = r.classes.filter((c) => c.delivered < c.packets);
  const fine = r.classes.filter((c) => c.delivered === c.packets);
  const beyond =
    r.packets_beyond > 0 ? `  ${count(r.packets_beyond)} packets of further classes\n` : "";
  const parts = [
    section("Path classes with losses", classTable(lost)),
    section("Path classes", classTable(fine) + beyond),
  ];
  return parts.filter((p) => p !== "").join("\n");
}

function classTable(classes: readonly ReplayClass[]): string {
  if (classes.length === 0) {
    return "";
  }
  const sorted = [...classes].sort((a, b) => b.packets - a.packets || a.class - b.class);
  const rows = sorted
    .slice(0, CLASSES_SHOWN_MAX)
    .map((c) => [
      String(c.class),
      String(c.packets),
      String(c.bytes),
      verdictText(c),
      String(c.first_packet),
      c.first_port,
      outText(c.first_out),
      shortPath(c.path),
      c.first_summary,
    ]);
  const header = ["class", "packets", "bytes", "verdict", "first", "in", "out", "tables", "packet"];
  const more = sorted.length - rows.length;
  return indent([
    ...textTable(header, rows),
    ...(more > 0 ? [`… and ${plural(more, "more class", "more classes")}`] : []),
  ]);
}

function outText(out: readonly string[]): string {
  const more = out.length - PORTS_SHOWN_MAX;
  const shown = out.slice(0, PORTS_SHOWN_MAX).join(",") || "-";
  return more > 0 ? `${shown} +${more}` : shown;
}

/** A long walk by its beginning and its end, which decided. */
function shortPath(path: string): string {
  const tables = path.split(" ");
  const hidden = tables.length - 1 - 3;
  return hidden <= 1 ? path : `${tables[0]} … ${tables.slice(-3).join(" ")}`;
}

/** Packets of one path may meet different ends, for instance at a meter. */
function verdictText(c: SwitchReport["classes"][number]): string {
  const rest = c.packets - c.delivered - c.held;
  return c.verdict === "delivered" && rest > 0 ? `delivered, ${count(rest)} lost` : c.verdict;
}

function countersText(rows: SwitchReport["drops"]): string {
  return indent(
    textTable(
      null,
      rows.map((d) => [count(d.packets), d.counter, d.text]),
    ),
  );
}

function portsText(r: FullReport): string {
  const used = r.ports.filter((p) => p.rx_packets + p.tx_packets > 0);
  const rows = used.map((p) => [
    p.port,
    p.bridge,
    p.ofp_port === 65534 ? "LOCAL" : p.ofp_port === 0 ? "-" : String(p.ofp_port),
    String(p.rx_packets),
    String(p.rx_bytes),
    String(p.tx_packets),
    String(p.tx_bytes),
  ]);
  const header = ["port", "bridge", "number", "in", "bytes", "out", "bytes"];
  return rows.length === 0 ? "" : indent(textTable(header, rows));
}

function coverageText(r: FullReport): string {
  return r.coverage
    .map((f) => {
      const percent = f.flows === 0 ? "0.0" : ((100 * f.hit) / f.flows).toFixed(1);
      const ended = f.lines.filter((l) => l.ended !== null);
      const never = f.lines.filter((l) => l.packets === 0);
      const hits = `${count(f.hit)} of ${count(f.flows)} flows hit (${percent} %)`;
      const gone = ended.length > 0 ? `, ${count(ended.length)} gone by timeouts or otherwise` : "";
      const head = `Flows of ${f.bridge}: ${hits}${gone}\n`;
      const lines = never.map((l) => `${l.line}: ${withoutCounters(l.flow)}`);
      return never.length === 0 ? head : `${head}  never hit, by line of ${f.file}:\n${cut(lines)}`;
    })
    .join("\n");
}

/** A flow of a dump without what the dump says of its use. */
function withoutCounters(flow: string): string {
  const counters = /\b(duration|n_packets|n_bytes|idle_age|hard_age)=[^,\s]*,? ?/g;
  return flow.replace(counters, "").replace(/^cookie=0x0, /, "");
}

function listText(title: string, of: SwitchReport["megaflows"]): string {
  const head = `${title}: ${count(of.made)}, of which ${count(of.now)} are there at the end\n`;
  return of.made === 0 ? "" : head + cut(of.list, of.made);
}

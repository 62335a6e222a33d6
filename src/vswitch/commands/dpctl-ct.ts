// dpctl commands about connections: dumps, statistics, limits, flushing.
//
// ovs: lib/dpctl.c dpctl_dump_conntrack, dpctl_flush_conntrack, dpctl_ct_*

import type { Conn } from "../../datapath/ct-conn.ts";
import { formatConn, tcpStateOf } from "../../datapath/ct-text.ts";
import { TCP_STATES } from "../../datapath/ct-tcp.ts";
import { DEFAULT_ZONE } from "../../datapath/ct-zones.ts";
import { strToU16, strToU32 } from "../../lib/number.ts";
import { splitKeyValues } from "../../lib/scan.ts";
import { newCtMatch, parseCtTuple } from "../../openflow/messages/ct.ts";
import type { Command } from "../command.ts";
import { flushConnections } from "../ct-flush.ts";
import type { DatapathPair } from "../packets.ts";
import { type DpctlRun, dpctlRow } from "./dpctl-params.ts";

const ANY = Number.MAX_SAFE_INTEGER;

/** The number behind a prefix, cut to 16 or 32 bits; what follows it does not matter. */
export function scanNumber(text: string | undefined, prefix: string, bits: 16 | 32): number | null {
  if (text === undefined || !text.startsWith(prefix)) {
    return null;
  }
  const digits = /^\s*([+-]?\d+)/.exec(text.slice(prefix.length))?.[1];
  return digits === undefined
    ? null
    : Number(BigInt.asUintN(bits, BigInt(digits.replace("+", ""))));
}

/** Takes a last argument off. */
function dropLast(r: DpctlRun): void {
  r.argv = r.argv.slice(0, -1);
}

function lastArg(r: DpctlRun): string | undefined {
  return r.argv.length > 1 ? r.argv.at(-1) : undefined;
}

function connsOf(r: DpctlRun, pair: DatapathPair, zone: number | null): Iterable<Conn> {
  return pair.ct.list(zone, r.ctx.vs.clock.nowMs());
}

function dumpConntrack(r: DpctlRun): void {
  const zone = scanNumber(lastArg(r), "zone=", 16);
  if (zone !== null) {
    dropLast(r);
  }
  const pair = r.open(2);
  if (pair === null) {
    return;
  }
  const nowMs = r.ctx.vs.clock.nowMs();
  const options = { verbose: r.verbosity > 0, stats: r.statistics, nowMs };
  for (const conn of connsOf(r, pair, zone)) {
    r.print(`${formatConn(conn, options)}\n`);
  }
}

function flushConntrack(r: DpctlRun): void {
  const args = r.argv.slice(1);
  let zone: number | null = null;
  if (args[0]?.startsWith("zone=") === true) {
    zone = scanNumber(args[0], "zone=", 16);
    if (zone === null) {
      r.error("EINVAL", "failed to parse zone");
      return;
    }
    args.shift();
  }
  const match = newCtMatch();
  let notices = "";
  for (const tuple of [match.tupleOrig, match.tupleReply]) {
    const arg = args.shift();
    if (arg !== undefined && arg !== "") {
      const parsed = parseCtTuple(arg, tuple, match);
      notices += parsed.text;
      if (!parsed.ok) {
        r.error("EINVAL", notices);
        return;
      }
    }
  }
  if (args.length > 1) {
    r.error("EINVAL", `${notices}invalid arguments`);
    return;
  }
  const pair = r.open(5);
  if (pair === null) {
    r.error("EINVAL", "Cannot open dpif");
  } else if (!flushConnections(pair.ct, zone, match, r.ctx.vs.clock.nowMs())) {
    r.error("ENOENT", `${notices}failed to flush conntrack`);
  }
}

/** Protocols that the statistics tell apart, in their order; ICMPv6 is counted in the total only. */
const STATS_PROTOS: readonly (readonly [number, string])[] = [
  [17, "UDP"],
  [136, "UDPLITE"],
  [132, "SCTP"],
  [1, "ICMP"],
  [33, "DCCP"],
  [2, "IGMP"],
];
const TCP = 6;
const ICMPV6 = 58;

function statsShow(r: DpctlRun): void {
  let verbose = r.verbosity > 0;
  let zone: number | null = null;
  for (let arg = lastArg(r); arg !== undefined; arg = lastArg(r)) {
    const number = scanNumber(arg, "zone=", 16);
    if (arg.startsWith("verbose")) {
      verbose = true;
    } else if (number !== null) {
      zone = number;
    } else {
      break;
    }
    dropLast(r);
  }
  const pair = r.open(2);
  if (pair === null) {
    return;
  }
  const conns = [...connsOf(r, pair, zone)];
  const count = (proto: number) => conns.filter((c) => c.key.proto === proto).length;
  r.print(`Connections Stats:\n    Total: ${conns.length}\n`);
  if (count(TCP) > 0) {
    r.print(`  TCP: ${count(TCP)}\n`);
    if (verbose) {
      printTcpStates(r, conns);
    }
  }
  let other = conns.length - count(TCP) - count(ICMPV6);
  for (const [proto, name] of STATS_PROTOS) {
    const n = count(proto);
    other -= n;
    if (n > 0) {
      r.print(`  ${name}: ${n}\n`);
    }
  }
  if (other > 0) {
    r.print(`  Other: ${other}\n`);
  }
}

function printTcpStates(r: DpctlRun, conns: readonly Conn[]): void {
  r.print("    Conn per TCP states:\n");
  for (const [i, name] of TCP_STATES.entries()) {
    const n = conns.filter((c) => c.tcp !== null && tcpStateOf(c.tcp) === i).length;
    if (n > 0) {
      r.print(`\t  [${name}]=${n}\n`);
    }
  }
}

/** The tracker counts as one bucket. */
function buckets(r: DpctlRun): void {
  const gt = scanNumber(lastArg(r), "gt=", 16);
  if (gt !== null) {
    dropLast(r);
  }
  const pair = r.open(2);
  if (pair === null) {
    return;
  }
  const total = [...connsOf(r, pair, null)].length;
  r.print(`Total Buckets: 1\nCurrent Connections: ${total}\n\n`);
  if (total > 0) {
    const line = `+-----------+${"-".repeat(41)}+`;
    r.print(`${line}\n|  Buckets  |         Connections per Buckets         |\n${line}`);
    const shown = total > (gt ?? 0) ? String(total) : ".";
    r.print(`\n   0..  7   | ${shown.padStart(5)}\n\n`);
  }
}

function setMaxConns(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const n = scanNumber(lastArg(r), "", 32);
  if (n === null) {
    r.error("EINVAL", "maxconns missing or malformed");
    return;
  }
  pair.ct.maxConns = n;
  r.print("setting maxconns successful");
}

function setSeqCheck(r: DpctlRun, enabled: boolean): void {
  const pair = r.open(3);
  if (pair !== null) {
    pair.ct.seqCheck = enabled;
    r.print(`${enabled ? "enabling" : "disabling"} TCP sequence checking successful`);
  }
}

/** Reads `zone=N,limit=L`. */
function parseLimit(text: string): { zone: number; limit: number } | string {
  let zone: number | null = null;
  let limit: number | null = null;
  for (const { key, value } of splitKeyValues(text)) {
    if (value === "") {
      return `field ${key} missing value`;
    }
    if (key !== "zone" && key !== "limit") {
      return `invalid zone limit field: ${key}`;
    }
    const n = key === "zone" ? strToU16(value, key) : strToU32(value);
    if (!n.ok) {
      return `failed to parse field ${key}`;
    }
    if (key === "zone") {
      zone = n.value;
    } else {
      limit = n.value;
    }
  }
  return zone === null || limit === null ? "failed to parse zone limit" : { zone, limit };
}

function setLimit(r: DpctlRun, pair: DatapathPair, zone: number, limit: number): void {
  const verb = pair.ct.limits.set(zone, limit) ? "Created" : "Changed";
  r.ctx.vs.log.info("conntrack", `${verb} zone limit of ${limit} for zone ${zone}`);
}

function setLimits(r: DpctlRun): void {
  const pair = r.open(Number.MAX_SAFE_INTEGER);
  if (pair === null) {
    return;
  }
  let texts = r.rest;
  let defaultLimit: number | null = null;
  if (texts[0]?.startsWith("default=") === true) {
    defaultLimit = scanNumber(texts[0], "default=", 32);
    if (defaultLimit === null) {
      r.error("EINVAL", "invalid default limit");
      return;
    }
    texts = texts.slice(1);
  }
  const limits: { zone: number; limit: number }[] = [];
  for (const text of texts) {
    const limit = parseLimit(text);
    if (typeof limit === "string") {
      r.error("EINVAL", limit);
      return;
    }
    limits.push(limit);
  }
  if (defaultLimit !== null) {
    setLimit(r, pair, DEFAULT_ZONE, defaultLimit);
  }
  for (const { zone, limit } of limits) {
    setLimit(r, pair, zone, limit);
  }
}

/** Reads `zone=N1,N2...`. */
function parseZones(text: string): number[] | string {
  if (!text.startsWith("zone=")) {
    return `invalid argument ${text}`;
  }
  const zones = text
    .slice(5)
    .split(",")
    .filter((z) => z !== "")
    .map((z) => scanNumber(z, "", 16));
  const good = zones.filter((z) => z !== null);
  return good.length === zones.length && good.length > 0 ? good : "invalid zone";
}

function delLimits(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const zones = parseZones(r.rest[0] ?? "");
  if (typeof zones === "string") {
    r.error("EINVAL", zones);
    return;
  }
  for (const zone of zones) {
    const text = pair.ct.limits.delete(zone)
      ? `Deleted zone limit for zone ${zone}`
      : `Attempted delete of non-existent zone limit: zone ${zone}`;
    r.ctx.vs.log.info("conntrack", text);
  }
}

function getLimits(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const { limits } = pair.ct;
  const text = r.rest[0];
  const zones = text === undefined ? [] : parseZones(text);
  if (typeof zones === "string") {
    r.error("EINVAL", zones);
    return;
  }
  const own = limits.own();
  const rows =
    zones.length === 0
      ? own
      : zones.map((zone) => {
          const l = limits.of(zone);
          return { zone, limit: l?.limit ?? 0, count: l?.count ?? 0 };
        });
  r.print(`default limit=${limits.of(DEFAULT_ZONE)?.limit ?? 0}\n`);
  for (const { zone, limit, count } of rows) {
    r.print(`zone=${zone},limit=${limit},count=${count}\n`);
  }
}

/** A row that shows something of the tracker. */
function show(name: string, doc: string, text: (pair: DatapathPair) => string): Command {
  return dpctlRow(name, "[dp]", [0, 1], doc, (r) => {
    const pair = r.open(2);
    if (pair !== null) {
      r.print(text(pair));
    }
  });
}

export const DPCTL_CT_COMMANDS: readonly Command[] = [
  dpctlRow(
    "dump-conntrack",
    "[-m] [-s] [dp] [zone=N]",
    [0, 4],
    "Shows connections; with -m more of them, with -s their timeouts.",
    dumpConntrack,
  ),
  dpctlRow(
    "flush-conntrack",
    "[dp] [zone=N] [ct-orig-tuple] [ct-reply-tuple]",
    [0, 4],
    "Forgets connections: all, those of a zone, or those that match.",
    flushConntrack,
  ),
  dpctlRow(
    "ct-stats-show",
    "[dp] [zone=N]",
    [0, 3],
    "Counts connections by protocol; with verbose, TCP by state too.",
    statsShow,
  ),
  dpctlRow("ct-bkts", "[dp] [gt=N]", [0, 2], "Counts connections by bucket.", buckets),
  dpctlRow(
    "ct-set-maxconns",
    "[dp] maxconns",
    [1, 2],
    "Sets how many connections there may be.",
    setMaxConns,
  ),
  show("ct-get-maxconns", "Shows how many connections there may be.", (p) => `${p.ct.maxConns}\n`),
  show("ct-get-nconns", "Shows how many connections there are.", (p) => `${p.ct.count}\n`),
  dpctlRow("ct-enable-tcp-seq-chk", "[dp]", [0, 1], "Checks TCP sequence numbers.", (r) => {
    setSeqCheck(r, true);
  }),
  dpctlRow("ct-disable-tcp-seq-chk", "[dp]", [0, 1], "Trusts TCP sequence numbers.", (r) => {
    setSeqCheck(r, false);
  }),
  show(
    "ct-get-tcp-seq-chk",
    "Shows whether TCP sequence numbers are checked.",
    (p) => `TCP sequence checking: ${p.ct.seqCheck ? "enabled" : "disabled"}\n`,
  ),
  dpctlRow(
    "ct-set-limits",
    "[dp] [default=L] [zone=N,limit=L]...",
    [1, ANY],
    "Limits the connections of zones.",
    setLimits,
  ),
  dpctlRow("ct-del-limits", "[dp] zone=N1[,N2]...", [1, 2], "Deletes limits.", delLimits),
  dpctlRow("ct-get-limits", "[dp] [zone=N1[,N2]...]", [0, 2], "Shows limits.", getLimits),
];

// Connections between bridges of this switch and what they, or tools, connect to.
//
// No socket is opened. A bridge listens at `unix:RUNDIR/NAME.mgmt` and where its passive controllers
// say; other addresses of this host refuse, hosts elsewhere refuse a moment later, for no network
// leads to them. A bridge that is another's controller agrees on a version and then says nothing. In
// the switch of a dumped host, whoever it connects to is taken to answer, and to say nothing else.
// References: ovs: lib/stream.c stream_open_with_default_port, lib/stream-tcp.c, lib/stream-ssl.c,
// lib/socket-util.c inet_open_active, inet_open_passive.

import { type InetTarget, parseActiveTarget, parsePassiveTarget } from "../lib/inet-target.ts";
import { OFP_PORT } from "../openflow/ofservice.ts";
import { EOF, type Line, type LineStatus } from "../openflow/rconn.ts";
import type { Bridge } from "./bridge.ts";
import type { VSwitch } from "./vswitch.ts";

const REFUSED = "Connection refused";
const NO_FAMILY = "Address family not supported by protocol";
const BIND_LIMIT = { name: "inet_open_passive", rate: 1, burst: 5 };
const SSL_NEEDS = ["Private key", "Certificate", "CA certificate"];

/** The IPv4 address 127.0.0.1 and its neighbours. */
function isLoopback(t: InetTarget): boolean {
  return t.ipv4 === null ? t.host === "::1" : t.ipv4 >>> 24 === 127;
}

/** A line to a bridge of the same switch, up as long as the bridge is there. */
function lineToBridge(vs: VSwitch, br: Bridge, versions: number): Line {
  const common = versions & br.versions;
  br.ofproto.conns.nextServiceName();
  const up: LineStatus = { kind: "up", version: 31 - Math.clz32(common) };
  return {
    status: () => {
      if (common === 0) {
        return { kind: "down", error: "Protocol error" };
      }
      return vs.bridges.get(br.name) === br ? up : { kind: "down", error: EOF };
    },
    close: () => {},
  };
}

/** A line to a host that refuses as soon as time has passed. */
function lineToNowhere(vs: VSwitch): Line {
  const openedMs = vs.clock.nowMs();
  return {
    status: () =>
      vs.clock.nowMs() > openedMs ? { kind: "down", error: REFUSED } : { kind: "waiting" },
    close: () => {},
  };
}

/** The bridge that listens at a target such as "tcp:127.0.0.1:6653" or "unix:br0.mgmt". */
export function bridgeListeningAt(vs: VSwitch, target: string): Bridge | null {
  if (target.startsWith("unix:")) {
    const path = absolute(vs, target.slice("unix:".length));
    return findListener(vs, (at) => at === `punix:${path}`);
  }
  if (!target.startsWith("tcp:")) {
    return null;
  }
  const to = parseActiveTarget(target.slice("tcp:".length), OFP_PORT);
  return "error" in to || !isLoopback(to)
    ? null
    : findListener(vs, (at) => at.startsWith("ptcp:") && accepts(at, to));
}

function absolute(vs: VSwitch, path: string): string {
  return path.startsWith("/") ? path : `${vs.rundir}/${path}`;
}

function accepts(listener: string, to: InetTarget): boolean {
  const at = parsePassiveTarget(listener.slice("ptcp:".length), OFP_PORT);
  const sameFamily = !("error" in at) && (at.ipv4 === null) === (to.ipv4 === null);
  return sameFamily && at.port === to.port && (at.ipv4 === 0 || at.host === to.host);
}

function findListener(vs: VSwitch, matches: (target: string) => boolean): Bridge | null {
  for (const br of vs.bridges.values()) {
    if (br.ofproto.conns.services.listening.some(matches)) {
      return br;
    }
  }
  return null;
}

/** A line to somebody who is not here: whatever version is the highest is agreed on. */
function lineThatAnswers(versions: number): Line {
  const status: LineStatus = { kind: "up", version: 31 - Math.clz32(versions) };
  return { status: () => status, close: () => {} };
}

/** Opens a connection; the text of an error if that fails at once. */
export function dial(vs: VSwitch, target: string, versions: number): Line | string {
  if (vs.otherHosts === "answer") {
    return lineThatAnswers(versions);
  }
  const listener = bridgeListeningAt(vs, target);
  if (target.startsWith("unix:")) {
    return listener === null ? "No such file or directory" : lineToBridge(vs, listener, versions);
  }
  let name = target;
  if (target.split(":").filter((part) => part !== "").length < 3) {
    const text = "The default OpenFlow port number has changed from 6633 to 6653";
    vs.log.once("stream", "warn", text);
    name = `${target}:${OFP_PORT}`;
  }
  if (target.startsWith("ssl:")) {
    for (const what of SSL_NEEDS) {
      vs.log.err("stream_ssl", `${what} must be configured to use SSL`);
    }
    return "Protocol not available";
  }
  const to = parseActiveTarget(name.slice("tcp:".length), -1);
  if ("error" in to) {
    if (to.error !== "") {
      vs.log.err("socket_util", to.error);
    }
    vs.log.err("stream_tcp", `${name}: connect: ${NO_FAMILY}`);
    return NO_FAMILY;
  }
  if (listener !== null) {
    return lineToBridge(vs, listener, versions);
  }
  return isLoopback(to) ? REFUSED : lineToNowhere(vs);
}

/** False if nobody could connect there, as the log says. */
export function listen(vs: VSwitch, target: string): boolean {
  if (!target.startsWith("ptcp:")) {
    return true;
  }
  const text = target.slice("ptcp:".length);
  const at = parsePassiveTarget(text, OFP_PORT);
  if ("error" in at) {
    if (at.error !== "") {
      vs.log.err("socket_util", at.error);
    }
    return false;
  }
  const taken = findListener(vs, (other) => {
    const there = other.startsWith("ptcp:") ? parsePassiveTarget(other.slice(5), OFP_PORT) : at;
    const overlaps =
      !("error" in there) && (there.host === at.host || there.ipv4 === 0 || at.ipv4 === 0);
    return other.startsWith("ptcp:") && overlaps && there.port === at.port;
  });
  if (taken !== null) {
    vs.log.logRl("socket_util", "err", BIND_LIMIT, `${text}: bind: Address already in use`);
  }
  return taken === null;
}

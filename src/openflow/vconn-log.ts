// What the log says at debug level about the messages of OpenFlow connections, and about
// connections that do not come about.
//
// ovs: lib/vconn.c do_send, do_recv, vcs_recv_hello; ofp_print at verbosity 1.

import type { Vlog } from "../lib/vlog.ts";
import type { RateLimit } from "../lib/log-rate-limit.ts";
import { encodeHello } from "./messages/hello.ts";
import { ofpPrint } from "./messages/print.ts";
import { formatVersionBitmap, type VersionBitmap } from "./messages/version.ts";

const MESSAGES: RateLimit = { name: "vconn_ofmsg", rate: 600, burst: 600 };
const BAD_MESSAGES: RateLimit = { name: "vconn_bad_ofmsg", rate: 1, burst: 5 };

/** `conn` is the name of a connection such as "br0<->unix#3": its own part is "unix#3". */
function vconnName(conn: string): string {
  return conn.replace(/^.*<->/, "");
}

export function logReceived(log: Vlog, conn: string, bytes: Uint8Array): void {
  if (!log.drops("vconn", "dbg", MESSAGES)) {
    log.dbg("vconn", `${vconnName(conn)}: received: ${ofpPrint(bytes, 1)}`);
  }
}

export function logSent(log: Vlog, conn: string, bytes: Uint8Array): void {
  if (!log.drops("vconn", "dbg", MESSAGES)) {
    log.dbg("vconn", `${vconnName(conn)}: sent (Success): ${ofpPrint(bytes, 1)}`);
  }
}

/** One side of an opening connection. */
interface Greeter {
  readonly versions: VersionBitmap;
  readonly xid: number;
}

/** The two sides say hello, `own` being the one that logs, and agree on a version or not. */
export function logHellos(log: Vlog, conn: string, own: Greeter, peer: Greeter): void {
  logSent(log, conn, encodeHello(own.versions, own.xid));
  logReceived(log, conn, encodeHello(peer.versions, peer.xid));
  const common = own.versions & peer.versions;
  const theirs = `peer supports ${versionList(peer.versions)}`;
  const both = `we support ${versionList(own.versions)}, ${theirs}`;
  if (common === 0) {
    const text = `${vconnName(conn)}: version negotiation failed (${both})`;
    log.logRl("vconn", "warn", BAD_MESSAGES, text);
  } else if (log.enabled("vconn", "dbg")) {
    const version = `0x${(31 - Math.clz32(common)).toString(16).padStart(2, "0")}`;
    log.dbg("vconn", `${vconnName(conn)}: negotiated OpenFlow version ${version} (${both})`);
  }
}

/** Versions as the log lists them: all up to one are "version N and earlier". */
function versionList(bitmap: VersionBitmap): string {
  const all = (bitmap >>> 1) + 1;
  if (bitmap === 0) {
    return "no versions";
  }
  if ((bitmap & (bitmap - 1)) === 0) {
    return `version ${formatVersionBitmap(bitmap)}`;
  }
  const highest = 1 << (31 - Math.clz32(bitmap));
  return (all & (all - 1)) === 0
    ? `version ${formatVersionBitmap(highest)} and earlier`
    : `versions ${formatVersionBitmap(bitmap)}`;
}

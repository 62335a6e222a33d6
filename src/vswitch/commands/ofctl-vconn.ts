// Vconn: the connection of an ovs-ofctl command to a bridge of the same process.
//
// Messages are really encoded and decoded on both sides, in the version that the two ends agree
// on, so that everything that depends on the version comes out by itself. The switch answers before
// `send` returns. Errors that end the real tool are thrown as OfctlExit and become the command's
// reply (ovs: lib/vconn.c, utilities/ovs-ofctl.c open_vconn, dump_transaction, ...).

import type { Protocols } from "../../flow/of-version.ts";
import { getU16, getU32 } from "../../lib/bytes.ts";
import type { Vlog } from "../../lib/vlog.ts";
import type { Ofconn } from "../../openflow/connmgr.ts";
import type { BundleCtrl } from "../../openflow/messages/types-switch.ts";
import { OFPBCT } from "../../openflow/messages/types-switch.ts";
import {
  decodeBundleCtrl,
  encodeBundleAdd,
  encodeBundleCtrl,
} from "../../openflow/messages/bundle.ts";
import { isErr } from "../../openflow/messages/errors.ts";
import { encodeBarrierRequest } from "../../openflow/messages/hello.ts";
import { OFP_HEADER, OFP_MSG_BYTES_MAX, pullMsg } from "../../openflow/messages/raw.ts";
import { protocolFromVersion } from "../../openflow/messages/version.ts";
import { handleMessage } from "../../openflow/ofproto-handle.ts";
import { logHellos, logReceived, logSent } from "../../openflow/vconn-log.ts";
import { bridgeListeningAt } from "../sockets.ts";
import type { VSwitch } from "../vswitch.ts";

const TOO_SHORT = { name: "vconn_stream", rate: 10, burst: 25 };

/** Ends a command with an exit status and a text for standard error. */
export class OfctlExit extends Error {
  readonly exit: number;
  /** Printed as it is. */
  readonly stderr: string;

  constructor(exit: number, stderr: string) {
    super(stderr);
    this.exit = exit;
    this.stderr = stderr;
  }
}

/** Ends the command as ovs_fatal() does. */
export function ofctlFatal(text: string): never {
  throw new OfctlExit(1, `ovs-ofctl: ${text}\n`);
}

export class Vconn {
  readonly name: string;
  readonly version: number;
  readonly conn: Ofconn;
  /** Address of the connection, as errors in the middle of it show. */
  readonly fullName: string;
  /** The flow format in effect, as this side believes. */
  protocol: Protocols;
  readonly #vs: VSwitch;
  readonly #inbox: Uint8Array[] = [];
  readonly #opener: Opener;

  constructor(opener: Opener, name: string, fullName: string, conn: Ofconn) {
    this.#opener = opener;
    this.#vs = opener.ctx.vs;
    this.name = name;
    this.conn = conn;
    this.version = conn.version;
    this.fullName = fullName;
    this.protocol = protocolFromVersion(conn.version);
  }

  nextXid(): number {
    return this.#opener.nextXid();
  }

  /** Sends a message as it is. */
  send(bytes: Uint8Array): void {
    this.#log(logSent, bytes);
    handleMessage(this.conn, bytes);
    this.#inbox.push(...this.conn.receive());
  }

  #log(how: typeof logSent, bytes: Uint8Array): void {
    const { detailLog } = this.#opener;
    if (detailLog !== null) {
      how(detailLog, this.fullName, bytes);
    }
  }

  /** The next message, or null if there is none. */
  receive(): Uint8Array | null {
    this.#inbox.push(...this.conn.receive());
    const next = this.#inbox.shift() ?? null;
    if (next !== null) {
      this.#log(logReceived, next);
    }
    return next;
  }

  /** All messages with the xid of a request; others are passed over. */
  transact(request: Uint8Array): Uint8Array[] {
    const xid = getU32(request, OFP_HEADER.XID);
    this.send(request);
    const replies: Uint8Array[] = [];
    for (let m = this.receive(); m !== null; m = this.receive()) {
      if (getU32(m, OFP_HEADER.XID) === xid) {
        replies.push(m);
      }
    }
    return replies;
  }

  /** The reply to a request that only has one if it fails, or null. */
  transactNoreply(request: Uint8Array): Uint8Array | null {
    const xid = getU32(request, OFP_HEADER.XID);
    if (request.length > OFP_MSG_BYTES_MAX) {
      return this.#sendTooLong(request);
    }
    this.send(request);
    this.send(encodeBarrierRequest(this.version, this.nextXid()));
    let reply: Uint8Array | null = null;
    for (let m = this.receive(); m !== null; m = this.receive()) {
      if (getU32(m, OFP_HEADER.XID) === xid) {
        reply = m;
      }
    }
    return reply;
  }

  /**
   * A message whose length does not fit into its header: the switch takes what the header says for
   * the message and the rest for another one, whose header makes no sense, and hangs up.
   */
  #sendTooLong(request: Uint8Array): never {
    const { ofproto, name } = this.conn;
    const taken = getU16(request, OFP_HEADER.LENGTH);
    this.send(request.slice(0, taken));
    const rest = request.length >= taken + 4 ? getU16(request, taken + OFP_HEADER.LENGTH) : 0;
    const text = `received too-short ofp_header (${rest} bytes)`;
    ofproto.log.logRl("vconn_stream", "err", TOO_SHORT, text);
    ofproto.log.warn("rconn", `${name}: connection dropped (Protocol error)`);
    return ofctlFatal(`talking to ${this.fullName} (Broken pipe)`);
  }

  /** Runs messages as a bundle; answers the errors, in the order in which they came. */
  transactBundle(requests: readonly Uint8Array[], flags: number): BundleOutcome {
    const errors: Uint8Array[] = [];
    const ctrl = { bundleId: 0, flags, type: OFPBCT.OPEN_REQUEST };
    if (!this.#bundleControl(ctrl, errors)) {
      return { ok: false, errors };
    }
    for (const msg of requests) {
      const xid = getU32(msg, OFP_HEADER.XID);
      this.send(encodeBundleAdd({ bundleId: 0, flags, msg }, this.version, xid));
      this.#takeErrors(errors);
    }
    this.send(encodeBarrierRequest(this.version, this.nextXid()));
    this.#takeErrors(errors);
    const type = errors.length > 0 ? OFPBCT.DISCARD_REQUEST : OFPBCT.COMMIT_REQUEST;
    const failed = errors.length > 0;
    const done = this.#bundleControl({ ...ctrl, type }, errors);
    return { ok: done && !failed, errors };
  }

  #bundleControl(ctrl: BundleCtrl, errors: Uint8Array[]): boolean {
    const xid = this.nextXid();
    this.send(encodeBundleCtrl(ctrl, this.version, xid));
    let good = false;
    for (let m = this.receive(); m !== null; m = this.receive()) {
      const msg = pullMsg(m);
      if (isErr(msg)) {
        continue;
      }
      if (msg.type === "ERROR") {
        errors.push(m);
      } else if (msg.type === "BUNDLE_CONTROL" && msg.xid === xid) {
        const reply = decodeBundleCtrl(msg);
        good = !isErr(reply) && reply.type === ctrl.type + 1;
      }
    }
    return good;
  }

  #takeErrors(errors: Uint8Array[]): void {
    for (let m = this.receive(); m !== null; m = this.receive()) {
      const msg = pullMsg(m);
      if (!isErr(msg) && msg.type === "ERROR") {
        errors.push(m);
      }
    }
  }

  close(): void {
    this.conn.ofproto.conns.disconnect(this.conn);
    this.#vs.run();
  }
}

export interface BundleOutcome {
  readonly ok: boolean;
  readonly errors: readonly Uint8Array[];
}

/** What connecting needs to know of the command (an OfctlSession). */
export interface Opener {
  readonly ctx: { readonly vs: VSwitch };
  readonly versions: number;
  /** Numbers all messages of the command, on whichever connection. */
  nextXid(): number;
  readonly log: Vlog;
  /** The same if it may say more than it does by itself. */
  readonly detailLog: Vlog | null;
}

/** Connects to a bridge, in the highest version that both ends allow. */
export function openVconn(s: Opener, name: string): Vconn {
  const { vs } = s.ctx;
  const bridge = bridgeListeningAt(vs, name)?.name ?? bridgeNameOf(name);
  if (bridge === null) {
    const known = /^(?:tcp|ssl):/.test(name);
    const why = known ? "Connection refused" : "Address family not supported by protocol";
    return ofctlFatal(`connecting to ${name} (${why})`);
  }
  const target = vs.openflowTarget(bridge);
  if (target === null) {
    return name.startsWith("unix:")
      ? ofctlFatal(`connecting to ${name} (No such file or directory)`)
      : ofctlFatal(`${name} is not a bridge or a socket`);
  }
  const fullName = `unix:${vs.rundir}/${bridge}.mgmt`;
  const common = s.versions & target.versions;
  const { conns, log } = target.ofproto;
  const connName = conns.nextServiceName();
  // The hellos are not really sent.
  const tool = { versions: s.versions, xid: s.nextXid() };
  const bridgeEnd = { versions: target.versions, xid: vs.nextHelloXid() };
  logHellos(log, connName, bridgeEnd, tool);
  if (common === 0) {
    log.warn("rconn", `${connName}: connection dropped (Broken pipe)`);
  }
  if (common === 0 || s.detailLog !== null) {
    logHellos(s.log, fullName, tool, bridgeEnd);
  }
  if (common === 0) {
    return ofctlFatal(`${name}: failed to connect to socket (Broken pipe)`);
  }
  const version = 31 - Math.clz32(common);
  const conn = conns.connect({ version, name: connName });
  return new Vconn(s, name, fullName, conn);
}

/** `br0`, `system@br0`, `unix:/run/br0.mgmt` all name br0; null for another kind of address. */
function bridgeNameOf(name: string): string | null {
  if (name.startsWith("unix:")) {
    return baseName(name.slice("unix:".length));
  }
  if (name.includes(":")) {
    return null;
  }
  return name.includes("/") ? baseName(name) : name.replace(/^[^@]*@/, "");
}

function baseName(path: string): string {
  return path.replace(/^.*\//, "").replace(/\.mgmt$/, "");
}

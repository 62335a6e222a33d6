// ovs-ofctl: monitor and snoop, which print what a switch sends until they are stopped.
//
// Replies to what `monitor` asks for at its start go to standard output, everything after that to
// standard error, as in the real tool (ovs: utilities/ovs-ofctl.c ofctl_monitor, monitor_vconn).

import { P } from "../../flow/of-version.ts";
import { atoi } from "../../lib/tokens.ts";
import { encodeSetPacketInFormat } from "../../openflow/messages/connection.ts";
import { isErr } from "../../openflow/messages/errors.ts";
import { encodeEchoReply } from "../../openflow/messages/hello.ts";
import {
  encodeFlowMonitorRequest,
  parseFlowMonitorRequest,
} from "../../openflow/messages/monitor.ts";
import { decodePacketInPublic, encodeResume } from "../../openflow/messages/packet-in.ts";
import { pullMsg } from "../../openflow/messages/raw.ts";
import { encodeSetConfig } from "../../openflow/messages/switch.ts";
import { PACKET_IN_FORMAT } from "../../openflow/messages/types-flow.ts";
import type { SwitchConfig } from "../../openflow/messages/types-switch.ts";
import { formatVersionBitmapNames, protocolsToString } from "../../openflow/messages/version.ts";
import { OFP } from "../../flow/of-version.ts";
import type { Background, Command, CommandContext, Reply } from "../command.ts";
import { fetchConfig } from "./ofctl-dump.ts";
import { OfctlExit, ofctlFatal, type Vconn } from "./ofctl-vconn.ts";
import { OfctlSession } from "./ofctl-session.ts";

/** Messages that a monitor answers in one go, so that it cannot chase its own answers for ever. */
export const MONITOR_BURST_MAX = 100_000;

/** Versions in which a switch can be asked to report packets with an expired TTL. */
const INVALID_TTL_VERSIONS = (1 << OFP.v10) | (1 << OFP.v11) | (1 << OFP.v12);

interface MonitorOptions {
  resume: boolean;
}

/** Sends what the arguments ask for; answers the open connection. */
function startMonitor(s: OfctlSession, argv: readonly string[], mo: MonitorOptions): Vconn {
  const [, name = "", ...args] = argv;
  if (args.includes("invalid_ttl")) {
    if ((s.versions & INVALID_TTL_VERSIONS) === 0) {
      const names = formatVersionBitmapNames(INVALID_TTL_VERSIONS);
      ofctlFatal(
        `invalid_ttl requires one of the OpenFlow versions ${names} but none is enabled (use -O)`,
      );
    }
    s.versions &= INVALID_TTL_VERSIONS;
  }
  const v = s.open(name);
  let monitorId = 0;
  for (const arg of args) {
    if (/^\d/.test(arg)) {
      changeConfig(s, v, (c) => ({ ...c, missSendLen: atoi(arg) & 0xffff }));
    } else if (arg === "invalid_ttl") {
      wantInvalidTtl(s, v);
    } else if (arg.startsWith("watch:")) {
      watch(s, v, arg.slice("watch:".length), monitorId++);
    } else if (arg === "resume") {
      mo.resume = true;
      changeConfig(s, v, (c) => ({ ...c, missSendLen: 0xffff }));
    } else {
      ofctlFatal(`${arg}: unsupported "monitor" argument`);
    }
  }
  choosePacketInFormat(s, v);
  return v;
}

function changeConfig(s: OfctlSession, v: Vconn, change: (c: SwitchConfig) => SwitchConfig): void {
  const config = change(fetchConfig(s, v));
  s.transactNoreply(v, encodeSetConfig(config, v.version, v.nextXid()));
}

function wantInvalidTtl(s: OfctlSession, v: Vconn): void {
  if (fetchConfig(s, v).invalidTtlToController <= 0) {
    changeConfig(s, v, (c) => ({ ...c, invalidTtlToController: 1 }));
    if (fetchConfig(s, v).invalidTtlToController <= 0) {
      ofctlFatal(
        "setting invalid_ttl_to_controller failed (this " +
          "switch probably doesn't support this flag)",
      );
    }
  }
}

function watch(s: OfctlSession, v: Vconn, text: string, id: number): void {
  const { request, usable } = s.must(parseFlowMonitorRequest(text, s.accept(v.name), id));
  if ((usable & s.protocols) === 0) {
    ofctlFatal(
      `none of the usable flow formats (${protocolsToString(usable)}) is among ` +
        `the allowed flow formats (${protocolsToString(s.protocols)})`,
    );
  }
  const msg = encodeFlowMonitorRequest(request, v.protocol, v.nextXid());
  if (s.options.verbosity > 0) {
    s.print(s.format(msg, 2));
  }
  s.dump(v, msg);
}

/** The newest format of packet-ins that the switch knows, unless the user chose one. */
function choosePacketInFormat(s: OfctlSession, v: Vconn): void {
  const wanted = s.options.packetInFormat;
  const request = (format: number): Uint8Array =>
    encodeSetPacketInFormat(v.version, format, v.nextXid());
  if (wanted !== undefined) {
    const formats = {
      standard: PACKET_IN_FORMAT.STANDARD,
      nxt_packet_in: PACKET_IN_FORMAT.NXT,
      nxt_packet_in2: PACKET_IN_FORMAT.NXT2,
    };
    s.transactNoreply(v, request(formats[wanted]));
  } else if (v.transactNoreply(request(PACKET_IN_FORMAT.NXT2)) !== null && v.version === OFP.v10) {
    v.transactNoreply(request(PACKET_IN_FORMAT.NXT));
  }
}

class Monitor implements Background {
  readonly #s: OfctlSession;
  readonly #v: Vconn;
  readonly #options: MonitorOptions;
  readonly #forget: () => void;
  /** Packets went on since the datapath ran. */
  #resumed = false;

  constructor(s: OfctlSession, v: Vconn, options: MonitorOptions) {
    this.#s = s;
    this.#v = v;
    this.#options = options;
    this.#forget = s.ctx.vs.onRun(() => this.#receive());
  }

  read(): { readonly stdout: string; readonly stderr: string } {
    this.#receive();
    return this.#s.takeOutput();
  }

  /** Shows what has come. A packet that goes on at once may come again. */
  #receive(): void {
    for (let i = 0; i < MONITOR_BURST_MAX; i++) {
      const bytes = this.#v.receive();
      if (bytes !== null) {
        this.#show(bytes);
        this.#answer(bytes);
      } else if (this.#resumed) {
        this.#resumed = false;
        this.#s.ctx.vs.packets?.run();
      } else {
        return;
      }
    }
  }

  stop(): Reply {
    const output = this.read();
    this.#forget();
    this.#v.close();
    return { exit: 0, ...output };
  }

  #show(bytes: Uint8Array): void {
    const { timestamp } = this.#s.options;
    const text = this.#s.format(bytes, 2, this.#s.shown(this.#v.name, this.#v.fullName));
    this.#s.printError(timestamp ? `${this.#now()}: ${text}` : text);
  }

  /** `2026-01-31 13:05:00.123`. */
  #now(): string {
    return new Date(this.#s.ctx.vs.clock.wallMs()).toISOString().replace("T", " ").slice(0, 23);
  }

  #answer(bytes: Uint8Array): void {
    const msg = pullMsg(bytes, this.#s.logSink);
    if (isErr(msg)) {
      return;
    }
    if (msg.type === "ECHO_REQUEST") {
      this.#v.send(encodeEchoReply(msg));
    } else if (msg.type === "PACKET_IN" && this.#options.resume) {
      const pin = decodePacketInPublic(msg, { loose: true, tab: null, vlMff: null });
      if (!isErr(pin) && pin.continuation.length > 0) {
        const resume = encodeResume(pin.pin, pin.continuation, this.#v.protocol);
        const text = this.#s.format(resume, 2, this.#s.shown(this.#v.name, this.#v.fullName));
        this.#s.printError(`send: ${text}`);
        this.#v.send(resume);
        this.#resumed = true;
      }
    }
  }
}

function start(ctx: CommandContext, argv: readonly string[]): Background | Reply {
  const s = new OfctlSession(ctx);
  try {
    const options = { resume: false };
    return new Monitor(s, startMonitor(s, argv, options), options);
  } catch (e) {
    if (!(e instanceof OfctlExit)) {
      throw e;
    }
    const { stdout, stderr } = s.takeOutput();
    return { exit: e.exit, stdout, stderr: stderr + e.stderr };
  }
}

const SNOOP_LIMIT = { name: "connmgr", rate: 1, burst: 5 };

/**
 * A snoop sees what the switch and a controller say to each other, which is nothing here; it is
 * refused if the bridge connects to no controller.
 */
function startSnoop(ctx: CommandContext, argv: readonly string[]): Background | Reply {
  const s = new OfctlSession(ctx);
  s.protocols &= P.ANY;
  const name = argv[1] ?? "";
  const { vs } = ctx;
  const conns = vs.openflowTarget(name)?.ofproto.conns;
  if (conns === undefined) {
    return { exit: 1, stdout: "", stderr: `ovs-ofctl: ${name} is not a bridge or a socket\n` };
  }
  const from = conns.nextServiceName().replace(`${name}<->`, "");
  if (!conns.services.hasActive) {
    vs.log.logRl("connmgr", "info", SNOOP_LIMIT, "no controller connection to snoop");
    const why = `${vs.rundir}/${name}.snoop: failed to open socket (Broken pipe)`;
    return { exit: 1, stdout: "", stderr: `ovs-ofctl: ${why}\n` };
  }
  vs.log.info("rconn", `new monitor connection from ${from}`);
  return { read: () => s.takeOutput(), stop: () => ({ exit: 0, ...s.takeOutput() }) };
}

function runOnce(started: Background | Reply): Reply {
  return "exit" in started ? started : started.stop();
}

const tool = "ovs-ofctl";

export const OFCTL_MONITOR_COMMANDS: readonly Command[] = [
  {
    tool,
    name: "monitor",
    usage: "switch [misslen] [invalid_ttl] [watch:[...]]",
    args: [1, 3],
    doc: "Prints the packets and events that a switch sends to its controllers.",
    run: (ctx, argv) => runOnce(start(ctx, argv)),
    start,
  },
  {
    tool,
    name: "snoop",
    usage: "switch",
    args: [1, 1],
    doc: "Prints what a switch and its controllers send to each other.",
    run: (ctx, argv) => runOnce(startSnoop(ctx, argv)),
    start: startSnoop,
  },
];

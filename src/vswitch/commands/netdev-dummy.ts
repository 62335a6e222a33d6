// netdev-dummy/*: packets for dummy devices, their state and addresses.
//
// ovs: lib/netdev-dummy.c netdev_dummy_receive, eth_from_flow_str and their neighbours.

import type { DummyNetdev } from "../../datapath/dummy-netdev.ts";
import { odpFlowKeyToFlow } from "../../datapath/odp-flow.ts";
import { parseOdpFlow } from "../../datapath/odp-text-parse.ts";
import { flowCompose, packetExpand } from "../../flow/compose.ts";
import { ipv6PrefixBits } from "../../lib/address.ts";
import { parseHexPrefix } from "../../lib/bytes.ts";
import { parseIpv4Masked, parseIpv6Masked } from "../../lib/scan.ts";
import { atoi } from "../../lib/tokens.ts";
import { ETH } from "../../packet/ethernet.ts";
import { PacketBuf } from "../../packet/packet.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
  appctlRows,
  ANY_ARGS,
} from "../command.ts";
import type { VSwitch } from "../vswitch.ts";

/** ovs: ETH_TOTAL_MIN. */
const ETH_TOTAL_MIN = 60;
const L7_BYTES = 64;

function dummy(vs: VSwitch, name: string | undefined): DummyNetdev | null {
  return vs.devices.get(name ?? "")?.netdev ?? null;
}

/** A frame in hex, or null if the text is not one of at least an Ethernet header. */
function packetFromHex(text: string): PacketBuf | null {
  const { bytes, rest } = parseHexPrefix(text);
  return rest === text.length && bytes.length >= ETH.HEADER_BYTES ? PacketBuf.of(bytes) : null;
}

/** A frame from a datapath flow; a text says what is wrong with it. */
function packetFromFlow(text: string, size: number, vlanLimit: number): PacketBuf | string {
  const parsed = parseOdpFlow(text, null, false);
  if (!parsed.ok) {
    return parsed.error.message;
  }
  const { fitness, error, flow } = odpFlowKeyToFlow(parsed.value.key, vlanLimit);
  if (fitness === "error") {
    return error ?? "";
  }
  const p = new PacketBuf();
  if (size === 0) {
    flowCompose(p, flow, L7_BYTES);
    return p;
  }
  flowCompose(p, flow, 0);
  if (p.size > size) {
    return "";
  }
  packetExpand(p, flow, size);
  return p;
}

function receive(ctx: CommandContext, argv: readonly string[]): Reply {
  const dev = dummy(ctx.vs, argv[1]);
  if (dev === null) {
    return appctlError("no such dummy netdev");
  }
  let i = 2;
  if (argv.length > 3 && argv[2] === "--qid") {
    const qid = atoi(argv[3] ?? "");
    if (qid !== 0) {
      return appctlError("bad rx queue id.");
    }
    i = 4;
  }
  for (; i < argv.length; i++) {
    const text = argv[i] as string;
    let p: PacketBuf | string | null = packetFromHex(text);
    if (p === null) {
      let size = 0;
      if (argv[i + 1] === "--len" && i + 2 < argv.length) {
        size = atoi(argv[i + 2] ?? "");
        if (size < ETH_TOTAL_MIN) {
          return appctlError("too small packet len");
        }
        i += 2;
      }
      p = packetFromFlow(text, size, ctx.vs.settings.vlanLimit);
    }
    if (typeof p === "string") {
      return appctlError(p);
    }
    dev.enqueue(p);
  }
  return appctlOk();
}

function setAdminState(ctx: CommandContext, argv: readonly string[]): Reply {
  const word = (argv[argv.length - 1] ?? "").toLowerCase();
  if (word !== "up" && word !== "down") {
    return appctlError("Invalid Admin State");
  }
  const up = word === "up";
  if (argv.length > 2) {
    const dev = dummy(ctx.vs, argv[1]);
    if (dev === null) {
      return appctlError("Unknown Dummy Interface");
    }
    dev.up = up;
    ctx.vs.deviceChanged(dev.name);
    return appctlOk("OK");
  }
  for (const d of ctx.vs.devices.values()) {
    if (d.netdev !== null) {
      d.netdev.up = up;
      ctx.vs.deviceChanged(d.name);
    }
  }
  return appctlOk("OK");
}

/** Whether devices that connect to others have done so; of those that do not, nothing is known. */
function connState(ctx: CommandContext, argv: readonly string[]): Reply {
  const { vs } = ctx;
  const state = (dev: DummyNetdev | null): string => {
    const connected = dev === null ? null : vs.streams.isConnected(dev);
    return connected === null ? "unknown" : connected ? "connected" : "disconnected";
  };
  const [, name] = argv;
  if (name !== undefined) {
    return appctlOk(`${name}: ${state(dummy(vs, name))}\n`);
  }
  const lines = [...vs.devices.values()].map((d) => [d.name, state(d.netdev)] as const);
  const known = lines.filter(([, s]) => s !== "unknown");
  return appctlOk(known.map(([n, s]) => `${n}: ${s}\n`).join(""));
}

function ip4addr(ctx: CommandContext, argv: readonly string[]): Reply {
  const dev = dummy(ctx.vs, argv[1]);
  if (dev === null) {
    return appctlError("Unknown Dummy Interface");
  }
  const r = parseIpv4Masked(argv[2] ?? "");
  if (!r.ok) {
    return appctlError(r.error.message);
  }
  dev.ip4 = r.value.ip;
  dev.ip4Mask = r.value.mask;
  ctx.vs.deviceChanged(dev.name);
  return appctlOk("OK");
}

function ip6addr(ctx: CommandContext, argv: readonly string[]): Reply {
  const dev = dummy(ctx.vs, argv[1]);
  if (dev === null) {
    return appctlError("Unknown Dummy Interface");
  }
  const text = argv[2] ?? "";
  const ip = new Uint32Array(4);
  const mask = new Uint32Array(4);
  const r = parseIpv6Masked(text, ip, mask);
  if (!r.ok) {
    return appctlError(r.error.message);
  }
  if (ipv6PrefixBits(mask) < 0) {
    return appctlError(`${text}: IPv6 CIDR network required`);
  }
  dev.ip6 = ip;
  dev.ip6Mask = mask;
  ctx.vs.deviceChanged(dev.name);
  return appctlOk("OK");
}

const row = appctlRows("netdev-dummy/");

export const NETDEV_DUMMY_COMMANDS: readonly Command[] = [
  row(
    "receive",
    "name [--qid queue_id] packet|flow [--len packet_len]",
    [2, ANY_ARGS],
    "Hands packets, in hex or as datapath flows, to a dummy device as if they had arrived.",
    receive,
  ),
  row("set-admin-state", "[netdev] up|down", [1, 2], "Switches devices on or off.", setAdminState),
  row("conn-state", "[netdev]", [0, 1], "Says whether a device's socket is connected.", connState),
  row("ip4addr", "[netdev] ipaddr/mask-prefix-len", [2, 2], "Gives a device an address.", ip4addr),
  row("ip6addr", "[netdev] ip6addr", [2, 2], "Gives a device an IPv6 address.", ip6addr),
];

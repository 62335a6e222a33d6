// dpif/*: bridges and what the datapath below them does.
//
// ovs: ofproto/ofproto-dpif.c ofproto_unixctl_dpif_*.

import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { hashString } from "../../lib/hash.ts";
import { OvsMap } from "../../lib/hmap.ts";
import { strToInt } from "../../lib/number.ts";
import { type DpSupport, ODPP_NONE } from "../../openflow/xbridge.ts";
import { xlateLookup } from "../../openflow/xlate-lookup.ts";
import type { Backer } from "../backer.ts";
import type { Bridge } from "../bridge.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
  appctlRows,
  ANY_ARGS,
} from "../command.ts";
import { formatDeviceConfig } from "../device-config.ts";
import type { VSwitch } from "../vswitch.ts";
import { formatFlowStats, formatMegaflowKey, formatUfid } from "../megaflow-text.ts";
import { allPortNames, packetsOf } from "./dpctl-params.ts";

/** What each feature is called for people, in the order in which it is listed. */
const FEATURES: readonly (readonly [keyof DpSupport, string])[] = [
  ["masked_set_action", "Masked set action"],
  ["tnl_push_pop", "Tunnel push pop"],
  ["ufid", "Ufid"],
  ["trunc", "Truncate action"],
  ["clone", "Clone action"],
  ["sample_nesting", "Sample nesting"],
  ["ct_eventmask", "Conntrack eventmask"],
  ["ct_clear", "Conntrack clear"],
  ["max_hash_alg", "Max dp_hash algorithm"],
  ["check_pkt_len", "Check pkt length action"],
  ["ct_timeout", "Conntrack timeout policy"],
  ["explicit_drop_action", "Explicit Drop action"],
  ["lb_output_action", "Optimized Balance TCP mode"],
  ["ct_zero_snat", "Conntrack all-zero IP SNAT"],
  ["add_mpls", "MPLS Label add"],
  ["max_vlan_headers", "Max VLAN headers"],
  ["max_mpls_depth", "Max MPLS depth"],
  ["recirc", "Recirc"],
  ["ct_state", "CT state"],
  ["ct_zone", "CT zone"],
  ["ct_mark", "CT mark"],
  ["ct_label", "CT label"],
  ["ct_state_nat", "CT state NAT"],
  ["ct_orig_tuple", "CT orig tuple"],
  ["ct_orig_tuple6", "CT orig tuple for IPv6"],
  ["nd_ext", "IPv6 ND Extension"],
];

function bridgesByName(vs: VSwitch): Bridge[] {
  return [...vs.bridges.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function dumpDps(ctx: CommandContext): Reply {
  const names = bridgesByName(ctx.vs).map((b) => `${b.backer.type}@${b.name}\n`);
  return appctlOk(names.toSorted((a, b) => (a < b ? -1 : 1)).join(""));
}

function showBacker(vs: VSwitch, backer: Backer): string {
  const stats = packetsOf(vs)?.pair(backer).dp.stats;
  let s = `${backer.type}@${backer.name}: hit:${stats?.hits ?? 0} missed:${stats?.misses ?? 0}\n`;
  for (const bridge of bridgesByName(vs)) {
    if (bridge.backer !== backer) {
      continue;
    }
    s += `  ${bridge.name}:\n`;
    const ifaces = [...bridge.ifaces.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    for (const i of ifaces) {
      const odp = i.xport.odpPort === ODPP_NONE ? "none" : String(i.xport.odpPort);
      const config = formatDeviceConfig(i.device);
      const type = config === "" ? i.device.type : `${i.device.type}:${config}`;
      s += `    ${i.name} ${i.ofport.portNo}/${odp}: (${type})\n`;
    }
  }
  return s;
}

function show(ctx: CommandContext): Reply {
  const backers = [...ctx.vs.backers.values()].toSorted((a, b) => (a.type < b.type ? -1 : 1));
  return appctlOk(backers.map((b) => showBacker(ctx.vs, b)).join(""));
}

function dumpFlows(ctx: CommandContext, argv: readonly string[]): Reply {
  const { vs } = ctx;
  const bridge = vs.bridges.get(argv[argv.length - 1] ?? "");
  const packets = packetsOf(vs);
  if (bridge === undefined || packets === null) {
    return appctlError("no such bridge");
  }
  const options = argv.slice(1, -1);
  const verbose = options.includes("-m");
  let names = verbose;
  for (const o of options) {
    names = o === "--names" ? true : o === "--no-names" ? false : names;
  }
  const pair = packets.pair(bridge.backer);
  const portNames = names ? allPortNames(pair) : null;
  let s = "";
  pair.udpif.dpifLog?.listed(pair.dp.flows.values());
  for (const f of pair.dp.flows.values()) {
    const found = xlateLookup(vs.xcfg, vs.recircs, pair.dp.type, f.key);
    if (typeof found === "string" || found.xbridge !== bridge.xbridge) {
      continue;
    }
    const key = formatMegaflowKey(f, pair.dp.vlanLimit, portNames, verbose);
    const stats = formatFlowStats(f, vs.clock.nowMs());
    const ufid = verbose ? `${formatUfid(f)} ` : "";
    s += `${ufid}${key}, ${stats}, actions:${formatOdpActions(f.actions, portNames)}\n`;
  }
  return appctlOk(s);
}

function showFeatures(ctx: CommandContext, argv: readonly string[]): Reply {
  const bridge = ctx.vs.bridges.get(argv[argv.length - 1] ?? "");
  if (bridge === undefined) {
    return appctlError("no such bridge");
  }
  const { bootSupport } = bridge.backer;
  const lines = FEATURES.map(([name, title]) => {
    const v = bootSupport[name];
    return `${title}: ${typeof v === "boolean" ? (v ? "Yes" : "No") : v}\n`;
  });
  return appctlOk(lines.join(""));
}

/** A feature with its present value and what the datapath could do at first. */
function featureLine(b: Backer, name: keyof DpSupport, title: string): string {
  const { support, bootSupport } = b;
  return `${name} (${title}) : [run time]:${support[name]}, [boot time]:${bootSupport[name]}\n`;
}

/** All features in the order of the hash map in which Open vSwitch keeps them. */
function featureLines(b: Backer): string {
  const order = new OvsMap<string, (typeof FEATURES)[number]>((name) => hashString(name));
  for (const row of FEATURES) {
    order.set(row[0], row);
  }
  return [...order.values()].map(([name, title]) => featureLine(b, name, title)).join("");
}

/** Changes a feature; a text says why not. */
function changeFeature(b: Backer, name: keyof DpSupport, value: string): string {
  const { support, bootSupport } = b;
  const boot = bootSupport[name];
  if (typeof boot === "boolean") {
    const lower = value.toLowerCase();
    if (lower !== "true" && lower !== "false") {
      return "Boolean value expected";
    }
    if (lower === "true" && !boot) {
      return "Can not enable features not supported by the datapth";
    }
    Object.assign(support, { [name]: lower === "true" });
    return "";
  }
  const v = strToInt(value, 10);
  if (v === undefined) {
    return "Integer number expected";
  }
  if (v < 0) {
    return "Negative number not expected";
  }
  if (v > boot) {
    return "Can not set value beyond the datapath capability";
  }
  Object.assign(support, { [name]: v });
  return "";
}

function setFeatures(ctx: CommandContext, argv: readonly string[]): Reply {
  const bridge = ctx.vs.bridges.get(argv[1] ?? "");
  if (bridge === undefined) {
    return appctlError("no such bridge");
  }
  const { backer } = bridge;
  if (argv.length < 3) {
    return appctlOk(featureLines(backer));
  }
  const feature = FEATURES.find(([n]) => n === argv[2]);
  if (feature === undefined) {
    return appctlOk("Unexpected support field");
  }
  const [name, title] = feature;
  if (argv.length < 4) {
    return appctlOk(featureLine(backer, name, title));
  }
  const error = changeFeature(backer, name, argv[3] ?? "");
  if (error === "") {
    packetsOf(ctx.vs)?.pair(backer).udpif.flush();
    ctx.vs.packets?.needRevalidate();
  }
  return appctlOk(error);
}

const row = appctlRows("dpif/");

export const DPIF_COMMANDS: readonly Command[] = [
  row("dump-dps", "", [0, 0], "Lists the bridges.", dumpDps),
  row("show", "", [0, 0], "Shows datapaths with their bridges and ports.", show),
  row(
    "dump-flows",
    "[-m] [--names | --no-names] bridge",
    [1, ANY_ARGS],
    "Prints the datapath flows of a bridge.",
    dumpFlows,
  ),
  row("show-dp-features", "bridge", [1, 1], "Tells what the datapath can do.", showFeatures),
  row(
    "set-dp-features",
    "bridge",
    [1, 3],
    "Shows or takes away features of the datapath, for tests.",
    setFeatures,
  ),
];

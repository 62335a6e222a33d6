// dpctl/add-dp, del-dp, add-if, del-if, set-if and dpif-dummy/change-port-number: datapaths and their
// ports by hand, behind the back of the database.
//
// A datapath that is made so belongs to no bridge: its flows are those that dpctl/add-flow puts in,
// and nobody takes packets from its ports. It goes when a bridge comes that is the first of its
// type. What is done to the ports of a bridge's datapath the switch undoes: a port that no bridge knows is taken away at once, one that is deleted comes back
// when the switch is configured next. Tunnels cannot be such ports here.
// ovs: lib/dpctl.c; lib/dpif-netdev.c dpif_netdev_open, dpif_netdev_port_add,
// dpif_dummy_change_port_number; ofproto/ofproto-dpif.c process_dpif_port_change.

import { strToInt } from "../../lib/number.ts";
import { atoi } from "../../lib/tokens.ts";
import { ODPP_NONE } from "../../openflow/xbridge.ts";
import { Backer, DP_TYPES, type DpPort } from "../backer.ts";
import type { Bridge, Iface } from "../bridge.ts";
import { destroyIface, renumberPort } from "../bridge-ports.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
} from "../command.ts";
import { closeDevice, configureDevice, type Device, openDevice } from "../device.ts";
import type { DatapathPair } from "../packets.ts";
import { destroyPort } from "../reconfigure.ts";
import type { VSwitch } from "../vswitch.ts";
import { type DpctlRun, dpctlRow, ERRNO, type Errno, packetsOf } from "./dpctl-params.ts";

const ANY = Number.MAX_SAFE_INTEGER;
/** Kinds of devices that can be ports by hand. */
const DEVICE_TYPES = ["dummy", "dummy-internal", "dummy-pmd", "system"];

function dpName(text: string): readonly [type: string, name: string] {
  const at = text.indexOf("@");
  const type = at < 0 ? "" : text.slice(0, at);
  return [type === "" ? "system" : type, text.slice(at + 1)];
}

/** The datapath that the first argument names; an error if there is none. */
function openFirst(r: DpctlRun): DatapathPair | null {
  const pair = r.find(r.argv[1] ?? "");
  if (pair === null) {
    const [, name] = dpName(r.argv[1] ?? "");
    const other = r.datapaths().some(({ dp }) => dp.name === name);
    r.error(other ? "EINVAL" : "ENODEV", "opening datapath");
  }
  return pair;
}

function isHandmade(vs: VSwitch, pair: DatapathPair): boolean {
  return packetsOf(vs)?.handmade.get(pair.dp.name) === pair;
}

function addDp(r: DpctlRun): void {
  const { vs } = r.ctx;
  const [type, name] = dpName(r.argv[1] ?? "");
  const known = DP_TYPES.find((t) => t === type);
  if (known === undefined) {
    vs.log.warn("dpif", `could not create datapath ${name} of unknown type ${type}`);
    r.error("EAFNOSUPPORT", "add_dp");
    return;
  }
  const there = r.datapaths().find(({ dp }) => dp.name === name);
  if (there !== undefined) {
    r.error(there.dp.type === type ? "EEXIST" : "EINVAL", "add_dp");
    return;
  }
  vs.log.info("dpif_netdev_extract", "Default MFEX Extract implementation is scalar.");
  const own = openDevice(vs, name, "dummy-internal");
  if ("errno" in own) {
    r.error(null, `add_dp (${own.errno})`);
    return;
  }
  packetsOf(vs)?.addHandmade(new Backer(known, vs.settings.vlanLimit, name, own.device));
  if (r.argv.length > 2) {
    addIfs(r);
  }
}

function delDp(r: DpctlRun): void {
  const pair = openFirst(r);
  const { vs } = r.ctx;
  // A datapath that bridges use outlasts it.
  if (pair !== null && isHandmade(vs, pair)) {
    packetsOf(vs)?.dropHandmadeOne(pair.dp.name);
  }
}

/** Closes a device unless something else uses it. */
function dropDevice(vs: VSwitch, device: Device): void {
  if (packetsOf(vs)?.usesDevice(device) !== true) {
    closeDevice(vs, device);
  }
}

interface IfaceArg {
  readonly name: string;
  type: string | null;
  portNo: number | null;
  /** `type` and `port_no` in the order in which they were given. */
  readonly given: ("type" | "port_no")[];
  readonly options: Map<string, string>;
}

/** "NAME,key=value,..." with the options `type` and `port_no`; null without a name. */
function parseIface(r: DpctlRun, text: string, complain: boolean): IfaceArg | null {
  const [name, ...rest] = text.split(",").filter((word) => word !== "");
  if (name === undefined) {
    r.error(null, `${text} is not a valid network device name`);
    return null;
  }
  const arg: IfaceArg = { name, type: null, portNo: null, given: [], options: new Map() };
  for (const option of rest) {
    const eq = option.indexOf("=");
    const key = eq < 0 ? option : option.slice(0, eq);
    const value = eq < 0 ? "" : option.slice(eq + 1);
    if (key === "type") {
      arg.type = value;
      arg.given.push(key);
    } else if (key === "port_no") {
      arg.portNo = atoi(value);
      arg.given.push(key);
    } else if (complain && arg.options.has(key)) {
      r.error(null, `duplicate "${key}" option`);
    } else {
      arg.options.set(key, value);
    }
  }
  return arg;
}

function addIfs(r: DpctlRun): void {
  const pair = openFirst(r);
  for (const text of pair === null ? [] : r.argv.slice(2)) {
    // A repeated option is told, but the command does not fail for it.
    const { failed } = r;
    const arg = parseIface(r, text, true);
    if (arg !== null) {
      r.failed = failed;
      addIf(r, pair as DatapathPair, arg);
    }
  }
}

function addIf(r: DpctlRun, pair: DatapathPair, arg: IfaceArg): void {
  const { vs } = r.ctx;
  const { name, options } = arg;
  const type = arg.type ?? "system";
  const failed = (errno: Errno): void => {
    const dp = `${pair.dp.type}@${pair.dp.name}`;
    vs.log.warn("dpif", `${dp}: failed to add ${name} as port: ${ERRNO[errno]}`);
    r.error(errno, `adding ${name} to ${r.argv[1]} failed`);
  };
  if (type === "internal") {
    failed("EINVAL");
    return;
  }
  const opened = openDevice(vs, name, type);
  if ("errno" in opened) {
    r.error(null, `${name}: failed to open network device (${opened.errno})`);
    return;
  }
  const { device } = opened;
  const error = configureDevice(vs, device, options);
  if (error !== null) {
    r.failed = true;
    dropDevice(vs, device);
  } else if (!DEVICE_TYPES.includes(type)) {
    r.error("EOPNOTSUPP", `${name}: only bridges have ports of type ${type} here`);
    dropDevice(vs, device);
  } else {
    const errno = addPort(vs, pair, device, arg.portNo ?? ODPP_NONE);
    if (errno !== null) {
      failed(errno);
    }
    dropDevice(vs, device);
  }
}

function addPort(vs: VSwitch, pair: DatapathPair, device: Device, wanted: number): Errno | null {
  const { backer } = pair;
  if (wanted !== ODPP_NONE && backer.ports.has(wanted)) {
    return "EBUSY";
  }
  if (backer.portByName(device.name) !== undefined) {
    return "EEXIST";
  }
  if (!isHandmade(vs, pair)) {
    // No bridge has such a port: the switch takes it away as soon as it sees it.
    return null;
  }
  if (backer.addNumbered(device.name, device, wanted) === ODPP_NONE) {
    return "EFBIG";
  }
  if (device.netdev !== null) {
    device.netdev.up = true;
  }
  return null;
}

function setIfs(r: DpctlRun): void {
  const pair = openFirst(r);
  for (const text of pair === null ? [] : r.argv.slice(2)) {
    const arg = parseIface(r, text, false);
    if (arg !== null) {
      setIf(r, pair as DatapathPair, arg);
    }
  }
}

function setIf(r: DpctlRun, { backer }: DatapathPair, arg: IfaceArg): void {
  const { name, type, portNo } = arg;
  const port = backer.portByName(name);
  if (port === undefined) {
    r.error("ENODEV", `${name}: failed to query port in ${r.argv[1]}`);
    return;
  }
  const { odpPort } = port;
  const wrong = {
    type: type !== port.type && `can't change type from ${port.type} to ${type}`,
    port_no: portNo !== odpPort && `can't change port number from ${odpPort} to ${portNo}`,
  };
  const complaint = arg.given.map((key) => wrong[key]).find((text) => text !== false);
  if (complaint !== undefined) {
    r.error(null, `${name}: ${complaint}`);
  } else if (port.device !== null) {
    const options = new Map(port.device.options);
    for (const [key, value] of arg.options) {
      if (value === "") {
        options.delete(key);
      } else {
        options.set(key, value);
      }
    }
    configureDevice(r.ctx.vs, port.device, options);
  }
}

function delIfs(r: DpctlRun): void {
  const pair = openFirst(r);
  for (const name of pair === null ? [] : r.argv.slice(2)) {
    delIf(r, pair as DatapathPair, name);
  }
}

function delIf(r: DpctlRun, pair: DatapathPair, name: string): void {
  const { vs } = r.ctx;
  const { backer, dp } = pair;
  const isNumber = /^\d*$/.test(name);
  const port = isNumber ? backer.ports.get(atoi(name)) : backer.portByName(name);
  if (port === undefined && !isNumber) {
    r.error(null, `no port named ${name}`);
    return;
  }
  if (port === undefined || port.odpPort === 0) {
    const errno = port === undefined ? "ENODEV" : "EINVAL";
    vs.log.warn("dpif", `${dp.type}@${dp.name}: port_del failed (${ERRNO[errno]})`);
    r.error(errno, `deleting port ${name} from ${r.argv[1]} failed`);
    return;
  }
  const owner = isHandmade(vs, pair) ? null : ownerOf(vs, backer, port);
  if (owner !== null) {
    loseIface(...owner);
  } else if (isHandmade(vs, pair)) {
    backer.deletePort(port.odpPort);
    if (port.device !== null) {
      dropDevice(vs, port.device);
    }
  } else {
    r.error("EOPNOTSUPP", `deleting port ${name} from ${r.argv[1]} failed`);
  }
}

/** Whose port it is; null for one that tunnels share. */
function ownerOf(vs: VSwitch, backer: Backer, port: DpPort): readonly [Bridge, Iface] | null {
  for (const br of vs.bridges.values()) {
    const iface = br.backer === backer ? br.ifaces.get(port.name) : undefined;
    if (iface !== undefined && iface.xport.odpPort === port.odpPort) {
      return [br, iface];
    }
  }
  return null;
}

/** A bridge finds that one of its ports is gone. */
function loseIface(br: Bridge, iface: Iface): void {
  const { port } = iface;
  if (port.ifaces.length === 1) {
    destroyPort(br, port);
  } else {
    destroyIface(br, iface);
  }
  br.vs.packets?.needRevalidate();
}

function changePortNumber(ctx: CommandContext, argv: readonly string[]): Reply {
  const [, dp = "", name = "", number = ""] = argv;
  const { vs } = ctx;
  const packets = packetsOf(vs);
  const pairs = [...(packets?.all() ?? []), ...(packets?.handmade.values() ?? [])];
  const pair = pairs.find((p) => p.dp.name === dp);
  if (pair === undefined) {
    return appctlError("unknown datapath or not a dummy");
  }
  const port = pair.backer.portByName(name);
  if (port === undefined) {
    return appctlError("unknown port");
  }
  const n = strToInt(number, 10);
  if (n === undefined || n <= 0) {
    return appctlError("bad port number");
  }
  if (pair.backer.ports.has(n)) {
    return appctlError("port number already in use");
  }
  const owner = isHandmade(vs, pair) ? null : ownerOf(vs, pair.backer, port);
  if (owner === null && port.device === null) {
    return appctlError("ports that devices share keep their numbers here");
  }
  pair.backer.renumber(port, n);
  if (owner !== null) {
    renumberPort(owner[0], owner[1].xport, n);
    vs.packets?.needRevalidate();
  }
  return appctlOk();
}

export const DPCTL_PORT_COMMANDS: readonly Command[] = [
  dpctlRow("add-dp", "dp [iface...]", [1, ANY], "Makes a datapath that no bridge uses.", addDp),
  dpctlRow("del-dp", "dp", [1, 1], "Takes away a datapath that add-dp made.", delDp),
  dpctlRow("add-if", "dp iface...", [2, ANY], "Adds ports to a datapath.", addIfs),
  dpctlRow("del-if", "dp iface...", [2, ANY], "Takes ports away from a datapath.", delIfs),
  dpctlRow("set-if", "dp iface...", [2, ANY], "Changes the options of ports.", setIfs),
  {
    tool: "ovs-appctl",
    name: "dpif-dummy/change-port-number",
    usage: "dp port new-number",
    args: [3, 3],
    doc: "Gives a port of a datapath another number.",
    run: changePortNumber,
  },
];

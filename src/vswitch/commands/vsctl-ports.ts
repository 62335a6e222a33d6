// Commands of ovs-vsctl about bridges, ports and interfaces.
//
// Reference: ovs: utilities/ovs-vsctl.c cmd_add_br, add_port, cmd_del_port and their like.

import { ANY_ARGS } from "../command.ts";
import { compareText } from "../../ovsdb/atom.ts";
import type { Row } from "../../ovsdb/database.ts";
import { mapDatum, setDatum } from "../../ovsdb/datum.ts";
import { atoll } from "./misc.ts";
import {
  addReference,
  type CtlBridge,
  type CtlPort,
  Inventory,
  realRow,
  removeReference,
} from "./vsctl-bridges.ts";
import {
  type CtlCommand,
  type CtlRow,
  ctlCommands,
  type CtlContext,
  die,
  escapeArgs,
  rootRow,
  sortedLines,
  VsctlFatal,
} from "./vsctl-core.ts";
import { setColumn } from "./vsctl-db.ts";

function arg(ctx: CtlContext, i: number): string {
  return ctx.argv[i] ?? "";
}

/** Options and arguments of a command as messages repeat them. */
function commandText(ctx: CtlContext): string {
  return escapeArgs([...ctx.options.keys(), ...ctx.argv]);
}

/** Checks what --may-exist requires of a bridge that is there. */
function checkExistingBridge(br: CtlBridge, parent: string | undefined, vlan: number): void {
  const { name } = br;
  if (parent === undefined) {
    if (br.parent !== undefined) {
      die(`"--may-exist add-br ${name}" but ${name} is a VLAN bridge for VLAN ${br.vlan}`);
    }
    return;
  }
  const what = `"--may-exist add-br ${name} ${parent} ${vlan}" but ${name}`;
  if (br.parent === undefined) {
    die(`${what} is not a VLAN bridge`);
  }
  if (br.parent.name !== parent) {
    die(`${what} has the wrong parent ${br.parent.name}`);
  }
  if (br.vlan !== vlan) {
    die(`${what} is a VLAN bridge for the wrong VLAN ${br.vlan}`);
  }
}

/** A port with one internal interface of the same name. */
function insertLocalPort(ctx: CtlContext, name: string): Row {
  const { txn } = ctx;
  const iface = txn.insert("Interface");
  txn.set("Interface", iface.uuid, "name", setDatum([name]));
  txn.set("Interface", iface.uuid, "type", setDatum(["internal"]));
  ctx.newIfaces.push(iface.uuid);
  const port = txn.insert("Port");
  txn.set("Port", port.uuid, "name", setDatum([name]));
  return txn.set("Port", port.uuid, "interfaces", setDatum([iface.uuid]));
}

function addBr(ctx: CtlContext): void {
  const name = arg(ctx, 1);
  if (name === "") {
    die("bridge name must not be empty string");
  }
  if (ctx.argv.length === 3) {
    die("'add-br' command takes exactly 1 or 3 arguments");
  }
  const parentName = ctx.argv[2];
  const vlan = parentName === undefined ? 0 : atoll(arg(ctx, 3));
  if (vlan < 0 || vlan > 4095) {
    die("add-br: vlan must be between 0 and 4095");
  }
  const inv = new Inventory(ctx);
  const there = inv.bridges.get(name);
  if (ctx.options.has("--may-exist") && there !== undefined) {
    checkExistingBridge(there, parentName, vlan);
    return;
  }
  inv.checkConflicts(name, `cannot create a bridge named ${name}`);
  if (parentName === undefined) {
    const port = insertLocalPort(ctx, name);
    const br = ctx.txn.insert("Bridge");
    ctx.txn.set("Bridge", br.uuid, "name", setDatum([name]));
    ctx.txn.set("Bridge", br.uuid, "ports", setDatum([port.uuid]));
    addReference(ctx, rootRow(ctx), "bridges", br.uuid);
    return;
  }
  const parent = inv.bridges.get(parentName);
  if (parent?.parent !== undefined) {
    die("cannot create bridge with fake bridge as parent");
  }
  if (parent === undefined) {
    die(`parent bridge ${parentName} does not exist`);
  }
  const conflict = parent.children.get(vlan);
  if (conflict !== undefined) {
    die(`bridge ${parentName} already has a child VLAN bridge ${conflict.name} on VLAN ${vlan}`);
  }
  const port = insertLocalPort(ctx, name);
  ctx.txn.set("Port", port.uuid, "fake_bridge", setDatum([true]));
  ctx.txn.set("Port", port.uuid, "tag", setDatum([BigInt(vlan)]));
  addReference(ctx, realRow(parent), "ports", port.uuid);
}

function deletePort(ctx: CtlContext, port: CtlPort): void {
  removeReference(ctx, realRow(port.bridge), "ports", port.row.uuid);
  for (const iface of port.ifaces) {
    ctx.txn.release("Interface", iface.row.uuid);
  }
  ctx.txn.release("Port", port.row.uuid);
}

function deleteBridge(ctx: CtlContext, br: CtlBridge): void {
  for (const child of br.children.values()) {
    deleteBridge(ctx, child);
  }
  for (const port of br.ports) {
    deletePort(ctx, port);
  }
  if (br.row === undefined) {
    return;
  }
  for (const set of ctx.txn.rows("Flow_Sample_Collector_Set")) {
    if (set.text("bridge") === br.row.uuid) {
      ctx.txn.release("Flow_Sample_Collector_Set", set.uuid);
    }
  }
  ctx.txn.release("Bridge", br.row.uuid);
  removeReference(ctx, rootRow(ctx), "bridges", br.row.uuid);
}

function delBr(ctx: CtlContext): void {
  const inv = new Inventory(ctx);
  const name = arg(ctx, 1);
  const br = ctx.options.has("--if-exists") ? inv.bridges.get(name) : inv.bridge(name);
  if (br !== undefined) {
    deleteBridge(ctx, br);
  }
}

function listBr(ctx: CtlContext): void {
  const real = ctx.options.has("--real");
  const fake = ctx.options.has("--fake");
  const names = [...new Inventory(ctx).bridges.values()]
    .filter((br) => (br.parent === undefined ? real || !fake : fake || !real))
    .map((br) => br.name);
  ctx.output += sortedLines(names);
}

function brExists(ctx: CtlContext): void {
  if (!new Inventory(ctx).bridges.has(arg(ctx, 1))) {
    throw new VsctlFatal("", 2);
  }
}

/** Row, key prefix of a bridge's external ids: those of a fake bridge are with its port. */
function externalIds(ctx: CtlContext): { readonly row: Row; readonly prefix: string } {
  const inv = new Inventory(ctx);
  const br = inv.bridge(arg(ctx, 1));
  if (br.row !== undefined) {
    return { row: br.row, prefix: "" };
  }
  const port = inv.ports.get(br.name) ?? die(`no port named ${br.name}`);
  return { row: port.row, prefix: "fake-bridge-" };
}

function brSetExternalId(ctx: CtlContext): void {
  const { row, prefix } = externalIds(ctx);
  const ids = new Map(row.map("external_ids"));
  const key = prefix + arg(ctx, 2);
  const value = ctx.argv[3];
  if (value === undefined) {
    ids.delete(key);
  } else {
    ids.set(key, value);
  }
  ctx.txn.set(row.schema.name, row.uuid, "external_ids", mapDatum(ids));
}

function brGetExternalId(ctx: CtlContext): void {
  const { row, prefix } = externalIds(ctx);
  const ids = row.map("external_ids");
  const key = ctx.argv[2];
  if (key !== undefined) {
    const value = ids.get(prefix + key);
    ctx.output += value === undefined ? "" : `${value}\n`;
    return;
  }
  for (const [k, v] of [...ids].sort((a, b) => compareText(a[0], b[0]))) {
    if (k.startsWith(prefix)) {
      ctx.output += `${k.slice(prefix.length)}=${v}\n`;
    }
  }
}

function brToVlan(ctx: CtlContext): void {
  ctx.output += `${new Inventory(ctx).bridge(arg(ctx, 1)).vlan}\n`;
}

function brToParent(ctx: CtlContext): void {
  const br = new Inventory(ctx).bridge(arg(ctx, 1));
  ctx.output += `${(br.parent ?? br).name}\n`;
}

function listPorts(ctx: CtlContext): void {
  const br = new Inventory(ctx).bridge(arg(ctx, 1));
  ctx.output += sortedLines(br.ports.map((p) => p.row.name()).filter((n) => n !== br.name));
}

function listIfaces(ctx: CtlContext): void {
  const br = new Inventory(ctx).bridge(arg(ctx, 1));
  const names = br.ports.flatMap((p) => p.ifaces.map((i) => i.row.name()));
  ctx.output += sortedLines(names.filter((n) => n !== br.name));
}

function portToBr(ctx: CtlContext): void {
  ctx.output += `${new Inventory(ctx).port(arg(ctx, 1)).bridge.name}\n`;
}

function ifaceToBr(ctx: CtlContext): void {
  ctx.output += `${new Inventory(ctx).iface(arg(ctx, 1)).port.bridge.name}\n`;
}

interface NewPort {
  readonly bridge: string;
  readonly name: string;
  readonly ifaces: readonly string[];
  readonly settings: readonly string[];
  readonly fakeIface: boolean;
}

/** Checks what --may-exist requires of a port that is there. */
function checkExistingPort(ctx: CtlContext, port: CtlPort, wanted: NewPort): void {
  if (port.bridge.name !== wanted.bridge) {
    die(
      `"${commandText(ctx)}" but ${wanted.name} is actually attached to ` +
        `bridge ${port.bridge.name}`,
    );
  }
  const have = port.row
    .texts("interfaces")
    .map((uuid) => ctx.txn.row("Interface", uuid)?.name() ?? "")
    .sort(compareText);
  const want = wanted.ifaces.toSorted(compareText);
  if (have.length !== want.length || have.some((n, i) => n !== want[i])) {
    die(`"${commandText(ctx)}" but ${wanted.name} actually has interface(s) ${have.join(", ")}`);
  }
}

function insertPort(ctx: CtlContext, wanted: NewPort): void {
  if (wanted.name === "") {
    die("port name must not be empty string");
  }
  if (wanted.ifaces.includes("")) {
    die("interface name must not be empty string");
  }
  const inv = new Inventory(ctx);
  const there = ctx.options.has("--may-exist") ? inv.findPort(wanted.name) : undefined;
  if (there !== undefined) {
    checkExistingPort(ctx, there, wanted);
    return;
  }
  inv.checkConflicts(wanted.name, `cannot create a port named ${wanted.name}`);
  for (const name of wanted.ifaces) {
    inv.checkConflicts(name, `cannot create an interface named ${name}`);
  }
  const br = inv.bridge(wanted.bridge);
  const { txn } = ctx;
  const ifaces = wanted.ifaces.map((name) => {
    const { uuid } = txn.insert("Interface");
    txn.set("Interface", uuid, "name", setDatum([name]));
    ctx.newIfaces.push(uuid);
    return uuid;
  });
  const { uuid } = txn.insert("Port");
  txn.set("Port", uuid, "name", setDatum([wanted.name]));
  txn.set("Port", uuid, "interfaces", setDatum(ifaces));
  txn.set("Port", uuid, "bond_fake_iface", setDatum([wanted.fakeIface]));
  if (br.parent !== undefined) {
    txn.set("Port", uuid, "tag", setDatum([BigInt(br.vlan)]));
  }
  for (const setting of wanted.settings) {
    setColumn(ctx, txn.row("Port", uuid) ?? die(`no port named ${wanted.name}`), setting);
  }
  addReference(ctx, realRow(br), "ports", uuid);
}

function addPort(ctx: CtlContext): void {
  insertPort(ctx, {
    bridge: arg(ctx, 1),
    name: arg(ctx, 2),
    ifaces: [arg(ctx, 2)],
    settings: ctx.argv.slice(3),
    fakeIface: false,
  });
}

function addBond(ctx: CtlContext): void {
  const rest = ctx.argv.slice(3);
  const firstSetting = rest.findIndex((a) => a.includes("="));
  const n = firstSetting < 0 ? rest.length : firstSetting;
  if (n < 2) {
    die(`add-bond requires at least 2 interfaces, but only ${n} were specified`);
  }
  insertPort(ctx, {
    bridge: arg(ctx, 1),
    name: arg(ctx, 2),
    ifaces: rest.slice(0, n),
    settings: rest.slice(n),
    fakeIface: ctx.options.has("--fake-iface"),
  });
}

function addBondIface(ctx: CtlContext): void {
  const inv = new Inventory(ctx);
  const port = inv.port(arg(ctx, 1));
  const name = arg(ctx, 2);
  const there = ctx.options.has("--may-exist") ? inv.findIface(name) : undefined;
  if (there !== undefined) {
    if (there.port !== port) {
      const other = there.port.row.name();
      die(`"${commandText(ctx)}" but ${name} is actually attached to port ${other}`);
    }
    return;
  }
  inv.checkConflicts(name, `cannot create an interface named ${name}`);
  const { uuid } = ctx.txn.insert("Interface");
  ctx.txn.set("Interface", uuid, "name", setDatum([name]));
  ctx.newIfaces.push(uuid);
  addReference(ctx, port.row, "interfaces", uuid);
}

function delBondIface(ctx: CtlContext): void {
  const inv = new Inventory(ctx);
  const name = ctx.argv.at(-1) ?? "";
  const iface = ctx.options.has("--if-exists") ? inv.findIface(name) : inv.iface(name);
  if (iface === undefined) {
    return;
  }
  if (ctx.argv.length > 2 && inv.port(arg(ctx, 1)) !== iface.port) {
    die(`port ${arg(ctx, 1)} does not have an interface ${name}`);
  }
  if (iface.port.ifaces.length === 1) {
    die(`cannot delete last interface from port ${iface.port.row.name()}`);
  }
  removeReference(ctx, iface.port.row, "interfaces", iface.row.uuid);
  ctx.txn.release("Interface", iface.row.uuid);
}

/** The port that `del-port` means; undefined if it need not exist. */
function portToDelete(ctx: CtlContext, inv: Inventory, name: string): CtlPort | undefined {
  const mustExist = !ctx.options.has("--if-exists");
  if (inv.bridges.has(name)) {
    return mustExist
      ? die(
          `cannot delete port ${name} because it is the local port for bridge ${name} ` +
            "(deleting this port requires deleting the entire bridge)",
        )
      : undefined;
  }
  if (!ctx.options.has("--with-iface")) {
    return mustExist ? inv.port(name) : inv.findPort(name);
  }
  const port = inv.findPort(name) ?? inv.findIface(name)?.port;
  return port ?? (mustExist ? die(`no port or interface named ${name}`) : undefined);
}

function delPort(ctx: CtlContext): void {
  const inv = new Inventory(ctx);
  const port = portToDelete(ctx, inv, ctx.argv.at(-1) ?? "");
  if (port === undefined) {
    return;
  }
  if (ctx.argv.length === 3) {
    const br = inv.bridge(arg(ctx, 1));
    if (port.bridge !== br) {
      const head = `bridge ${arg(ctx, 1)} does not have a port ${arg(ctx, 2)}`;
      die(
        port.bridge.parent === br
          ? `${head} (although its child bridge ${port.bridge.name} does)`
          : head,
      );
    }
  }
  deletePort(ctx, port);
}

const ROWS: readonly CtlRow[] = [
  ["init", 0, 0, "", "", true, () => {}, "Makes sure that the database has its root row."],
  [
    "add-br",
    1,
    3,
    "NEW-BRIDGE [PARENT] [NEW-VLAN]",
    "--may-exist",
    true,
    addBr,
    "Creates a bridge.",
  ],
  ["del-br", 1, 1, "BRIDGE", "--if-exists", true, delBr, "Deletes a bridge and all of its ports."],
  ["list-br", 0, 0, "", "--real,--fake", false, listBr, "Lists the names of all bridges."],
  [
    "br-exists",
    1,
    1,
    "BRIDGE",
    "",
    false,
    brExists,
    "Exits with status 2 if there is no such bridge.",
  ],
  ["br-to-vlan", 1, 1, "BRIDGE", "", false, brToVlan, "Prints the VLAN of a bridge."],
  ["br-to-parent", 1, 1, "BRIDGE", "", false, brToParent, "Prints the parent of a bridge."],
  [
    "br-set-external-id",
    2,
    3,
    "BRIDGE KEY [VALUE]",
    "",
    true,
    brSetExternalId,
    "Sets or removes an external id of a bridge.",
  ],
  [
    "br-get-external-id",
    1,
    2,
    "BRIDGE [KEY]",
    "",
    false,
    brGetExternalId,
    "Prints external ids of a bridge.",
  ],
  ["list-ports", 1, 1, "BRIDGE", "", false, listPorts, "Lists the ports of a bridge."],
  [
    "add-port",
    2,
    ANY_ARGS,
    "BRIDGE NEW-PORT [COLUMN[:KEY]=VALUE]...",
    "--may-exist",
    true,
    addPort,
    "Adds a port with one interface to a bridge.",
  ],
  [
    "del-port",
    1,
    2,
    "[BRIDGE] PORT|IFACE",
    "--if-exists,--with-iface",
    true,
    delPort,
    "Deletes a port.",
  ],
  ["port-to-br", 1, 1, "PORT", "", false, portToBr, "Prints the bridge that has a port."],
  [
    "add-bond",
    4,
    ANY_ARGS,
    "BRIDGE BOND IFACE... [COLUMN[:KEY]=VALUE]...",
    "--may-exist,--fake-iface",
    true,
    addBond,
    "Adds a bonded port to a bridge.",
  ],
  [
    "add-bond-iface",
    2,
    2,
    "BOND IFACE",
    "--may-exist",
    true,
    addBondIface,
    "Adds an interface to a bond.",
  ],
  [
    "del-bond-iface",
    1,
    2,
    "[BOND] IFACE",
    "--if-exists",
    true,
    delBondIface,
    "Deletes an interface from a bond.",
  ],
  ["list-ifaces", 1, 1, "BRIDGE", "", false, listIfaces, "Lists the interfaces of a bridge."],
  ["iface-to-br", 1, 1, "IFACE", "", false, ifaceToBr, "Prints the bridge that has an interface."],
];

export const PORT_CTL_COMMANDS: readonly CtlCommand[] = ctlCommands(ROWS);

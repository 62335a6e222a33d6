// `ovs-vsctl show`: the database as a tree, from the root row along its references.
//
// Reference: ovs: lib/db-ctl-base.c cmd_show_row, utilities/ovs-vsctl.c cmd_show_tables.

import type { Row } from "../../ovsdb/database.ts";
import { isDefaultDatum } from "../../ovsdb/datum.ts";
import { formatDatum } from "../../ovsdb/datum-text.ts";
import type { CtlCommand, CtlContext } from "./vsctl-core.ts";

interface ShowTable {
  /** The column that names a row; undefined shows the UUID. */
  readonly name: string | undefined;
  readonly columns: readonly string[];
}

const SHOW: Readonly<Record<string, ShowTable>> = {
  Open_vSwitch: { name: undefined, columns: ["manager_options", "bridges", "ovs_version"] },
  Bridge: { name: "name", columns: ["controller", "fail_mode", "datapath_type", "ports"] },
  Port: { name: "name", columns: ["tag", "trunks", "interfaces"] },
  Interface: { name: "name", columns: ["type", "options", "error", "bfd_status"] },
  Controller: { name: "target", columns: ["is_connected"] },
  Manager: { name: "target", columns: ["is_connected"] },
};

function showRow(ctx: CtlContext, row: Row, level: number, shown: Set<string>): void {
  const table = row.schema;
  const show = SHOW[table.name];
  const indent = (n: number) => " ".repeat(4 * n);
  const nameColumn = show?.name === undefined ? undefined : table.columns.get(show.name);
  ctx.output +=
    nameColumn === undefined
      ? `${indent(level)}${row.uuid}\n`
      : `${indent(level)}${table.name} ${formatDatum(row.at(nameColumn), nameColumn.type)}\n`;
  if (show === undefined || shown.has(table.name)) {
    return;
  }
  shown.add(table.name);
  for (const name of show.columns) {
    const column = table.columns.get(name);
    const datum = column === undefined ? undefined : row.at(column);
    if (column === undefined || datum === undefined) {
      continue;
    }
    const target = column.type.key.refTable;
    if (target !== undefined && SHOW[target] !== undefined) {
      for (const uuid of datum.keys) {
        const next = ctx.txn.row(target, String(uuid));
        if (next !== undefined) {
          showRow(ctx, next, level + 1, shown);
        }
      }
    } else if (!isDefaultDatum(datum, column.type)) {
      ctx.output += `${indent(level + 1)}${name}: ${formatDatum(datum, column.type)}\n`;
    }
  }
  shown.delete(table.name);
}

export const SHOW_CTL_COMMANDS: readonly CtlCommand[] = [
  {
    name: "show",
    args: [0, 0],
    usage: "",
    options: "",
    writes: false,
    doc: "Prints an overview of the database.",
    run: (ctx) => {
      for (const row of ctx.txn.rows("Open_vSwitch")) {
        showRow(ctx, row, 0, new Set());
      }
    },
  },
];

// Tables of values as text, in the formats of the database tools.
//
// Reference: ovs: lib/table.c.

import { encodeUtf8 } from "../lib/bytes.ts";
import { type Datum, datumToJson } from "./datum.ts";
import { formatDatum, formatDatumBare } from "./datum-text.ts";
import { formatJson, type Json } from "./json.ts";
import type { ColumnType } from "./types.ts";

export const TABLE_FORMATS = ["table", "list", "html", "csv", "json"] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];
export const CELL_FORMATS = ["string", "bare", "json"] as const;
export type CellFormat = (typeof CELL_FORMATS)[number];

export interface TableStyle {
  readonly format: TableFormat;
  readonly cells: CellFormat;
  readonly headings: boolean;
  readonly pretty: boolean;
  /** Wider cells are cut in format "table"; 0 is no limit. */
  readonly maxColumnWidth: number;
}

export const DEFAULT_STYLE: TableStyle = {
  format: "list",
  cells: "string",
  headings: true,
  pretty: false,
  maxColumnWidth: 0,
};

/** A value with its type. */
export interface Cell {
  readonly datum: Datum;
  readonly type: ColumnType;
}

export interface TextTable {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

function cellText(cell: Cell, style: TableStyle): string {
  switch (style.cells) {
    case "string":
      return formatDatum(cell.datum, cell.type);
    case "bare":
      return formatDatumBare(cell.datum, cell.type);
    case "json":
      return formatJson(datumToJson(cell.datum, cell.type), { sort: true, pretty: style.pretty });
  }
}

/** Columns count bytes, as printf() does. */
function width(s: string): number {
  return encodeUtf8(s).length;
}

function padCell(s: string, w: number): string {
  const cut = width(s) > w ? s.slice(0, w) : s;
  return cut + " ".repeat(Math.max(0, w - width(cut)));
}

function grid(table: TextTable, style: TableStyle): string {
  const texts = table.rows.map((r) => r.map((c) => cellText(c, style)));
  const widths = table.headings.map((heading, x) => {
    const widest = texts.reduce((w, row) => Math.max(w, width(row[x] ?? "")), 0);
    const max = style.maxColumnWidth;
    const w = max > 0 ? Math.min(widest, max) : widest;
    return style.headings ? Math.max(w, width(heading)) : w;
  });
  const line = (cells: readonly string[]) =>
    `${cells
      .map((c, x) => padCell(c, widths[x] ?? 0))
      .join(" ")
      .replace(/ +$/, "")}\n`;
  const head = style.headings ? line(table.headings) + line(widths.map((w) => "-".repeat(w))) : "";
  return head + texts.map(line).join("");
}

function list(table: TextTable, style: TableStyle): string {
  return table.rows
    .map((row) =>
      row
        .map((cell, x) => {
          const label = style.headings ? `${(table.headings[x] ?? "").padEnd(20)}: ` : "";
          return `${label}${cellText(cell, style)}\n`;
        })
        .join(""),
    )
    .join("\n");
}

const HTML_ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escapeHtml(s: string): string {
  return s.replace(/[&<>"]/g, (c) => HTML_ESCAPES[c] ?? c);
}

const UUIDS = /[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}/g;

function htmlCell(element: string, content: string): string {
  let out = "";
  let last = 0;
  for (const m of content.matchAll(UUIDS)) {
    out += escapeHtml(content.slice(last, m.index));
    out += `<a href="#${m[0]}">${m[0].slice(0, 8)}</a>`;
    last = m.index + m[0].length;
  }
  return `    <${element}>${out}${escapeHtml(content.slice(last))}</${element}>\n`;
}

function html(table: TextTable, style: TableStyle): string {
  const rows = table.rows.map((row) => {
    const cells = row.map((cell, x) => {
      const text = cellText(cell, style);
      return table.headings[x] === "_uuid"
        ? `    <td><a name="${escapeHtml(text)}">${escapeHtml(text.slice(0, 8))}</a></td>\n`
        : htmlCell("td", text);
    });
    return `  <tr>\n${cells.join("")}  </tr>\n`;
  });
  const head = style.headings
    ? `  <tr>\n${table.headings.map((h) => htmlCell("th", h)).join("")}  </tr>\n`
    : "";
  return `<table border=1>\n${head}${rows.join("")}</table>\n`;
}

function csv(table: TextTable, style: TableStyle): string {
  const quote = (s: string) => (/[\n",]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
  const line = (cells: readonly string[]) => `${cells.map(quote).join(",")}\n`;
  const rows = table.rows.map((r) => line(r.map((c) => cellText(c, style))));
  return (style.headings ? line(table.headings) : "") + rows.join("");
}

function json(table: TextTable, style: TableStyle): string {
  const data: Json = {
    headings: table.headings,
    data: table.rows.map((r) => r.map((c) => datumToJson(c.datum, c.type))),
  };
  return `${formatJson(data, { sort: true, pretty: style.pretty })}\n`;
}

/** Text of a table; `first` is false for all but the first table of a run. */
export function formatTable(table: TextTable, style: TableStyle, first: boolean): string {
  const gap = first ? "" : "\n";
  switch (style.format) {
    case "table":
      return gap + grid(table, style);
    case "list":
      return gap + list(table, style);
    case "html":
      return html(table, style);
    case "csv":
      return gap + csv(table, style);
    case "json":
      return json(table, style);
  }
}

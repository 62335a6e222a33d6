// Tables of figures, as Markdown.

export interface Table {
  readonly title: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

export function markdown(table: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `### ${table.title}`,
    "",
    line(table.header),
    line(table.header.map((_, i) => (i === 0 ? "---" : "---:"))),
    ...table.rows.map(line),
    "",
  ].join("\n");
}

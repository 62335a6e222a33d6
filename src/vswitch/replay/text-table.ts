// Tables of text with aligned columns: numbers to the right, words to the left.

/** The lines of a table. The last column may be of any width. */
export function textTable(
  header: readonly string[] | null,
  rows: readonly (readonly string[])[],
): string[] {
  const all = header === null ? rows : [header, ...rows];
  const columns = Math.max(0, ...all.map((r) => r.length));
  const widths: number[] = [];
  const numeric: boolean[] = [];
  for (let i = 0; i < columns; i++) {
    widths.push(all.reduce((w, r) => Math.max(w, (r[i] ?? "").length), 0));
    numeric.push(rows.every((r) => /^[\d,.]+$/.test(r[i] ?? "")));
  }
  return all.map((r) =>
    r
      .map((cell, i) => {
        const width = i === columns - 1 && numeric[i] !== true ? 0 : (widths[i] ?? 0);
        return numeric[i] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
}

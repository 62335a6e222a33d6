// Colour and folding of a trace on a terminal; in a pipe the text is left as it is.
//
// The bytes of a piped trace are those of ovs-appctl. On a terminal rule headings, misses, warnings
// and the verdict get a colour (unless NO_COLOR says otherwise), and lines longer than the terminal
// are folded under their own indentation.

const CODES = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33", cyan: "36" } as const;
type Style = keyof typeof CODES;

/** The style of a line by what it is; the first row that fits. */
const LINE_STYLES: readonly (readonly [RegExp, Style])[] = [
  [/^\s*>>>>/, "red"],
  [/^Datapath actions: drop$/, "red"],
  [/^Datapath actions:/, "green"],
  [/^(Flow|Final flow|Megaflow):/, "cyan"],
  [/^bridge\(/, "bold"],
  [/^={10,}|^-{5,}$/, "dim"],
  [/^\s*\d+\. No match/, "yellow"],
  [/^\s*\d+\. /, "bold"],
  [/^\s*->/, "dim"],
  [/^This flow is handled/, "yellow"],
];

/** Lines narrower than this are not folded further. */
const FOLD_COLUMNS_MIN = 20;

export function renderTrace(text: string): string {
  const { stdout, env } = process;
  if (!stdout.isTTY) {
    return text;
  }
  const colour = env.NO_COLOR === undefined || env.NO_COLOR === "";
  return styleTrace(text, stdout.columns ?? 80, colour);
}

/** The text for a terminal of some columns. */
export function styleTrace(text: string, columns: number, colour: boolean): string {
  return text
    .split("\n")
    .map((line) => {
      const folded = fold(line, columns);
      const style = LINE_STYLES.find(([pattern]) => pattern.test(line))?.[1];
      return colour && style !== undefined && line !== ""
        ? `\x1b[${CODES[style]}m${folded}\x1b[0m`
        : folded;
    })
    .join("\n");
}

/** Breaks a line at commas so that it fits, indented two columns more than it began. */
function fold(line: string, columns: number): string {
  const indent = line.length - line.trimStart().length + 2;
  const room = columns - indent;
  if (line.length <= columns || room < FOLD_COLUMNS_MIN) {
    return line;
  }
  const out: string[] = [];
  let rest = line;
  let width = columns;
  while (rest.length > width) {
    const comma = rest.lastIndexOf(",", width - 1);
    const cut = comma > width / 3 ? comma + 1 : width;
    out.push(rest.slice(0, cut));
    rest = rest.slice(cut);
    width = room;
  }
  out.push(rest);
  return out.join(`\n${" ".repeat(indent)}`);
}

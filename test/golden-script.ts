// The form of recorded sessions: commands as typed, and what the real switch answered.
//
//   # a comment at the top
//   == TITLE                 starts a new switch
//   $ ovs-ofctl add-flows br0 -
//   < table=0,actions=drop   a line of standard input
//   | a line of the answer
//   ! 1                      the exit status, if it is not 0
//
// Words are separated by blanks; one that holds blanks stands in single quotes.

export interface GoldenCommand {
  readonly line: string;
  readonly argv: readonly string[];
  stdin: string;
  output: string;
  exit: number;
}

export interface GoldenSession {
  readonly title: string;
  readonly commands: GoldenCommand[];
}

export interface Golden {
  readonly head: readonly string[];
  readonly sessions: GoldenSession[];
}

function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|([^ ]+)/g)].map((m) => m[1] ?? m[2] ?? "");
}

export function parseGolden(text: string): Golden {
  const head: string[] = [];
  const sessions: GoldenSession[] = [];
  for (const line of text.split("\n")) {
    const session = sessions.at(-1);
    const command = session?.commands.at(-1);
    const rest = line.slice(2);
    if (line.startsWith("== ")) {
      sessions.push({ title: line.slice(3), commands: [] });
    } else if (line.startsWith("$ ")) {
      session?.commands.push({ line: rest, argv: words(rest), stdin: "", output: "", exit: 0 });
    } else if (command === undefined) {
      if (line.startsWith("#")) {
        head.push(line);
      }
    } else if (line.startsWith("< ")) {
      command.stdin += `${rest}\n`;
    } else if (line.startsWith("|")) {
      command.output += `${rest}\n`;
    } else if (line.startsWith("! ")) {
      command.exit = Number(rest);
    }
  }
  return { head, sessions };
}

function prefixed(mark: string, text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") {
    lines.pop();
  }
  return lines.map((l) => (l === "" ? mark : `${mark} ${l}`));
}

export function formatGolden(golden: Golden): string {
  const out = [...golden.head];
  for (const s of golden.sessions) {
    out.push("", `== ${s.title}`);
    for (const c of s.commands) {
      out.push(`$ ${c.line}`, ...prefixed("<", c.stdin), ...prefixed("|", c.output));
      if (c.exit !== 0) {
        out.push(`! ${c.exit}`);
      }
    }
  }
  return `${out.join("\n")}\n`;
}

// `tablewalk shell` at a terminal: a prompt with history and completion, or a script.

import { appendFileSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { complete } from "../vswitch/complete.ts";
import { Script, type ScriptOutput } from "../vswitch/script.ts";
import type { VSwitch } from "../vswitch/vswitch.ts";
import { readStatements } from "../vswitch/words.ts";
import { renderTrace } from "./trace-style.ts";

const PROMPT = "tablewalk> ";
const PROMPT_MORE = "> ";
const HISTORY_LINES_MAX = 1000;

export const TERMINAL: ScriptOutput = {
  stdout(text, argv) {
    const isTrace = argv[1]?.startsWith("ofproto/trace") === true;
    process.stdout.write(isTrace ? renderTrace(text) : text);
  },
  stderr(text) {
    process.stderr.write(text);
  },
};

/** Where lines are remembered; null if the user does not want that. */
function historyFile(): string | null {
  const wanted = process.env.TABLEWALK_HISTORY;
  if (wanted === "") {
    return null;
  }
  return wanted ?? join(homedir(), ".tablewalk_history");
}

function readHistory(path: string | null): string[] {
  try {
    const lines = path === null ? [] : readFileSync(path, "utf8").split("\n");
    return lines.filter((l) => l !== "").slice(-HISTORY_LINES_MAX);
  } catch {
    return [];
  }
}

function remember(path: string | null, line: string): void {
  if (path === null || line.trim() === "") {
    return;
  }
  try {
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
  } catch {
    // A history that cannot be kept is no reason to stop.
  }
}

/** Runs what is typed until the end of the input; answers the status of the last command. */
export async function promptLoop(vs: VSwitch): Promise<number> {
  const script = new Script(vs, TERMINAL);
  const history = historyFile();
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: PROMPT,
    historySize: HISTORY_LINES_MAX,
    history: readHistory(history).reverse(),
    completer: (line: string) => {
      const { candidates, part } = complete(vs, line);
      const [only = ""] = candidates;
      // A word that is whole is followed by the next one.
      const isWhole = candidates.length === 1 && !/[=(:@]$/.test(only);
      return [isWhole ? [`${only} `] : [...candidates], part];
    },
  });
  process.stdout.write("One switch; `help` tells what it takes, the end of input ends it.\n");
  let pending = "";
  lines.prompt();
  lines.on("SIGINT", () => {
    pending = "";
    // Takes away what was typed, on both sides of the cursor.
    lines.write(null, { ctrl: true, name: "k" });
    lines.write(null, { ctrl: true, name: "u" });
    process.stdout.write("\n");
    lines.setPrompt(PROMPT);
    lines.prompt();
  });
  for await (const line of lines) {
    remember(history, line);
    pending += `${line}\n`;
    const r = readStatements(pending);
    if (!("more" in r)) {
      pending = "";
      if ("error" in r) {
        script.status = script.complain(`column ${r.column}: ${r.error}`, 2);
      } else {
        script.runStatements(r.statements);
      }
    }
    if (script.ended) {
      break;
    }
    lines.setPrompt(pending === "" ? PROMPT : PROMPT_MORE);
    lines.prompt();
  }
  lines.close();
  return script.status;
}

// Sessions of ovs-ofctl against a switch, compared with what the real Open vSwitch answered.
//
// test/golden/ofctl-sessions.txt says how it is read. Where the real order is random (groups lie in
// a hash map with a random basis) lines are compared sorted.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isReply } from "../../src/vswitch/command.ts";
import { type Background, startCommandLine, Switch } from "../../src/vswitch/index.ts";
import { splitWords } from "../../src/vswitch/words.ts";

interface Step {
  readonly op: "$" | "&" | ";";
  readonly words: readonly string[];
  stdout: string;
  stderr: string;
  exit: number;
}
interface Session {
  readonly name: string;
  readonly files: Map<string, string>;
  readonly steps: Step[];
}

function readSessions(text: string): Session[] {
  const sessions: Session[] = [];
  let file = "";
  for (const line of text.split("\n")) {
    const [op, rest] = [line.slice(0, 1), line.slice(2)];
    const session = sessions.at(-1);
    const step = session?.steps.at(-1);
    if (line.startsWith("== ")) {
      sessions.push({ name: line.slice(3), files: new Map(), steps: [] });
    } else if (op === "$" || op === "&" || op === ";") {
      const words = splitWords(rest) as readonly string[];
      session?.steps.push({ op, words, stdout: "", stderr: "", exit: 0 });
    } else if (op === "@") {
      file = rest;
      session?.files.set(file, "");
    } else if (op === "|") {
      session?.files.set(file, `${session.files.get(file)}${rest}\n`);
    } else if (step !== undefined && op === ">") {
      step.stdout += `${rest}\n`;
    } else if (step !== undefined && op === "!") {
      step.stderr += `${rest}\n`;
    } else if (step !== undefined && op === "=") {
      step.exit = Number(rest);
    }
  }
  return sessions;
}

function neutral(text: string, rundir: string): string {
  const t = text
    .replaceAll(rundir, "<RUNDIR>")
    .replace(/\(xid=0x[0-9a-f]+\)/g, "(xid=0x*)")
    .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|/gm, "<time>|<seq>|")
    .replace(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "<uuid:1>")
    .replace(/\bunix#\d+/g, "unix#*")
    .replace(/\baddr:aa:55:aa:55:[0-9a-f:]{5}/g, "addr:<mac>")
    .replace(/\bduration=\d+(?:\.\d+)?s/g, "duration=*s")
    .replace(/\b(idle_age|hard_age)=\d+/g, "$1=*");
  const dumped = t.includes("OFPT_ERROR") || t.includes("|WARN|");
  return dumped ? t.replace(/(?:^[0-9a-f]{8} {2}[0-9a-f]{2}[ -].*\n?)+/gm, "<hexdump>\n") : t;
}

function sorted(text: string): string {
  return text.split("\n").toSorted().join("\n");
}

function play(session: Session): void {
  const sw = new Switch();
  for (const [name, text] of session.files) {
    sw.writeFile(name, text);
  }
  const running = new Map<string, Background>();
  for (const { op, words, ...expected } of session.steps) {
    if (op === "&") {
      const bg = startCommandLine(sw.vs, words.slice(1));
      if (!isReply(bg)) {
        running.set(words[0] ?? "", bg);
      }
      continue;
    }
    const r = op === "$" ? sw.reply(words) : running.get(words[0] ?? "")?.stop();
    const [stdout, stderr] = [r?.stdout ?? "", r?.stderr ?? ""].map((t) =>
      neutral(t, sw.vs.rundir),
    );
    const random = words.some((w) => w.startsWith("dump-group"));
    const order = random ? sorted : (t: string) => t;
    const got = { stdout: order(stdout ?? ""), stderr, exit: r?.exit };
    const want = { ...expected, stdout: order(expected.stdout) };
    expect(got, words.join(" ")).toEqual(want);
  }
}

describe("sessions of ovs-ofctl", () => {
  for (const session of readSessions(readFileSync("test/golden/ofctl-sessions.txt", "utf8"))) {
    it(session.name, () => {
      play(session);
    });
  }
});

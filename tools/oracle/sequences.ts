// Sequences of frames: what both switches sent from each port, their megaflows, connections,
// counters and tables, looked at whole after some steps.

import type { Look, Sequence, SequenceKind, Step } from "../../test/arbitraries/sequences/step.ts";
import { type Kind, onBoth, shellLine } from "./kind.ts";
import { type Answer, neutral, SETTLE_WARP_MS, type Side } from "./side.ts";

const MONITOR_POLL_MS = 20;
const MONITOR_POLLS_MAX = 50;

export function sequenceKind(k: SequenceKind): Kind {
  return {
    name: k.name,
    arbitrary: k.sequence,
    async setUp(real, ours) {
      await Promise.all([real.stopClock(), ours.stopClock()]);
      for (const line of k.setup) {
        await onBoth(words(line), real, ours);
      }
      if (k.monitor !== undefined) {
        await Promise.all([real, ours].map((side) => side.watch(words(k.monitor ?? ""))));
      }
    },
    compare: (s, real, ours) => compare(k, s as Sequence, real, ours),
    script: (s) => [
      "ovs-appctl time/stop",
      ...(k.monitor === undefined ? [] : [`${k.monitor} & # after the ports are there`]),
      ...[...k.setup.map((line): Step => ({ do: "run", line })), ...k.reset].flatMap(stepScript),
      ...(s as Sequence).steps.flatMap((step) => (step.do === "look" ? look(k) : stepScript(step))),
    ],
  };
}

/** What one side shows in each look of a sequence, on a switch that is set up for it. */
export async function observe(k: SequenceKind, s: Sequence, side: Side): Promise<string[]> {
  await side.stopClock();
  for (const line of k.setup) {
    await side.run(words(line));
  }
  const seen: string[] = [];
  if (k.monitor !== undefined) {
    await side.watch(words(k.monitor));
  }
  let moved: Step["do"] | null = null;
  for (const step of [...k.reset, ...s.steps]) {
    if (moved !== null && moved !== step.do) {
      await side.settle();
    }
    moved = comesToRest(step) ? null : step.do;
    if (step.do === "look") {
      await side.settle();
      seen.push(await lookAt(k, side));
    } else if (step.do === "frame") {
      await side.frame(step.port, step.hex);
    } else if (step.do === "warp") {
      await side.warp(step.ms);
    } else if (step.do === "run") {
      await side.run(words(step.line), stdinOf(step));
    }
  }
  return seen;
}

async function lookAt(k: SequenceKind, side: Side): Promise<string> {
  let text = "";
  for (const port of k.captures) {
    for (const hex of side.captured(`${port}.pcap`)) {
      text += `${port} ${k.neutralFrame?.(hex) ?? hex}\n`;
    }
  }
  for (const l of k.looks) {
    const plain = (t: string) => inOrder(l, l.neutral?.(t) ?? t);
    text += `${l.line}\n${whole(await side.run(words(l.line)), plain)}\n`;
  }
  return text;
}

/** After these steps nothing is under way. */
const comesToRest = ({ do: kind }: Step): boolean => kind === "look" || kind === "rest";

const stdinOf = (step: { readonly input?: readonly string[] }): string =>
  (step.input ?? []).map((l) => `${l}\n`).join("");

const words = (line: string): string[] => line.split(" ").filter((w) => w !== "");

async function compare(
  k: SequenceKind,
  s: Sequence,
  real: Side,
  ours: Side,
): Promise<string | null> {
  let done = "";
  let moved: Step["do"] | null = null;
  for (const step of [...k.reset, ...s.steps]) {
    // What a command has changed comes to rest before the next frame meets it; and counters are
    // credited before a command: the revalidators of Open vSwitch do so at times of their own.
    if (moved !== null && moved !== step.do) {
      await Promise.all([real.settle(), ours.settle()]);
    }
    moved = comesToRest(step) ? null : step.do;
    const difference =
      step.do === "look" ? await compareLooks(k, real, ours) : await compareStep(step, real, ours);
    if (difference !== null) {
      return `${done}${difference}`;
    }
    done += step.do === "look" ? "" : `${stepScript(step).join("\n")}\n`;
  }
  return null;
}

async function compareStep(step: Step, real: Side, ours: Side): Promise<string | null> {
  switch (step.do) {
    case "frame": {
      const pending = real.frame(step.port, step.hex);
      const b = await ours.frame(step.port, step.hex);
      return differs(stepScript(step)[0] ?? "", await pending, b, neutral);
    }
    case "warp":
      await Promise.all([real.warp(step.ms), ours.warp(step.ms)]);
      return null;
    case "run": {
      return compareAnswers(words(step.line), stdinOf(step), real, ours, withoutIds);
    }
    case "rest":
    case "look":
      return null;
  }
}

async function compareAnswers(
  argv: readonly string[],
  stdin: string,
  real: Side,
  ours: Side,
  plain: (text: string) => string,
): Promise<string | null> {
  const pending = real.run(argv, stdin);
  const b = await ours.run(argv, stdin);
  return differs(shellLine(argv, stdin), await pending, b, plain);
}

function differs(
  what: string,
  a: Answer,
  b: Answer,
  plain: (text: string) => string,
): string | null {
  const [want, got] = [whole(a, plain), whole(b, plain)];
  return want === got ? null : told(what, want, got);
}

/** `ovs-vsctl` prints the random ids of rows that it makes. */
const withoutIds = (text: string): string =>
  neutral(text).replace(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/gm, "<uuid>");

const whole = ({ exit, stdout, stderr }: Answer, plain: (text: string) => string): string =>
  `exit status ${exit}\n${plain(stdout)}${neutral(stderr)}`;

/** Lines that only one side has; all lines if it is their order that differs. */
function told(what: string, want: string, got: string): string {
  const [a, b] = [want.split("\n"), got.split("\n")];
  const [only, others] = [without(a, b), without(b, a)];
  const [left, right] = only.length + others.length === 0 ? [a, b] : [only, others];
  return [what, "--- Open vSwitch", ...left, "--- tablewalk", ...right].join("\n");
}

function without(a: readonly string[], b: readonly string[]): string[] {
  const rest = new Map<string, number>();
  for (const line of b) {
    rest.set(line, (rest.get(line) ?? 0) + 1);
  }
  return a.filter((line) => {
    const n = rest.get(line) ?? 0;
    rest.set(line, n - 1);
    return n <= 0;
  });
}

/** All that differs in a look, so that one sees cause and effect together. */
async function compareLooks(k: SequenceKind, real: Side, ours: Side): Promise<string | null> {
  await Promise.all([real.settle(), ours.settle()]);
  const differences: string[] = [];
  if (k.monitor !== undefined) {
    const difference = await compareMonitors(k.monitor, real, ours);
    differences.push(...(difference === null ? [] : [difference]));
  }
  for (const port of k.captures) {
    const [want, got] = [real, ours].map((side) =>
      side
        .captured(`${port}.pcap`)
        .map((f) => k.neutralFrame?.(f) ?? f)
        .join("\n"),
    );
    if (want !== got) {
      differences.push(told(`frames sent from ${port}`, want ?? "", got ?? ""));
    }
  }
  for (const l of k.looks) {
    const plain = (text: string) => inOrder(l, l.neutral === undefined ? text : l.neutral(text));
    const difference = await compareAnswers(words(l.line), "", real, ours, plain);
    if (difference !== null) {
      differences.push(difference);
    }
  }
  return differences.length === 0 ? null : differences.join("\n");
}

/** What monitors have printed. They are processes of their own, and late at times. */
async function compareMonitors(line: string, real: Side, ours: Side): Promise<string | null> {
  const got = messages(ours.watched());
  let text = real.watched();
  for (let i = 0; i < MONITOR_POLLS_MAX && messages(text) !== got; i++) {
    await new Promise((done) => setTimeout(done, MONITOR_POLL_MS));
    text += real.watched();
  }
  return messages(text) === got ? null : told(line, messages(text), got);
}

/**
 * Messages of a monitor. Those about flows that were removed together come in the order of a dump,
 * in which subtables of deleted flows count (see flowsOf), and at the time when the threads of Open
 * vSwitch have come to rest: they are sorted, and their durations left out.
 * Whether a connection was idle for long enough to be probed is a question of time that passes.
 */
function messages(text: string): string {
  const all = text
    .split(/^(?=(?:OFPT|NXT|NXST|OFPST)_)/m)
    .filter((m) => !m.startsWith("OFPT_ECHO_REQUEST"))
    .map((m) => m.replace(/(continuation\.bridge=)[0-9a-f-]+/, "$1<uuid>"))
    // A packet-in that is too long is shown byte by byte, among them the random id of the bridge.
    .map((m) => m.replace(/^[0-9a-f]{8} {2}[0-9a-f][0-9a-f -]*\|.*$/gm, "<bytes>"));
  const isRemoval = (m: string) => m.startsWith("OFPT_FLOW_REMOVED");
  const removed = all.filter(isRemoval).map((m) => m.replace(/duration[\d.]+s/, "duration*s"));
  return neutral([...all.filter((m) => !isRemoval(m)), ...removed.sort()].join(""));
}

function inOrder({ order }: Look, text: string): string {
  if (order === "exact") {
    return neutral(text);
  }
  // Numbers of recirculation count up over the life of the daemon: lines are put in order without
  // them; where that leaves a choice, by their size, and then they are numbered as they appear.
  const id = /\b(recirc\(|recirc_id\()0x([0-9a-f]+)/g;
  const keyed = text.split("\n").map((line) => ({
    line,
    masked: line.replace(id, "$1*"),
    padded: line.replace(id, (_, head, n: string) => `${head}${n.padStart(8, "0")}`),
  }));
  const before = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  keyed.sort((a, b) => before(a.masked, b.masked) || before(a.padded, b.padded));
  return neutral(keyed.map((x) => x.line).join("\n"));
}

function stepScript(step: Step): string[] {
  switch (step.do) {
    case "frame":
      return [`ovs-appctl netdev-dummy/receive ${step.port} ${step.hex}`, "ovs-appctl version"];
    case "warp":
      return [`ovs-appctl time/warp ${step.ms}`];
    case "run": {
      return [shellLine(words(step.line), stdinOf(step)), "ovs-appctl revalidator/wait"];
    }
    case "rest":
      return [`ovs-appctl time/warp ${SETTLE_WARP_MS}`, "ovs-appctl revalidator/wait"];
    case "look":
      return [];
  }
}

function look(k: SequenceKind): string[] {
  return ["ovs-appctl revalidator/wait", ...k.looks.map((l) => shellLine(words(l.line), ""))];
}

// Records what the real ovs-vswitchd makes of datapath flows and actions in text, and of whole
// switches that forward by NORMAL and through tunnels: test/golden/{odp-texts.txt,switches.json}.
//
// `node tools/run.mjs tools/golden-odp.ts` needs Open vSwitch 3.1.0. The questions are in these files
// already, only the answers are new; to ask more, add lines or steps without an answer.

import { readFileSync, writeFileSync } from "node:fs";
import { RealOvs } from "./oracle/real-ovs.ts";
import { neutralStep, type SwitchStep } from "./oracle/switch-step.ts";

const TEXTS = "test/golden/odp-texts.txt";
const SWITCHES = "test/golden/switches.json";

/** The answer to a question of TEXTS: "A" are actions to print again, "K" a flow key to print. */
async function textAnswer(real: RealOvs, question: string): Promise<string> {
  const text = question.slice(2);
  const command = question.startsWith("A")
    ? ["dpctl/parse-actions", text]
    : ["dpctl/normalize-actions", text, "1"];
  const { exit, stdout, stderr } = await real.run(["ovs-appctl", ...command]);
  if (question.startsWith("A")) {
    return exit === 0 ? stdout.trimEnd() : "error";
  }
  const all = `${stdout}${stderr}`;
  const syntax = /\((syntax error.*?)\) \(/s.exec(all)?.[1];
  if (syntax !== undefined) {
    return `error ${syntax}`;
  }
  const flow = /input flow: (.*)/.exec(all)?.[1] ?? "";
  const misfit = /odp_flow_key_to_flow failed \((.*)\) \(/s.exec(all)?.[1];
  return `${flow} | ${misfit ?? "fits"}`;
}

async function recordTexts(): Promise<void> {
  const real = new RealOvs();
  try {
    await real.start();
    const out: string[] = [];
    for (const line of readFileSync(TEXTS, "utf8").split("\n")) {
      if (line.startsWith("#")) {
        out.push(line);
      } else if (/^[AK] /.test(line)) {
        out.push(line, `  ${await textAnswer(real, line)}`);
      }
    }
    writeFileSync(TEXTS, `${out.join("\n")}\n`);
  } finally {
    real.stop();
  }
}

async function recordSwitch(steps: readonly SwitchStep[]): Promise<SwitchStep[]> {
  const real = new RealOvs();
  try {
    await real.start();
    const out: SwitchStep[] = [];
    for (const { run } of steps) {
      const { exit, stdout, stderr } = await real.run(run);
      for (let i = 0; i < 2; i++) {
        // A turn of the main loop, in which received packets and changes of the database arrive.
        await real.run(["ovs-appctl", "version"]);
      }
      out.push(neutralStep({ run, exit, out: stdout, err: stderr }));
    }
    return out;
  } finally {
    real.stop();
  }
}

await recordTexts();
const cases: SwitchStep[][] = JSON.parse(readFileSync(SWITCHES, "utf8"));
const recorded: SwitchStep[][] = [];
for (const steps of cases) {
  recorded.push(await recordSwitch(steps));
}
const rows = recorded.map((steps) => `[\n${steps.map((s) => JSON.stringify(s)).join(",\n")}\n]`);
writeFileSync(SWITCHES, `[\n${rows.join(",\n")}\n]\n`);
console.log(`${recorded.length} switches`);

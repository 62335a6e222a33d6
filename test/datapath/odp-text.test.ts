// Datapath flows and actions as text: recorded answers of Open vSwitch, and laws of reading and
// writing.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { odpActionsBytes } from "../../src/datapath/odp-bytes.ts";
import { odpFlowKeyToFlow } from "../../src/datapath/odp-flow.ts";
import { formatOdpFlow } from "../../src/datapath/odp-text.ts";
import { formatOdpActions } from "../../src/datapath/odp-text-actions.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { parseOdpFlow } from "../../src/datapath/odp-text-parse.ts";

const lines = readFileSync("test/golden/odp-texts.txt", "utf8").split("\n");
const questions = lines.flatMap((line, i) =>
  /^[AK] /.test(line)
    ? [{ kind: line[0], text: line.slice(2), answer: (lines[i + 1] ?? "").slice(2) }]
    : [],
);
const actionTexts = questions.filter((q) => q.kind === "A");
const keyTexts = questions.filter((q) => q.kind === "K");

/** What `formatOdpActions` makes of an action text, or "error". */
function again(text: string): string {
  const actions = parseOdpActions(text, null);
  return actions === null ? "error" : formatOdpActions(actions, null);
}

function describeKey(text: string): string {
  const r = parseOdpFlow(text, null, false);
  if (!r.ok) {
    return `error ${r.error.message}`;
  }
  const { fitness, error } = odpFlowKeyToFlow(r.value.key, 1);
  const why = fitness === "perfect" ? "fits" : (error ?? "");
  const known = why === "" ? "reason unknown" : why;
  return `${formatOdpFlow(r.value.key, null, null, false)} | ${known}`;
}

describe("actions", () => {
  it.each(actionTexts)("$text", ({ text, answer }) => {
    expect(again(text)).toBe(answer);
  });

  const good = actionTexts.filter((q) => q.answer !== "error").map((q) => q.answer);

  it("read what they write, and write it the same", () => {
    for (const text of good) {
      // Open vSwitch itself does not read all that it writes: an empty list is "drop", for one.
      const once = again(text);
      if (once !== "error") {
        expect(again(once)).toBe(once);
      }
    }
  });

  it("join by commas", () => {
    const joinable = good.filter((t) => t !== "drop" && again(t) === t);
    expect(joinable.length).toBeGreaterThan(100);
    const some = fc.constantFrom(...joinable);
    fc.assert(
      fc.property(some, some, (a, b) => {
        expect(again(`${a},${b}`)).toBe(`${a},${b}`);
      }),
    );
  });

  it("take as many bytes as their parts", () => {
    const lists = good.flatMap((t) => parseOdpActions(t, null) ?? []);
    const sum = lists.reduce((n, a) => n + odpActionsBytes([a]), 0);
    expect(odpActionsBytes(lists)).toBe(sum);
    expect(lists.every((a) => odpActionsBytes([a]) % 4 === 0)).toBe(true);
  });

  it("name ports where names are known", () => {
    const ports = new Map([
      ["eth0", 1],
      ["out", 7],
    ]);
    const actions = parseOdpActions("eth0,out,3", ports);
    const byNumber = new Map([...ports].map(([name, port]) => [port, name]));
    expect(actions === null ? null : formatOdpActions(actions, byNumber)).toBe("eth0,out,3");
    expect(actions === null ? null : formatOdpActions(actions, null)).toBe("1,7,3");
  });
});

describe("flow keys", () => {
  it.each(keyTexts)("$text", ({ text, answer }) => {
    expect(describeKey(text)).toBe(answer);
  });

  it("read what they write", () => {
    let read = 0;
    for (const { answer } of keyTexts) {
      const text = answer.split(" | ")[0] ?? "";
      const r = parseOdpFlow(text, null, false);
      // A tunnel with a key flag but no key loses the flag, there too.
      if (r.ok && !text.includes("tunnel(")) {
        read++;
        expect(formatOdpFlow(r.value.key, null, null, false)).toBe(text);
      }
    }
    expect(read).toBeGreaterThan(80);
  });

  it("show an exact mask only when asked to", () => {
    const r = parseOdpFlow("in_port(1),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0)", null, true);
    expect(r.ok && formatOdpFlow(r.value.key, r.value.mask, null, false)).toBe(
      "in_port(1),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0)",
    );
  });

  it("say where they stop to be readable", () => {
    const r = parseOdpFlow("in_port(1),eth_tyep(0x0800)", null, false);
    expect(r.ok ? "" : r.error.message).toBe("syntax error at eth_tyep(0x0800)");
  });
});

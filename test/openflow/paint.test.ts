// Colours of flows: as the real ovs-ofctl paints them, and never more than colours.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock, MemoryFileSystem } from "../../src/lib/env.ts";
import { Painter, parsePalette } from "../../src/openflow/paint.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

interface Case {
  readonly flow: string;
  readonly version: string;
  readonly out: string;
}

const GOLDEN: { readonly cases: readonly Case[] } = JSON.parse(
  readFileSync(new URL("../golden/colours.json", import.meta.url), "utf8"),
);

const ESC = "\x1b";
const ESCAPES = new RegExp(`${ESC}\\[[\\d;]*[mK]`, "g");

describe("colours", () => {
  it("are those of Open vSwitch", () => {
    const vs = new VSwitch({
      clock: new ManualClock(0),
      rng: { u32: () => 0 },
      fs: new MemoryFileSystem(),
    });
    for (const { flow, version, out } of GOLDEN.cases) {
      const argv = ["ovs-ofctl", "--color=always", "-O", version, "parse-flow", flow];
      expect(runCommandLine(vs, argv).stdout).toContain(`: ${out}\n`);
    }
  });

  it("follow OVS_COLORS as far as it makes sense", () => {
    const painter = new Painter(parsePalette("pm=1;2:vl=x:dr=:zz=3:sp"));
    expect(painter.match("priority=5,tcp,in_port=1")).toBe(
      "\x1b[33m\x1b[Kpriority=\x1b[m\x1b[K5,\x1b[32m\x1b[Ktcp\x1b[m\x1b[K," +
        "\x1b[1;2m\x1b[Kin_port=\x1b[m\x1b[K1",
    );
    expect(painter.actions("drop")).toBe("\x1b[m\x1b[Kdrop\x1b[m\x1b[K");
  });

  it("change no text but by exec's comma, whatever the text is", () => {
    const painter = new Painter(parsePalette(""));
    const words = [
      "learn(",
      "ct(",
      "clone(",
      "output:",
      "set_field:",
      "->",
      ")",
      ",",
      "=",
      "(",
      "x",
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 12 }), (parts) => {
        const text = parts.join("");
        const plain = painter.actions(text).replaceAll(ESCAPES, "");
        expect(plain.replaceAll(")", "")).toBe(text.replaceAll(")", ""));
      }),
    );
  });
});

// The parsers of groups, meters, tables, packet-outs, tunnel options and connections say about bad
// texts what the real ovs-ofctl says (test/golden/message-texts.txt), and what they accept prints
// as a text that they accept again.

import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OFP } from "../../../src/flow/of-version.ts";
import { newCtMatch, parseCtTuple } from "../../../src/openflow/messages/ct.ts";
import { parseGroupMod } from "../../../src/openflow/messages/group-parse.ts";
import { formatGroupDesc } from "../../../src/openflow/messages/group-text.ts";
import { formatMeterConfig, parseMeterMod } from "../../../src/openflow/messages/meter-text.ts";
import { NameTable, NO_NAMES } from "../../../src/openflow/messages/names.ts";
import { parsePacketOut } from "../../../src/openflow/messages/packet-out.ts";
import { parseTableMod } from "../../../src/openflow/messages/table.ts";
import { parseTlvTableMod } from "../../../src/openflow/messages/tlv-table.ts";
import { OFPGC, OFPMC } from "../../../src/openflow/messages/types-group.ts";
import { NXTTMC } from "../../../src/openflow/messages/types-switch.ts";
import type { Result } from "../../../src/lib/errors.ts";

const CX = { ports: null, tables: null, log: null };
const GROUP_COMMANDS: Readonly<Record<string, number>> = {
  "add-group": OFPGC.ADD,
  "mod-group": OFPGC.MODIFY,
  "insert-buckets": OFPGC.INSERT_BUCKET,
  "remove-buckets": OFPGC.REMOVE_BUCKET,
  "del-groups": OFPGC.DELETE,
};

function textOf(r: Result<unknown>): string {
  return r.ok ? "ok" : r.error.message;
}

function ctTuple(text: string): string {
  const m = newCtMatch();
  const r = parseCtTuple(text, m.tupleOrig, m);
  return r.ok ? "ok" : `Failed to parse ct-tuple: ${r.text}`;
}

/** What the parser of a command says about its argument. */
function parse(command: string, arg: string, setting: string): string {
  const group = GROUP_COMMANDS[command];
  if (group !== undefined) {
    return textOf(parseGroupMod(arg, group, CX));
  }
  switch (command) {
    case "add-meter":
      return textOf(parseMeterMod(arg, OFPMC.ADD));
    case "del-meter":
      return textOf(parseMeterMod(arg, OFPMC.DELETE));
    case "mod-table":
      return textOf(parseTableMod(arg, setting, null));
    case "packet-out":
      return textOf(parsePacketOut(arg, CX));
    case "add-tlv-map":
      return textOf(parseTlvTableMod(arg, NXTTMC.ADD));
    case "ct-flush":
      return ctTuple(arg);
    default:
      throw new Error(`no parser for ${command}`);
  }
}

const LINES = readFileSync("test/golden/message-texts.txt", "utf8")
  .split("\n")
  .filter((l) => l !== "" && !l.startsWith("#"));
const GOLDEN = LINES.flatMap((text, i) =>
  text.startsWith("  ") ? [] : [{ text, said: (LINES[i + 1] ?? "").slice(2) }],
);

describe("as ovs-ofctl says", () => {
  test.each(GOLDEN)("$text", ({ text, said }) => {
    const [command = "", arg = "", setting = ""] = text.split("|");
    expect(parse(command, arg, setting)).toBe(said);
  });
});

test("a group prints as a text for the same group", () => {
  for (const { text, said } of GOLDEN) {
    const [command, arg = ""] = text.split("|");
    const r = command === "add-group" && said === "ok" ? parseGroupMod(arg, OFPGC.ADD, CX) : null;
    if (r?.ok !== true) {
      continue;
    }
    const shown = formatGroupDesc(r.value.gm, OFP.v13, NO_NAMES);
    const again = parseGroupMod(shown, OFPGC.ADD, CX);
    expect(again.ok ? formatGroupDesc(again.value.gm, OFP.v13, NO_NAMES) : again.error).toBe(shown);
  }
});

test("a meter prints as a text for the same meter", () => {
  const text = "meter=7 kbps burst stats bands=type=drop rate=10 burst_size=3";
  const r = parseMeterMod(text, OFPMC.ADD);
  const shown = r.ok ? formatMeterConfig(r.value.mm.meter) : "";
  expect(shown).toBe("meter=7 kbps burst stats bands=\ntype=drop rate=10 burst_size=3\n");
  const again = parseMeterMod(shown, OFPMC.ADD);
  expect(again.ok ? again.value.mm : again.error).toEqual(r.ok ? r.value.mm : null);
});

test("no text makes a parser throw", () => {
  const words = fc.constantFrom(
    ..."group_id= type= select bucket= weight: output:1 meter= bands= rate= = , : ( ) 1 x ff".split(
      " ",
    ),
  );
  const commands = [...Object.keys(GROUP_COMMANDS), "add-meter", "packet-out", "add-tlv-map"];
  fc.assert(
    fc.property(fc.constantFrom(...commands), fc.array(words, { maxLength: 12 }), (command, w) => {
      expect(typeof parse(command, w.join(""), "")).toBe("string");
      expect(typeof parse(command, w.join(" "), "")).toBe("string");
    }),
  );
});

test("a name that stands for two numbers is not used, nor a number with two names", () => {
  const t = new NameTable();
  t.put(1, "a");
  t.put(2, "b");
  t.put(3, "a");
  t.put(2, "c");
  expect([t.nameOf(1), t.numberOf("a"), t.nameOf(2), t.numberOf("b")]).toEqual([
    null,
    null,
    null,
    null,
  ]);
  t.put(4, "d");
  t.put(4, "d");
  expect([t.nameOf(4), t.numberOf("d")]).toEqual(["d", 4]);
});

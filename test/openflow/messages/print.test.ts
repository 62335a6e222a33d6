// Messages of a real switch, whole and damaged, print and log as the real ovs-ofctl does it.

import { describe, expect, test } from "vitest";
import { NO_NAMES } from "../../../src/openflow/messages/names.ts";
import { ofpPrint } from "../../../src/openflow/messages/print.ts";
import { readGoldenMessages } from "./golden.ts";

/** The real tool's log ends a dump with an empty line, which the golden file leaves out. */
function withoutBlankLines(s: string): string {
  return s.replace(/\n+/g, "\n");
}

describe.each(["messages", "messages-damaged"])("%s", (name) => {
  test.each(readGoldenMessages(name))("$title", ({ bytes, text, log }) => {
    let logged = "";
    const got = ofpPrint(bytes, 2, NO_NAMES, (level, module, line) => {
      logged += `${module}|${level}|${line}\n`;
    });
    expect(got).toBe(text);
    expect(withoutBlankLines(logged)).toBe(log);
  });
});

test("what is not whole is only dumped", () => {
  const print = (...bytes: number[]) => ofpPrint(Uint8Array.from(bytes), 0);
  expect(print()).toBe("OpenFlow message is empty\n");
  expect(print(1, 0, 0)).toBe(
    "OpenFlow packet too short (only 3 bytes):\n" +
      "00000000  01 00 00                                        |...             |\n",
  );
  expect(print(1, 5, 0, 9, 0, 0, 0, 1)).toMatch(
    /^OFPT_FEATURES_REQUEST \(xid=0x1\):\n\(\*\*\*truncated to 8 bytes from 9\*\*\*\)\n/,
  );
  expect(print(1, 5, 0, 8, 0, 0, 0, 1, 7)).toMatch(/^\(\*\*\*only uses 8 bytes out of 9\*\*\*\)\n/);
});

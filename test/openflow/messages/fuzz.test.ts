// No bytes, whatever they are, make a decoder or a printer throw.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OF_VERSIONS } from "../../../src/flow/of-version.ts";
import { isErr } from "../../../src/openflow/messages/errors.ts";
import { ofpPrint } from "../../../src/openflow/messages/print.ts";
import { pullMsg, startMsg } from "../../../src/openflow/messages/raw.ts";
import { RAW_MESSAGES, rawInfo } from "../../../src/openflow/messages/raw-table.ts";
import { readGoldenMessages } from "./golden.ts";
import { reencode } from "./reencode.ts";

/** Sets the length in the header to that of the message. */
function sized(b: Uint8Array): Uint8Array {
  if (b.length >= 4) {
    b[2] = b.length >> 8;
    b[3] = b.length & 0xff;
  }
  return b;
}

function survive(bytes: Uint8Array): void {
  const text = ofpPrint(bytes, 3);
  expect(text.endsWith("\n")).toBe(true);
  const msg = pullMsg(bytes);
  if (!isErr(msg)) {
    reencode(msg);
  }
}

const FORMS = RAW_MESSAGES.flatMap((r) =>
  OF_VERSIONS.filter((v) => v >= r.minVersion && v <= r.maxVersion).map((v) => [r.raw, v] as const),
);

/** Headers of every form in each of its versions, with any body. */
const anyBody = fc
  .tuple(fc.constantFrom(...FORMS), fc.uint8Array({ maxLength: 160 }))
  .map(([[raw, version], body]) => sized(startMsg(raw, version, 1).put(body).bytes()));

/** The beginning of a real message. */
const cut = fc
  .tuple(fc.constantFrom(...readGoldenMessages("messages")), fc.nat())
  .map(([{ bytes }, at]) => sized(bytes.slice(0, 8 + (at % Math.max(1, bytes.length - 8)))));

describe("any bytes print and decode", () => {
  test.each([
    ["noise", fc.uint8Array({ maxLength: 64 })],
    ["any body", anyBody],
    ["cut", cut],
  ])("%s", (_, bytes) => {
    fc.assert(fc.property(bytes, survive), { numRuns: 1000 });
  });
});

test("the table's rows are told apart by their headers", () => {
  for (const [raw, version] of FORMS) {
    const row = rawInfo(raw);
    const msg = pullMsg(sized(startMsg(raw, version, 7).zeros(row.minBody).bytes()));
    expect(isErr(msg) ? msg : [msg.raw, msg.version, msg.xid]).toEqual([raw, version, 7]);
    const short = row.minBody === 0 ? null : sized(startMsg(raw, version, 7).bytes());
    expect(short === null ? "OFPBRC_BAD_LEN" : pullMsg(short)).toBe("OFPBRC_BAD_LEN");
  }
});

// Replies are cut between parts into messages of at most 64 kB; requests are put together again.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OFP } from "../../../src/flow/of-version.ts";
import { getU16 } from "../../../src/lib/bytes.ts";
import { isErr } from "../../../src/openflow/messages/errors.ts";
import {
  Multipart,
  MULTIPART_BYTES_MAX,
  MULTIPART_TIMEOUT_MS,
  MultipartAssembler,
  multipartMore,
} from "../../../src/openflow/messages/multipart.ts";
import {
  finishMsg,
  pullMsg,
  setMultipartFlags,
  startMsg,
} from "../../../src/openflow/messages/raw.ts";

const HEADER_BYTES = 16;
const MORE = 1;

test("no part is cut, nothing is lost, all but the last message have more", () => {
  // Parts of flows are multiples of 8 bytes, each marked by its number.
  const sizes = fc.array(fc.integer({ min: 1, max: 2500 }), { maxLength: 16 });
  fc.assert(
    fc.property(sizes, fc.boolean(), (units, reserved) => {
      const m = new Multipart("OFPST13_FLOW_REPLY", OFP.v13, 5);
      for (const [i, n] of units.entries()) {
        const part = new Uint8Array(8 * n).fill(i + 1);
        if (reserved) {
          m.reserve(part.length).put(part);
        } else {
          const start = m.writer.length;
          m.writer.put(part);
          m.postAppend(start);
        }
      }
      const messages = m.messages();
      const seen: number[] = [];
      for (const [i, bytes] of messages.entries()) {
        expect(bytes.length).toBeLessThanOrEqual(0xffff);
        expect(getU16(bytes, 2)).toBe(bytes.length);
        expect(multipartMore(bytes)).toBe(i < messages.length - 1);
        seen.push(...bytes.subarray(HEADER_BYTES));
      }
      expect(seen).toEqual(units.flatMap((n, i) => new Array<number>(8 * n).fill(i + 1)));
      // A part never spans two messages.
      const starts = messages.map((b) => b[HEADER_BYTES]);
      expect(new Set(starts).size).toBe(messages.length);
    }),
    { numRuns: 20 },
  );
});

function request(xid: number, bodyBytes: number, more: boolean): Uint8Array {
  const w = startMsg("OFPST13_TABLE_FEATURES_REQUEST", OFP.v13, xid).zeros(bodyBytes);
  const bytes = finishMsg(w);
  setMultipartFlags(bytes, more ? MORE : 0);
  return bytes;
}

describe("requests in parts", () => {
  test("come out when the last part is there, without empty parts", () => {
    const a = new MultipartAssembler();
    const first = request(1, 64, true);
    const empty = request(1, 0, true);
    const other = request(2, 64, false);
    const last = request(1, 128, false);
    expect(a.execute(first, 0)).toEqual([]);
    expect(a.execute(empty, 0)).toEqual([]);
    expect(a.execute(other, 0)).toEqual([other]);
    expect(a.execute(last, 0)).toEqual([first, last]);
    expect(a.execute(request(1, 0, false), 0)).toHaveLength(1);
  });

  test("must be of one type", () => {
    const a = new MultipartAssembler();
    a.execute(request(1, 64, true), 0);
    const flow = finishMsg(startMsg("OFPST11_FLOW_REQUEST", OFP.v13, 1).zeros(40));
    expect(isErr(a.execute(flow, 0))).toBe(true);
  });

  test("may not be larger than a limit", () => {
    const a = new MultipartAssembler();
    const part = request(1, 65472, true);
    const fits = Math.floor(MULTIPART_BYTES_MAX / part.length);
    for (let i = 0; i < fits; i++) {
      expect(a.execute(part, 0)).toEqual([]);
    }
    expect(a.execute(part, 0)).toBe("OFPBRC_MULTIPART_BUFFER_OVERFLOW");
  });

  test("wait for a while only", () => {
    const a = new MultipartAssembler();
    const part = request(1, 64, true);
    a.execute(part, 0);
    expect(a.expire(MULTIPART_TIMEOUT_MS - 1)).toEqual([]);
    expect(a.expire(MULTIPART_TIMEOUT_MS)).toEqual([part]);
    expect(a.expire(MULTIPART_TIMEOUT_MS)).toEqual([]);
  });

  test("are of no concern to other messages", () => {
    const echo = finishMsg(startMsg("OFPT_ECHO_REQUEST", OFP.v13, 1));
    expect(new MultipartAssembler().execute(echo, 0)).toEqual([echo]);
    expect(isErr(pullMsg(echo))).toBe(false);
  });
});

// Copies are those of `set(subarray(…))`, whatever the arrays, places and lengths.

import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteCopier } from "../../src/lib/byte-copier.ts";

it("copies as set() does", () => {
  const copier = new ByteCopier();
  const array = fc
    .tuple(fc.uint8Array({ minLength: 300, maxLength: 700 }), fc.nat(9))
    .map(([bytes, ofs]) => bytes.subarray(ofs));
  fc.assert(
    fc.property(array, array, fc.nat(20), fc.nat(20), fc.nat(270), (dst, src, at, from, n) => {
      const want = dst.slice();
      want.set(src.subarray(from, from + n), at);
      copier.copy(dst, at, src, from, from + n);
      expect(dst).toEqual(want);
    }),
  );
});

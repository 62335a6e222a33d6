// Pieces of JSON are the value's JSON, put together.

import fc from "fast-check";
import { expect, it } from "vitest";
import { chunked, jsonPieces } from "../../src/cli/json-out.ts";

it("reads back as the value", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 1, max: 30 }), (value, chars) => {
      const text = [...chunked(jsonPieces(value), chars)].join("");
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

it("spreads the upper levels", () => {
  expect([...jsonPieces({ a: [1, { b: [] }], c: {} })].join("")).toBe(
    '{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}\n',
  );
});

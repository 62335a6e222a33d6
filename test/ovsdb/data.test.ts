// Values as JSON and as text: laws over every column type of the Open_vSwitch schema, and the texts
// of errors.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SeededRng } from "../../src/lib/index.ts";
import * as O from "../../src/ovsdb/index.ts";

const schema = O.vswitchSchema();
const columns = [...schema.tables.values()].flatMap((t) => t.columnList);

/** Any atom that a base type allows. */
function atomOf(b: O.BaseType): fc.Arbitrary<O.Atom> {
  if (b.enum !== undefined) {
    return fc.constantFrom(...b.enum);
  }
  switch (b.type) {
    case "integer":
      return fc.bigInt({
        min: b.minInteger ?? -(2n ** 63n),
        max: b.maxInteger ?? 2n ** 63n - 1n,
      });
    case "real":
      // Texts and files hold 15 significant digits.
      return fc.integer({ min: -1e9, max: 1e9 }).map((n) => n / 1000 + 0);
    case "boolean":
      return fc.boolean();
    case "string":
      return fc
        .string({ unit: "grapheme", minLength: b.minLength ?? 0, maxLength: b.maxLength ?? 12 })
        .filter((s) => !s.includes("\0") && [...s].length >= (b.minLength ?? 0));
    case "uuid":
      return fc.uuid().map((u) => u.toLowerCase());
  }
}

function datumOf(t: O.ColumnType): fc.Arbitrary<O.Datum> {
  const max = Math.min(t.max, 5);
  const value = t.value === undefined ? fc.constant<O.Atom>("") : atomOf(t.value);
  return fc
    .uniqueArray(fc.tuple(atomOf(t.key), value), {
      minLength: t.min,
      maxLength: max,
      selector: (p) => p[0],
    })
    .map((pairs) =>
      t.value === undefined ? O.setDatum(pairs.map((p) => p[0])) : O.mapDatum(pairs),
    );
}

const column = fc.constantFrom(...columns);
const typedDatum = column.chain((c) => fc.tuple(fc.constant(c), datumOf(c.type)));

describe("values", () => {
  it("come back from JSON and from text", () => {
    fc.assert(
      fc.property(typedDatum, ([c, d]) => {
        const json = O.formatJson(O.datumToJson(d, c.type));
        expect(O.datumFromJson(O.parseJson(json), c.type)).toEqual(d);
        const text = O.formatDatum(d, c.type);
        // An optional value that is missing is written as an empty set.
        expect(O.datumFromText(text, c.type)).toEqual(d);
      }),
      { numRuns: 500 },
    );
  });

  it("come back from their differences", () => {
    const pair = column.chain((c) => fc.tuple(fc.constant(c), datumOf(c.type), datumOf(c.type)));
    fc.assert(
      fc.property(pair, ([c, a, b]) => {
        expect(O.applyDatumDiff(a, O.datumDiff(a, b, c.type), c.type)).toEqual(b);
      }),
      { numRuns: 300 },
    );
  });

  it("never break a parser, whatever the text", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'[]{}=,:" \\ab0-9') }));
    fc.assert(
      fc.property(column, text, (c, s) => {
        try {
          const d = O.datumFromText(s, c.type);
          O.checkDatum(d, c.type);
        } catch (e) {
          expect(e instanceof O.TokenError || e instanceof O.DbError).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("types", () => {
  it("come back from the JSON of a schema", () => {
    const json = O.schemaToJson(schema);
    expect(O.schemaToJson(O.schemaFromJson(O.parseJson(O.formatJson(json))))).toEqual(json);
    expect(columns.length).toBe(184);
  });

  it("have names in English", () => {
    const english = (table: string, name: string) =>
      schema.tables
        .get(table)
        ?.columnList.filter((c) => c.name === name)
        .map((c) => O.typeToEnglish(c.type))[0];
    expect(english("Port", "trunks")).toBe("set of up to 4096 integers");
    expect(english("Port", "tag")).toBe("set of up to 1 integers");
    expect(english("Bridge", "other_config")).toBe("map of (string, string) pairs");
    expect(english("Bridge", "name")).toBe("string");
  });
});

describe("JSON", () => {
  it("is what the platform makes of it, but for exact integers", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (j) => {
        const text = JSON.stringify(j);
        // NUL is no character that OVS can hold, and the smallest reals are out of its range.
        fc.pre(!text.includes("\\u0000") && !/e-3[0-9]{2}/.test(text));
        const plain = (x: O.Json): unknown =>
          typeof x === "bigint"
            ? Number(x)
            : O.isJsonArray(x)
              ? x.map(plain)
              : O.isJsonObject(x)
                ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]))
                : x;
        expect(plain(O.parseJson(text))).toEqual(JSON.parse(text.replace(/-0(?![.\d])/g, "0")));
      }),
    );
  });

  it("keeps 64-bit integers and rounds reals to 15 digits", () => {
    const same = (s: string) => expect(O.formatJson(O.parseJson(s))).toBe(s);
    same("9223372036854775807");
    same("-9223372036854775808");
    same("0.1");
    same("1e+20");
    same("1.5e-07");
    same('{"a":[1,true,null,"\\u0001\\n"]}');
    expect(O.formatJson(O.parseJson("1e2"))).toBe("100");
    expect(O.formatJson(O.parseJson("0.30000000000000004"))).toBe("0.3");
  });

  it("does not recurse without limit", () => {
    expect(() => O.parseJson("[".repeat(100_000))).toThrow(O.JsonSyntaxError);
    expect(() => O.parseJson('{"a":'.repeat(100_000))).toThrow(O.JsonSyntaxError);
    const deep = `${"[".repeat(O.JSON_DEPTH_MAX)}${"]".repeat(O.JSON_DEPTH_MAX)}`;
    expect(O.formatJson(O.parseJson(deep))).toBe(deep);
  });

  it("never throws anything else", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{}",:\\u0129eE+-.tfn ') }), (s) => {
        try {
          O.parseJson(s);
        } catch (e) {
          expect(e).toBeInstanceOf(O.JsonSyntaxError);
        }
      }),
    );
  });
});

describe("UUIDs", () => {
  it("are of version 4, all different, and in order of making", () => {
    const maker = new O.UuidMaker(new SeededRng(5));
    const made = Array.from({ length: 2000 }, () => maker.next());
    expect(new Set(made).size).toBe(made.length);
    expect(made.toSorted()).toEqual(made);
    for (const u of made) {
      expect(u).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});

// The database file: cut at every byte, damaged anywhere, compacted, written by others.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  concatBytes,
  encodeLatin1,
  encodeUtf8,
  ManualClock,
  MemoryFileSystem,
  SeededRng,
} from "../../src/lib/index.ts";
import * as O from "../../src/ovsdb/index.ts";

const GOLDEN = "test/golden/ovsdb";
const schema = O.schemaFromJson(O.parseJson(readFileSync(`${GOLDEN}/schema.json`, "utf8")));

function env() {
  return { fs: new MemoryFileSystem(), clock: new ManualClock(0, 1e12), rng: new SeededRng(3) };
}

/** Every value of every row that is kept on disk, as text. */
function dump(db: O.Database): string[] {
  return [...db.tables.values()]
    .flatMap((t) =>
      [...t.rows.values()].map((r) =>
        [
          t.schema.name,
          r.uuid,
          ...t.schema.columnList
            .filter((c) => c.persistent)
            .map((c) => `${c.name}=${O.formatDatum(r.at(c), c.type)}`),
        ].join(" "),
      ),
    )
    .sort();
}

const row = (name: string, more: O.JsonObject = {}): O.Json => ({
  op: "insert",
  table: "Root",
  row: { name, few: 1n, ...more },
});
const REQUESTS: readonly O.Json[] = [
  ["zoo", row("a", { ints: ["set", [1n, 2n]], map: ["map", [["k", "v"]]] })],
  ["zoo", row("b"), { op: "comment", comment: "second\nline" }],
  [
    "zoo",
    {
      op: "mutate",
      table: "Root",
      where: [["name", "==", "a"]],
      mutations: [
        ["ints", "insert", 3n],
        ["ints", "delete", 1n],
        ["map", "insert", ["map", [["x", "ü"]]]],
      ],
    },
  ],
  [
    "zoo",
    {
      op: "update",
      table: "Root",
      where: [["name", "==", "a"]],
      row: { map: ["map", [["k", "w"]]], few: ["set", [1n, 5n]], temp: 9n },
    },
  ],
  [
    "zoo",
    { op: "insert", table: "Kid", "uuid-name": "k", row: { name: "kid" } },
    {
      op: "update",
      table: "Root",
      where: [["name", "==", "b"]],
      row: { kids: ["named-uuid", "k"], friends: ["named-uuid", "k"] },
    },
  ],
  ["zoo", { op: "delete", table: "Root", where: [["name", "==", "b"]] }],
];

/** The file after all requests, where each record ends, and the content at each of these ends. */
function story() {
  const e = env();
  const file = O.DatabaseFile.open(e, "f.db", schema);
  const bytes = () => {
    const read = e.fs.readFile("f.db");
    return read.ok ? read.value : new Uint8Array(0);
  };
  const ends = [{ at: bytes().length, content: dump(file.db) }];
  for (const request of REQUESTS) {
    O.executeTransaction(file.db, request);
    ends.push({ at: bytes().length, content: dump(file.db) });
  }
  return { bytes: bytes(), ends };
}

describe("SHA-1", () => {
  it("equals the platform's", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (b, skip) => {
        const s = Math.min(skip, b.length);
        const theirs = createHash("sha1").update(b.subarray(s)).digest("hex");
        expect(O.sha1Hex(b, s)).toBe(theirs);
      }),
    );
  });
});

describe("a database file", () => {
  it("cut at every byte, holds all that was acknowledged before", () => {
    const { bytes, ends } = story();
    const first = ends[0]?.at ?? 0;
    for (let cut = 0; cut <= bytes.length; cut++) {
      const part = bytes.slice(0, cut);
      if (cut < first) {
        expect(() => O.loadDatabase(part, "f.db", new SeededRng(1))).toThrow(O.DbError);
        continue;
      }
      const loaded = O.loadDatabase(part, "f.db", new SeededRng(1));
      const last = ends.filter((e) => e.at <= cut).at(-1);
      expect(loaded.goodBytes).toBe(last?.at);
      expect(dump(loaded.db)).toEqual(last?.content);
      expect(loaded.problem === undefined).toBe(last?.at === cut);
    }
  });

  it("cut at every byte, takes further changes and keeps them", () => {
    const { bytes, ends } = story();
    for (let cut = ends[0]?.at ?? 0; cut <= bytes.length; cut += 7) {
      const e = env();
      e.fs.writeFile("f.db", bytes.slice(0, cut));
      const file = O.DatabaseFile.open(e, "f.db");
      O.executeTransaction(file.db, ["zoo", row("new")]);
      const again = O.DatabaseFile.open(e, "f.db");
      expect(again.problem).toBe(undefined);
      expect(dump(again.db)).toEqual(dump(file.db));
    }
  });

  it("with any byte changed, is read up to the record before or refused", () => {
    const { bytes, ends } = story();
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = bytes.slice();
        bad[at] = (bad[at] ?? 0) ^ flip;
        let loaded: O.LoadedDatabase;
        try {
          loaded = O.loadDatabase(bad, "f.db", new SeededRng(1));
        } catch (e) {
          expect(e).toBeInstanceOf(O.DbError);
          expect(at).toBeLessThan(ends[0]?.at ?? 0);
          return;
        }
        const known = ends.find((e) => e.at === loaded.goodBytes);
        expect(dump(loaded.db)).toEqual(known?.content);
      }),
      { numRuns: 400 },
    );
  });

  it("compacts to the same content, by itself after many changes", () => {
    const e = env();
    const file = O.DatabaseFile.open(e, "f.db", schema);
    O.executeTransaction(file.db, ["zoo", row("a")]);
    const size = () => {
      const read = e.fs.readFile("f.db");
      return read.ok ? read.value.length : 0;
    };
    let largest = 0;
    for (let i = 0; i < 300; i++) {
      const where: O.Json = [["name", "==", "a"]];
      O.executeTransaction(file.db, [
        "zoo",
        { op: "update", table: "Root", where, row: { n: BigInt(i % 50), r: i / 100 } },
      ]);
      largest = Math.max(largest, size());
    }
    expect(size()).toBeLessThan(largest);
    const again = O.DatabaseFile.open(e, "f.db");
    expect(dump(again.db)).toEqual(dump(file.db));
    file.compact();
    expect(dump(O.DatabaseFile.open(e, "f.db").db)).toEqual(dump(file.db));
  });

  it("says what it is if it is something else", () => {
    const load = (text: string) => () => O.loadDatabase(encodeUtf8(text), "x", new SeededRng(1));
    expect(load("")).toThrow("x: unexpected file format");
    expect(load("hello\n")).toThrow("x: unexpected file format");
    expect(load(`OVSDB CLUSTER 5 ${"0".repeat(40)}\n{}`)).toThrow("cluster-to-standalone");
    expect(load(`OVSDB JSON 99999999999999999999 ${"0".repeat(40)}\n`)).toThrow(O.DbError);
    expect(load(`OVSDB JSON 4000000000 ${"0".repeat(40)}\n{}`)).toThrow("End of file");
  });

  it("made of anything, ends in a database or a DbError", () => {
    const { bytes } = story();
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(bytes.length), fc.nat(200)).map(([s, n]) => bytes.slice(s, s + n)),
      fc.jsonValue().map((j) => {
        const json = O.jsonOfData(j);
        return O.encodeRecord(O.isJsonObject(json) ? json : { x: json });
      }),
      fc.constant(O.encodeRecord(O.schemaToJson(schema))),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const file = Uint8Array.from(parts.flatMap((p) => [...p]));
        try {
          const loaded = O.loadDatabase(file, "f", new SeededRng(1));
          expect(loaded.goodBytes).toBeLessThanOrEqual(file.length);
        } catch (e) {
          expect(e).toBeInstanceOf(O.DbError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("files that are wrong, as ovsdb-tool 3.1.0 complains of them (tools/record-ovsdb.ts)", () => {
  const lines = (name: string) =>
    readFileSync(`${GOLDEN}/${name}`, "utf8")
      .split("\n")
      .filter((l) => !l.startsWith("#"))
      .slice(0, -1);
  const record = (text: string) => {
    const data = encodeUtf8(`${text}\n`);
    return concatBytes([encodeUtf8(`OVSDB JSON ${data.length} ${O.sha1Hex(data)}\n`), data]);
  };
  const complaint = (bytes: Uint8Array) => {
    const read = O.catchDbError(() => O.loadDatabase(bytes, "f.db", new SeededRng(1)));
    return "error" in read ? read.error.toString() : (read.value.problem ?? "");
  };

  it("in their schemas", () => {
    expect(lines("bad-schemas.txt").map((s) => complaint(record(s)))).toEqual(
      lines("bad-schemas.out"),
    );
  });

  it("in a record: NUL, UTF-8, nesting, numbers, duplicates, headers", () => {
    const head = record(readFileSync(`${GOLDEN}/schema.json`, "utf8").trimEnd());
    const records = lines("bad-records.txt").map((r) => encodeLatin1(JSON.parse(r)));
    expect(records.map((r) => complaint(concatBytes([head, r])))).toEqual(lines("bad-records.out"));
  });
});

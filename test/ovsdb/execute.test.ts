// RFC 7047 operations against what ovsdb-tool 3.1.0 answered (test/golden/ovsdb, recorded by
// tools/record-ovsdb.ts), and the laws of transactions.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeUtf8, SeededRng } from "../../src/lib/index.ts";
import * as O from "../../src/ovsdb/index.ts";
import { clientSession } from "../arbitraries/transactions.ts";

const GOLDEN = "test/golden/ovsdb";
const lines = (name: string) =>
  readFileSync(`${GOLDEN}/${name}`, "utf8")
    .split("\n")
    .filter((l) => l !== "" && !l.startsWith("#"));
const schema = O.schemaFromJson(O.parseJson(readFileSync(`${GOLDEN}/schema.json`, "utf8")));

/** UUIDs as numbers in order of appearance; rows of a select in order of their text. */
function normalise(json: O.Json, seen: Map<string, string>): string {
  const sorted = (j: O.Json): O.Json => {
    if (O.isJsonArray(j)) {
      return j.map(sorted);
    }
    if (!O.isJsonObject(j)) {
      return j;
    }
    return Object.fromEntries(
      Object.entries(j).map(([k, v]) => {
        const value = sorted(v);
        const rows = k === "rows" && O.isJsonArray(value);
        const text = (r: O.Json) => O.formatJson(r, { sort: true });
        return [k, rows ? value.toSorted((a, b) => (text(a) < text(b) ? -1 : 1)) : value];
      }),
    );
  };
  const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
  return O.formatJson(sorted(json), { sort: true }).replace(uuid, (u) => {
    const name = seen.get(u) ?? `<${seen.size + 1}>`;
    seen.set(u, name);
    return name;
  });
}

describe("operations", () => {
  it("answers every recorded request as ovsdb-tool does", () => {
    const db = new O.Database(schema, new SeededRng(1));
    const requests = lines("requests.txt");
    const replies = lines("replies.txt");
    expect(requests.length).toBe(replies.length);
    const ours = new Map<string, string>();
    const theirs = new Map<string, string>();
    const got: string[] = [];
    const want: string[] = [];
    for (const [i, request] of requests.entries()) {
      const reply = O.executeTransaction(db, O.parseJson(request));
      const wanted = normalise(O.parseJson(replies[i] ?? ""), theirs);
      got.push(`${request}\n${normalise(reply, ours)}`);
      want.push(`${request}\n${wanted}`);
    }
    expect(got).toEqual(want);
  });

  it("reads the file that ovsdb-tool made of them", () => {
    const bytes = new Uint8Array(readFileSync(`${GOLDEN}/zoo.db`));
    const loaded = O.loadDatabase(bytes, "zoo.db", new SeededRng(1));
    expect(loaded.problem).toBe(undefined);
    expect(loaded.goodBytes).toBe(bytes.length);
    const db = new O.Database(schema, new SeededRng(1));
    for (const request of lines("requests.txt")) {
      O.executeTransaction(db, O.parseJson(request));
    }
    expect(content(loaded.db)).toEqual(content(db));
    expect(decodeUtf8(O.encodeRecord({ a: 1n }))).toMatch(
      /^OVSDB JSON 8 [0-9a-f]{40}\n\{"a":1\}\n$/,
    );
  });
});

/** All rows of all tables, as they are stored. */
function rowsOf(db: O.Database): unknown {
  return [...db.tables.values()].map((t) => [...t.rows].map(([uuid, r]) => [uuid, r.data]));
}

/** All rows without their UUIDs, references as the names of rows. */
function content(db: O.Database): unknown {
  const names = new Map<string, string>();
  for (const t of db.tables.values()) {
    for (const r of t.rows.values()) {
      const c = t.schema.columns.get("name");
      names.set(r.uuid, c === undefined ? t.schema.name : O.formatDatum(r.at(c), c.type));
    }
  }
  const rename = (s: string) =>
    s.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (u) => names.get(u) ?? u);
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  const tables = [...db.tables.values()].sort((a, b) => byName(a.schema, b.schema));
  return tables.map((t) =>
    [...t.rows.values()]
      .map((r) =>
        t.schema.columnList
          .filter((c) => c.persistent)
          .toSorted(byName)
          .map((c) => `${c.name}=${rename(O.formatDatum(r.at(c), c.type))}`)
          .join(" "),
      )
      .sort(),
  );
}

/** Random operations on the zoo, by names so that they often hit. */
const operation = fc.oneof(
  fc.record({ kind: fc.constant("root" as const), name: fc.nat(4), kids: fc.array(fc.nat(5)) }),
  fc.record({ kind: fc.constant("unlink" as const), name: fc.nat(4) }),
  fc.record({ kind: fc.constant("drop" as const), name: fc.nat(4) }),
  fc.record({ kind: fc.constant("friend" as const), name: fc.nat(4), of: fc.nat(4) }),
);

function apply(db: O.Database, op: typeof operation extends fc.Arbitrary<infer T> ? T : never) {
  const insertKids = (kids: readonly number[]) =>
    kids.map((k, i) => ({
      op: "insert",
      table: "Kid",
      "uuid-name": `k${i}`,
      row: { name: `${k}`, age: BigInt(i) },
    }));
  switch (op.kind) {
    case "root":
      return O.executeTransaction(db, [
        "zoo",
        ...insertKids(op.kids),
        {
          op: "insert",
          table: "Root",
          row: {
            name: `r${op.name}`,
            few: 1n,
            kids: ["set", op.kids.map((_k, i) => ["named-uuid", `k${i}`])],
          },
        },
      ]);
    case "unlink":
      return O.executeTransaction(db, [
        "zoo",
        {
          op: "update",
          table: "Root",
          where: [["name", "==", `r${op.name}`]],
          row: { kids: ["set", []] },
        },
      ]);
    case "drop":
      return O.executeTransaction(db, [
        "zoo",
        { op: "delete", table: "Root", where: [["name", "==", `r${op.name}`]] },
      ]);
    case "friend": {
      const kids = [...db.rows("Kid")];
      const friend = kids[op.of % Math.max(1, kids.length)];
      return O.executeTransaction(db, [
        "zoo",
        {
          op: "update",
          table: "Root",
          where: [["name", "==", `r${op.name}`]],
          row: { friends: friend === undefined ? ["set", []] : ["uuid", friend.uuid] },
        },
      ]);
    }
  }
}

describe("laws of transactions", () => {
  it("keeps references whole, counts right, and no row without reason", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (ops) => {
        const db = new O.Database(schema, new SeededRng(7));
        const left = new Set<string>();
        for (const op of ops) {
          apply(db, op);
          const counts = new Map<string, number>();
          for (const root of db.rows("Root")) {
            for (const kid of root.texts("kids")) {
              expect(db.row("Kid", kid)).toBeDefined();
              counts.set(kid, (counts.get(kid) ?? 0) + 1);
            }
            for (const friend of root.texts("friends")) {
              // ovsdb-server forgets about weak references of a row that the transaction changed
              // before it deleted the one to which they point.
              const changed = op.kind === "unlink" && root.name() === `r${op.name}`;
              if (db.row("Kid", friend) === undefined && changed) {
                left.add(friend);
              }
              expect(db.row("Kid", friend) !== undefined || left.has(friend)).toBe(true);
            }
          }
          // Which also says that rows without a reference are gone.
          const kids = [...db.rows("Kid")];
          expect(new Map(kids.map((k) => [k.uuid, k.strongRefs]))).toEqual(counts);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("changes nothing unless all of a transaction succeeds", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const db = new O.Database(schema, new SeededRng(seed));
        for (const { change, params } of clientSession(seed).steps) {
          const before = rowsOf(db);
          const results = change === null ? O.executeTransaction(db, params) : [];
          const failed = O.formatJson(results).includes('"error":');
          expect(failed ? rowsOf(db) : before).toEqual(before);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("tells a monitor all that its replica needs", () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 20 }),
        fc.constantFrom<O.MonitorForm>("plain", "compact"),
        fc.boolean(),
        (ops, form, conditional) => {
          const db = new O.Database(schema, new SeededRng(9));
          const where: O.Json = conditional && form === "compact" ? [["name", "!=", "r1"]] : [];
          const request: O.Json = {
            Root: {
              columns: ["name", "kids", "friends"],
              ...(form === "compact" ? { where } : {}),
            },
            Kid: {},
          };
          const monitor = new O.Monitor(db, request, form);
          const replica = new Map<string, Map<string, string>>();
          merge(db, replica, monitor.initial(), form);
          db.onCommit((changes) => {
            merge(db, replica, monitor.update(changes) ?? {}, form);
          });
          for (const op of ops) {
            apply(db, op);
            expect(replica).toEqual(view(db, (name) => where.length === 0 || name !== "r1"));
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

const WATCHED = ["name", "kids", "friends"];

/** What a client that sees everything would hold: "table/uuid" -> column -> text. */
function view(db: O.Database, visible: (root: string) => boolean) {
  const out = new Map<string, Map<string, string>>();
  for (const table of ["Root", "Kid"]) {
    for (const row of db.rows(table)) {
      if (table === "Root" && !visible(row.name())) {
        continue;
      }
      const columns = row.schema.columnList.filter(
        (c) => table === "Kid" || WATCHED.includes(c.name),
      );
      out.set(
        `${table}/${row.uuid}`,
        new Map(columns.map((c) => [c.name, O.formatDatum(row.at(c), c.type)])),
      );
    }
  }
  return out;
}

/** Applies table updates to a replica, knowing only the schema. */
function merge(
  db: O.Database,
  replica: Map<string, Map<string, string>>,
  updates: O.JsonObject,
  form: O.MonitorForm,
): void {
  for (const [table, rows] of Object.entries(updates)) {
    const t = db.schema.tables.get(table);
    for (const [uuid, update] of Object.entries(O.isJsonObject(rows) ? rows : {})) {
      const key = `${table}/${uuid}`;
      const u = O.isJsonObject(update) ? update : {};
      if (t === undefined) {
        continue;
      }
      const text = (name: string, j: O.Json, old: string | undefined) => {
        const c = t.columns.get(name);
        if (c === undefined) {
          return "";
        }
        const d = O.datumFromJson(j, O.relaxedType(c.type));
        const before = old === undefined ? undefined : O.datumFromText(old, O.relaxedType(c.type));
        return O.formatDatum(
          before === undefined ? d : O.applyDatumDiff(before, d, c.type),
          c.type,
        );
      };
      const columns = t.columnList.filter((c) => table === "Kid" || WATCHED.includes(c.name));
      const defaults = () =>
        new Map(columns.map((c) => [c.name, O.formatDatum(O.defaultDatum(c.type), c.type)]));
      const members = (j: O.Json | undefined) =>
        Object.entries(O.isJsonObject(j) ? j : {}).filter(([name]) => name !== "_version");
      if (form === "plain") {
        if (u.new === undefined) {
          replica.delete(key);
        } else {
          replica.set(key, new Map(members(u.new).map(([n, j]) => [n, text(n, j, undefined)])));
        }
      } else if (u.delete !== undefined) {
        replica.delete(key);
      } else if (u.modify !== undefined) {
        const row = replica.get(key) ?? new Map<string, string>();
        for (const [n, j] of members(u.modify)) {
          row.set(n, text(n, j, row.get(n)));
        }
      } else {
        const row = defaults();
        for (const [n, j] of members(u.insert ?? u.initial)) {
          row.set(n, text(n, j, undefined));
        }
        replica.set(key, row);
      }
    }
  }
}

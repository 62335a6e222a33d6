// Random sessions of a client of the zoo's database (test/golden/ovsdb/schema.json): transactions of
// RFC 7047, right and wrong, and monitors. Rows are given their UUIDs, so that two servers can be
// compared word by word.

import { type Rng, randomRange, SeededRng } from "../../src/lib/env.ts";
import type { Json, JsonObject } from "../../src/ovsdb/json.ts";

/** Parameters of "transact", or of "monitor_cond_change" where `change` tells what they mean. */
export interface ClientStep {
  readonly change: { readonly table: string; readonly request: Json } | null;
  readonly params: Json;
}

export interface ClientSession {
  /** Requests of monitors, in both forms. */
  readonly monitor: JsonObject;
  readonly conditional: JsonObject;
  readonly steps: readonly ClientStep[];
}

const UUIDS_PER_TABLE = 4;
const TABLE_NAMES = ["Root", "Kid", "Toy", "Loose"] as const;
type TableName = (typeof TABLE_NAMES)[number];

/** Columns with the kind of value that fits. */
const COLUMNS: Readonly<Record<TableName, Readonly<Record<string, string>>>> = {
  Root: {
    name: "name",
    n: "int",
    r: "real",
    b: "bool",
    fixed: "name",
    kind: "kinds",
    short: "texts",
    ints: "ints",
    few: "few",
    map: "map",
    imap: "imap",
    kids: "Kids",
    friends: "Kids",
    best: "Kids",
    temp: "int",
  },
  Kid: { name: "name", age: "ints", toys: "toys" },
  Toy: { color: "name", owner: "Kid" },
  Loose: { v: "ints", next: "Looses" },
};

const OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "includes", "excludes", "~"];
const MUTATORS = ["+=", "-=", "*=", "/=", "%=", "insert", "delete", "insert", "delete", "^="];
const INTEGERS = [0n, 1n, 2n, 3n, 7n, -5n, -6n, 100n, 101n, 2n ** 63n - 1n, -(2n ** 63n)];
const REALS = [0.5, 10.5, 10.6, -1.5, 2n, 1e300, 3.25];
const TEXTS = ["", "a", "b", "ab", "abcd", "abcde", "cat", "dog", "\n", 'q"', "é", "€€", "true"];

class Drawer {
  private readonly rng: Rng;
  private names = 0;

  constructor(seed: number) {
    this.rng = new SeededRng(seed);
  }

  below(n: number): number {
    return randomRange(this.rng, n);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  private list(max: number, item: () => Json): Json[] {
    return Array.from({ length: this.below(max + 1) }, item);
  }

  uuid(table: TableName): string {
    const t = TABLE_NAMES.indexOf(table) + 1;
    const i = this.below(UUIDS_PER_TABLE);
    return `${t}${"0".repeat(7)}-0000-4000-8000-00000000000${i}`;
  }

  private reference(table: TableName): Json {
    if (this.chance(20) && this.names > 0) {
      return ["named-uuid", `n${this.below(this.names)}`];
    }
    return this.chance(3) ? ["uuid", "nonsense"] : ["uuid", this.uuid(table)];
  }

  private set(max: number, item: () => Json): Json {
    return this.chance(30) ? item() : ["set", this.list(max, item)];
  }

  private pairs(key: () => Json, value: () => Json): Json {
    return ["map", this.list(3, () => (this.chance(2) ? [key()] : [key(), value()]))];
  }

  value(kind: string): Json {
    if (this.chance(4)) {
      return this.pick<Json>([null, 1n, "x", ["set"], ["map", 3n], {}, 1.5, true, ["set", [[]]]]);
    }
    const int = () => this.pick(INTEGERS);
    const text = () => this.pick(TEXTS);
    switch (kind) {
      case "int":
        return this.pick([1n, 2n, 3n, int()]);
      case "real":
        return this.pick(REALS);
      case "bool":
        return this.chance(50);
      case "kinds":
        return this.set(1, () => this.pick(["cat", "dog", "cow"]));
      case "texts":
        return this.set(1, text);
      case "ints":
        return this.set(3, int);
      case "few":
        return this.set(4, int);
      case "map":
        return this.pairs(text, text);
      case "imap":
        return this.pairs(int, () => this.pick(REALS));
      case "toys":
        return this.pairs(text, () => this.reference("Toy"));
      case "Kids":
        return this.set(3, () => this.reference("Kid"));
      case "Looses":
        return this.set(1, () => this.reference("Loose"));
      case "Kid":
        return this.reference("Kid");
      case "uuid":
        return ["uuid", this.uuid(this.pick(TABLE_NAMES))];
      default:
        return text();
    }
  }

  column(table: TableName): string {
    return this.pick([...Object.keys(COLUMNS[table]), this.chance(10) ? "nosuch" : "_uuid"]);
  }

  private kindOf(table: TableName, column: string): string {
    return column === "_uuid" ? "uuid" : (COLUMNS[table][column] ?? "int");
  }

  row(table: TableName, percent: number): JsonObject {
    const columns = Object.keys(COLUMNS[table]).filter(() => this.chance(percent));
    const more = this.chance(3) ? [this.column(table)] : [];
    return Object.fromEntries(
      [...columns, ...more].map((c) => [c, this.value(this.kindOf(table, c))]),
    );
  }

  where(table: TableName): Json {
    if (this.chance(3)) {
      return this.pick<Json>([1n, [1n], [["name"]], [true], [false], [["name", "==", 1n]]]);
    }
    return this.list(2, () => {
      const column = this.chance(50) ? "_uuid" : this.column(table);
      const operator = column === "_uuid" && this.chance(80) ? "==" : this.pick(OPERATORS);
      return [column, operator, this.value(this.kindOf(table, column))];
    });
  }

  private insert(table: TableName): JsonObject {
    const name = this.chance(40) ? `n${this.names++}` : undefined;
    return {
      op: "insert",
      table,
      uuid: this.chance(2) ? "bad" : this.uuid(table),
      ...(name === undefined ? {} : { "uuid-name": this.chance(95) ? name : "n0" }),
      row: { ...(table === "Root" && this.chance(90) ? { few: 1n } : {}), ...this.row(table, 30) },
    };
  }

  private mutations(table: TableName): Json {
    return this.list(3, () => {
      const column = this.column(table);
      return [column, this.pick(MUTATORS), this.value(this.kindOf(table, column))];
    });
  }

  private columns(table: TableName): Json {
    const names: Json[] = this.list(3, () => this.column(table));
    return this.chance(90) ? [...new Set(names)] : names;
  }

  private about(table: TableName, op: string): JsonObject {
    const where = this.where(table);
    switch (op) {
      case "update":
        return { op, table, where, row: this.row(table, 15) };
      case "mutate":
        return { op, table, where, mutations: this.mutations(table) };
      case "select":
        return {
          op,
          table,
          where,
          // The version is random.
          columns: this.columns(table),
          ...(this.chance(20) ? { sort: this.columns(table) } : {}),
        };
      case "wait":
        return {
          op,
          table,
          where,
          timeout: this.chance(95) ? 0n : -1n,
          until: this.pick(["==", "!=", "!=", this.chance(5) ? "<" : "=="]),
          columns: this.columns(table),
          rows: this.list(2, () => this.row(table, 15)),
        };
      default:
        return { op: "delete", table, where };
    }
  }

  operation(): Json {
    const table = this.chance(2) ? ("Nosuch" as TableName) : this.pick(TABLE_NAMES);
    if (!(table in COLUMNS)) {
      return { op: "select", table, where: [] };
    }
    const op = this.pick([
      ..."insert insert insert update update mutate mutate select wait delete".split(" "),
      "other",
    ]);
    const made =
      op === "insert"
        ? this.insert(table)
        : op === "other"
          ? this.pick<JsonObject>([
              { op: "comment", comment: "why\nnot" },
              { op: "comment" },
              { op: "assert", lock: "l" },
              { op: "commit", durable: true },
              { op: "commit" },
              { op: "abort" },
              { op: "nosuch" },
              {},
            ])
          : this.about(table, op);
    return this.chance(2) ? { ...made, extra: 1n } : this.chance(1) ? 5n : made;
  }

  /** Rows that refer to each other as they should. */
  private family(): Json[] {
    const [kid, toy] = [this.uuid("Kid"), this.uuid("Toy")];
    const name = this.pick(["a", "b", "c", "d"]);
    const few = this.pick([1n, 2n, 3n]);
    const kids = ["set", [["uuid", kid]]];
    const weak = this.pick(["friends", "best"]);
    const root = { name, few, kids, [weak]: ["uuid", this.uuid("Kid")], n: few };
    return [
      {
        op: "insert",
        table: "Toy",
        uuid: toy,
        row: { color: name, owner: ["uuid", this.chance(90) ? kid : this.uuid("Kid")] },
      },
      {
        op: "insert",
        table: "Kid",
        uuid: kid,
        row: { name, age: few, toys: ["map", [[name, ["uuid", toy]]]] },
      },
      { op: "insert", table: "Root", uuid: this.uuid("Root"), row: root },
    ];
  }

  /** A change that breaks little: what only parsers refuse is elsewhere. */
  private gentle(): Json {
    const table = this.pick(TABLE_NAMES);
    const where = this.chance(30) ? [] : [["_uuid", "==", ["uuid", this.uuid(table)]]];
    const [kid, root] = [this.uuid("Kid"), ["uuid", this.uuid("Loose")]];
    return this.pick<Json>([
      { op: "delete", table, where },
      { op: "update", table: "Root", where: [], row: { n: this.pick([1n, 2n]), temp: 5n } },
      {
        op: "mutate",
        table: "Root",
        where: [],
        mutations: [["ints", "insert", BigInt(this.below(9))]],
      },
      { op: "mutate", table: "Root", where: [], mutations: [["kids", "delete", ["uuid", kid]]] },
      { op: "mutate", table: "Root", where: [], mutations: [["kids", "insert", ["uuid", kid]]] },
      { op: "mutate", table: "Root", where: [], mutations: [["friends", "insert", ["uuid", kid]]] },
      { op: "mutate", table: "Kid", where: [], mutations: [["age", "+=", 1n]] },
      {
        op: "update",
        table: "Root",
        where: [],
        row: {
          map: this.pairs(
            () => "k",
            () => "v",
          ),
        },
      },
      { op: "update", table: "Loose", where: [], row: { next: root } },
      { op: "insert", table: "Loose", uuid: this.uuid("Loose"), row: { next: root } },
      { op: "select", table, where },
    ]);
  }

  transaction(): Json {
    this.names = 0;
    if (this.chance(55)) {
      const more = Array.from({ length: this.below(3) }, () => this.gentle());
      return ["zoo", ...(this.chance(40) ? this.family() : []), ...more];
    }
    const n = 1 + this.below(6);
    return ["zoo", ...Array.from({ length: n }, () => this.operation())];
  }

  monitors(conditional: boolean): JsonObject {
    const tables = TABLE_NAMES.filter(() => this.chance(70));
    const select = () => {
      const kinds = ["initial", "insert", "delete", "modify"].filter(() => this.chance(30));
      return Object.fromEntries(kinds.map((k) => [k, this.chance(50)]));
    };
    return Object.fromEntries(
      tables.map((t) => [
        t,
        [
          {
            // With its version a row would differ, as that is random.
            columns: Object.keys(COLUMNS[t]).filter(() => this.chance(60)),
            ...(this.chance(30) ? { select: select() } : {}),
            ...(conditional && this.chance(70) ? { where: this.where(t) } : {}),
          },
        ],
      ]),
    );
  }
}

/** The session of a seed. */
export function clientSession(seed: number): ClientSession {
  const d = new Drawer(seed);
  const step = (): ClientStep => {
    if (!d.chance(8)) {
      return { change: null, params: d.transaction() };
    }
    const table = d.pick(TABLE_NAMES);
    const request: Json = { where: d.where(table), ...(d.chance(3) ? { columns: [] } : {}) };
    return { change: { table, request }, params: { [table]: [request] } };
  };
  return {
    monitor: d.monitors(false),
    conditional: d.monitors(true),
    steps: Array.from({ length: 3 + d.below(12) }, step),
  };
}

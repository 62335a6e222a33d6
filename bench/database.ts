// Database bench: how long files of the Open_vSwitch database take to open, and how much memory.
//
// Files hold ports with their interfaces on ten bridges, as one record (what compaction leaves) or
// as many transactions, or queues, which have next to no columns. Beside ours, where it is
// installed, ovsdb-tool answers the same query. Each runs as a process; its processor time and its
// peak are what the kernel counts, Node's own start included.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { SeededRng } from "../src/lib/env.ts";
import { formatJson, type Json, type JsonObject } from "../src/ovsdb/json.ts";
import { schemaToJson } from "../src/ovsdb/schema.ts";
import { UuidMaker } from "../src/ovsdb/uuid.ts";
import { vswitchSchema } from "../src/ovsdb/vswitch-schema.ts";
import type { Table } from "./table.ts";

const BRIDGES = 10;
const QUERY =
  '["Open_vSwitch",{"op":"select","table":"Bridge","where":[["name","==","br1"]],"columns":["name"]}]';
/** How often the peak of a process is looked at. */
const POLL_MS = 20;
/** Of fields 14 and 15 of /proc/PID/stat. */
const TICKS = 100;
const WANTED = { seconds: 30, megabytes: 700 };

type Records = Generator<JsonObject>;

const uuids = new UuidMaker(new SeededRng(5));
const ref = (uuid: string): Json => ["uuid", uuid];
const setOf = (items: readonly Json[]): Json =>
  items.length === 1 ? (items[0] ?? []) : ["set", items];

/** A port and its interface as members of a record. */
function addPort(i: number, ports: Record<string, Json>, ifaces: Record<string, Json>): Json {
  const [port, iface] = [uuids.next(), uuids.next()];
  ifaces[iface] = {
    name: `port${i}`,
    ofport: (i % 60_000) + 1,
    external_ids: [
      "map",
      [
        ["attached-mac", `fa:16:3e:00:${i}`],
        ["iface-id", uuids.next()],
      ],
    ],
    ...(i % 7 === 0 ? { type: "internal" } : {}),
  };
  ports[port] = {
    name: `port${i}`,
    interfaces: ref(iface),
    ...(i % 3 === 0 ? { tag: (i % 4094) + 1 } : {}),
  };
  return ref(port);
}

/** Rows of ports and interfaces, `perRecord` in a transaction. */
function* portRecords(rows: number, perRecord: number): Records {
  const bridges = Array.from({ length: BRIDGES }, () => uuids.next());
  yield {
    Open_vSwitch: { [uuids.next()]: { bridges: ["set", bridges.map(ref)] } },
    Bridge: Object.fromEntries(bridges.map((b, i) => [b, { name: `br${i}` }])),
  };
  for (let made = 0; made < rows; ) {
    const Port: Record<string, Json> = {};
    const Interface: Record<string, Json> = {};
    const members: Json[][] = bridges.map(() => []);
    for (let n = 0; n < perRecord && made < rows; n += 2, made += 2) {
      const i = made / 2;
      members[Math.floor(i / 50) % BRIDGES]?.push(addPort(i, Port, Interface));
    }
    const filled = bridges.flatMap((b, i): [string, Json][] => {
      const ports = members[i] ?? [];
      return ports.length === 0 ? [] : [[b, { ports: setOf(ports) }]];
    });
    yield { Bridge: Object.fromEntries(filled), Port, Interface, _is_diff: true };
  }
}

function* queueRecords(rows: number): Records {
  const Queue: Record<string, Json> = {};
  for (let i = 0; i < rows; i++) {
    Queue[uuids.next()] = { dscp: i % 64, external_ids: ["map", [["n", `${i}`]]] };
  }
  yield { Queue };
}

function writeDatabase(path: string, records: Records): void {
  const put = (text: string) => {
    const data = Buffer.from(`${text}\n`);
    const hash = createHash("sha1").update(data).digest("hex");
    appendFileSync(path, `OVSDB JSON ${data.length} ${hash}\n`);
    appendFileSync(path, data);
  };
  writeFileSync(path, "");
  put(formatJson(schemaToJson(vswitchSchema())));
  for (const record of records) {
    // All that is in these are small numbers and texts: JSON as the platform writes it will do.
    put(JSON.stringify({ ...record, _date: 1_700_000_000_000 }));
  }
}

interface Cost {
  readonly seconds: number;
  readonly megabytes: number;
}

/** Runs a program to its end and watches what it takes. */
async function measure(program: string, args: readonly string[]): Promise<Cost> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  let cost: Cost = { seconds: 0, megabytes: 0 };
  const look = () => {
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
      const ticks = Number(stat[11]) + Number(stat[12]);
      const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
      if (peak !== null) {
        cost = { seconds: ticks / TICKS, megabytes: Number(peak[1]) / 1024 };
      }
    } catch {
      // It has ended; the last look counts.
    }
  };
  const timer = setInterval(look, POLL_MS);
  const status = await new Promise((done) => child.once("exit", done));
  clearInterval(timer);
  if (status !== 0) {
    throw new Error(`${program} ended with ${status}`);
  }
  return cost;
}

const show = (c: Cost): string => `${c.seconds.toFixed(1)} s, ${Math.round(c.megabytes)} MB`;

export async function databaseBench(): Promise<Table> {
  const dir = mkdtempSync(join(tmpdir(), "tablewalk-database-"));
  const program = join(dir, "load.mjs");
  const path = join(dir, "conf.db");
  const files: readonly (readonly [string, () => Records])[] = [
    ["100,000 ports and interfaces, one record", () => portRecords(100_000, 100_000)],
    ["100,000, a transaction for 100", () => portRecords(100_000, 100)],
    ["1,000,000 ports and interfaces, one record", () => portRecords(1_000_000, 1_000_000)],
    ["1,000,000 queues, one record", () => queueRecords(1_000_000)],
  ];
  const hasRival = spawnSync("ovsdb-tool", ["--version"]).status === 0;
  const rows: string[][] = [];
  try {
    const entryPoints = ["bench/database-load.ts"];
    const form = { bundle: true, platform: "node", format: "esm" } as const;
    await build({ ...form, entryPoints, outfile: program, logLevel: "warning" });
    for (const [name, records] of files) {
      writeDatabase(path, records());
      const ours = await measure(process.execPath, [program, path, QUERY]);
      const theirs = hasRival ? await measure("ovsdb-tool", ["query", path, QUERY]) : null;
      rows.push([name, show(ours), theirs === null ? "not installed" : show(theirs)]);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return {
    title: "Opening database files",
    header: [
      "rows",
      `tablewalk (wanted for a million: < ${WANTED.seconds} s, < ${WANTED.megabytes} MB)`,
      "ovsdb-tool",
    ],
    rows,
  };
}

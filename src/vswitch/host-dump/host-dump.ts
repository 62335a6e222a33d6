// HostDump: the files of a broken host, sorted out: what each is, which bridge it speaks of, and which
// of several that say the same to use.
//
// A sosreport has each dump once per OpenFlow version, a manifest that maps commands to files, and
// much that is of no use here; ovs-save has one file a bridge; an operator may have a single text.
// The same dump is taken from the highest version: OpenFlow 1.5 text loses nothing that 1.0 says.

import { decodeUtf8 } from "../../lib/bytes.ts";
import { type DumpKind, HEAD_CHARS, headerVersion, provenance, recognise } from "./recognise.ts";

/** A file as it was found. */
export interface DumpInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A text and where it is from. */
export interface DumpText {
  readonly name: string;
  readonly text: string;
  /** OpenFlow version 10 to 15; 0 where nothing tells. */
  readonly version: number;
}

/** Kinds of dumps that belong to one bridge. */
export const BRIDGE_KINDS = [
  "flows",
  "groups",
  "meters",
  "tlv-map",
  "ports-desc",
  "show",
  "fdb",
] as const satisfies readonly DumpKind[];
export type BridgeKind = (typeof BRIDGE_KINDS)[number];

/** What is known of one bridge. */
export type BridgeDump = Partial<Record<BridgeKind, DumpText>>;

export interface HostDump {
  /** Bridges by name; "" for texts that no name, command or manifest ties to a bridge. */
  readonly bridges: Map<string, BridgeDump>;
  /** The OVSDB file conf.db. */
  database: DumpInput | null;
  dpifShow: DumpText | null;
  conntrack: DumpText | null;
  vsctlShow: DumpText | null;
  /** Ways and neighbours of native tunnels. */
  routes: DumpText | null;
  neighbours: DumpText | null;
  /** The same dump in another version or from another file: not used. */
  readonly spare: { readonly name: string; readonly insteadOf: string }[];
}

const MANIFEST_ENTRIES_MAX = 100_000;

/** True for a file that is worth reading whole. */
export function isOfUse(head: string): boolean {
  return recognise(head) !== null;
}

/** Sorts the files. */
export function sortHostDump(inputs: readonly DumpInput[]): HostDump {
  const dump: HostDump = {
    bridges: new Map(),
    database: null,
    dpifShow: null,
    conntrack: null,
    vsctlShow: null,
    routes: null,
    neighbours: null,
    spare: [],
  };
  const known = inputs.map((input) => {
    const head = decodeUtf8(input.bytes.subarray(0, HEAD_CHARS));
    return { input, head, kind: recognise(head) };
  });
  const commands = new Map<string, string>();
  for (const { input, kind } of known) {
    if (kind === "manifest") {
      readManifest(decodeUtf8(input.bytes), commands);
    }
  }
  for (const { input, head, kind } of known) {
    if (kind !== null) {
      place(dump, kind, input, head, commandOf(input.name, commands));
    }
  }
  return dump;
}

function place(
  dump: HostDump,
  kind: DumpKind,
  input: DumpInput,
  head: string,
  command: string,
): void {
  if (kind === "ovsdb") {
    if (dump.database === null) {
      dump.database = input;
    } else {
      dump.spare.push({ name: input.name, insteadOf: dump.database.name });
    }
    return;
  }
  const from = provenance(command);
  const version = headerVersion(head) || from.version;
  const text = (): DumpText => ({ name: input.name, text: decodeUtf8(input.bytes), version });
  switch (kind) {
    case "dpif-show":
      dump.dpifShow ??= text();
      return;
    case "conntrack":
      dump.conntrack ??= text();
      return;
    case "vsctl-show":
      dump.vsctlShow ??= text();
      return;
    case "routes":
      dump.routes ??= text();
      return;
    case "neighbours":
      dump.neighbours ??= text();
      return;
    case "manifest":
    case "save-script":
    case "group-stats":
      return;
    default:
      placeInBridge(dump, kind, from.bridge ?? "", text());
  }
}

function placeInBridge(dump: HostDump, kind: BridgeKind, bridge: string, text: DumpText): void {
  let of = dump.bridges.get(bridge);
  if (of === undefined) {
    of = {};
    dump.bridges.set(bridge, of);
  }
  const other = of[kind];
  if (other === undefined) {
    of[kind] = text;
  } else if (text.version > other.version) {
    of[kind] = text;
    dump.spare.push({ name: other.name, insteadOf: text.name });
  } else {
    dump.spare.push({ name: text.name, insteadOf: other.name });
  }
}

/** Collects `"filepath": ..., "exec": ...` pairs wherever they stand in a sosreport's manifest. */
function readManifest(json: string, commands: Map<string, string>): void {
  let data: unknown;
  try {
    data = JSON.parse(json);
  } catch {
    return; // The manifest only helps; file names say the same.
  }
  const todo: unknown[] = [data];
  for (let i = 0; i < todo.length && i < MANIFEST_ENTRIES_MAX; i++) {
    const node = todo[i];
    if (typeof node !== "object" || node === null) {
      continue;
    }
    const { filepath, exec } = node as { filepath?: unknown; exec?: unknown };
    if (typeof filepath === "string" && typeof exec === "string") {
      commands.set(filepath, exec);
    }
    todo.push(...Object.values(node));
  }
}

/** The command that made a file, as the manifest has it, or the file's name. */
function commandOf(name: string, commands: ReadonlyMap<string, string>): string {
  for (let at = 0; at >= 0; at = nextPart(name, at)) {
    const command = commands.get(name.slice(at));
    if (command !== undefined) {
      return command;
    }
  }
  return name;
}

/** Where the next component of a path begins, or -1. */
function nextPart(name: string, at: number): number {
  const rest = name.slice(at).search(/[/:]/);
  return rest < 0 ? -1 : at + rest + 1;
}

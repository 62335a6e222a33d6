// Opening what a user names with --from: the same for every subcommand that works on a host's dumps.

import { type Clock, type FileError, type FileSystem, SeededRng } from "../lib/env.ts";
import { readInputs } from "../io/inputs.ts";
import { decodeUtf8 } from "../lib/bytes.ts";
import { isOfUse, sortHostDump } from "../vswitch/host-dump/host-dump.ts";
import type { Note } from "../vswitch/host-dump/note.ts";
import { openHostDump } from "../vswitch/host-dump/open.ts";
import type { FlowLine } from "../vswitch/host-dump/tables.ts";
import { VSwitch } from "../vswitch/vswitch.ts";

const NOTHING_THERE: FileError = { ok: false, message: "No such file or directory" };
const READ_ONLY: FileError = { ok: false, message: "Read-only file system" };

/** The database of a host may name files to write, such as captures of its ports; none is. */
const NO_FILES: FileSystem = {
  readFile: () => NOTHING_THERE,
  writeFile: () => READ_ONLY,
  appendFile: () => READ_ONLY,
  replaceFile: () => READ_ONLY,
  exists: () => false,
  list: () => NOTHING_THERE,
  makeTempDir: () => READ_ONLY,
};

export interface HostOptions {
  readonly from: readonly string[];
  /** The bridge that texts without a bridge's name belong to. */
  readonly bridge: string | undefined;
  /** A file of connections in place of what the dumps hold. */
  readonly ctDump: string | undefined;
  readonly quiet: boolean;
  readonly clock: Clock;
  /** Learns which line each flow is from. */
  readonly lines?: FlowLine[];
}

/** The switch of a host; a text says why there is none. `say` gets lines for standard error. */
export async function openHost(
  options: HostOptions,
  say: (text: string) => void,
): Promise<VSwitch | string> {
  const { from, ctDump } = options;
  const { files, problems } = await readInputs(from, (_, head) => isOfUse(decodeUtf8(head)));
  for (const { name, problem } of problems) {
    say(`${name}: ${problem}`);
  }
  if (files.length === 0) {
    return problems.length > 0 ? "nothing to open" : `${from.join(", ")}: no dump in it`;
  }
  const vs = new VSwitch({
    clock: options.clock,
    rng: new SeededRng(1),
    fs: NO_FILES,
  });
  const dump = sortHostDump(files);
  if (ctDump !== undefined) {
    const read = await readInputs([ctDump], () => true);
    const [file] = read.files;
    if (file === undefined) {
      return read.problems.map((p) => `${p.name}: ${p.problem}`).join("; ");
    }
    dump.conntrack = { name: file.name, text: decodeUtf8(file.bytes), version: 0 };
  }
  tell(openHostDump(vs, dump, options.bridge ?? null, options.lines ?? null), options.quiet);
  return vs;
}

/** The bridge that is meant, or why there is none. */
export function chooseBridge(vs: VSwitch, wanted: string | undefined): { name: string } | string {
  const names = [...vs.bridges.values()].map((br) => br.name).sort();
  const name = wanted ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined) {
    return `--bridge is needed: there are ${names.join(", ") || "no bridges"}`;
  }
  if (vs.bridges.get(name) === undefined) {
    return `no bridge ${name}: there are ${names.join(", ") || "none"}`;
  }
  return { name };
}

function tell(notes: readonly Note[], quiet: boolean): void {
  for (const { kind, text } of notes) {
    if (!quiet || kind === "error") {
      process.stderr.write(`${kind}: ${text}\n`);
    }
  }
}

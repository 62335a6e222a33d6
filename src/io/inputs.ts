// Files that a user names: loose files, directories, and tar archives (plain, gzip, xz), looked at
// one after the other without unpacking anything to disk.
//
// An archive is told by its first bytes. Names inside an archive are labels only: nothing is ever
// written under them, and one that is absolute or climbs with ".." is passed over and said. Limits
// bound what a hostile input can cost; what they cut is reported, never silently dropped.

import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { isArchive } from "./archive-magic.ts";
import { reasonOf } from "./system-error.ts";

/** Files looked at in all. */
export const INPUT_FILES_MAX = 100_000;
/** Directories within directories. */
export const INPUT_DEPTH_MAX = 32;
/** Bytes of one file; text of a million flows has about 250 MB. */
export const INPUT_FILE_BYTES_MAX = 1 << 30;
/** One file, wherever it came from. */
export interface InputFile {
  /** Path as the user would say it: `bundle.tar.gz:sos_commands/...` inside an archive. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Something that was passed over, and why. */
export interface InputProblem {
  readonly name: string;
  readonly problem: string;
}

const HEAD_BYTES = 512;
/**
 * All files below the given paths. `wanted` sees a name and the first bytes and says whether the
 * whole file is to be read.
 */
export async function readInputs(
  paths: readonly string[],
  wanted: (name: string, head: Uint8Array) => boolean,
): Promise<{ files: InputFile[]; problems: InputProblem[] }> {
  const reader = new InputReader(wanted);
  for (const path of paths) {
    await reader.path(path, 0);
  }
  return { files: reader.files, problems: reader.problems };
}

class InputReader {
  readonly files: InputFile[] = [];
  readonly problems: InputProblem[] = [];
  private seen = 0;
  private readonly wanted: (name: string, head: Uint8Array) => boolean;

  constructor(wanted: (name: string, head: Uint8Array) => boolean) {
    this.wanted = wanted;
  }

  async path(path: string, depth: number): Promise<void> {
    try {
      const info = statSync(path);
      if (!info.isDirectory()) {
        await this.file(path, info.size);
      } else if (depth >= INPUT_DEPTH_MAX) {
        this.problem(path, `more than ${INPUT_DEPTH_MAX} directories deep`);
      } else {
        for (const name of readdirSync(path).sort()) {
          await this.path(join(path, name), depth + 1);
        }
      }
    } catch (e) {
      this.problem(path, reasonOf(e));
    }
  }

  private async file(path: string, size: number): Promise<void> {
    const head = readHead(path);
    if (isArchive(head)) {
      await this.archive(path, head);
    } else if (this.admit(path, size) && this.wanted(path, head)) {
      this.files.push({ name: path, bytes: readFileSync(path) });
    }
  }

  private async archive(path: string, head: Uint8Array): Promise<void> {
    const { archiveEntries } = await import("./archive.ts");
    for await (const entry of archiveEntries(path, head)) {
      const label = `${path}:${entry.name}`;
      if (!entry.isFile) {
        await entry.skip();
      } else if (entry.name.startsWith("/") || entry.name.split("/").includes("..")) {
        this.problem(label, "a path that leaves the archive");
        await entry.skip();
      } else if (!this.admit(label, entry.size)) {
        await entry.skip();
      } else {
        const whole = await entry.read();
        if (this.wanted(label, whole.subarray(0, HEAD_BYTES))) {
          this.files.push({ name: label, bytes: whole });
        }
      }
    }
  }

  private admit(name: string, size: number): boolean {
    if (++this.seen > INPUT_FILES_MAX) {
      if (this.seen === INPUT_FILES_MAX + 1) {
        this.problem(name, `more than ${INPUT_FILES_MAX} files; the rest is passed over`);
      }
      return false;
    }
    if (size > INPUT_FILE_BYTES_MAX) {
      this.problem(name, `larger than ${INPUT_FILE_BYTES_MAX} bytes`);
      return false;
    }
    return true;
  }

  private problem(name: string, problem: string): void {
    this.problems.push({ name, problem });
  }
}

function readHead(path: string): Uint8Array {
  const fd = openSync(path, "r");
  try {
    const head = new Uint8Array(HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

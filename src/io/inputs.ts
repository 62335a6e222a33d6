// Files that a user names: loose files, directories, and tar archives (plain, gzip, xz), looked at
// one after the other without unpacking anything to disk.
//
// An archive is told by its first bytes. Names inside an archive are labels only: nothing is ever
// written under them, and one that is absolute or climbs with ".." is passed over and said. Limits
// bound what a hostile input can cost; what they cut is reported, never silently dropped.

import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { createTarDecoder } from "modern-tar";
import { concatBytes } from "../lib/bytes.ts";
import { reasonOf } from "./system-error.ts";

/** Files looked at in all. */
export const INPUT_FILES_MAX = 100_000;
/** Directories within directories. */
export const INPUT_DEPTH_MAX = 32;
/** Bytes of one file; text of a million flows has about 250 MB. */
export const INPUT_FILE_BYTES_MAX = 1 << 30;
/** Bytes out of one archive, after decompression. */
export const ARCHIVE_BYTES_MAX = 4 * (1 << 30);

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
const GZIP_MAGIC = [0x1f, 0x8b];
const XZ_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const USTAR_OFS = 257;
const USTAR = "ustar";

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
      const info = await stat(path);
      if (!info.isDirectory()) {
        await this.file(path, info.size);
      } else if (depth >= INPUT_DEPTH_MAX) {
        this.problem(path, `more than ${INPUT_DEPTH_MAX} directories deep`);
      } else {
        for (const name of (await readdir(path)).sort()) {
          await this.path(join(path, name), depth + 1);
        }
      }
    } catch (e) {
      this.problem(path, reasonOf(e));
    }
  }

  private async file(path: string, size: number): Promise<void> {
    const head = await readHead(path);
    if (isArchive(head)) {
      await this.archive(path, head);
    } else if (this.admit(path, size) && this.wanted(path, head)) {
      this.files.push({ name: path, bytes: await readAll(createReadStream(path)) });
    }
  }

  private async archive(path: string, head: Uint8Array): Promise<void> {
    let unpacked = 0;
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        unpacked += chunk.length;
        if (unpacked > ARCHIVE_BYTES_MAX) {
          throw new Error(`unpacks to more than ${ARCHIVE_BYTES_MAX} bytes`);
        }
        controller.enqueue(chunk);
      },
    });
    // The web streams of node:stream and of the language's library are the same objects.
    const bytes = Readable.toWeb(decompressed(path, head)) as ReadableStream<Uint8Array>;
    for await (const entry of bytes.pipeThrough(counted).pipeThrough(createTarDecoder())) {
      const { name, size, type } = entry.header;
      const label = `${path}:${name}`;
      if (type !== undefined && type !== "file") {
        await entry.body.cancel();
      } else if (name.startsWith("/") || name.split("/").includes("..")) {
        this.problem(label, "a path that leaves the archive");
        await entry.body.cancel();
      } else if (!this.admit(label, size)) {
        await entry.body.cancel();
      } else {
        const whole = await readWeb(entry.body);
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

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((b, i) => bytes[i] === b);
}

function isArchive(head: Uint8Array): boolean {
  const ustar = [...USTAR].every((c, i) => head[USTAR_OFS + i] === c.charCodeAt(0));
  return ustar || startsWith(head, GZIP_MAGIC) || startsWith(head, XZ_MAGIC);
}

/** The archive's bytes, decompressed; xz needs the program of that name. */
function decompressed(path: string, head: Uint8Array): Readable {
  if (startsWith(head, GZIP_MAGIC)) {
    const gunzip = createGunzip();
    return createReadStream(path)
      .on("error", (e) => gunzip.destroy(e))
      .pipe(gunzip);
  }
  if (!startsWith(head, XZ_MAGIC)) {
    return createReadStream(path);
  }
  const xz = spawn("xz", ["--decompress", "--stdout", path], { stdio: ["ignore", "pipe", "pipe"] });
  let complaint = "";
  xz.stderr.on("data", (chunk: Buffer) => {
    complaint += String(chunk);
  });
  xz.on("error", () => xz.stdout.destroy(new Error("needs the program xz, which is not here")));
  xz.on("close", (status) => {
    if (status !== 0 && complaint !== "") {
      xz.stdout.destroy(new Error(complaint.trim()));
    }
  });
  return xz.stdout;
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function readAll(stream: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk as Uint8Array);
  }
  return concatBytes(chunks);
}

async function readWeb(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return concatBytes(chunks);
}

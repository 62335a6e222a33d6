// The files of a tar archive, plain or compressed by gzip or xz, one after the other.
//
// Nothing is unpacked to disk. What an archive unpacks to is bounded (ARCHIVE_BYTES_MAX); the rest is
// an error. Loaded when an archive is met: what it needs of Node takes a while to load.

import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { createTarDecoder } from "modern-tar";
import { concatBytes } from "../lib/bytes.ts";
import { isGzip, isXz } from "./archive-magic.ts";

/** Bytes out of one archive, after decompression. */
export const ARCHIVE_BYTES_MAX = 4 * (1 << 30);

/** One entry, which has to be read or skipped before the next one. */
export interface ArchiveEntry {
  readonly name: string;
  readonly size: number;
  readonly isFile: boolean;
  read(): Promise<Uint8Array>;
  skip(): Promise<void>;
}

/** The entries of the archive whose first bytes are `head`. Throws what is wrong with it. */
export async function* archiveEntries(
  path: string,
  head: Uint8Array,
): AsyncGenerator<ArchiveEntry> {
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
  for await (const { header, body } of bytes.pipeThrough(counted).pipeThrough(createTarDecoder())) {
    const { name, size, type } = header;
    yield {
      name,
      size,
      isFile: type === undefined || type === "file",
      read: () => readWeb(body),
      skip: () => body.cancel(),
    };
  }
}

/** The archive's bytes, decompressed; xz needs the program of that name. */
function decompressed(path: string, head: Uint8Array): Readable {
  if (isGzip(head)) {
    const gunzip = createGunzip();
    return createReadStream(path)
      .on("error", (e) => gunzip.destroy(e))
      .pipe(gunzip);
  }
  if (!isXz(head)) {
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

async function readWeb(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return concatBytes(chunks);
}

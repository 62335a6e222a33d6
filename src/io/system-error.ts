// What the system says is wrong with a file, in the words of strerror(3), and directories that are
// made without asking it twice.

import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** Texts of the errno values that a file can meet, as strerror() has them. */
const ERRNO_TEXT: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EEXIST: "File exists",
  EISDIR: "Is a directory",
  ENOTDIR: "Not a directory",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EMFILE: "Too many open files",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
  EIO: "Input/output error",
};

/** Why something failed, without the path, which the caller knows how the user has called it. */
export function reasonOf(e: unknown): string {
  if (!(e instanceof Error)) {
    return String(e);
  }
  return ("code" in e ? ERRNO_TEXT[String(e.code)] : undefined) ?? e.message;
}

/** True for what node:fs throws, which is no defect of this program. */
export function isSystemError(e: unknown): e is Error {
  return e instanceof Error && "errno" in e;
}

/**
 * Makes a directory and those above it. `recursive` of node:fs is no help: where a parent is there
 * but takes no entries, as in /proc, it tries for ever.
 */
export function makeDirectory(path: string): void {
  if (isDirectory(path)) {
    return;
  }
  const parent = dirname(path);
  if (parent !== path && !isDirectory(parent)) {
    makeDirectory(parent);
  }
  mkdirSync(path);
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

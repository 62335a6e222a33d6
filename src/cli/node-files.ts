// Files of the machine for the core: every name is relative to one directory.

import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { reasonOf } from "../io/system-error.ts";
import type { FileResult, FileSystem } from "../lib/env.ts";

/** Runs `f`; an error of the system becomes a failure with its usual text. */
function attempt<T>(f: () => T): FileResult<T> {
  try {
    return { ok: true, value: f() };
  } catch (e) {
    return { ok: false, message: reasonOf(e) };
  }
}

export class NodeFiles implements FileSystem {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  private path(name: string): string {
    return resolve(this.dir, name);
  }

  readFile(path: string): FileResult<Uint8Array> {
    return attempt(() => new Uint8Array(readFileSync(this.path(path))));
  }

  writeFile(path: string, bytes: Uint8Array): FileResult<true> {
    return attempt(() => {
      writeFileSync(this.path(path), bytes);
      return true as const;
    });
  }

  appendFile(path: string, bytes: Uint8Array): FileResult<true> {
    return attempt(() => {
      appendFileSync(this.path(path), bytes);
      return true as const;
    });
  }

  replaceFile(path: string, bytes: Uint8Array): FileResult<true> {
    return attempt(() => {
      const target = this.path(path);
      const draft = `${target}.tmp`;
      const fd = openSync(draft, "w");
      writeFileSync(fd, bytes);
      fsyncSync(fd);
      closeSync(fd);
      renameSync(draft, target);
      return true as const;
    });
  }

  exists(path: string): boolean {
    return existsSync(this.path(path));
  }

  list(path: string): FileResult<string[]> {
    return attempt(() => readdirSync(this.path(path)).sort());
  }

  makeTempDir(): FileResult<string> {
    return attempt(() => mkdtempSync(join(tmpdir(), "tablewalk-")));
  }
}

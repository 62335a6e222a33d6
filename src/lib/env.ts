// What the core needs from outside: time, randomness and files, each an interface.
//
// The program's edge implements them with the machine's; tests and the virtual clock with the
// deterministic ones below. Nothing in the core asks the machine itself.

/** Milliseconds. The origin is the implementation's: only differences mean something. */
export interface Clock {
  nowMs(): number;
  /** Milliseconds since 1970-01-01 UTC, for texts that carry a date. */
  wallMs(): number;
}

/** A clock that only moves when told. */
export class ManualClock implements Clock {
  private ms: number;
  private readonly wallAtZeroMs: number;

  constructor(startMs = 0, wallAtZeroMs = 0) {
    this.ms = startMs;
    this.wallAtZeroMs = wallAtZeroMs;
  }

  nowMs(): number {
    return this.ms;
  }

  wallMs(): number {
    return this.wallAtZeroMs + this.ms;
  }

  /** Moves forward, never back. */
  advance(ms: number): void {
    this.ms += Math.max(0, ms);
  }

  /** Moves to a time unless that is in the past. */
  advanceTo(ms: number): void {
    this.ms = Math.max(this.ms, ms);
  }
}

/** A source of random 32-bit words. */
export interface Rng {
  /** Uniform in [0, 2^32). */
  u32(): number;
}

/** Uniform in [0, n) (ovs: random_range, which takes the remainder too). */
export function randomRange(rng: Rng, n: number): number {
  return rng.u32() % n;
}

/** xorshift32 (Marsaglia 2003): the same numbers for the same seed, everywhere. */
export class SeededRng implements Rng {
  private state: number;

  constructor(seed = 1) {
    this.state = seed | 0 || 1;
  }

  u32(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }
}

/** Answers of a file system name what went wrong as errno does: "No such file or directory". */
export type FileResult<T> = { readonly ok: true; readonly value: T } | FileError;

export interface FileError {
  readonly ok: false;
  /** strerror() text. */
  readonly message: string;
}

/** Files by name; relative names are the implementation's to resolve. */
export interface FileSystem {
  readFile(path: string): FileResult<Uint8Array>;
  writeFile(path: string, bytes: Uint8Array): FileResult<true>;
  appendFile(path: string, bytes: Uint8Array): FileResult<true>;
  /** Puts a whole new file in the place of an old one, so that never a part of it is seen. */
  replaceFile(path: string, bytes: Uint8Array): FileResult<true>;
  exists(path: string): boolean;
  /** Names in a directory, sorted. */
  list(path: string): FileResult<string[]>;
  /** Makes a new directory for files that nobody needs for long; answers its name. */
  makeTempDir(): FileResult<string>;
}

/** Files in memory. */
export class MemoryFileSystem implements FileSystem {
  readonly files = new Map<string, Uint8Array>();
  private tempDirs = 0;

  readFile(path: string): FileResult<Uint8Array> {
    const value = this.files.get(path);
    return value === undefined
      ? { ok: false, message: "No such file or directory" }
      : { ok: true, value };
  }

  writeFile(path: string, bytes: Uint8Array): FileResult<true> {
    this.files.set(path, bytes.slice());
    return { ok: true, value: true };
  }

  appendFile(path: string, bytes: Uint8Array): FileResult<true> {
    const old = this.files.get(path) ?? new Uint8Array(0);
    const joined = new Uint8Array(old.length + bytes.length);
    joined.set(old);
    joined.set(bytes, old.length);
    this.files.set(path, joined);
    return { ok: true, value: true };
  }

  replaceFile(path: string, bytes: Uint8Array): FileResult<true> {
    return this.writeFile(path, bytes);
  }

  exists(path: string): boolean {
    return this.files.has(path);
  }

  list(path: string): FileResult<string[]> {
    const prefix = path === "" || path === "." ? "" : `${path.replace(/\/+$/, "")}/`;
    const names = new Set<string>();
    for (const name of this.files.keys()) {
      if (name.startsWith(prefix)) {
        names.add(name.slice(prefix.length).split("/")[0] ?? "");
      }
    }
    return { ok: true, value: [...names].sort() };
  }

  makeTempDir(): FileResult<string> {
    this.tempDirs++;
    return { ok: true, value: `/tmp/tablewalk-${this.tempDirs}` };
  }
}

// The lock that keeps two programs from writing one database file.
//
// It is the file that ovsdb-server locks too, `.NAME.~lock~` beside the database: ours holds the
// number of our process, and on Linux the list of locked files tells whether a server holds it.
// It is advice: whoever does not ask can write. References: ovs: lib/lockfile.c.

import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { reasonOf } from "../io/system-error.ts";

export interface DbLock {
  release(): void;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (e) {
    return e instanceof Error && "code" in e && e.code === "EPERM";
  }
}

/** The process that has locked a file with fcntl(), if the system tells. */
function lockedBy(path: string): number | null {
  try {
    const { ino } = statSync(path);
    for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
      // 1: POSIX  ADVISORY  WRITE 4711 08:01:131 0 EOF
      const words = line.split(/\s+/);
      if (words[5]?.endsWith(`:${ino}`) === true && words[4] !== undefined) {
        return Number(words[4]);
      }
    }
  } catch {
    // No such list here, or no such file: nobody is known to hold it.
  }
  return null;
}

/** The process whose number the lock file holds, if it still runs. */
function ownedBy(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    return Number.isInteger(pid) && pid > 0 && pid !== process.pid && isAlive(pid) ? pid : null;
  } catch {
    return null;
  }
}

/** Takes the lock of a database file; the text says who has it. */
export function lockDatabase(file: string): DbLock | string {
  const path = join(dirname(file), `.${basename(file)}.~lock~`);
  const holder = lockedBy(path) ?? ownedBy(path);
  if (holder !== null) {
    return `${file}: failed to lock lockfile, process ${holder} has it`;
  }
  try {
    writeFileSync(path, String(process.pid));
  } catch (e) {
    return `${path}: ${reasonOf(e)}`;
  }
  return { release: () => rmSync(path, { force: true }) };
}

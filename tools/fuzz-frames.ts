// The part of `npm run fuzz` that sends frames through worlds, in this thread or in several.
//
// A world follows from the seed and its number, so that threads take whichever comes next, and what is
// asked does not depend on how many they are. Worlds that do not hold are told as they are found. An
// interrupt (SIGINT) ends a run in threads after the worlds that are under way, with what it has come to.

import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { fuzzWorld, worldFrames } from "../test/laws/frame-fuzz.ts";
import { note, type Notes } from "../test/laws/switch-laws.ts";

export interface FrameRun {
  readonly seed: number;
  /** Number of the first world. */
  readonly from: number;
  readonly frames: number;
  readonly jobs: number;
}

interface Task {
  readonly seed: number;
  readonly world: number;
  readonly frames: number;
}
interface Result {
  readonly task: Task;
  readonly wrong: string | null;
  readonly notes: Notes;
}

export const SEED_MAX = 2 ** 31;
/** Worlds that may fail before a run ends. */
const FAILURES_MAX = 5;
const PROGRESS_FRAMES = 100_000;
const SHOWN_CHARS_MAX = 4000;
const MS_PER_S = 1000;

/** Worlds until their frames are as many as asked for. */
function* tasks({ seed, from, frames }: FrameRun): Generator<Task, undefined> {
  for (let n = 0, world = from; n < frames; world++) {
    const some = Math.min(worldFrames((seed + world) % SEED_MAX), frames - n);
    yield { seed, world, frames: some };
    n += some;
  }
  return undefined;
}

function fuzz(task: Task): Result {
  const notes: Notes = new Map();
  const wrong = fuzzWorld((task.seed + task.world) % SEED_MAX, task.frames, notes);
  return { task, wrong, notes };
}

/** What a run has come to, printed as it goes. */
class Tally {
  failures = 0;
  private frames = 0;
  private readonly notes: Notes = new Map();
  private readonly startMs = performance.now();

  add({ task, wrong, notes }: Result): void {
    if (wrong !== null) {
      this.failures++;
      console.log(`\n--seed ${task.seed} --from ${task.world} --frames ${task.frames}`);
      console.log(wrong.slice(0, SHOWN_CHARS_MAX));
    }
    for (const [what, count] of notes) {
      note(this.notes, what, count);
    }
    const before = this.frames;
    this.frames += task.frames;
    if (Math.floor(this.frames / PROGRESS_FRAMES) > Math.floor(before / PROGRESS_FRAMES)) {
      const rate = (MS_PER_S * this.frames) / (performance.now() - this.startMs);
      console.log(`${this.frames} frames, ${Math.round(rate)}/s`);
    }
  }

  end(): boolean {
    for (const [what, count] of [...this.notes].sort()) {
      console.log(`${String(count).padStart(12)} ${what}`);
    }
    console.log(`${this.frames} frames`);
    console.log(this.failures === 0 ? "no failure" : `${this.failures} worlds failed`);
    return this.failures === 0;
  }
}

/** Sends frames through worlds; false if some law did not hold. */
export async function fuzzFrames(run: FrameRun): Promise<boolean> {
  console.log(`seed ${run.seed}, ${run.frames} frames`);
  const tally = new Tally();
  const rest = tasks(run);
  if (run.jobs > 1) {
    process.once("SIGINT", () => rest.return(undefined));
    await Promise.all(Array.from({ length: run.jobs }, () => inThread(rest, tally)));
  } else {
    for (const task of rest) {
      tally.add(fuzz(task));
      if (tally.failures >= FAILURES_MAX) {
        break;
      }
    }
  }
  return tally.end();
}

/** A thread takes tasks until there are none; resolves when it has ended. */
function inThread(rest: Generator<Task, undefined>, tally: Tally): Promise<void> {
  const worker = new Worker(new URL(import.meta.url));
  return new Promise((resolve, reject) => {
    const next = () => {
      const { value, done } = rest.next();
      if (done === true || tally.failures >= FAILURES_MAX) {
        resolve(worker.terminate().then(() => undefined));
      } else {
        worker.postMessage(value);
      }
    };
    worker.on("error", reject);
    worker.on("message", (result: Result) => {
      tally.add(result);
      next();
    });
    next();
  });
}

/** True in a thread that takes tasks, which it does from now on. */
export function servesTasks(): boolean {
  parentPort?.on("message", (task: Task) => parentPort?.postMessage(fuzz(task)));
  return !isMainThread;
}

// Makes a failing scenario smaller: leaves out parts of every list in it as long as it still fails.

/** Tries of one shrinking, each of which runs the scenario on fresh switches. */
export const SHRINK_TRIES_MAX = 150;

export async function smaller<T extends object>(
  failing: T,
  triesMax: number,
  fails: (candidate: T) => Promise<boolean>,
): Promise<T> {
  let best = structuredClone(failing);
  let tries = 0;
  let progress = true;
  while (progress && tries < triesMax) {
    progress = false;
    for (const path of lists(best)) {
      for (let size = at(best, path).length; size >= 1; size = Math.floor(size / 2)) {
        for (let from = at(best, path).length - size; from >= 0; from -= size) {
          if (tries >= triesMax) {
            return best;
          }
          const candidate = structuredClone(best);
          at(candidate, path).splice(from, size);
          tries += 1;
          if (await fails(candidate)) {
            best = candidate;
            progress = true;
          }
        }
      }
    }
  }
  return best;
}

type Path = readonly (string | number)[];

/** Where the lists of a value are, outer ones first, later ones first. */
function lists(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const inner = Object.entries(value)
    .reverse()
    .flatMap(([k, v]) => lists(v, [...path, k]));
  return Array.isArray(value) ? [path, ...inner] : inner;
}

function at(value: unknown, path: Path): unknown[] {
  let v = value;
  for (const step of path) {
    v = typeof v === "object" && v !== null ? Reflect.get(v, step) : undefined;
  }
  return Array.isArray(v) ? v : [];
}

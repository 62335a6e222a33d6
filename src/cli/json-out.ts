// JSON in pieces: a report of a million flows is longer than a string may be.
//
// The upper levels are indented, one member a line; what lies deeper is on one line.

/** Levels that are spread over lines. */
const SPREAD_LEVELS = 4;

/** Pieces of the text of a value that JSON can hold, with an end of line. */
export function* jsonPieces(value: unknown): Generator<string> {
  yield* pieces(value, 0);
  yield "\n";
}

function* pieces(value: unknown, level: number): Generator<string> {
  if (level >= SPREAD_LEVELS || typeof value !== "object" || value === null) {
    yield JSON.stringify(value) ?? "null";
    return;
  }
  const isList = Array.isArray(value);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  const pad = "  ".repeat(level);
  let isFirst = true;
  yield open;
  for (const [key, member] of Object.entries(value)) {
    yield `${isFirst ? "" : ","}\n${pad}  ${isList ? "" : `${JSON.stringify(key)}: `}`;
    yield* pieces(member, level + 1);
    isFirst = false;
  }
  yield isFirst ? close : `\n${pad}${close}`;
}

/** Pieces of a text put together into longer ones, so that each can be written by itself. */
export function* chunked(all: Iterable<string>, chars = 1 << 16): Generator<string> {
  let chunk = "";
  for (const piece of all) {
    chunk += piece;
    if (chunk.length >= chars) {
      yield chunk;
      chunk = "";
    }
  }
  yield chunk;
}

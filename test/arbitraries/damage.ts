// Damage to good inputs: what a parser meets when a file is cut, mixed up, or made to hurt it.
//
// Some places are spoiled, pieces of other inputs come in, and now and then a piece is repeated many
// times, so that what takes more than linear time is found.

import { damaged, type Pick } from "./matches.ts";

const PLACES_MAX = 4;
const PIECE_MAX = 24;
const REPEATS_MAX = 1500;
/** Numbers that parsers trip over: ends of ranges and lengths. */
const NASTY = [0, 1, 3, 4, 7, 8, 0x7f, 0x80, 0xfe, 0xff] as const;

export function one<T>(r: Pick, list: readonly T[]): T {
  const v = list[r(list.length)];
  if (v === undefined) {
    throw new Error("nothing to pick from");
  }
  return v;
}

/** One of the texts with some places spoiled; one in ten stays whole. */
export function damagedText(r: Pick, seeds: readonly string[]): string {
  let text = one(r, seeds);
  for (let n = r(10) === 0 ? 0 : 1 + r(PLACES_MAX); n > 0; n--) {
    text = spoilText(r, text, seeds);
  }
  return text;
}

function spoilText(r: Pick, text: string, seeds: readonly string[]): string {
  const at = r(text.length + 1);
  const piece = text.slice(at, at + 1 + r(PIECE_MAX));
  switch (r(12)) {
    case 0: {
      const other = one(r, seeds);
      return text.slice(0, at) + other.slice(r(other.length));
    }
    case 1:
      return text.slice(0, at) + piece + text.slice(at);
    case 2:
      return r(8) > 0 ? text : text.slice(0, at) + piece.repeat(r(REPEATS_MAX)) + text.slice(at);
    case 3:
      return (
        text.slice(0, at) + String.fromCharCode(r(r(3) === 0 ? 0x10000 : 128)) + text.slice(at)
      );
    case 4:
      return text.slice(0, at) + text.slice(at + piece.length);
    default:
      return damaged(r, text);
  }
}

/** One of the inputs with some bytes spoiled; one in ten stays whole. */
export function damagedBytes(r: Pick, seeds: readonly Uint8Array[]): Uint8Array {
  let bytes = one(r, seeds);
  for (let n = r(10) === 0 ? 0 : 1 + r(PLACES_MAX); n > 0; n--) {
    bytes = spoilBytes(r, bytes, seeds);
  }
  return bytes;
}

function spoilBytes(r: Pick, bytes: Uint8Array, seeds: readonly Uint8Array[]): Uint8Array {
  const at = r(bytes.length + 1);
  switch (r(7)) {
    case 0:
      return bytes.slice(0, at);
    case 1: {
      const other = one(r, seeds);
      return Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(r(other.length))]);
    }
    case 2: {
      const end = at + 8 * (1 + r(4));
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(end)]);
    }
    case 3: {
      const piece = bytes.subarray(at, at + 8 * (1 + r(4)));
      return Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(at)]);
    }
    case 4: {
      const out = bytes.slice();
      out.fill(one(r, NASTY), at, at + 1 + r(8));
      return out;
    }
    default: {
      const out = bytes.slice();
      if (at < out.length) {
        out[at] = r(2) === 0 ? one(r, NASTY) : r(256);
      }
      return out;
    }
  }
}

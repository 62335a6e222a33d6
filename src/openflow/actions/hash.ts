// What the actions that choose by a hash of the packet, bundle and multipath, have in common.

import type { Subfield } from "../../flow/subfield.ts";
import { nxmHeader } from "../oxm-field.ts";
import { readSubfield } from "./field-ops.ts";

/** Least width of a field that a port number is loaded into. */
export const PORT_BITS = 16;

/** The word of a list that is meant, in whatever case. */
export function findWord<T extends string>(words: readonly T[], text: string): T | undefined {
  const lower = text.toLowerCase();
  return words.find((w) => w === lower);
}

/** A subfield that has a 32-bit header. */
export function readRegister(arg: string, text: string): Subfield | string {
  const dst = readSubfield(text);
  if (typeof dst === "string") {
    return dst;
  }
  if (nxmHeader(dst.field) === 0) {
    return `${arg}: experimenter OXM field '${text}' not supported`;
  }
  return dst;
}

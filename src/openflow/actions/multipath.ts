// The row of the action table for multipath: a link is chosen by a hash of the packet, and its number
// is stored in a field.
//
// ovs: lib/multipath.c.

import { HASH_FIELDS } from "../../flow/flow-hash.ts";
import { atoi, Tokens } from "../../lib/tokens.ts";
import type { OfpErr } from "../messages/errors.ts";
import { fieldFromNxmHeader, nxmHeader } from "../oxm-field.ts";
import { checkTarget, formatSubfield } from "./field-ops.ts";
import { PORT_BITS, findWord, readRegister } from "./hash.ts";
import { ofsBits, packOfsBits } from "./output.ts";
import type { ActionDef, MultipathAlgorithm, ParseContext, ParseOutcome } from "./types.ts";
import { putRaw } from "./wire.ts";

const MULTIPATH_ALGORITHMS: readonly MultipathAlgorithm[] = [
  "modulo_n",
  "hash_threshold",
  "hrw",
  "iter_hash",
];
/** Links that a multipath may have. */
export const MULTIPATH_LINKS_MAX = 65536;

function parseMultipath(arg: string, pp: ParseContext): ParseOutcome {
  const tokens = new Tokens(arg);
  const words: string[] = [];
  for (let i = 0; i < 6; i++) {
    const word = tokens.next(", ");
    if (word === null) {
      return `${arg}: not enough arguments to multipath action`;
    }
    words.push(word);
  }
  const [fieldsText = "", basis = "", algorithmText = "", links = "", mpArg = "", dstText = ""] =
    words;
  const fields = findWord(HASH_FIELDS, fieldsText);
  if (fields === undefined) {
    return `${arg}: unknown fields \`${fieldsText}'`;
  }
  const algorithm = findWord(MULTIPATH_ALGORITHMS, algorithmText);
  if (algorithm === undefined) {
    return `${arg}: unknown algorithm \`${algorithmText}'`;
  }
  const nLinks = atoi(links);
  if (nLinks < 1 || nLinks > MULTIPATH_LINKS_MAX) {
    return `${arg}: n_links ${nLinks} is not in valid range 1 to ${MULTIPATH_LINKS_MAX}`;
  }
  const dst = readRegister(arg, dstText);
  if (typeof dst === "string") {
    return dst;
  }
  if (dst.bits < PORT_BITS && nLinks > 2 ** dst.bits) {
    return (
      `${arg}: ${dst.bits}-bit destination field has ${2 ** dst.bits} possible values, ` +
      `less than specified n_links ${nLinks}`
    );
  }
  pp.out.push({
    kind: "multipath",
    fields,
    basis: atoi(basis) & 0xffff,
    algorithm,
    maxLink: nLinks - 1,
    arg: atoi(mpArg) >>> 0,
    dst,
  });
  return null;
}

/** Layout of multipath: byte offsets. */
const NAM = {
  FIELDS: 10,
  BASIS: 12,
  ALGORITHM: 16,
  MAX_LINK: 18,
  ARG: 20,
  OFS_NBITS: 26,
  DST: 28,
} as const;

export const multipath: ActionDef<"multipath"> = {
  kind: "multipath",
  name: "multipath",
  parsers: { multipath: parseMultipath },
  format: (a) =>
    `multipath(${a.fields},${a.basis},${a.algorithm},${a.maxLink + 1},${a.arg},` +
    `${formatSubfield(a.dst)})`,
  encode: (a, out, version) => {
    const at = putRaw(out, "nx_multipath", version);
    out.patchU16(at + NAM.FIELDS, HASH_FIELDS.indexOf(a.fields));
    out.patchU16(at + NAM.BASIS, a.basis);
    out.patchU16(at + NAM.ALGORITHM, MULTIPATH_ALGORITHMS.indexOf(a.algorithm));
    out.patchU16(at + NAM.MAX_LINK, a.maxLink);
    out.patchU32(at + NAM.ARG, a.arg);
    out.patchU16(at + NAM.OFS_NBITS, packOfsBits(a.dst.ofs, a.dst.bits));
    out.patchU32(at + NAM.DST, nxmHeader(a.dst.field));
  },
  decoders: {
    nx_multipath: (raw, dc) => {
      const field = fieldFromNxmHeader(raw.u32(NAM.DST), dc);
      if (typeof field === "string") {
        return field;
      }
      const warn = (text: string): OfpErr => {
        dc.log?.("WARN", "ofp_actions", text);
        return "OFPBAC_BAD_ARGUMENT";
      };
      const fields = HASH_FIELDS[raw.u16(NAM.FIELDS)];
      const algorithm = MULTIPATH_ALGORITHMS[raw.u16(NAM.ALGORITHM)];
      const maxLink = raw.u16(NAM.MAX_LINK);
      const dst = { field, ...ofsBits(raw, NAM.OFS_NBITS) };
      const minBits = 32 - Math.clz32(maxLink);
      if (fields === undefined) {
        return warn(`unsupported fields ${raw.u16(NAM.FIELDS)}`);
      }
      if (algorithm === undefined) {
        return warn(`unsupported algorithm ${raw.u16(NAM.ALGORITHM)}`);
      }
      if (dst.bits < minBits) {
        return warn(`multipath action requires at least ${minBits} bits for ${maxLink + 1} links`);
      }
      const basis = raw.u16(NAM.BASIS);
      const arg = raw.u32(NAM.ARG);
      dc.out.push({ kind: "multipath", fields, basis, algorithm, maxLink, arg, dst });
      return checkTarget(dst, null, dc.log);
    },
  },
  check: (a, cc) => checkTarget(a.dst, cc.match, cc.log),
  setClass: null,
  doc: "Stores the number of a link, chosen by a hash of the packet, in a field.",
};

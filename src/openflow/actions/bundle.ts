// The rows of the action table for bundle and bundle_load: a port is chosen by a hash of the packet
// among those that are up.
//
// ovs: lib/bundle.c.

import { F } from "../../flow/fields.ts";
import { HASH_FIELDS, type HashFields } from "../../flow/flow-hash.ts";
import { formatPort, OFPP, portFromString } from "../../flow/ofp-port.ts";
import type { Subfield } from "../../flow/subfield.ts";
import { atoi, Tokens } from "../../lib/tokens.ts";
import type { OfpErr } from "../messages/errors.ts";
import { fieldFromNxmHeader, nxmHeader } from "../oxm-field.ts";
import { checkTarget, formatSubfield } from "./field-ops.ts";
import { PORT_BITS, findWord, readRegister } from "./hash.ts";
import { checkOutputPort, ofsBits, packOfsBits } from "./output.ts";
import type {
  ActionDef,
  ActionOf,
  BundleAlgorithm,
  DecodeContext,
  ParseContext,
  ParseOutcome,
} from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

/** Algorithms by their numbers on the wire. */
const BUNDLE_ALGORITHMS: readonly BundleAlgorithm[] = ["active_backup", "hrw"];
/** Members that a bundle may have. */
export const BUNDLE_MEMBERS_MAX = 2048;

function parseBundle(load: boolean) {
  return (arg: string, pp: ParseContext): ParseOutcome => {
    const tokens = new Tokens(arg);
    const words: (string | null)[] = [];
    for (let i = 0; i < (load ? 5 : 4); i++) {
      words.push(tokens.next(", "));
    }
    const delimiter = tokens.next(": ");
    if (delimiter === null) {
      return `${arg}: not enough arguments to bundle action`;
    }
    const keyword = delimiter.toLowerCase();
    if (keyword !== "members" && keyword !== "slaves") {
      return `${arg}: missing member delimiter, expected \`members', got \`${delimiter}'`;
    }
    const members: number[] = [];
    while (members.length < BUNDLE_MEMBERS_MAX) {
      const member = tokens.next(", []");
      if (member === null) {
        break;
      }
      const port = portFromString(member, pp.ports, pp.log);
      if (port === null) {
        return `${member}: bad port number`;
      }
      members.push(port);
    }
    // The delimiter came after all of them, so none is null.
    const [fields = "", basis = "", algorithm = "", memberType = "", dst = ""] = words.map(
      (w) => w ?? "",
    );
    const choice = readChoice(arg, fields, algorithm, memberType);
    if (typeof choice === "string") {
      return choice;
    }
    const target = load ? readRegister(arg, dst) : null;
    if (typeof target === "string") {
      return target;
    }
    const compatSyntax = keyword === "slaves";
    const rest = { basis: atoi(basis) & 0xffff, dst: target, compatSyntax, members };
    pp.out.push({ kind: "bundle", ...choice, ...rest });
    return null;
  };
}

function readChoice(
  arg: string,
  fieldsText: string,
  algorithmText: string,
  memberType: string,
): { fields: HashFields; algorithm: BundleAlgorithm } | string {
  const fields = findWord(HASH_FIELDS, fieldsText);
  if (fields === undefined) {
    return `${arg}: unknown fields \`${fieldsText}'`;
  }
  const algorithm = findWord(BUNDLE_ALGORITHMS, algorithmText);
  if (algorithm === undefined) {
    return `${arg}: unknown algorithm \`${algorithmText}'`;
  }
  if (memberType.toLowerCase() !== "ofport") {
    return `${arg}: unknown member_type \`${memberType}'`;
  }
  return { fields, algorithm };
}

/** Layout of bundle: byte offsets. */
const NAB = {
  ALGORITHM: 10,
  FIELDS: 12,
  BASIS: 14,
  MEMBER_TYPE: 16,
  N_MEMBERS: 20,
  OFS_NBITS: 22,
  DST: 24,
  ZERO: 28,
  MEMBERS: 32,
} as const;

function checkBundle(
  a: ActionOf<"bundle">,
  maxPorts: number,
  cx: { match: Parameters<typeof checkTarget>[1]; log: DecodeContext["log"] },
): OfpErr | null {
  const error = a.dst === null ? null : checkTarget(a.dst, cx.match, cx.log);
  if (error !== null) {
    return error;
  }
  for (const port of a.members) {
    const bad = port === OFPP.NONE ? null : checkOutputPort(port, maxPorts);
    if (bad !== null) {
      cx.log?.("WARN", "bundle", `invalid member ${port}`);
      return bad;
    }
    if (port === OFPP.CONTROLLER) {
      cx.log?.("WARN", "bundle", "unsupported controller member");
      return "OFPBAC_BAD_OUT_PORT";
    }
  }
  return null;
}

/** What is wrong with a bundle, as Open vSwitch logs it; the last complaint counts. */
function decodeBundle(load: boolean) {
  return (raw: RawView, dc: DecodeContext): OfpErr | null => {
    const warn = (text: string, error: OfpErr) => {
      dc.log?.("WARN", "ofp_actions", text);
      return error;
    };
    let error: OfpErr | null = null;
    const count = raw.u16(NAB.N_MEMBERS);
    const fields = HASH_FIELDS[raw.u16(NAB.FIELDS)];
    const algorithm = BUNDLE_ALGORITHMS[raw.u16(NAB.ALGORITHM)];
    if (fields === undefined) {
      error = warn(`unsupported fields ${raw.u16(NAB.FIELDS)}`, "OFPBAC_BAD_ARGUMENT");
    } else if (count > BUNDLE_MEMBERS_MAX) {
      error = warn("too many members", "OFPBAC_BAD_ARGUMENT");
    } else if (algorithm === undefined) {
      error = warn(`unsupported algorithm ${raw.u16(NAB.ALGORITHM)}`, "OFPBAC_BAD_ARGUMENT");
    } else if (raw.u32(NAB.MEMBER_TYPE) !== nxmHeader(F.in_port)) {
      error = warn(`unsupported member type ${raw.u32(NAB.MEMBER_TYPE)}`, "OFPBAC_BAD_ARGUMENT");
    }
    if (!raw.zero(NAB.ZERO, NAB.MEMBERS)) {
      error = warn("reserved field is nonzero", "OFPBAC_BAD_ARGUMENT");
    }
    let dst: Subfield | null = null;
    if (load) {
      const field = fieldFromNxmHeader(raw.u32(NAB.DST), dc);
      if (typeof field === "string") {
        return field;
      }
      dst = { field, ...ofsBits(raw, NAB.OFS_NBITS) };
      // A good destination forgives what was wrong so far (ovs: decode_bundle).
      error =
        dst.bits < PORT_BITS
          ? warn("bundle_load action requires at least 16 bit destination.", "OFPBAC_BAD_ARGUMENT")
          : null;
    } else if (raw.u16(NAB.OFS_NBITS) !== 0 || raw.u32(NAB.DST) !== 0) {
      error = warn("bundle action has nonzero reserved fields", "OFPBAC_BAD_ARGUMENT");
    }
    const space = raw.length - NAB.MEMBERS;
    if (space < count * 2) {
      const name = load ? "bundle_load" : "bundle";
      return warn(
        `Nicira action ${name} only has ${space} bytes allocated for members.  ` +
          `${count * 2} bytes are required for ${count} members.`,
        "OFPBAC_BAD_LEN",
      );
    }
    if (error !== null || fields === undefined || algorithm === undefined) {
      return error ?? "OFPBAC_BAD_ARGUMENT";
    }
    const a: ActionOf<"bundle"> = {
      kind: "bundle",
      fields,
      algorithm,
      basis: raw.u16(NAB.BASIS),
      dst,
      compatSyntax: false,
      members: Array.from({ length: count }, (_, i) => raw.u16(NAB.MEMBERS + 2 * i)),
    };
    dc.out.push(a);
    return checkBundle(a, OFPP.MAX, { match: null, log: dc.log });
  };
}

export const bundle: ActionDef<"bundle"> = {
  kind: "bundle",
  name: "bundle",
  parsers: { bundle: parseBundle(false), bundle_load: parseBundle(true) },
  format: (a, fp) => {
    const dst = a.dst === null ? "" : `${formatSubfield(a.dst)},`;
    const members = a.members.map((p) => formatPort(p, fp.ports)).join(",");
    const name = a.dst === null ? "bundle" : "bundle_load";
    return `${name}(${a.fields},${a.basis},${a.algorithm},ofport,${dst}members:${members})`;
  },
  encode: (a, out, version) => {
    const start = putRaw(out, a.dst === null ? "nx_bundle" : "nx_bundle_load", version);
    out.patchU16(start + NAB.ALGORITHM, BUNDLE_ALGORITHMS.indexOf(a.algorithm));
    out.patchU16(start + NAB.FIELDS, HASH_FIELDS.indexOf(a.fields));
    out.patchU16(start + NAB.BASIS, a.basis);
    out.patchU32(start + NAB.MEMBER_TYPE, nxmHeader(F.in_port));
    out.patchU16(start + NAB.N_MEMBERS, a.members.length);
    if (a.dst !== null) {
      out.patchU16(start + NAB.OFS_NBITS, packOfsBits(a.dst.ofs, a.dst.bits));
      out.patchU32(start + NAB.DST, nxmHeader(a.dst.field));
    }
    for (const port of a.members) {
      out.u16(port);
    }
    padAction(out, start);
  },
  decoders: { nx_bundle: decodeBundle(false), nx_bundle_load: decodeBundle(true) },
  check: (a, cc) => checkBundle(a, cc.maxPorts, cc),
  setClass: null,
  doc: "Chooses one live port of several and outputs to it, or as bundle_load stores its number.",
};

// Rows of the action table that choose by a hash of the packet: multipath and bundle; and sample.
//
// ovs: lib/multipath.c, lib/bundle.c, lib/ofp-actions.c.

import { HASH_FIELDS, type HashFields } from "../../flow/flow-hash.ts";
import { F } from "../../flow/fields.ts";
import { formatPort, OFPP, portFromString } from "../../flow/ofp-port.ts";
import type { Subfield } from "../../flow/subfield.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import { atoi, Tokens } from "../../lib/tokens.ts";
import type { OfpErr } from "../messages/errors.ts";
import { fieldFromNxmHeader, nxmHeader } from "../oxm-field.ts";
import { checkTarget, formatSubfield, readSubfield } from "./field-ops.ts";
import { checkOutputPort, ofsBits, packOfsBits } from "./output.ts";
import { alwaysOk } from "./rows.ts";
import { readU16, readU32 } from "./text.ts";
import type {
  ActionDef,
  ActionOf,
  BundleAlgorithm,
  DecodeContext,
  MultipathAlgorithm,
  ParseContext,
  ParseOutcome,
} from "./types.ts";
import { padAction, putRaw, type RawView } from "./wire.ts";

/** Algorithms by their numbers on the wire. */
const BUNDLE_ALGORITHMS: readonly BundleAlgorithm[] = ["active_backup", "hrw"];
const MULTIPATH_ALGORITHMS: readonly MultipathAlgorithm[] = [
  "modulo_n",
  "hash_threshold",
  "hrw",
  "iter_hash",
];
/** Members that a bundle may have. */
export const BUNDLE_MEMBERS_MAX = 2048;
/** Links that a multipath may have. */
export const MULTIPATH_LINKS_MAX = 65536;
/** Least width of a field that a port number is loaded into. */
const PORT_BITS = 16;

function findWord<T extends string>(words: readonly T[], text: string): T | undefined {
  const lower = text.toLowerCase();
  return words.find((w) => w === lower);
}

// bundle

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

/** A subfield that has a 32-bit header. */
function readRegister(arg: string, text: string): Subfield | string {
  const dst = readSubfield(text);
  if (typeof dst === "string") {
    return dst;
  }
  if (nxmHeader(dst.field) === 0) {
    return `${arg}: experimenter OXM field '${text}' not supported`;
  }
  return dst;
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

// multipath

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

// sample

type Sample = ActionOf<"sample">;

function parseSample(arg: string, pp: ParseContext): ParseOutcome {
  const numbers = { collector_set_id: 0, obs_domain_id: 0, obs_point_id: 0 };
  let probability = 0;
  let samplingPort: number = OFPP.NONE;
  let direction: Sample["direction"] = "default";
  const scan = new KeyValueScan(arg);
  for (let kv = scan.next(); kv !== undefined; kv = scan.next()) {
    const { key, value } = kv;
    if (key === "probability") {
      const n = readU16(value, "probability");
      if (typeof n === "string") {
        return n;
      }
      if (n === 0) {
        return `invalid probability value "${value}"`;
      }
      probability = n;
    } else if (key === "collector_set_id" || key === "obs_domain_id" || key === "obs_point_id") {
      const n = readU32(value);
      if (typeof n === "string") {
        return n;
      }
      numbers[key] = n;
    } else if (key === "sampling_port") {
      const port = portFromString(value, pp.ports, pp.log);
      if (port === null) {
        return `${value}: unknown port`;
      }
      samplingPort = port;
    } else if (key === "ingress" || key === "egress") {
      direction = key;
    } else {
      return `invalid key "${key}" in "sample" argument`;
    }
  }
  if (probability === 0) {
    return 'non-zero "probability" must be specified on sample';
  }
  pp.out.push({
    kind: "sample",
    probability,
    collectorSetId: numbers.collector_set_id,
    obsDomainId: numbers.obs_domain_id,
    obsPointId: numbers.obs_point_id,
    samplingPort,
    direction,
  });
  return null;
}

/** Layout of the three raw forms: byte offsets; the first ends before SAMPLING_PORT. */
const NAS = {
  PROBABILITY: 10,
  COLLECTOR_SET_ID: 12,
  OBS_DOMAIN_ID: 16,
  OBS_POINT_ID: 20,
  SAMPLING_PORT: 24,
  DIRECTION: 26,
  ZEROS: 27,
} as const;
const DIRECTIONS: readonly Sample["direction"][] = ["default", "ingress", "egress"];
type SampleRaw = "nx_sample" | "nx_sample2" | "nx_sample3";

function sampleRaw(a: Sample): SampleRaw {
  if (a.raw === "nx_sample3" || a.direction !== "default") {
    return "nx_sample3";
  }
  return a.raw === "nx_sample2" || a.samplingPort !== OFPP.NONE ? "nx_sample2" : "nx_sample";
}

function decodeSample(name: SampleRaw) {
  return (raw: RawView, dc: DecodeContext): OfpErr | null => {
    const probability = raw.u16(NAS.PROBABILITY);
    let direction: Sample["direction"] = "default";
    if (name === "nx_sample3") {
      if (!raw.zero(NAS.ZEROS)) {
        return "NXBRC_MUST_BE_ZERO";
      }
      const d = DIRECTIONS[raw.u8(NAS.DIRECTION)];
      if (d === undefined) {
        const text = `invalid sample direction ${raw.u8(NAS.DIRECTION)}`;
        dc.log?.("WARN", "ofp_actions", text);
        return "OFPBAC_BAD_ARGUMENT";
      }
      direction = d;
    }
    dc.out.push({
      kind: "sample",
      probability,
      collectorSetId: raw.u32(NAS.COLLECTOR_SET_ID),
      obsDomainId: raw.u32(NAS.OBS_DOMAIN_ID),
      obsPointId: raw.u32(NAS.OBS_POINT_ID),
      samplingPort: name === "nx_sample" ? OFPP.NONE : raw.u16(NAS.SAMPLING_PORT),
      direction,
      raw: name,
    });
    return probability === 0 ? "OFPBAC_BAD_ARGUMENT" : null;
  };
}

export const sample: ActionDef<"sample"> = {
  kind: "sample",
  name: "sample",
  parsers: { sample: parseSample },
  format: (a, fp) => {
    const port =
      a.samplingPort === OFPP.NONE ? "" : `,sampling_port=${formatPort(a.samplingPort, fp.ports)}`;
    const direction = a.direction === "default" ? "" : `,${a.direction}`;
    return (
      `sample(probability=${a.probability},collector_set_id=${a.collectorSetId},` +
      `obs_domain_id=${a.obsDomainId},obs_point_id=${a.obsPointId}${port}${direction})`
    );
  },
  encode: (a, out, version) => {
    const name = sampleRaw(a);
    const at = putRaw(out, name, version);
    out.patchU16(at + NAS.PROBABILITY, a.probability);
    out.patchU32(at + NAS.COLLECTOR_SET_ID, a.collectorSetId);
    out.patchU32(at + NAS.OBS_DOMAIN_ID, a.obsDomainId);
    out.patchU32(at + NAS.OBS_POINT_ID, a.obsPointId);
    if (name !== "nx_sample") {
      out.patchU16(at + NAS.SAMPLING_PORT, a.samplingPort);
      out.patchU8(at + NAS.DIRECTION, DIRECTIONS.indexOf(a.direction));
    }
  },
  decoders: {
    nx_sample: decodeSample("nx_sample"),
    nx_sample2: decodeSample("nx_sample2"),
    nx_sample3: decodeSample("nx_sample3"),
  },
  check: alwaysOk,
  setClass: null,
  doc: "Sends a sample of the packets, with a given probability out of 65536, to IPFIX collectors.",
};

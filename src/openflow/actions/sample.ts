// The row of the action table for sampling packets to IPFIX collectors.
//
// ovs: lib/ofp-actions.c parse_SAMPLE, format_SAMPLE, decode_NXAST_RAW_SAMPLE ff.

import { formatPort, OFPP, portFromString } from "../../flow/ofp-port.ts";
import { KeyValueScan } from "../../lib/scan.ts";
import type { OfpErr } from "../messages/errors.ts";
import { alwaysOk } from "./rows.ts";
import { readU16, readU32 } from "./text.ts";
import type { ActionDef, ActionOf, DecodeContext, ParseContext, ParseOutcome } from "./types.ts";
import { putRaw, type RawView } from "./wire.ts";

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

// Rows of the action table: VLAN headers.
//
// OpenFlow 1.0's actions push a header if there is none ("pushIfNeeded"); those of 1.1 change the one
// that is there. Sent in a later version than it was written for, an action becomes a set_field,
// after a push_vlan if the check did not see a header. (ovs: lib/ofp-actions.c)

import { F } from "../../flow/fields.ts";
import { get, K, set } from "../../flow/flow-key.ts";
import { OFP, type OfVersion, P } from "../../flow/of-version.ts";
import {
  ETH_TYPE,
  isEthTypeVlan,
  popVlan,
  pushVlanUninit,
  VLAN_CFI,
  VLAN_VID_MASK,
} from "../../flow/vlan-mpls.ts";
import type { Writer } from "../../lib/bytes.ts";
import { narrowToOf10 } from "./rows.ts";
import { putSetField } from "./set-field-wire.ts";
import { readU16, readU8 } from "./text.ts";
import type { ActionDef, ActionDecoder, ActionParser, CheckContext } from "./types.ts";
import { putRaw } from "./wire.ts";

const VLAN_PCP_MAX = 7;

function parseVid(pushIfNeeded: boolean): ActionParser {
  return (arg, pp) => {
    const vid = readU16(arg, "VLAN VID");
    if (typeof vid === "string") {
      return vid;
    }
    if (vid > VLAN_VID_MASK) {
      return `${arg}: not a valid VLAN VID`;
    }
    pp.out.push({ kind: "set_vlan_vid", vid, pushIfNeeded, flowHasVlan: false });
    return null;
  };
}

function decodeVid(pushIfNeeded: boolean): ActionDecoder {
  return (raw, dc) => {
    if (raw.arg > VLAN_VID_MASK) {
      return "OFPBAC_BAD_ARGUMENT";
    }
    dc.out.push({ kind: "set_vlan_vid", vid: raw.arg, pushIfNeeded, flowHasVlan: false });
    return null;
  };
}

/** Notes whether the flow has a VLAN header, which it has from this action on. */
function checkSetVlan(
  a: { readonly pushIfNeeded: boolean; flowHasVlan: boolean },
  cc: CheckContext,
): null {
  const { flow } = cc.match;
  const tci = get(flow, K.vlan_tci);
  a.flowHasVlan = (tci & VLAN_CFI) !== 0;
  if (!a.flowHasVlan && !a.pushIfNeeded) {
    narrowToOf10(cc);
  }
  set(flow, K.vlan_tci, tci | VLAN_CFI);
  return null;
}

function putPushIfNeeded(
  a: { readonly pushIfNeeded: boolean; readonly flowHasVlan: boolean },
  out: Writer,
  version: OfVersion,
): void {
  if (version > OFP.v10 && a.pushIfNeeded && !a.flowHasVlan) {
    putRaw(out, "of11_push_vlan", version, ETH_TYPE.VLAN_8021Q);
  }
}

export const set_vlan_vid: ActionDef<"set_vlan_vid"> = {
  kind: "set_vlan_vid",
  name: "set_vlan_vid",
  parsers: { set_vlan_vid: parseVid(false), mod_vlan_vid: parseVid(true) },
  format: (a) => `${a.pushIfNeeded ? "mod_vlan_vid" : "set_vlan_vid"}:${a.vid}`,
  encode: (a, out, version) => {
    putPushIfNeeded(a, out, version);
    if (version === OFP.v10) {
      putRaw(out, "of10_set_vlan_vid", version, a.vid);
    } else if (version === OFP.v11) {
      putRaw(out, "of11_set_vlan_vid", version, a.vid);
    } else {
      putSetField(out, version, F.vlan_vid, Uint32Array.of(a.vid | VLAN_CFI));
    }
  },
  decoders: { of10_set_vlan_vid: decodeVid(true), of11_set_vlan_vid: decodeVid(false) },
  check: checkSetVlan,
  setClass: "set",
  doc: "Sets the VLAN id; as mod_vlan_vid it adds a VLAN header if the packet has none.",
};

function parsePcp(pushIfNeeded: boolean): ActionParser {
  return (arg, pp) => {
    const pcp = readU8(arg, "VLAN PCP");
    if (typeof pcp === "string") {
      return pcp;
    }
    if (pcp > VLAN_PCP_MAX) {
      return `${arg}: not a valid VLAN PCP`;
    }
    pp.out.push({ kind: "set_vlan_pcp", pcp, pushIfNeeded, flowHasVlan: false });
    return null;
  };
}

function decodePcp(pushIfNeeded: boolean): ActionDecoder {
  return (raw, dc) => {
    if (raw.arg > VLAN_PCP_MAX) {
      return "OFPBAC_BAD_ARGUMENT";
    }
    dc.out.push({ kind: "set_vlan_pcp", pcp: raw.arg, pushIfNeeded, flowHasVlan: false });
    return null;
  };
}

export const set_vlan_pcp: ActionDef<"set_vlan_pcp"> = {
  kind: "set_vlan_pcp",
  name: "set_vlan_pcp",
  parsers: { set_vlan_pcp: parsePcp(false), mod_vlan_pcp: parsePcp(true) },
  format: (a) => `${a.pushIfNeeded ? "mod_vlan_pcp" : "set_vlan_pcp"}:${a.pcp}`,
  encode: (a, out, version) => {
    putPushIfNeeded(a, out, version);
    if (version === OFP.v10) {
      putRaw(out, "of10_set_vlan_pcp", version, a.pcp);
    } else if (version === OFP.v11) {
      putRaw(out, "of11_set_vlan_pcp", version, a.pcp);
    } else {
      putSetField(out, version, F.vlan_pcp, Uint32Array.of(a.pcp));
    }
  },
  decoders: { of10_set_vlan_pcp: decodePcp(true), of11_set_vlan_pcp: decodePcp(false) },
  check: checkSetVlan,
  setClass: "set",
  doc: "Sets the VLAN priority; as mod_vlan_pcp it adds a VLAN header if the packet has none.",
};

export const strip_vlan: ActionDef<"strip_vlan"> = {
  kind: "strip_vlan",
  name: "strip_vlan",
  parsers: {
    strip_vlan: (_arg, pp) => {
      pp.out.push({ kind: "strip_vlan", raw: "of10_strip_vlan" });
      return null;
    },
    pop_vlan: (_arg, pp) => {
      pp.out.push({ kind: "strip_vlan", raw: "of11_pop_vlan" });
      return null;
    },
  },
  format: (a) => (a.raw === "of11_pop_vlan" ? "pop_vlan" : "strip_vlan"),
  encode: (_a, out, version) => {
    putRaw(out, version === OFP.v10 ? "of10_strip_vlan" : "of11_pop_vlan", version);
  },
  decoders: {
    of10_strip_vlan: (_raw, dc) => {
      dc.out.push({ kind: "strip_vlan", raw: "of10_strip_vlan" });
      return null;
    },
    of11_pop_vlan: (_raw, dc) => {
      dc.out.push({ kind: "strip_vlan", raw: "of11_pop_vlan" });
      return null;
    },
  },
  check: (_a, cc) => {
    if ((get(cc.match.flow, K.vlan_tci) & VLAN_CFI) === 0) {
      narrowToOf10(cc);
    }
    popVlan(cc.match.flow, null);
    return null;
  },
  setClass: "slot",
  doc: "Removes the outermost VLAN header.",
};

export const push_vlan: ActionDef<"push_vlan"> = {
  kind: "push_vlan",
  name: "push_vlan",
  parsers: {
    push_vlan: (arg, pp) => {
      pp.usable &= P.OF11_UP;
      const ethertype = readU16(arg, "ethertype");
      if (typeof ethertype === "string") {
        return ethertype;
      }
      if (!isEthTypeVlan(ethertype)) {
        return `${arg}: not a valid VLAN ethertype`;
      }
      pp.out.push({ kind: "push_vlan", ethertype });
      return null;
    },
  },
  format: (a) => `push_vlan:0x${a.ethertype.toString(16)}`,
  encode: (a, out, version) => {
    // In OpenFlow 1.0 the set_vlan_vid or set_vlan_pcp that should follow pushes.
    if (version > OFP.v10) {
      putRaw(out, "of11_push_vlan", version, a.ethertype);
    }
  },
  decoders: {
    of11_push_vlan: (raw, dc) => {
      if (!isEthTypeVlan(raw.arg)) {
        return "OFPBAC_BAD_ARGUMENT";
      }
      dc.out.push({ kind: "push_vlan", ethertype: raw.arg });
      return null;
    },
  },
  check: (_a, cc) => {
    const { flow } = cc.match;
    if ((get(flow, K.vlan_tci1) & VLAN_CFI) !== 0) {
      return "OFPBAC_BAD_TAG";
    }
    pushVlanUninit(flow, null);
    set(flow, K.vlan_tci, get(flow, K.vlan_tci) | VLAN_CFI);
    return null;
  },
  setClass: "slot",
  doc: "Adds an outermost VLAN header with the given Ethertype, 0x8100 or 0x88a8.",
};

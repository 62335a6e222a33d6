// Rows of the action table: MPLS label stacks.
//
// OpenFlow 1.0 has none of these; there they are extensions. (ovs: lib/ofp-actions.c)

import { F } from "../../flow/fields.ts";
import { getDlType } from "../../flow/flow-is.ts";
import { getU, K, set } from "../../flow/flow-key.ts";
import { PT } from "../../flow/flow-is.ts";
import { OFP } from "../../flow/of-version.ts";
import { isEthTypeMpls } from "../../flow/vlan-mpls.ts";
import type { RawName } from "./raw-actions.ts";
import { bareRow, narrowToOf10 } from "./rows.ts";
import { putSetField } from "./set-field-wire.ts";
import { readU16, readU32, readU8 } from "./text.ts";
import type { Action, ActionDef, ActionOf, CheckContext } from "./types.ts";
import { putRaw } from "./wire.ts";

function wantsMpls(_a: unknown, cc: CheckContext): null {
  if (!isEthTypeMpls(getDlType(cc.match.flow))) {
    narrowToOf10(cc);
  }
  return null;
}

const MPLS_LABEL_MAX = 0xfffff;
const MPLS_TC_MAX = 7;

export const set_mpls_label: ActionDef<"set_mpls_label"> = {
  kind: "set_mpls_label",
  name: "set_mpls_label",
  parsers: {
    set_mpls_label: (arg, pp) => {
      if (arg === "") {
        return "set_mpls_label: expected label.";
      }
      const label = readU32(arg);
      if (typeof label === "string") {
        return label;
      }
      if (label > MPLS_LABEL_MAX) {
        return `${arg}: not a valid MPLS label`;
      }
      pp.out.push({ kind: "set_mpls_label", label });
      return null;
    },
  },
  format: (a) => `set_mpls_label(${a.label})`,
  encode: (a, out, version) => {
    if (version >= OFP.v12) {
      putSetField(out, version, F.mpls_label, Uint32Array.of(a.label));
    } else {
      putRaw(out, "set_mpls_label", version, a.label);
    }
  },
  decoders: {
    set_mpls_label: (raw, dc) => {
      dc.out.push({ kind: "set_mpls_label", label: raw.arg });
      return null;
    },
  },
  check: wantsMpls,
  setClass: "set",
  doc: "Sets the label of the outermost MPLS label stack entry.",
};

export const set_mpls_tc: ActionDef<"set_mpls_tc"> = {
  kind: "set_mpls_tc",
  name: "set_mpls_tc",
  parsers: {
    set_mpls_tc: (arg, pp) => {
      if (arg === "") {
        return "set_mpls_tc: expected tc.";
      }
      const tc = readU8(arg, "MPLS TC");
      if (typeof tc === "string") {
        return tc;
      }
      if (tc > MPLS_TC_MAX) {
        return `${arg}: not a valid MPLS TC`;
      }
      pp.out.push({ kind: "set_mpls_tc", tc });
      return null;
    },
  },
  format: (a) => `set_mpls_tc(${a.tc})`,
  encode: (a, out, version) => {
    if (version >= OFP.v12) {
      putSetField(out, version, F.mpls_tc, Uint32Array.of(a.tc));
    } else {
      putRaw(out, "set_mpls_tc", version, a.tc);
    }
  },
  decoders: {
    set_mpls_tc: (raw, dc) => {
      dc.out.push({ kind: "set_mpls_tc", tc: raw.arg });
      return null;
    },
  },
  check: wantsMpls,
  setClass: "set",
  doc: "Sets the traffic class of the outermost MPLS label stack entry.",
};

export const set_mpls_ttl: ActionDef<"set_mpls_ttl"> = {
  kind: "set_mpls_ttl",
  name: "set_mpls_ttl",
  parsers: {
    set_mpls_ttl: (arg, pp) => {
      if (arg === "") {
        return "set_mpls_ttl: expected ttl.";
      }
      const ttl = readU8(arg, "MPLS TTL");
      if (typeof ttl === "string") {
        return ttl;
      }
      pp.out.push({ kind: "set_mpls_ttl", ttl });
      return null;
    },
  },
  format: (a) => `set_mpls_ttl(${a.ttl})`,
  encode: (a, out, version) => {
    putRaw(out, "set_mpls_ttl", version, a.ttl);
  },
  decoders: {
    set_mpls_ttl: (raw, dc) => {
      dc.out.push({ kind: "set_mpls_ttl", ttl: raw.arg });
      return null;
    },
  },
  check: wantsMpls,
  setClass: "set",
  doc: "Sets the TTL of the outermost MPLS label stack entry.",
};

export const dec_mpls_ttl = bareRow("dec_mpls_ttl", "dec_mpls_ttl", {
  check: wantsMpls,
  setClass: "slot",
  doc: "Decrements the TTL of the outermost MPLS label stack entry.",
});

/** A row whose only member is an Ethertype that is not checked when it is typed. */
function ethertypeRow<K extends "push_mpls" | "pop_mpls">(
  kind: K & RawName,
  rest: Pick<ActionDef<K>, "check" | "doc">,
  mayDecode: (ethertype: number) => boolean,
): ActionDef<K> {
  const make = (ethertype: number) => ({ kind, ethertype }) as unknown as ActionOf<K> & Action; // as in ethRow
  return {
    kind,
    name: kind,
    parsers: {
      [kind]: (arg, pp) => {
        const ethertype = readU16(arg, kind);
        if (typeof ethertype === "string") {
          return ethertype;
        }
        pp.out.push(make(ethertype));
        return null;
      },
    },
    format: (a) => `${kind}:0x${a.ethertype.toString(16).padStart(4, "0")}`,
    encode: (a, out, version) => {
      putRaw(out, kind, version, a.ethertype);
    },
    decoders: {
      [kind]: (raw: { arg: number }, dc: { out: unknown[] }) => {
        if (!mayDecode(raw.arg)) {
          return "OFPBAC_BAD_ARGUMENT";
        }
        dc.out.push(make(raw.arg));
        return null;
      },
    } as ActionDef<K>["decoders"],
    setClass: "slot",
    ...rest,
  };
}

export const push_mpls = ethertypeRow<"push_mpls">(
  "push_mpls",
  {
    check: (a, cc) => {
      const { flow } = cc.match;
      if (getU(flow, K.packet_type) !== PT.ETH) {
        narrowToOf10(cc);
      }
      set(flow, K.dl_type, a.ethertype);
      // What an MPLS packet carries is opaque: no protocol can be assumed from here on.
      set(flow, K.nw_proto, 0);
      return null;
    },
    doc: "Adds an MPLS label stack entry with the given Ethertype, 0x8847 or 0x8848.",
  },
  isEthTypeMpls,
);

export const pop_mpls = ethertypeRow<"pop_mpls">(
  "pop_mpls",
  {
    check: (a, cc) => {
      const { flow } = cc.match;
      if (getU(flow, K.packet_type) !== PT.ETH || !isEthTypeMpls(getDlType(flow))) {
        narrowToOf10(cc);
      }
      set(flow, K.dl_type, a.ethertype);
      return null;
    },
    doc: "Removes the outermost MPLS label stack entry and sets the Ethertype of what is below.",
  },
  () => true,
);

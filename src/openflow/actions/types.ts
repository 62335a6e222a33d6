// Actions and instructions: what each holds, and what a row of the action table offers.
//
// `Action` is a union discriminated by `kind`. Kinds are the names that Open vSwitch gives its
// abstract actions (ovs: include/openvswitch/ofp-actions.h, OFPACT_*), in lower case. As there,
// an instruction is an action too, `apply_actions` has no kind of its own (its actions stand in
// the list), and `raw` remembers the wire form an action came in where the abstract form does not
// tell, so that it is printed and sent again as it came.
//
// Invariants
// - Actions are plain immutable data, but for three members which the consistency check fills in
//   (`flowHasVlan`, `flowIpProto`), and `providerMeterId`, which the switch sets when it installs.
// - Ports are 16-bit OpenFlow 1.0 numbers (OFPP_LOCAL is 0xfffe). 64-bit numbers are FieldValues of
//   two words, most significant first.

import type { Field } from "../../flow/fields.ts";
import type { FieldValue } from "../../flow/field-value.ts";
import type { Match } from "../../flow/match.ts";
import type { OfVersion, Protocols } from "../../flow/of-version.ts";
import type { LogSink, NameMap } from "../../flow/ofp-port.ts";
import type { HashFields } from "../../flow/flow-hash.ts";
import type { Subfield } from "../../flow/subfield.ts";
import type { Writer } from "../../lib/bytes.ts";
import type { OfpErr } from "../messages/errors.ts";
import type { OxmContext } from "../oxm-field.ts";
import type { Painter } from "../paint.ts";
import type { RawName } from "./raw-actions.ts";
import type { RawView } from "./wire.ts";

/** A 16-bit OpenFlow port number. */
export type PortNo = number;

export type BundleAlgorithm = "active_backup" | "hrw";
export type MultipathAlgorithm = "modulo_n" | "hash_threshold" | "hrw" | "iter_hash";

/** Flags of ct(): commit, force. */
export const NX_CT_F = { COMMIT: 1, FORCE: 2 } as const;
/** `recircTable` of a ct() that does not recirculate. */
export const NX_CT_RECIRC_NONE = 255;
/** Flags of nat(). */
export const NX_NAT_F = { SRC: 1, DST: 2, PERSISTENT: 4, PROTO_HASH: 8, PROTO_RANDOM: 16 } as const;
/** Flags of learn(). */
export const NX_LEARN_F = { SEND_FLOW_REM: 1, DELETE_LEARNED: 2, WRITE_RESULT: 4 } as const;
/** Meter id of a controller action without a meter. */
export const NX_CTLR_NO_METER = 0;

/** One spec of learn(): where the bits come from, and what becomes of them in the new flow. */
export interface LearnSpec {
  readonly srcType: "field" | "immediate";
  readonly dstType: "match" | "load" | "output";
  readonly nBits: number;
  /** Set if srcType is "field". */
  readonly src: Subfield | null;
  /** Set unless dstType is "output". */
  readonly dst: Subfield | null;
  /** Set if srcType is "immediate": nBits bits, right-aligned. */
  readonly imm: FieldValue | null;
}

/** A property of encap(): the NSH metadata type, or one NSH TLV. */
export type EncapProp =
  | { readonly kind: "nsh_mdtype"; readonly mdtype: number }
  | {
      readonly kind: "nsh_tlv";
      readonly tlvClass: number;
      readonly tlvType: number;
      readonly data: Uint8Array;
    };

/** The addresses and ports of nat(). */
export interface NatRange {
  /** 0: no addresses, 4 or 6. */
  readonly family: 0 | 4 | 6;
  /** 1 word for IPv4, 4 for IPv6; all zero when absent. */
  readonly addrMin: FieldValue;
  readonly addrMax: FieldValue;
  /** 0 when absent. */
  readonly protoMin: number;
  readonly protoMax: number;
}

/** The members of each kind of action. */
export interface ActionMembers {
  // Output.
  output: { readonly port: PortNo; readonly maxLen: number };
  group: { readonly groupId: number };
  controller: {
    readonly maxLen: number;
    readonly controllerId: number;
    /** OFPR_*, as on the wire. */
    readonly reason: number;
    readonly pause: boolean;
    readonly userdata: Uint8Array;
    readonly meterId: number;
    /** Set by the switch when it installs the flow. */
    providerMeterId: number;
    readonly raw?: RawName;
  };
  enqueue: { readonly port: PortNo; readonly queue: number };
  output_reg: { readonly src: Subfield; readonly maxLen: number; readonly raw?: RawName };
  bundle: {
    readonly algorithm: BundleAlgorithm;
    readonly fields: HashFields;
    readonly basis: number;
    /** Null for bundle(), the target for bundle_load(). */
    readonly dst: Subfield | null;
    /** "slaves" instead of "members" was typed. */
    readonly compatSyntax: boolean;
    readonly members: readonly PortNo[];
  };

  // Header changes.
  set_field: {
    readonly field: Field;
    readonly value: FieldValue;
    /** All ones for an unmasked set_field. */
    readonly mask: FieldValue;
    flowHasVlan: boolean;
    readonly raw?: RawName;
  };
  set_vlan_vid: { readonly vid: number; readonly pushIfNeeded: boolean; flowHasVlan: boolean };
  set_vlan_pcp: { readonly pcp: number; readonly pushIfNeeded: boolean; flowHasVlan: boolean };
  strip_vlan: { readonly raw?: RawName };
  push_vlan: { readonly ethertype: number };
  set_eth_src: { readonly mac: FieldValue };
  set_eth_dst: { readonly mac: FieldValue };
  set_ipv4_src: { readonly ipv4: number };
  set_ipv4_dst: { readonly ipv4: number };
  set_ip_dscp: { readonly dscp: number };
  set_ip_ecn: { readonly ecn: number };
  set_ip_ttl: { readonly ttl: number };
  set_l4_src_port: { readonly port: number; flowIpProto: number };
  set_l4_dst_port: { readonly port: number; flowIpProto: number };
  reg_move: { readonly src: Subfield; readonly dst: Subfield; readonly raw?: RawName };
  stack_push: { readonly subfield: Subfield };
  stack_pop: { readonly subfield: Subfield };
  dec_ttl: { readonly cntIds: readonly number[]; readonly raw?: RawName };
  set_mpls_label: { readonly label: number };
  set_mpls_tc: { readonly tc: number };
  set_mpls_ttl: { readonly ttl: number };
  dec_mpls_ttl: NoMembers;
  push_mpls: { readonly ethertype: number };
  pop_mpls: { readonly ethertype: number };
  dec_nsh_ttl: NoMembers;
  delete_field: { readonly field: Field };

  // Generic encapsulation; packet types have the namespace in the upper 16 bits.
  encap: {
    readonly newPktType: number;
    readonly hdrSize: number;
    readonly props: readonly EncapProp[];
  };
  decap: { readonly newPktType: number };

  // Metadata.
  set_tunnel: { readonly tunId: FieldValue; readonly raw?: RawName };
  set_queue: { readonly queueId: number };
  pop_queue: NoMembers;
  fin_timeout: { readonly finIdleTimeoutS: number; readonly finHardTimeoutS: number };

  // Flow table interaction.
  resubmit: {
    readonly inPort: PortNo;
    /** 255: the current table. */
    readonly tableId: number;
    readonly withCtOrig: boolean;
    readonly raw?: RawName;
  };
  learn: {
    readonly idleTimeoutS: number;
    readonly hardTimeoutS: number;
    readonly priority: number;
    readonly tableId: number;
    readonly flags: number;
    readonly cookie: FieldValue;
    readonly finIdleTimeoutS: number;
    readonly finHardTimeoutS: number;
    /** 0: no limit. */
    readonly limit: number;
    /** Set if flags has WRITE_RESULT. */
    readonly resultDst: Subfield | null;
    readonly specs: readonly LearnSpec[];
    readonly raw?: RawName;
  };
  conjunction: { readonly id: number; readonly clause: number; readonly nClauses: number };

  // Arithmetic.
  multipath: {
    readonly fields: HashFields;
    readonly basis: number;
    readonly algorithm: MultipathAlgorithm;
    /** Number of links minus 1. */
    readonly maxLink: number;
    readonly arg: number;
    readonly dst: Subfield;
  };

  // Other.
  note: { readonly data: Uint8Array };
  exit: NoMembers;
  sample: {
    readonly probability: number;
    readonly collectorSetId: number;
    readonly obsDomainId: number;
    readonly obsPointId: number;
    readonly samplingPort: PortNo;
    readonly direction: "default" | "ingress" | "egress";
    readonly raw?: RawName;
  };
  /** Only made by translation, when it freezes a packet. */
  unroll_xlate: { readonly ruleTableId: number; readonly ruleCookie: FieldValue };
  ct: {
    readonly flags: number;
    readonly zoneImm: number;
    /** Null: the zone is zoneImm. */
    readonly zoneSrc: Subfield | null;
    /** 0, 21 (ftp) or 69 (tftp). */
    readonly alg: number;
    readonly recircTable: number;
    /** nat() and the actions of exec(). */
    readonly actions: readonly Action[];
  };
  ct_clear: NoMembers;
  nat: { readonly flags: number; readonly range: NatRange };
  output_trunc: { readonly port: PortNo; readonly maxLen: number };
  clone: { readonly actions: readonly Action[] };
  check_pkt_larger: { readonly dst: Subfield; readonly pktLen: number };

  // For debugging.
  debug_recirc: NoMembers;
  debug_slow: NoMembers;

  // Instructions ("meter" is an action from OpenFlow 1.5 on).
  meter: { readonly meterId: number; providerMeterId: number };
  clear_actions: NoMembers;
  write_actions: { readonly actions: readonly Action[] };
  write_metadata: { readonly metadata: FieldValue; readonly mask: FieldValue };
  goto_table: { readonly tableId: number };
}

type NoMembers = Record<never, never>;

export type ActionKind = keyof ActionMembers;
export type ActionOf<K extends ActionKind> = { readonly kind: K } & ActionMembers[K];
export type Action = { [K in ActionKind]: ActionOf<K> }[ActionKind];

/** Instructions in the order in which they are executed and must be written. */
export const INSTRUCTIONS = [
  "meter",
  "apply_actions",
  "clear_actions",
  "write_actions",
  "write_metadata",
  "goto_table",
] as const;
export type InstructionName = (typeof INSTRUCTIONS)[number];

/** Nested actions that may be parsed: clone(clone(...)). (ovs: MAX_OFPACT_PARSE_DEPTH) */
export const ACTION_PARSE_DEPTH_MAX = 100;
/**
 * Nested actions that may be decoded. Open vSwitch has no such limit; a message of 64 kB could hold
 * some 4,000 levels, which nobody means and which would exhaust a call stack.
 */
export const ACTION_DECODE_DEPTH_MAX = 200;
/** A list of actions that takes more bytes in Open vSwitch's memory is "too big". */
export const ACTION_LIST_BYTES_MAX = 65535;

/** What a parser is given; it appends to `out` and narrows `usable`. */
export interface ParseContext {
  readonly ports: NameMap | null;
  readonly tables: NameMap | null;
  readonly log: LogSink | null;
  readonly out: Action[];
  /** The protocols in which the actions can be sent. */
  usable: Protocols;
  depth: number;
}

/** Null, or the text of the error. */
export type ParseOutcome = string | null;

/** How texts are shown: with the names that are known, and in colours if there is a painter. */
export interface FormatContext {
  readonly ports: NameMap | null;
  readonly tables: NameMap | null;
  readonly painter?: Painter;
}

export interface DecodeContext extends OxmContext {
  readonly version: OfVersion;
  readonly out: Action[];
  readonly log: LogSink | null;
  /** Take the actions for debugging, as a switch in dummy mode does. */
  readonly debug: boolean;
  depth: number;
}

export interface CheckContext {
  /** The flow's match; the check walks it along with the changes that actions make. */
  readonly match: Match;
  readonly maxPorts: number;
  /** 255 if unknown. */
  readonly tableId: number;
  /** 255 if unknown. */
  readonly nTables: number;
  readonly log: LogSink | null;
  /** The check narrows them. */
  usable: Protocols;
}

/**
 * How an action takes part in an action set: "slot" actions exist once each, the last one winning,
 * and run first, in the order of ACTION_SET_SLOTS; then all "set" actions as they were written; then
 * the one "final" action of the highest rank in ACTION_SET_FINALS. (OpenFlow 1.5.1, 5.6)
 */
export type SetClass = "slot" | "set" | "final";

export const ACTION_SET_SLOTS = [
  "strip_vlan",
  "pop_mpls",
  "decap",
  "encap",
  "push_mpls",
  "push_vlan",
  "dec_ttl",
  "dec_mpls_ttl",
  "dec_nsh_ttl",
] as const satisfies readonly ActionKind[];

export const ACTION_SET_FINALS = [
  "ct",
  "ct_clear",
  "resubmit",
  "output",
  "group",
] as const satisfies readonly ActionKind[];

export type ActionParser = (arg: string, pp: ParseContext) => ParseOutcome;
export type ActionDecoder = (raw: RawView, dc: DecodeContext) => OfpErr | null;

/** A row of the action table. */
export interface ActionDef<K extends ActionKind> {
  readonly kind: K;
  /** The name in error texts. */
  readonly name: string;
  /** What a user may type in front of the argument, and the parser for it. */
  readonly parsers: Readonly<Record<string, ActionParser>>;
  readonly format: (a: ActionOf<K>, fp: FormatContext) => string;
  readonly encode: (a: ActionOf<K>, out: Writer, version: OfVersion) => void;
  readonly decoders: Readonly<Partial<Record<RawName, ActionDecoder>>>;
  readonly check: (a: ActionOf<K>, cc: CheckContext) => OfpErr | null;
  /** Null: must not stand in an action set. */
  readonly setClass: SetClass | null;
  /** The instruction that the action is, if not a part of apply_actions. */
  readonly instruction?: InstructionName;
  /** One sentence for the reference. */
  readonly doc: string;
}

/** The action table: a kind without a row does not compile. */
export type ActionTable = { readonly [K in ActionKind]: ActionDef<K> };

/** An action that others can stand in. */
export type OuterKind = "ct" | "clone" | "write_actions";

/** What a row needs to handle the actions nested in its action. */
export interface ListOps {
  /** Parses a list into `pp.out`. */
  readonly parse: (
    text: string,
    pp: ParseContext,
    allowInstructions: boolean,
    outer: OuterKind | null,
  ) => ParseOutcome;
  readonly format: (actions: readonly Action[], fp: FormatContext) => string;
  readonly encode: (actions: readonly Action[], out: Writer, version: OfVersion) => void;
  /** Decodes and verifies a list into `dc.out`. */
  readonly decode: (bytes: Uint8Array, dc: DecodeContext, outer: OuterKind | null) => OfpErr | null;
  /** Checks a list; the match is as before afterwards, `cc.usable` what the list allows. */
  readonly check: (actions: readonly Action[], cc: CheckContext) => OfpErr | null;
}

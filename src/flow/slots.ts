// The storage of a flow key: one row per slot, laid out in 32-bit words.
//
// A slot is a place in FlowKey; a field (fields.ts) is what users and the wire name. Several fields
// may share one slot (`tcp_src`, `udp_src` and `icmp_type` are all `tp_src`), and a field may be a
// slice of one (`ip_dscp` is six bits of `nw_tos`).
//
// Invariants
// - Rows stand in the order of the headers in a packet; the stage never goes back. The classifier
//   looks a flow up stage by stage, so the boundaries decide which bits a lookup un-wildcards:
//   they are those of Open vSwitch (ovs: include/openvswitch/flow.h, FLOW_SEGMENT_*_ENDS_AT).
// - A slot of up to 32 bits never straddles a word; rows that follow each other share a word as
//   long as they fit, the first in the most significant bits.
// - A wider slot takes whole words, most significant first; of 48 bits the first word holds 16.
// - Values are host-order numbers: `nw_src` of 10.0.0.1 is 0x0a000001.

/** Lookup stages, in order: a staged lookup may stop after any of them. */
export const STAGES = ["metadata", "l2", "l3", "l4"] as const;
export type Stage = (typeof STAGES)[number];

interface SlotRow {
  readonly name: string;
  /** 1 to 32, 48, 64, or a multiple of 32. */
  readonly bits: number;
  readonly stage: Stage;
  /** Start a new word here even if the slot would fit in the current one. */
  readonly align?: true;
}

/** Bytes of Geneve option data that a key can hold (ovs: TUN_METADATA_TOT_OPT_SIZE). */
export const TUN_METADATA_BYTES = 256;
/** Registers of 32 bits, `reg0` to `reg15`. */
export const REG_COUNT = 16;
/** VLAN headers that a key can hold. */
export const VLAN_HEADER_COUNT = 2;
/** MPLS label stack entries that a key can hold. */
export const MPLS_LSE_COUNT = 3;

const SLOTS = [
  // Tunnel metadata (ovs: struct flow_tnl).
  { name: "tun_dst", bits: 32, stage: "metadata" },
  { name: "tun_ipv6_dst", bits: 128, stage: "metadata" },
  { name: "tun_src", bits: 32, stage: "metadata" },
  { name: "tun_ipv6_src", bits: 128, stage: "metadata" },
  { name: "tun_id", bits: 64, stage: "metadata" },
  { name: "tun_flags", bits: 16, stage: "metadata", align: true },
  { name: "tun_tos", bits: 8, stage: "metadata" },
  { name: "tun_ttl", bits: 8, stage: "metadata" },
  { name: "tun_tp_src", bits: 16, stage: "metadata", align: true },
  { name: "tun_tp_dst", bits: 16, stage: "metadata" },
  { name: "tun_gbp_id", bits: 16, stage: "metadata", align: true },
  { name: "tun_gbp_flags", bits: 8, stage: "metadata" },
  { name: "tun_erspan_ver", bits: 8, stage: "metadata" },
  { name: "tun_erspan_idx", bits: 32, stage: "metadata" },
  { name: "tun_erspan_dir", bits: 8, stage: "metadata", align: true },
  { name: "tun_erspan_hwid", bits: 8, stage: "metadata" },
  { name: "tun_gtpu_flags", bits: 8, stage: "metadata" },
  { name: "tun_gtpu_msgtype", bits: 8, stage: "metadata" },
  // Bit i of tun_md_present (bit 0 = least significant) says that tun_metadata<i> is there.
  { name: "tun_md_present", bits: 64, stage: "metadata" },
  // Option bodies, at the byte offsets that the bridge's TLV map gave out.
  { name: "tun_md_opts", bits: TUN_METADATA_BYTES * 8, stage: "metadata" },

  { name: "metadata", bits: 64, stage: "metadata" },
  { name: "reg0", bits: 32, stage: "metadata" },
  { name: "reg1", bits: 32, stage: "metadata" },
  { name: "reg2", bits: 32, stage: "metadata" },
  { name: "reg3", bits: 32, stage: "metadata" },
  { name: "reg4", bits: 32, stage: "metadata" },
  { name: "reg5", bits: 32, stage: "metadata" },
  { name: "reg6", bits: 32, stage: "metadata" },
  { name: "reg7", bits: 32, stage: "metadata" },
  { name: "reg8", bits: 32, stage: "metadata" },
  { name: "reg9", bits: 32, stage: "metadata" },
  { name: "reg10", bits: 32, stage: "metadata" },
  { name: "reg11", bits: 32, stage: "metadata" },
  { name: "reg12", bits: 32, stage: "metadata" },
  { name: "reg13", bits: 32, stage: "metadata" },
  { name: "reg14", bits: 32, stage: "metadata" },
  { name: "reg15", bits: 32, stage: "metadata" },
  { name: "skb_priority", bits: 32, stage: "metadata" },
  { name: "pkt_mark", bits: 32, stage: "metadata" },
  { name: "dp_hash", bits: 32, stage: "metadata" },
  // An OpenFlow port in translation, a datapath port in the datapath.
  { name: "in_port", bits: 32, stage: "metadata" },
  { name: "recirc_id", bits: 32, stage: "metadata" },
  { name: "ct_state", bits: 8, stage: "metadata", align: true },
  { name: "ct_nw_proto", bits: 8, stage: "metadata" },
  { name: "ct_zone", bits: 16, stage: "metadata" },
  { name: "ct_mark", bits: 32, stage: "metadata" },
  // Namespace in the upper, type in the lower 16 bits.
  { name: "packet_type", bits: 32, stage: "metadata" },
  { name: "ct_label", bits: 128, stage: "metadata" },
  { name: "conj_id", bits: 32, stage: "metadata" },
  { name: "actset_output", bits: 32, stage: "metadata" },

  { name: "dl_dst", bits: 48, stage: "l2" },
  { name: "dl_src", bits: 48, stage: "l2" },
  { name: "dl_type", bits: 16, stage: "l2", align: true },
  // Outermost first. The CFI bit of the TCI says that the header is there.
  { name: "vlan_tpid", bits: 16, stage: "l2", align: true },
  { name: "vlan_tci", bits: 16, stage: "l2" },
  { name: "vlan_tpid1", bits: 16, stage: "l2" },
  { name: "vlan_tci1", bits: 16, stage: "l2" },
  { name: "mpls_lse", bits: 32, stage: "l2" },
  { name: "mpls_lse1", bits: 32, stage: "l2" },
  { name: "mpls_lse2", bits: 32, stage: "l2" },

  { name: "nw_src", bits: 32, stage: "l3" },
  { name: "nw_dst", bits: 32, stage: "l3" },
  { name: "ct_nw_src", bits: 32, stage: "l3" },
  { name: "ct_nw_dst", bits: 32, stage: "l3" },
  { name: "ipv6_src", bits: 128, stage: "l3" },
  { name: "ipv6_dst", bits: 128, stage: "l3" },
  { name: "ct_ipv6_src", bits: 128, stage: "l3" },
  { name: "ct_ipv6_dst", bits: 128, stage: "l3" },
  { name: "ipv6_label", bits: 32, stage: "l3" },
  { name: "nw_frag", bits: 8, stage: "l3", align: true },
  { name: "nw_tos", bits: 8, stage: "l3" },
  { name: "nw_ttl", bits: 8, stage: "l3" },
  { name: "nw_proto", bits: 8, stage: "l3" },

  { name: "nd_target", bits: 128, stage: "l4" },
  { name: "arp_sha", bits: 48, stage: "l4" },
  { name: "arp_tha", bits: 48, stage: "l4" },
  // TCP flags; for ICMPv6 neighbour discovery the type of the option.
  { name: "tcp_flags", bits: 16, stage: "l4", align: true },
  { name: "nsh_flags", bits: 8, stage: "l4", align: true },
  { name: "nsh_ttl", bits: 8, stage: "l4" },
  { name: "nsh_mdtype", bits: 8, stage: "l4" },
  { name: "nsh_np", bits: 8, stage: "l4" },
  // Service path identifier in the upper 24 bits, service index in the lower 8.
  { name: "nsh_path_hdr", bits: 32, stage: "l4" },
  { name: "nsh_c1", bits: 32, stage: "l4" },
  { name: "nsh_c2", bits: 32, stage: "l4" },
  { name: "nsh_c3", bits: 32, stage: "l4" },
  { name: "nsh_c4", bits: 32, stage: "l4" },
  // Both ports share one word: the classifier keeps a trie over it.
  { name: "tp_src", bits: 16, stage: "l4", align: true },
  { name: "tp_dst", bits: 16, stage: "l4" },
  { name: "ct_tp_src", bits: 16, stage: "l4", align: true },
  { name: "ct_tp_dst", bits: 16, stage: "l4" },
  // IGMP group; for ICMPv6 neighbour discovery the reserved field.
  { name: "igmp_group_ip4", bits: 32, stage: "l4" },
] as const satisfies readonly SlotRow[];

export type SlotName = (typeof SLOTS)[number]["name"];

/** Where a slot lies in a key. */
export interface Slot {
  readonly name: SlotName;
  readonly bits: number;
  readonly stage: Stage;
  /** Index of the first word. */
  readonly word: number;
  /** Number of words: 1 up to 32 bits. */
  readonly words: number;
  /** Bit position of the least significant bit in its word; 0 for slots of more than one word. */
  readonly shift: number;
  /** All ones in the width of the slot, unshifted; 0xffffffff for slots of more than one word. */
  readonly max: number;
}

interface Layout {
  readonly slots: Readonly<Record<SlotName, Slot>>;
  readonly words: number;
  /** stageEnd[i] is the index of the first word after stage i. */
  readonly stageEnd: readonly number[];
}

/** Gives each row its place. A stage always starts a new word. */
function layOut(rows: readonly (SlotRow & { readonly name: SlotName })[]): Layout {
  const slots: Partial<Record<SlotName, Slot>> = {};
  const stageEnd: number[] = [];
  let word = 0;
  let free = 0; // bits left in word - 1
  let stage: Stage = STAGES[0];
  for (const row of rows) {
    if (row.stage !== stage) {
      if (STAGES.indexOf(row.stage) !== STAGES.indexOf(stage) + 1) {
        throw new Error(`slot ${row.name}: stage ${row.stage} out of order`);
      }
      stageEnd.push(word);
      stage = row.stage;
      free = 0;
    }
    const words = Math.ceil(row.bits / 32);
    if (words === 1 && row.align !== true && row.bits <= free) {
      free -= row.bits;
      slots[row.name] = place(row, word - 1, 1, free);
    } else {
      free = words === 1 ? 32 - row.bits : 0;
      slots[row.name] = place(row, word, words, words === 1 ? free : 0);
      word += words;
    }
  }
  stageEnd.push(word);
  // Every name of the rows has been set above.
  return { slots: slots as Record<SlotName, Slot>, words: word, stageEnd };
}

function place(
  row: SlotRow & { readonly name: SlotName },
  word: number,
  words: number,
  shift: number,
): Slot {
  const max = row.bits >= 32 ? 0xffffffff : 2 ** row.bits - 1;
  return Object.freeze({
    name: row.name,
    bits: row.bits,
    stage: row.stage,
    word,
    words,
    shift,
    max,
  });
}

const LAYOUT = layOut(SLOTS);

/**
 * Every slot by name: `K.nw_src.word`. The copy is for speed: V8 keeps an object that has been
 * filled name by name as a dictionary, and each of the many uses would look its name up.
 */
export const K: Readonly<Record<SlotName, Slot>> = Object.freeze({ ...LAYOUT.slots });
/** Length of a key in words. */
export const KEY_WORDS = LAYOUT.words;
/** First word after each stage, in the order of STAGES. */
export const STAGE_END: readonly number[] = Object.freeze(LAYOUT.stageEnd);
/** All slots in layout order. */
export const SLOT_LIST: readonly Slot[] = Object.freeze(SLOTS.map((r) => LAYOUT.slots[r.name]));

// How many 64-bit words of Open vSwitch's own flow structure a mask touches, which a verbose dump
// of datapath flows tells as `miniflow_bits(A,B)`.
//
// The slots of a key stand in the order of that structure but are packed differently; here are
// the byte offsets where its parts begin (ovs: include/openvswitch/flow.h struct flow). A is the
// count among the first 64 words, B among the rest. in_port does not count: the datapath keeps a
// classifier per port; nor does what a packet never comes with, such as registers, which a
// translation that fails leaves in its mask (ovs: flow_wc_map).

import type { FlowKey } from "../flow/flow-key.ts";
import { type Slot, SLOT_LIST, type SlotName } from "../flow/slots.ts";

/** Slots before which the structure has a gap. */
const STARTS: Partial<Record<SlotName, number>> = {
  tun_md_present: 72,
  tun_md_opts: 88,
  metadata: 344,
  dp_hash: 424,
  in_port: 428,
  recirc_id: 432,
  conj_id: 464,
  dl_dst: 472,
  dl_src: 478,
  dl_type: 484,
  vlan_tpid: 488,
  nw_src: 512,
  nd_target: 600,
  nsh_flags: 632,
  tp_src: 656,
};
const FIRST_UNIT_WORDS = 64;
const NOT_COUNTED = /^(in_port|reg\d+|metadata|conj_id|actset_output)$/;

/** Structure word (64 bits) of each byte of each slot that is counted. */
function layOut(): readonly (readonly [Slot, number])[] {
  let at = 0;
  return SLOT_LIST.map((slot) => {
    at = STARTS[slot.name] ?? at;
    const start = at;
    at += Math.ceil(slot.bits / 8);
    return [slot, start] as const;
  }).filter(([slot]) => !NOT_COUNTED.test(slot.name));
}

const LAYOUT = layOut();

/** Most significant first, the byte of a slot. */
function slotByte(mask: FlowKey, slot: Slot, i: number): number {
  if (slot.words === 1) {
    const bytes = Math.ceil(slot.bits / 8);
    const v = ((mask[slot.word] as number) >>> slot.shift) & slot.max;
    return (v >>> (8 * (bytes - 1 - i))) & 0xff;
  }
  const skip = slot.words * 4 - Math.ceil(slot.bits / 8);
  const at = i + skip;
  return ((mask[slot.word + (at >> 2)] as number) >>> (8 * (3 - (at & 3)))) & 0xff;
}

export function miniflowBits(mask: FlowKey): readonly [number, number] {
  const words = new Set<number>();
  for (const [slot, start] of LAYOUT) {
    const bytes = Math.ceil(slot.bits / 8);
    for (let i = 0; i < bytes; i++) {
      if (slotByte(mask, slot, i) !== 0) {
        words.add((start + i) >> 3);
      }
    }
  }
  const first = [...words].filter((w) => w < FIRST_UNIT_WORDS).length;
  return [first, words.size - first];
}

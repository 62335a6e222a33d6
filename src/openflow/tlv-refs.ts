// Which tunnel options of a bridge's TLV map a flow refers to.
//
// A mapping that a flow uses cannot be deleted: the flow's match and actions would lose their
// meaning (ovs: lib/meta-flow.c mf_vl_mff_ref, struct rule match_tlv_bitmap, ofpacts_tlv_bitmap).

import { FIELDS, type Field } from "../flow/fields.ts";
import { K } from "../flow/flow-key.ts";
import type { MiniMatch } from "../flow/minimatch.ts";
import { newTlvBitmap, noteTlvField, type TlvBitmap } from "../flow/vl-mff-map.ts";
import type { Action } from "./actions/types.ts";

/** Members of actions nest; no decoded action goes deeper than this. */
export const TLV_WALK_DEPTH_MAX = 400;

/** The options that a flow matches on or its actions name. */
export function tlvFieldsOf(match: MiniMatch, actions: readonly Action[]): TlvBitmap {
  const bitmap = newTlvBitmap();
  const { words, bits } = match.mask;
  for (let i = 0; i < words.length; i++) {
    const at = (words[i] as number) - K.tun_md_present.word;
    if (at === 0 || at === 1) {
      // The key has the upper half first, the bitmap the lower.
      bitmap[1 - at] = (bitmap[1 - at] ?? 0) | (bits[i] as number);
    }
  }
  walk(actions, bitmap, 0);
  return bitmap;
}

function walk(value: unknown, bitmap: TlvBitmap, depth: number): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) {
    return;
  }
  if (isField(value)) {
    if (value.tunMetadata >= 0) {
      noteTlvField(value, bitmap);
    }
    return;
  }
  if (depth < TLV_WALK_DEPTH_MAX) {
    for (const member of Object.values(value)) {
      walk(member, bitmap, depth + 1);
    }
  }
}

/** Fields are rows of FIELDS, or what a VlMffMap made of such a row. */
function isField(value: object): value is Field {
  return "tunMetadata" in value && "id" in value && FIELDS[Number(value.id)] !== undefined;
}

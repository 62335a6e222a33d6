// Geneve options between their wire form and the tun_metadata of a key.
//
// On the wire an option is class, type, length and body (RFC 8926 §3.5). A bridge's TLV map says
// which tun_metadata an option is and where in the key its body lies. Options that the map does not
// know are skipped, unless they are marked critical.
// ovs: lib/tun-metadata.c tun_metadata_to_geneve__, tun_metadata_from_geneve_udpif.

import { type FlowKey, K } from "../flow/flow-key.ts";
import { readTunMd, type TunTable, tunMdPresent, writeTunMd } from "../flow/tun-metadata.ts";
import { getU16, putU16 } from "../lib/bytes.ts";

/** Header of an option: class, type, length in words in the lower five bits. */
const OPT = { CLASS: 0, TYPE: 2, LEN: 3, HEADER_BYTES: 4, LEN_MASK: 0x1f, CRITICAL: 0x80 } as const;

const PRESENT_HI = K.tun_md_present.word;
const PRESENT_LO = PRESENT_HI + 1;

/** True if a key has any tun_metadata. */
function hasTunMetadata(key: FlowKey): boolean {
  return key[PRESENT_HI] !== 0 || key[PRESENT_LO] !== 0;
}

/** The options of a key in wire form, in the order of their numbers; null if it has none. */
export function geneveOptions(key: FlowKey, table: TunTable): Uint8Array | null {
  if (!hasTunMetadata(key)) {
    return null;
  }
  const parts: number[] = [];
  for (const m of table.mappings()) {
    const loc = table.loc(m.index);
    if (loc === undefined || !tunMdPresent(key, m.index)) {
      continue;
    }
    const head = new Uint8Array(OPT.HEADER_BYTES);
    putU16(head, OPT.CLASS, m.optionClass);
    head[OPT.TYPE] = m.optionType;
    head[OPT.LEN] = loc.bytes / 4;
    parts.push(...head, ...readTunMd(key, loc));
  }
  return Uint8Array.from(parts);
}

/** True if one of the options of a key is critical: a receiver that does not know it must drop. */
export function hasCriticalOption(key: FlowKey, table: TunTable): boolean {
  return table
    .mappings()
    .some((m) => (m.optionType & OPT.CRITICAL) !== 0 && tunMdPresent(key, m.index));
}

/**
 * Puts options in wire form into a key. False if they are cut off, do not fit the map, or one that
 * is critical is unknown. If the key held the wire form itself, what no option overwrites stays: a
 * field that is not present reads as such bytes (ovs: tun_metadata_from_geneve_udpif).
 */
export function geneveToKey(options: Uint8Array, table: TunTable, key: FlowKey): boolean {
  key.fill(0, PRESENT_HI, PRESENT_HI + 2);
  let o = 0;
  while (o < options.length) {
    const left = options.length - o;
    if (left < OPT.HEADER_BYTES) {
      return false;
    }
    const bodyBytes = ((options[o + OPT.LEN] as number) & OPT.LEN_MASK) * 4;
    if (OPT.HEADER_BYTES + bodyBytes > left) {
      return false;
    }
    const type = options[o + OPT.TYPE] as number;
    const index = table.find(getU16(options, o), type);
    const loc = index < 0 ? undefined : table.loc(index);
    if (loc !== undefined) {
      if (loc.bytes !== bodyBytes) {
        return false;
      }
      const body = o + OPT.HEADER_BYTES;
      writeTunMd(key, loc, index, options.subarray(body, body + bodyBytes));
    } else if ((type & OPT.CRITICAL) !== 0) {
      return false;
    }
    o += OPT.HEADER_BYTES + bodyBytes;
  }
  return true;
}

/**
 * The mask of options in wire form: headers are matched exactly, bodies as far as the mask has
 * them. `options` are those of the packet, already checked.
 */
export function geneveMask(mask: FlowKey, options: Uint8Array, table: TunTable): Uint8Array {
  const out = new Uint8Array(options.length);
  let o = 0;
  while (o + OPT.HEADER_BYTES <= options.length) {
    const bodyBytes = ((options[o + OPT.LEN] as number) & OPT.LEN_MASK) * 4;
    const index = table.find(getU16(options, o), options[o + OPT.TYPE] as number);
    const loc = index < 0 ? undefined : table.loc(index);
    putU16(out, o, 0xffff);
    out[o + OPT.TYPE] = 0xff;
    out[o + OPT.LEN] = OPT.LEN_MASK;
    if (loc !== undefined) {
      out.set(readTunMd(mask, loc).subarray(0, bodyBytes), o + OPT.HEADER_BYTES);
    }
    o += OPT.HEADER_BYTES + bodyBytes;
  }
  return out;
}

// The tunnel part of a match as text: addresses, flags, GTP-U and ERSPAN, mapped options.
//
// ovs: lib/match.c format_flow_tunnel; lib/tun-metadata.c tun_metadata_match_format.

import { TUN_METADATA_COUNT } from "../flow/fields.ts";
import { formatFlagsMasked, TUN_FLAG_NAMES, TUN_FLAGS } from "../flow/flag-text.ts";
import { get, isZero, K } from "../flow/flow-key.ts";
import { type Match, tunMdLocOf } from "../flow/match.ts";
import { readTunMd, tunMdPresent } from "../flow/tun-metadata.ts";
import { formatAltHex } from "../lib/number.ts";
import type { Parts } from "./match-parts.ts";

export function formatTunnel(p: Parts, m: Match): void {
  const { flow, wc } = p;
  p.hex64("tun_id", K.tun_id);
  p.ipv4("tun_src", K.tun_src);
  p.ipv4("tun_dst", K.tun_dst);
  p.ipv6("tun_ipv6_src", K.tun_ipv6_src);
  p.ipv6("tun_ipv6_dst", K.tun_ipv6_dst);
  p.dec16("tun_gbp_id", K.tun_gbp_id);
  if (get(wc, K.tun_gbp_flags) !== 0) {
    p.add(`tun_gbp_flags=${formatAltHex(get(flow, K.tun_gbp_flags))}`);
  }
  if (get(wc, K.tun_tos) !== 0) {
    p.add(`tun_tos=${get(flow, K.tun_tos).toString(16)}`);
  }
  if (get(wc, K.tun_ttl) !== 0) {
    p.add(`tun_ttl=${get(flow, K.tun_ttl)}`);
  }
  formatErspan(p);
  if (get(wc, K.tun_gtpu_flags) !== 0) {
    p.add(`gtpu_flags=${formatAltHex(get(flow, K.tun_gtpu_flags))}`);
  }
  if (get(wc, K.tun_gtpu_msgtype) !== 0) {
    p.add(`gtpu_msgtype=${get(flow, K.tun_gtpu_msgtype)}`);
  }
  const flagsMask = get(wc, K.tun_flags) & TUN_FLAGS.MASK;
  if (flagsMask !== 0) {
    const flags = get(flow, K.tun_flags) & TUN_FLAGS.MASK;
    const text = formatFlagsMasked(TUN_FLAG_NAMES, flags, flagsMask, TUN_FLAGS.MASK);
    p.add(`tun_flags=${text}`);
  }
  if (!isZero(wc, K.tun_md_present)) {
    formatTunMetadata(p, m);
  }
}

function formatErspan(p: Parts): void {
  const { flow, wc } = p;
  const ver = get(flow, K.tun_erspan_ver);
  if (get(wc, K.tun_erspan_ver) !== 0) {
    p.add(`tun_erspan_ver=${ver}`);
  }
  if (get(wc, K.tun_erspan_idx) !== 0 && ver === 1) {
    p.add(`tun_erspan_idx=${formatAltHex(get(flow, K.tun_erspan_idx))}`);
  }
  if (get(wc, K.tun_erspan_dir) !== 0 && ver === 2) {
    p.add(`tun_erspan_dir=${get(flow, K.tun_erspan_dir)}`);
  }
  if (get(wc, K.tun_erspan_hwid) !== 0 && ver === 2) {
    p.add(`tun_erspan_hwid=${formatAltHex(get(flow, K.tun_erspan_hwid))}`);
  }
}

function bytesHex(b: Uint8Array): string {
  let i = 0;
  while (i < b.length && b[i] === 0) {
    i++;
  }
  if (i === b.length) {
    return "0";
  }
  let s = `0x${(b[i] as number).toString(16)}`;
  for (i++; i < b.length; i++) {
    s += (b[i] as number).toString(16).padStart(2, "0");
  }
  return s;
}

function formatTunMetadata(p: Parts, m: Match): void {
  if (m.tab === null && m.tunMd === null) {
    return;
  }
  for (let i = 0; i < TUN_METADATA_COUNT; i++) {
    if (!tunMdPresent(p.wc, i)) {
      continue;
    }
    const place = tunMdLocOf(m, i);
    if (place === null) {
      continue;
    }
    if (!tunMdPresent(p.flow, i)) {
      p.add(`tun_metadata${i}=NP`);
      continue;
    }
    const mask = readTunMd(p.wc, place.loc);
    if (place.masked && mask.every((b) => b === 0)) {
      p.add(`tun_metadata${i}`);
      continue;
    }
    const exact = mask.every((b) => b === 0xff);
    const value = bytesHex(readTunMd(p.flow, place.loc));
    p.add(`tun_metadata${i}=${value}${exact ? "" : `/${bytesHex(mask)}`}`);
  }
}

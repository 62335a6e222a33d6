// 802.1Q and 802.1ad VLAN headers: 4 bytes between the addresses and the Ethertype of a frame.
//
// TCI: priority (3 bits), CFI or DEI (1), VLAN id (12). In a flow key the CFI bit says that the
// header is there; on the wire this switch writes it as 0 (ovs: eth_push_vlan).

import { getU16, putU16 } from "../lib/bytes.ts";
import { ETH, isEthTypeVlan } from "./ethernet.ts";
import type { PacketBuf } from "./packet.ts";

/** Byte offsets from the start of the frame. */
export const VLAN = { TPID: 12, TCI: 14, HEADER_BYTES: 4, ETH_HEADER_BYTES: 18 } as const;

export const VLAN_CFI = 0x1000;
export const VLAN_VID_MASK = 0x0fff;
export const VLAN_PCP_MASK = 0xe000;
export const VLAN_PCP_SHIFT = 13;

/** Puts a VLAN header outermost. */
export function ethPushVlan(p: PacketBuf, tpid: number, tci: number): void {
  p.resizeL2(VLAN.HEADER_BYTES);
  const b = p.bytes;
  const from = p.start + VLAN.HEADER_BYTES;
  b.copyWithin(p.start, from, from + 2 * ETH.ADDR_BYTES);
  putU16(b, p.start + VLAN.TPID, tpid);
  putU16(b, p.start + VLAN.TCI, tci & ~VLAN_CFI);
}

/** Removes the outermost VLAN header, if there is one. */
export function ethPopVlan(p: PacketBuf): void {
  if (
    p.isEth() &&
    p.size >= VLAN.ETH_HEADER_BYTES &&
    isEthTypeVlan(getU16(p.bytes, p.start + VLAN.TPID))
  ) {
    const to = p.start + VLAN.HEADER_BYTES;
    p.bytes.copyWithin(to, p.start, p.start + 2 * ETH.ADDR_BYTES);
    p.resizeL2(-VLAN.HEADER_BYTES);
  }
}

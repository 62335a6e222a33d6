// Destination addresses of link protocols, which a bridge does not forward unless it is told to.
// ovs: lib/packets.c eth_addr_is_reserved.

/** 01:80:c2:00:00:00 to 0f: spanning tree, pause frames, LACP, LLDP and other 802.1 protocols. */
const IEEE_HI = 0x0180;
const IEEE_LO_FIRST = 0xc2000000;
const IEEE_LO_LAST = 0xc200000f;

/** Upper 16 and lower 32 bits of the others. */
const OTHERS: readonly (readonly [number, number])[] = [
  [0x00e0, 0x2b000000], // Extreme discovery protocol
  [0x00e0, 0x2b000004], // Extreme automatic protection switching
  [0x00e0, 0x2b000006],
  [0x0100, 0x0c000000], // Cisco inter-switch link
  [0x0100, 0x0ccccccc], // Cisco PAgP, UDLD, CDP, DTP, VTP
  [0x0100, 0x0ccccccd], // Cisco per-VLAN spanning tree
  [0x0100, 0x0ccdcdcd], // Cisco spanning tree uplink fast, FlexLink
];
/** 01:00:0c:cc:cc:c0 to c7: Cisco connectivity fault management. */
const CISCO_CFM_HI = 0x0100;
const CISCO_CFM_LO_FIRST = 0x0cccccc0;
const CISCO_CFM_LO_LAST = 0x0cccccc7;

export function isReservedMac(hi: number, lo: number): boolean {
  if (hi === IEEE_HI) {
    return lo >= IEEE_LO_FIRST && lo <= IEEE_LO_LAST;
  }
  if (hi === CISCO_CFM_HI && lo >= CISCO_CFM_LO_FIRST && lo <= CISCO_CFM_LO_LAST) {
    return true;
  }
  return OTHERS.some(([h, l]) => h === hi && l === lo);
}

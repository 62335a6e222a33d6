// The packet layer: packets as bytes, and the headers in them.

export * from "./ethernet.ts";
export * from "./icmp.ts";
export * from "./icmp-header.ts";
export * from "./ip.ts";
export * from "./l4.ts";
export * from "./mpls.ts";
export * from "./nsh.ts";
export * from "./packet.ts";
export * from "./pcap-format.ts";
export * from "./pcap-write.ts";
export * from "./tunnel-header.ts";
export * from "./vlan.ts";

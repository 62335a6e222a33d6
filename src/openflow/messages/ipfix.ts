// Statistics of IPFIX exporters (ovs: lib/ofp-ipfix.c).

import { Cursor } from "../../lib/bytes.ts";
import type { Multipart } from "./multipart.ts";
import type { Msg } from "./raw.ts";
import { counter } from "./text.ts";
import type { IpfixStats } from "./types-switch.ts";

const STATS_BYTES = 88;

export function appendIpfixStats(m: Multipart, s: IpfixStats): void {
  const w = m.reserve(STATS_BYTES);
  w.u64(s.totalFlows).u64(s.currentFlows).u64(s.pkts).u64(s.ipv4Pkts).u64(s.ipv6Pkts);
  w.u64(s.errorPkts).u64(s.ipv4ErrorPkts).u64(s.ipv6ErrorPkts).u64(s.txPkts).u64(s.txErrors);
  w.u32(s.collectorSetId).zeros(4);
}

/** All exporters of a reply. */
export function decodeIpfixStats(msg: Msg): IpfixStats[] {
  const list: IpfixStats[] = [];
  for (const c = new Cursor(msg.bytes, msg.bodyOfs); c.left >= STATS_BYTES; ) {
    const s = {
      totalFlows: c.u64(),
      currentFlows: c.u64(),
      pkts: c.u64(),
      ipv4Pkts: c.u64(),
      ipv6Pkts: c.u64(),
      errorPkts: c.u64(),
      ipv4ErrorPkts: c.u64(),
      ipv6ErrorPkts: c.u64(),
      txPkts: c.u64(),
      txErrors: c.u64(),
      collectorSetId: c.u32(),
    };
    c.skip(4);
    list.push(s);
  }
  return list;
}

function statsText(s: IpfixStats, indent: number): string {
  return (
    `flows=${counter(s.totalFlows)}, current flows=${counter(s.currentFlows)}, ` +
    `sampled pkts=${counter(s.pkts)}, ipv4 ok=${counter(s.ipv4Pkts)}, ` +
    `ipv6 ok=${counter(s.ipv6Pkts)}, tx pkts=${counter(s.txPkts)}\n${" ".repeat(indent)}` +
    `pkts errs=${counter(s.errorPkts)}, ipv4 errs=${counter(s.ipv4ErrorPkts)}, ` +
    `ipv6 errs=${counter(s.ipv6ErrorPkts)}, tx errs=${counter(s.txErrors)}\n`
  );
}

export function formatIpfixBridge(s: IpfixStats): string {
  return `\n  bridge ipfix: ${statsText(s, 16)}`;
}

export function formatIpfixFlow(s: IpfixStats): string {
  return `  id ${String(s.collectorSetId).padStart(3)}: ${statsText(s, 10)}`;
}

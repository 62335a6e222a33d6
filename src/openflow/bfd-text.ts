// BFD sessions and packets as bfd/show and the log print them. ovs: lib/bfd.c bfd_put_details,
// log_msg.

import type { Bfd } from "./bfd.ts";
import { type BfdPacket, bfdDiagName, bfdFlagsText, bfdStateName } from "./bfd-packet.ts";

function ago(ms: number, nowMs: number): string {
  const diff = ms - nowMs;
  return `now ${diff < 0 ? "" : "+"}${diff}ms`;
}

const hex = (n: number): string => `0x${n.toString(16)}`;

export function bfdDetails(b: Bfd): string {
  const nowMs = b.env.nowMs();
  const { remote: r } = b;
  return (
    `  Forwarding: ${b.forwarding()}\n` +
    `  Detect Multiplier: ${b.mult}\n` +
    `  Concatenated Path Down: ${b.cpathDown}\n` +
    `  TX Interval: Approx ${b.txIntervalMs}ms\n` +
    `  RX Interval: Approx ${b.rxIntervalMs}ms\n` +
    `  Detect Time: ${ago(b.detectMs, nowMs)}\n` +
    `  Next TX Time: ${ago(b.nextTxMs, nowMs)}\n` +
    `  Last TX Time: ${ago(b.lastTxMs, nowMs)}\n\n` +
    `  Local Flags: ${bfdFlagsText(b.flags)}\n` +
    `  Local Session State: ${bfdStateName(b.state)}\n` +
    `  Local Diagnostic: ${bfdDiagName(b.diag)}\n` +
    `  Local Discriminator: ${hex(b.disc)}\n` +
    `  Local Minimum TX Interval: ${b.ownMinTxMs}ms\n` +
    `  Local Minimum RX Interval: ${b.minRxMs}ms\n\n` +
    `  Remote Flags: ${bfdFlagsText(r.flags)}\n` +
    `  Remote Session State: ${bfdStateName(r.state)}\n` +
    `  Remote Diagnostic: ${bfdDiagName(r.diag)}\n` +
    `  Remote Discriminator: ${hex(r.disc)}\n` +
    `  Remote Minimum TX Interval: ${r.minTxMs}ms\n` +
    `  Remote Minimum RX Interval: ${r.minRxMs}ms\n` +
    `  Remote Detect Multiplier: ${b.remoteMult}\n`
  );
}

export function bfdPacketText(m: BfdPacket): string {
  const us = (n: number): string => `${n}us (${Math.floor(n / 1000)}ms)`;
  return (
    `\n  vers:${m.version} diag:"${bfdDiagName(m.diag)}" state:${bfdStateName(m.state)} ` +
    `mult:${m.mult} length:${m.length}` +
    `\n  flags: ${bfdFlagsText(m.flags)}` +
    `\n  my_disc:${hex(m.myDisc)} your_disc:${hex(m.yourDisc)}` +
    `\n  min_tx:${us(m.minTxUs)}` +
    `\n  min_rx:${us(m.minRxUs)}` +
    `\n  min_rx_echo:${us(m.minRxEchoUs)}`
  );
}

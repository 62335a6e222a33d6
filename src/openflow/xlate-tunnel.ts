// Native tunnels: headers are pushed and popped by the userspace datapath itself, and the outer
// packet then goes through the bridge that holds the route to the remote end.
//
// ovs: ofproto/ofproto-dpif-xlate.c native_tunnel_output, terminate_native_tunnel.

import { ODPP_NONE, type XPort } from "./xbridge.ts";
import type { XlateCtx } from "./xlate-ctx.ts";

/** Tunnels are pushed natively, not left to a kernel; asked where there is a tunnel port. */
export function nativeTunnelIsOn(ctx: XlateCtx): boolean {
  return ctx.xbridge.support.tnl_push_pop;
}

/** Pushes the tunnel header and lets the underlay translate the outer packet. */
export function nativeTunnelOutput(
  _ctx: XlateCtx,
  _xport: XPort,
  _odpPort: number,
  _truncate: boolean,
  _isLast: boolean,
): void {
  throw new Error("native tunnel output is not available yet");
}

/** The datapath port of the tunnel that the packet, about to leave by `xport`, belongs to. */
export function terminateNativeTunnel(_ctx: XlateCtx, _xport: XPort): number {
  return ODPP_NONE;
}

// `set(tunnel(...))`: tells the datapath the tunnel of the packet, as a kernel's tunnel port needs.
//
// Only what the type of tunnel can carry is put into the action.
// ovs: lib/odp-util.c commit_odp_tunnel_action.

import type { TunnelKind } from "../datapath/odp-key.ts";
import { commitOdpTunnelAction } from "./odp-commit.ts";
import { geneveOptions } from "./tunnel-options.ts";
import type { XlateCtx } from "./xlate-ctx.ts";

const KINDS: readonly string[] = ["vxlan", "geneve", "erspan", "ip6erspan", "gtpu"];

function isKind(type: string): type is Exclude<TunnelKind, null> {
  return KINDS.includes(type);
}

export function commitTunnel(ctx: XlateCtx, tunnelType: string): void {
  const kind = isKind(tunnelType) ? tunnelType : "other";
  const { tunTable } = ctx.xbridge;
  commitOdpTunnelAction(ctx.flow, ctx.baseFlow, ctx.odp, kind, (key) =>
    geneveOptions(key, tunTable),
  );
}

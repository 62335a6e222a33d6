// Output to a patch port: translation goes on in the bridge of the peer, and whatever happens there
// does not touch the packet here.
//
// ovs: ofproto/ofproto-dpif-xlate.c patch_port_output.

import { get, K, set } from "../flow/flow-key.ts";
import { OFPP } from "../flow/ofp-port.ts";
import { rstpForward, stpForward, type XPort } from "./xbridge.ts";
import { creditPorts } from "./xlate-cache.ts";
import { type XlateCtx, openNode } from "./xlate-ctx.ts";
import { cancelFreeze } from "./xlate-freeze.ts";
import { clearConntrack, mayReceive, processSpecial } from "./xlate-receive.ts";

/** Tunnel slots are the first words of a key. */
const TUNNEL_WORDS = K.tun_md_opts.word + K.tun_md_opts.words;

/** Lets `out`, in another bridge, receive the packet. */
export function patchPortOutput(ctx: XlateCtx, from: XPort, out: XPort, isLast: boolean): void {
  const { flow, wc } = ctx;
  const old = {
    flow: flow.slice(),
    tunnelWc: wc.slice(0, TUNNEL_WORDS),
    conntracked: ctx.conntracked,
    wasMpls: ctx.wasMpls,
    version: ctx.tablesVersion,
    stack: ctx.stack,
    stackBytes: ctx.stackBytes,
    actionSet: ctx.actionSetActions,
    nodes: ctx.rec.nodes,
    mirrors: ctx.mirrors,
  };
  enter(ctx, out);
  if (!processSpecial(ctx, out) && mayReceive(out, ctx)) {
    if (stpForward(out) && rstpForward(out)) {
      ctx.ops.tableAction(ctx, get(flow, K.in_port), 0, true, true, false, isLast, true);
      if (!ctx.freezing) {
        ctx.ops.actionSet(ctx);
      }
      if (ctx.freezing) {
        ctx.ops.finishFreezing(ctx);
      }
    } else {
      lookOnly(ctx, isLast);
    }
  }
  ctx.rec.nodes = old.nodes;
  if (out.xbridge !== from.xbridge) {
    ctx.mirrors = old.mirrors;
  }
  flow.set(old.flow);
  ctx.xbridge = from.xbridge;
  ctx.actionSetActions = old.actionSet;
  ctx.stack = old.stack;
  ctx.stackBytes = old.stackBytes;
  ctx.tablesVersion = old.version;
  wc.set(old.tunnelWc, 0);
  ctx.wasMpls = old.wasMpls;
  ctx.conntracked = old.conntracked;
  // That the other bridge is done, or failed, does not mean that this one is.
  ctx.exit = false;
  ctx.error = "ok";
  if (ctx.stats !== null) {
    creditPorts(from, out, ctx.stats);
  }
  ctx.xcache?.push({ kind: "port", tx: from, rx: out });
}

/** Makes the flow what the bridge of `out` receives. */
function enter(ctx: XlateCtx, out: XPort): void {
  const { flow, wc } = ctx;
  ctx.stack = [];
  ctx.stackBytes = 0;
  ctx.actionSetActions = [];
  set(flow, K.in_port, out.ofpPort);
  flow.fill(0, 0, TUNNEL_WORDS);
  wc.fill(0, 0, TUNNEL_WORDS);
  flow.fill(0, K.metadata.word, K.reg15.word + 1);
  set(flow, K.actset_output, OFPP.UNSET);
  clearConntrack(ctx);
  if (ctx.rec.on) {
    openNode(ctx, { kind: "bridge", xbridge: out.xbridge, subs: [] });
  }
  if (out.xbridge !== ctx.xbridge) {
    ctx.mirrors = 0;
  }
  ctx.xbridge = out.xbridge;
  ctx.tablesVersion = out.xbridge.ofproto.tablesVersion;
}

/** NORMAL and learn may look at a packet that spanning tree does not forward. */
function lookOnly(ctx: XlateCtx, isLast: boolean): void {
  const oldBase = ctx.baseFlow.slice();
  const oldLength = ctx.odp.length;
  const oldMirrors = ctx.mirrors;
  ctx.ops.tableAction(ctx, get(ctx.flow, K.in_port), 0, true, true, false, isLast, true);
  ctx.mirrors = oldMirrors;
  ctx.baseFlow.set(oldBase);
  ctx.odp.length = oldLength;
  cancelFreeze(ctx);
}

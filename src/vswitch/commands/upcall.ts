// upcall/* and revalidator/*: the caches and how they are kept right.
//
// ovs: ofproto/ofproto-dpif-upcall.c upcall_unixctl_*.

import { atoi } from "../../lib/tokens.ts";
import {
  appctlError,
  appctlOk,
  type Command,
  type CommandContext,
  type Reply,
  appctlRows,
} from "../command.ts";
import type { DatapathPair } from "../packets.ts";
import { packetsOf } from "./dpctl-params.ts";

function pairs(ctx: CommandContext): readonly DatapathPair[] {
  return packetsOf(ctx.vs)?.all() ?? [];
}

function show(ctx: CommandContext): Reply {
  let s = "";
  for (const { dp, udpif, backer } of pairs(ctx)) {
    const n = dp.flows.size;
    s += `${dp.type}@${dp.name}:\n`;
    s += `  flows         : (current ${udpif.flowCount()}) (avg ${udpif.avgFlows}) (max ${udpif.maxFlows}) `;
    s += `(limit ${udpif.flowLimit})\n`;
    s += "  dump duration : 1ms\n  ufid enabled : true\n\n";
    // Everything is one thread here, which does the work of the first revalidator.
    ctx.vs.datapathLog.revalidatorIds(backer.type).forEach((id, i) => {
      s += `  ${id}: (keys ${i === 0 ? n : 0})\n`;
    });
  }
  return appctlOk(s);
}

function setMegaflows(ctx: CommandContext, on: boolean): Reply {
  for (const { udpif } of pairs(ctx)) {
    udpif.megaflows = on;
    udpif.purge();
  }
  return appctlOk(`megaflows ${on ? "enabled" : "disabled"}`);
}

function setFlowLimit(ctx: CommandContext, argv: readonly string[]): Reply {
  const limit = atoi(argv[1] ?? "") >>> 0;
  for (const { udpif } of pairs(ctx)) {
    udpif.flowLimit = limit;
  }
  return appctlOk(`set flow_limit to ${limit}`);
}

/** Dumps the datapath and settles what that sets off. */
function wait(ctx: CommandContext): Reply {
  const all = pairs(ctx);
  if (all.length > 1) {
    return appctlError("can't wait on multiple udpifs.");
  }
  ctx.vs.run();
  for (const { udpif } of all) {
    udpif.dump();
  }
  ctx.vs.run();
  return appctlOk();
}

function purge(ctx: CommandContext): Reply {
  for (const { udpif } of pairs(ctx)) {
    udpif.purge();
  }
  return appctlOk();
}

const upcallRow = appctlRows("upcall/");
const revalidatorRow = appctlRows("revalidator/");

export const UPCALL_COMMANDS: readonly Command[] = [
  upcallRow("show", "", [0, 0], "Shows how many datapath flows there are and may be.", show),
  upcallRow("disable-megaflows", "", [0, 0], "Makes each packet header its own flow.", (ctx) =>
    setMegaflows(ctx, false),
  ),
  upcallRow("enable-megaflows", "", [0, 0], "Lets flows leave open what does not matter.", (ctx) =>
    setMegaflows(ctx, true),
  ),
  upcallRow("disable-ufid", "", [0, 0], "Accepted; dumps are whole here anyway.", () =>
    appctlOk("Datapath dumping tersely using UFID disabled"),
  ),
  upcallRow("enable-ufid", "", [0, 0], "Accepted; dumps are whole here anyway.", () =>
    appctlOk("Datapath dumping tersely using UFID enabled for supported datapaths"),
  ),
  upcallRow(
    "set-flow-limit",
    "flow-limit-number",
    [1, 1],
    "Limits the datapath flows.",
    setFlowLimit,
  ),
  revalidatorRow("wait", "", [0, 0], "Brings counters and datapath flows up to date.", wait),
  revalidatorRow(
    "purge",
    "",
    [0, 0],
    "Deletes all datapath flows, crediting what they counted.",
    purge,
  ),
  revalidatorRow("pause", undefined, [0, 0], "Accepted; revalidation waits for no thread.", () =>
    appctlOk(),
  ),
  revalidatorRow("resume", undefined, [0, 0], "Accepted; revalidation waits for no thread.", () =>
    appctlOk(),
  ),
];

// dpctl/parse-actions: datapath actions read and printed again.
// ovs: lib/dpctl.c dpctl_parse_actions.

import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { readOdpActions } from "../../datapath/odp-text-parse-actions.ts";
import { appctlError, appctlOk, type Command, type Reply } from "../command.ts";

function parseActionsCommand(argv: readonly string[]): Reply {
  let s = "";
  for (const text of argv.slice(1)) {
    const actions = readOdpActions(text, null);
    if (typeof actions === "string") {
      return appctlError(`${s}ovs-vswitchd: odp_actions_from_string (${actions})`);
    }
    s += `${formatOdpActions(actions, null)}\n`;
  }
  return appctlOk(s);
}

export const DPCTL_TEXT_COMMANDS: readonly Command[] = [
  {
    tool: "ovs-appctl",
    name: "dpctl/parse-actions",
    usage: "actions",
    args: [1, Number.MAX_SAFE_INTEGER],
    doc: "Reads datapath actions and prints them as the datapath does.",
    run: (_ctx, argv) => parseActionsCommand(argv),
  },
];

// dpctl/parse-actions: datapath actions read and printed again.
// ovs: lib/dpctl.c dpctl_parse_actions.

import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { readOdpActions } from "../../datapath/odp-text-parse-actions.ts";
import { ANY_ARGS, type Command } from "../command.ts";
import { type DpctlRun, dpctlRow } from "./dpctl-params.ts";

function parseActions(r: DpctlRun): void {
  for (const text of r.argv.slice(1)) {
    const actions = readOdpActions(text, null);
    if (typeof actions === "string") {
      r.error(null, `odp_actions_from_string (${actions})`);
      return;
    }
    r.print(`${formatOdpActions(actions, null)}\n`);
  }
}

export const DPCTL_TEXT_COMMANDS: readonly Command[] = [
  dpctlRow(
    "parse-actions",
    "actions",
    [1, ANY_ARGS],
    "Reads datapath actions and prints them as the datapath does.",
    parseActions,
  ),
];

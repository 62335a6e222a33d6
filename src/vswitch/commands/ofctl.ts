// The rows of ovs-ofctl that talk to a switch, family by family, in the order of the real tool's
// list of commands as far as families allow.

import type { Command } from "../command.ts";
import { OFCTL_DIFF_COMMANDS } from "./ofctl-diff.ts";
import { OFCTL_DUMP_COMMANDS } from "./ofctl-dump.ts";
import { OFCTL_FLOW_COMMANDS } from "./ofctl-flows.ts";
import { OFCTL_GROUP_COMMANDS } from "./ofctl-group.ts";
import { OFCTL_MOD_COMMANDS } from "./ofctl-mod.ts";
import { OFCTL_MONITOR_COMMANDS } from "./ofctl-monitor.ts";

export const OFCTL_COMMANDS: readonly Command[] = [
  ...OFCTL_DUMP_COMMANDS,
  ...OFCTL_MONITOR_COMMANDS,
  ...OFCTL_FLOW_COMMANDS,
  ...OFCTL_DIFF_COMMANDS,
  ...OFCTL_MOD_COMMANDS,
  ...OFCTL_GROUP_COMMANDS,
];

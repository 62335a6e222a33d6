// The rows of ovs-ofctl that talk to a switch, family by family, and the list of all its commands in
// the order in which the real tool has them.

import { ANY_ARGS, type Command, inListOrder, listLine, ok } from "../command.ts";
import { OFCTL_DIFF_COMMANDS } from "./ofctl-diff.ts";
import { OFCTL_DUMP_COMMANDS } from "./ofctl-dump.ts";
import { OFCTL_FLOW_COMMANDS } from "./ofctl-flows.ts";
import { OFCTL_GROUP_COMMANDS } from "./ofctl-group.ts";
import { OFCTL_MOD_COMMANDS } from "./ofctl-mod.ts";
import { OFCTL_MONITOR_COMMANDS } from "./ofctl-monitor.ts";
import { OFCTL_PARSE_COMMANDS } from "./ofctl-parse.ts";
import { OFCTL_PCAP_COMMANDS } from "./ofctl-pcap.ts";
import { OFCTL_PRINT_COMMANDS } from "./ofctl-print.ts";

/** The order of the list, nothing else (ovs: utilities/ovs-ofctl.c all_commands[]). */
const ORDER = `
  show monitor snoop dump-desc dump-tables dump-table-features dump-table-desc dump-flows
  dump-aggregate queue-stats queue-get-config add-flow add-flows mod-flows del-flows
  replace-flows diff-flows add-meter mod-meter del-meter del-meters dump-meter dump-meters
  meter-stats meter-features packet-out dump-ports dump-ports-desc mod-port mod-table get-frags
  set-frags probe ping benchmark dump-ipfix-bridge dump-ipfix-flow ct-flush-zone ct-flush
  ofp-parse ofp-parse-pcap add-group add-groups mod-group del-groups insert-buckets
  remove-buckets dump-groups dump-group-stats dump-group-features bundle add-tlv-map del-tlv-map
  dump-tlv-map help list-commands parse-flow parse-flows parse-group parse-nx-match parse-nxm
  parse-oxm parse-actions parse-instructions parse-ofp10-match parse-ofp11-match parse-pcap
  check-vlan print-error encode-error-reply ofp-print encode-hello parse-key-value compose-packet
  parse-packet
`
  .trim()
  .split(/\s+/);

/** Columns of a name in the list. */
const NAME_WIDTH = 23;

const LIST_COMMANDS: Command = {
  tool: "ovs-ofctl",
  name: "list-commands",
  usage: "",
  args: [0, ANY_ARGS],
  doc: "Lists the commands of ovs-ofctl.",
  run: () => ok(`The available commands are:\n${listCommands()}`),
};

/** `help` is an option's double. */
const HELP: Command = {
  tool: "ovs-ofctl",
  name: "help",
  usage: "",
  args: [0, ANY_ARGS],
  doc: "Tells how ovs-ofctl is used.",
  run: () => ok(ofctlUsage()),
};

export const OFCTL_COMMANDS: readonly Command[] = [
  LIST_COMMANDS,
  HELP,
  ...OFCTL_DUMP_COMMANDS,
  ...OFCTL_MONITOR_COMMANDS,
  ...OFCTL_FLOW_COMMANDS,
  ...OFCTL_DIFF_COMMANDS,
  ...OFCTL_MOD_COMMANDS,
  ...OFCTL_GROUP_COMMANDS,
  ...OFCTL_PCAP_COMMANDS,
];

function listCommands(): string {
  const rows = [...OFCTL_COMMANDS, ...OFCTL_PARSE_COMMANDS, ...OFCTL_PRINT_COMMANDS];
  return inListOrder(rows, ORDER)
    .map((c) => listLine(c, NAME_WIDTH))
    .join("");
}

/** How ovs-ofctl is used; the real tool's text is longer. */
export function ofctlUsage(): string {
  return `usage: ovs-ofctl [OPTIONS] COMMAND [ARG...]\n${listCommands()}`;
}

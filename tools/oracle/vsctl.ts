// ovs-vsctl: random sessions; answers have to be the same, and what the daemons log about them.
//
// The order of rows and of the members of a set goes by random UUIDs in the real thing, so lines are
// compared sorted, and UUIDs as such.

import { type VsctlSession, vsctlSession } from "../../test/arbitraries/vsctl.ts";
import { neutralLog } from "../../test/log-text.ts";
import { type Kind, shellLine } from "./kind.ts";
import type { Answer, Side } from "./side.ts";

/** Empties the database, as far as the sessions fill it. */
const CLEAN: readonly string[] = [
  ...["br0", "br1", "br2", "f1", "nope"].map((br) => `--if-exists del-br ${br}`),
  "emer-reset",
  "del-ssl -- del-manager -- clear Open_vSwitch . external_ids other_config system_type",
  "-- --all destroy qos -- --all destroy queue -- --all destroy ct_timeout_policy",
  "remove Open_vSwitch . datapaths netdev system",
];

/** The daemon writes its log from several threads; after this it has. */
const LOG_SETTLES_MS = 40;
/** Lines about the machine, TLS libraries, connections that only one side makes, addresses. */
const ELSEWHERE =
  /^(?:stream_ssl|rconn|in_band|fail_open|coverage|socket_util|netdev_linux|ovs_lldp)\b/;

async function clean(side: Side): Promise<void> {
  for (const line of CLEAN) {
    await side.run(["ovs-vsctl", ...line.split(" ")]);
  }
}

const UUID = /\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/g;

function sorted(text: string): string {
  return (
    text
      .replace(UUID, "UUID")
      .replace(/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, "MAC")
      .replace(/\b[0-9a-f]{16}\b/g, "DPID")
      // Counts on from earlier sessions, after which one side may have been started anew.
      .replace(/\b(cur_cfg|next_cfg)( *: )\d+/g, "$1$2*")
      .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d{5}\|/gm, "*|")
      .split("\n")
      .sort()
      .join("\n")
  );
}

function whole({ exit, stdout, stderr }: Answer): string {
  return `exit status ${exit}\n${sorted(stdout)}\n${sorted(stderr)}`;
}

function logOf(side: Side): string {
  const lines = neutralLog(side.logged(), side.dir).split("\n");
  return (
    lines
      .filter((l) => !ELSEWHERE.test(l))
      // Ports that come in one transaction are numbered in the order of their UUIDs.
      .map((l) => l.replace(/ on port \d+$/, ""))
      // So are the members of a bond, of which one has to be the active one.
      .map((l) => l.replace(/active member is now \S+/, "active member is now *"))
      .sort()
      .join("\n")
  );
}

async function compare(s: VsctlSession, real: Side, ours: Side): Promise<string | null> {
  await clean(real);
  await clean(ours);
  await new Promise((done) => setTimeout(done, LOG_SETTLES_MS));
  real.logged();
  ours.logged();
  // What makes a case smaller may have taken the name of the tool away.
  for (const argv of s.lines.filter((l) => l[0] === "ovs-vsctl")) {
    const [want, got] = [whole(await real.run(argv)), whole(await ours.run(argv))];
    if (want !== got) {
      return `${shellLine(argv, "")}\n--- Open vSwitch\n${want}\n--- tablewalk\n${got}`;
    }
  }
  await new Promise((done) => setTimeout(done, LOG_SETTLES_MS));
  const [want, got] = [logOf(real), logOf(ours)];
  return want === got ? null : `the log\n--- Open vSwitch\n${want}\n--- tablewalk\n${got}`;
}

export const VSCTL: Kind = {
  name: "vsctl",
  arbitrary: vsctlSession,
  async setUp(real, ours) {
    // As the real one was told when it started: it counts as a configuration.
    await ours.run("ovs-vsctl set Open_vSwitch . external_ids:ready=1".split(" "));
    real.logged();
    ours.logged();
  },
  compare: (s, real, ours) => compare(s as VsctlSession, real, ours),
  script: (s) => (s as VsctlSession).lines.map((argv) => shellLine(argv, "")),
};

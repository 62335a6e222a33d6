// dpctl commands about fragments.
//
// ovs: lib/dpctl.c dpctl_ipf_*, dpctl_ct_ipf_get_status; lib/ipf.c ipf_dump_create

import { IPF_FRAGS_MAX_BOUND, IPF_MIN_FRAG, type IpfFamily } from "../../datapath/ipf.ts";
import { ETH_TYPE } from "../../flow/vlan-mpls.ts";
import { formatIpv4, formatIpv6 } from "../../lib/address.ts";
import type { Command } from "../command.ts";
import type { DatapathPair } from "../packets.ts";
import { scanNumber } from "./dpctl-ct.ts";
import { type DpctlRun, dpctlRow } from "./dpctl-params.ts";

/** IPv4 or IPv6 as an argument names it. */
function familyOf(pair: DatapathPair, text: string): IpfFamily | null {
  const { ipf } = pair.ct;
  return text.startsWith("v4") ? ipf.v4 : text.startsWith("v6") ? ipf.v6 : null;
}

function setEnabled(r: DpctlRun, enabled: boolean): void {
  const pair = r.open(4);
  if (pair === null) {
    return;
  }
  const family = familyOf(pair, r.argv.at(-1) ?? "");
  if (family === null) {
    r.error("EINVAL", "parameter missing: 'v4' for IPv4 or 'v6' for IPv6");
    return;
  }
  family.enabled = enabled;
  r.print(`${enabled ? "enabling" : "disabling"} fragmentation reassembly successful`);
}

function setMinFrag(r: DpctlRun): void {
  const pair = r.open(4);
  if (pair === null) {
    return;
  }
  const family = familyOf(pair, r.argv.at(-2) ?? "");
  if (family === null) {
    r.error("EINVAL", "parameter missing: v4 for IPv4 or v6 for IPv6");
    return;
  }
  const n = scanNumber(r.argv.at(-1), "", 32);
  if (n === null) {
    r.error("EINVAL", "parameter missing for minimum fragment size");
  } else if (n < IPF_MIN_FRAG.BOUND) {
    r.error("EPERM", "requested minimum fragment size too small; see documentation");
  } else {
    family.minFrag = n;
    r.print("setting minimum fragment size successful");
  }
}

function setMaxFrags(r: DpctlRun): void {
  const pair = r.open(3);
  if (pair === null) {
    return;
  }
  const n = scanNumber(r.argv.at(-1), "", 32);
  if (n === null) {
    r.error("EINVAL", "parameter missing for maximum fragments");
  } else if (n > IPF_FRAGS_MAX_BOUND) {
    r.error("EPERM", "setting maximum fragments failed");
  } else {
    pair.ct.ipf.maxFrags = n;
    r.print("setting maximum fragments successful");
  }
}

function familyLines(name: string, { minFrag, counts }: IpfFamily): string[] {
  return [
    `min ${name} frag size: ${minFrag}`,
    `${name} frags accepted: ${counts.accepted}`,
    `${name} frags completed: ${counts.completed}`,
    `${name} frags expired: ${counts.expired}`,
    `${name} frags too small: ${counts.tooSmall}`,
    `${name} frags overlapped: ${counts.overlapped}`,
    `${name} frags purged: ${counts.purged}`,
  ];
}

function getStatus(r: DpctlRun): void {
  const pair = r.open(2);
  if (pair === null) {
    return;
  }
  const { ipf } = pair.ct;
  const lines = [
    "Fragmentation Module Status",
    "---------------------------",
    `v4 enabled: ${ipf.v4.enabled ? 1 : 0}`,
    `v6 enabled: ${ipf.v6.enabled ? 1 : 0}`,
    `max num frags (v4/v6): ${ipf.maxFrags}`,
    `num frag: ${ipf.nFrags}`,
    ...familyLines("v4", ipf.v4),
    ...familyLines("v6", ipf.v6),
  ];
  r.print(lines.map((l) => `        ${l}\n`).join(""));
  if (r.verbosity > 0) {
    const address = (words: readonly number[], dlType: number) =>
      dlType === ETH_TYPE.IP ? formatIpv4(words[0] ?? 0) : formatIpv6(words);
    r.print("\n        Fragment Lists:\n\n");
    r.print(
      ipf
        .dump(address)
        .map((l) => `${l}\n`)
        .join(""),
    );
  }
}

export const DPCTL_IPF_COMMANDS: readonly Command[] = [
  dpctlRow("ipf-set-enabled", "[dp] v4|v6", [1, 2], "Puts fragments together.", (r) => {
    setEnabled(r, true);
  }),
  dpctlRow("ipf-set-disabled", "[dp] v4|v6", [1, 2], "Leaves fragments alone.", (r) => {
    setEnabled(r, false);
  }),
  dpctlRow(
    "ipf-set-min-frag",
    "[dp] v4|v6 minfragment",
    [2, 3],
    "Sets how long fragments but the last must be.",
    setMinFrag,
  ),
  dpctlRow(
    "ipf-set-max-nfrags",
    "[dp] maxfrags",
    [1, 2],
    "Sets how many fragments may wait.",
    setMaxFrags,
  ),
  dpctlRow(
    "ipf-get-status",
    "[dp]",
    [0, 1],
    "Shows settings and counts of fragments; with -m the lists too.",
    getStatus,
  ),
];

// Log lines of the switch made comparable: what differs between runs of Open vSwitch is taken out.

/** The command lines of a golden file. */
export function commandsOf(text: string): string[] {
  return [...text.matchAll(/^\$ (.*)$/gm)].map((m) => m[1] ?? "");
}

/**
 * Messages that come when the machine is slow, that name addresses of objects, or that tell how
 * often the switch looked at its ports and flows.
 */
const NOISE: readonly RegExp[] = [
  /^(?:memory|ovs_rcu|poll_loop|timeval|pmd_perf|conntrack\(|dpif_netlink)/,
  /^dpif_netdev\|DBG\|(?:(?:Creating|Destroying) |static_tx_qid|Simple match)/,
  /^dpif\|DBG\|\S+: (?:port_dump|dumped all ports|device )/,
  /^dpif\(revalidator\d+\)\|DBG\|\S+: (?:flow_dump|dumped all flows)/,
];

/** Without times, numbers and addresses; `rundir` is the directory of the switch. */
export function neutralLog(text: string, rundir: string): string {
  return text
    .replaceAll(rundir, "RUNDIR")
    .split("\n")
    .map((l) => l.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d{5}\|/, ""))
    .filter((l) => !NOISE.some((n) => n.test(l)))
    .join("\n")
    .replace(/unix#\d+/g, "unix#N")
    .replace(/ufid:[0-9a-f-]{36}/g, "ufid:*")
    .replace(
      /using datapath ID (?!0000000000000010|00000000000000ff)[0-9a-f]{16}/g,
      "using datapath ID *",
    )
    .replace(/revalidator\d+/g, "revalidatorN");
}

// What is random or depends on the moment in answers about links, bonds, controllers and samples, made
// neutral: dates, UUIDs, discriminators and jittered times of BFD, addresses of patch ports, orders
// that Open vSwitch takes from pointers.

/** Which of equal members is active is decided by the order of a hash of pointers. */
const ACTIVE = /^( {2}active member|active member mac: .*)$/gm;

export function neutralLinks(argv: readonly string[], text: string): string {
  const t = text
    .replace(/^\d{4}-\S+Z(?=\|)/gm, "*")
    .replace(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/gm, "UUID")
    .replace(/(Discriminator: |disc:)0x[1-9a-f][0-9a-f]*/g, "$1*")
    .replace(/((?:Detect|Next TX|Last TX) Time: now )[-+]\d+ms/g, "$1*")
    .replace(/used:(?:[0-9.]+s|never)/g, "used:*")
    .replace(/recirc(_id)?\(0x[0-9a-f]+\)/g, "recirc$1(*)")
    .replace(/next rebalance: \d+ ms/g, "next rebalance: * ms")
    // Bundles are flooded in the order of their addresses in memory.
    .replace(/(?<=^Datapath actions: ).*/gm, (actions) => actions.split(",").sort().join())
    .replace(/^(0180c2000002aa55aa5500)../gm, "$1**")
    .replace(/addr:(?!aa:(?:55|66):)\S+|addr:aa:55:aa:55:00:1.$/gm, "addr:*")
    .replace(ACTIVE, "*");
  const withoutActive = t.replaceAll("*\n", (m, at) => (t[at - 1] === "\n" ? "" : m));
  if (argv[0] === "ovs-vsctl") {
    const rows = withoutActive.trimEnd().split("\n\n");
    return rows.sort().join("\n\n");
  }
  const [first, ...rest] = withoutActive.split("\n");
  const line = argv.join(" ");
  if (/bond\/list/.test(line)) {
    return withoutActive.replace(/[^\t\n]+$/gm, (members) => members.split(", ").sort().join(", "));
  }
  return /(?<!bridge\/)dump-flows|dump-ports |conn-state/.test(line)
    ? [first, ...rest.sort()].join("\n")
    : withoutActive;
}

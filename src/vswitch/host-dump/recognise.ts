// What a file of a host dump is, told by its first lines, never by its name.
//
// One row a kind: what the file is called in messages, and a pattern for its beginning. The rows stand
// from the most to the least specific, and the first that fits wins. Text of any ovs-ofctl or
// ovs-appctl from 2.8 on is meant: with or without a reply header, with names or numbers.

/** One row of the table. */
interface DumpRow {
  readonly kind: string;
  /** What a user would call it. */
  readonly title: string;
  /** Held against the first HEAD_CHARS characters. */
  readonly begins: RegExp;
}

/** Characters of a file that decide what it is. */
export const HEAD_CHARS = 4096;

const ROWS = [
  { kind: "ovsdb", title: "database", begins: /^OVSDB (JSON|CLUSTER) \d+ [0-9a-f]{40}\n/ },
  {
    kind: "manifest",
    title: "sosreport manifest",
    begins: /^\s*\{\s*"version"[\s\S]*"components"/,
  },
  {
    kind: "flows",
    title: "flow dump",
    begins:
      /^(NXST|OFPST)_FLOW reply|^\s*(recirc_id\(|ufid:)?(cookie=|table=|priority=)[^\n]*actions=/,
  },
  { kind: "group-stats", title: "group statistics", begins: /^(NXST|OFPST)_GROUP reply/ },
  {
    kind: "groups",
    title: "group dump",
    begins: /^(NXST|OFPST)_GROUP_DESC reply|^\s*group_id=\d+,type=/,
  },
  { kind: "meters", title: "meter dump", begins: /^OFPST_METER_CONFIG reply|^\s*meter=\d+ / },
  { kind: "tlv-map", title: "TLV map", begins: /^NXT_TLV_TABLE_REPLY/ },
  { kind: "ports-desc", title: "port description", begins: /^OFPST_PORT_DESC reply/ },
  { kind: "show", title: "ovs-ofctl show", begins: /^OFPT_FEATURES_REPLY/ },
  {
    kind: "dpif-show",
    title: "dpif/show",
    begins: /^[\w-]+@[\w.-]+: ?(hit:\d+ missed:\d+)?\n(\s+flows:[^\n]*\n)?\s+[\w.-]+:\n/,
  },
  { kind: "fdb", title: "fdb/show", begins: /^ port {2}VLAN {2}MAC {16}Age\n/ },
  { kind: "routes", title: "ovs/route/show", begins: /^Route Table:\n/ },
  { kind: "neighbours", title: "tnl/neigh/show", begins: /^IP {44}MAC {17}Bridge\n=/ },
  {
    kind: "conntrack",
    title: "connection table",
    begins: /^(tcp|udp|icmp|icmpv6|sctp|igmp|gre|\d+),orig=\(src=/,
  },
  {
    kind: "vsctl-show",
    title: "ovs-vsctl show",
    begins:
      /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\n {4}(Bridge|Manager|ovs_)/,
  },
  {
    kind: "save-script",
    title: "ovs-save script",
    begins: /^ovs-ofctl -O \S+ (add-tlv-map|add-groups|replace-flows) /m,
  },
] as const satisfies readonly DumpRow[];

export type DumpKind = (typeof ROWS)[number]["kind"];

/** The kind of a file by its beginning, or null for a file of no use here. */
export function recognise(head: string): DumpKind | null {
  const text = head
    .slice(0, HEAD_CHARS)
    .replaceAll("\r\n", "\n")
    .replace(/^\ufeff?\n*/, "");
  return ROWS.find((row) => row.begins.test(text))?.kind ?? null;
}

/** What a file's name or the command behind it tells: its bridge and OpenFlow version. */
export interface Provenance {
  readonly bridge: string | null;
  /** 10 to 15, or 0 where nothing says. */
  readonly version: number;
}

/**
 * Reads `ovs-ofctl -O OpenFlow15 dump-flows br-int`, with spaces (a manifest's "exec") or with the
 * underscores of a sosreport's file name, or `br0.flows.dump` of ovs-save. In a file name an
 * underscore may also be part of the bridge's name, so everything after the command is taken.
 */
export function provenance(nameOrCommand: string): Provenance {
  const base = nameOrCommand.slice(nameOrCommand.lastIndexOf("/") + 1);
  const saved = /^(.+)\.(flows|groups)\.dump$/.exec(base);
  if (saved !== null) {
    return { bridge: saved[1] ?? null, version: 0 };
  }
  const version = Number(/OpenFlow(1[0-5])/.exec(base)?.[1] ?? 0);
  const command =
    /(?:dump-(?:flows|groups|group-stats|meters|tlv-map|ports-desc|ports)|fdb[_./]show|show)[_ ](?:-\S+[_ ])*([\w.:-]+?)(?:\.txt|\.log)?$/.exec(
      base,
    );
  return { bridge: command?.[1] ?? null, version };
}

/** The OpenFlow version that a reply's header states: `(OF1.3)`; 10 for a bare header, 0 for none. */
export function headerVersion(head: string): number {
  const m = /^\w+ ?(?:reply|REPLY)?(?:_REPLY)? ?(?:\(OF1\.(\d)\))?/.exec(head);
  const stated = /\(OF1\.(\d)\)/.exec(head.slice(0, 80))?.[1];
  return stated !== undefined
    ? 10 + Number(stated)
    : m !== null && /reply|REPLY/.test(head.slice(0, 40))
      ? 10
      : 0;
}

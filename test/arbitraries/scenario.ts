// Arbitrary scenarios in the words of the tools: flows, groups and the packets to trace.
//
// Everything is text as an operator would type it, so the same scenario goes to the real tools and
// to ours. A flow is drawn for a kind of packet and uses only fields and actions that fit it, so that
// most flows are accepted; a few do not fit on purpose, and then both sides have to refuse alike.
// Values come from small pools so that packets do meet the flows.

import fc from "fast-check";

export interface Scenario {
  /** Versions for `ovs-ofctl -O` when flows are added. */
  readonly version: string;
  readonly groups: readonly string[];
  readonly flows: readonly string[];
  /** Flows of the second bridge, behind a patch port. */
  readonly flows1: readonly string[];
  /** Microflows for ofproto/trace. */
  readonly packets: readonly string[];
}

/** OpenFlow ports of br0 in a scenario: p1 to p3, an access port, a patch port to br1. */
export const SCENARIO_PORTS = [1, 2, 3, 4, 5] as const;
const TABLES_MAX = 5;

type Text = fc.Arbitrary<string>;
const pick = (...values: string[]): Text => fc.constantFrom(...values);
const map = (arb: fc.Arbitrary<unknown>, f: (v: string) => string): Text =>
  arb.map((v) => f(String(v)));

const port = pick("1", "2", "3", "4", "5");
const mac = pick(
  "02:00:00:00:00:01",
  "02:00:00:00:00:02",
  "ff:ff:ff:ff:ff:ff",
  "01:00:5e:00:00:05",
  "01:80:c2:00:00:00",
);
const macMatch = fc.oneof(
  mac,
  pick("01:00:00:00:00:00/01:00:00:00:00:00", "02:00:00:00:00:00/ff:ff:ff:ff:ff:f0"),
);
const ip = pick("10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1", "192.168.0.1", "224.0.0.5");
const ipMatch = fc.oneof(
  ip,
  fc.tuple(ip, pick("8", "16", "24", "25", "31", "255.0.255.0")).map(([a, m]) => `${a}/${m}`),
);
const ip6 = pick("fd00::1", "fd00::2", "fd00:0:1::1", "fe80::1", "ff02::1:ff00:1");
const ip6Match = fc.oneof(
  ip6,
  fc.tuple(ip6, pick("16", "48", "64", "127")).map(([a, m]) => `${a}/${m}`),
);
const l4 = pick("53", "80", "443", "1024", "33000");
const l4Match = fc.oneof(l4, pick("0x400/0xfc00", "80/0xfff0", "0x8000/0x8000"));
const vlan = pick("10", "20", "0");
const small = pick("0", "1", "2", "5", "7");
const u32 = pick("0", "1", "0x10", "0xffff", "0x80000000");
const masked = (value: Text, ...masks: string[]): Text =>
  fc.oneof(
    value,
    fc.tuple(value, pick(...masks)).map(([v, m]) => `${v}/${m}`),
  );
const ctState = fc
  .subarray(["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"], { minLength: 1 })
  .chain((flags) =>
    fc
      .array(fc.constantFrom("+", "-"), { minLength: flags.length, maxLength: flags.length })
      .map((signs) => flags.map((f, i) => `${signs[i]}${f}`).join("")),
  );

type FieldPool = Readonly<Record<string, Text>>;

const METADATA: FieldPool = {
  in_port: port,
  metadata: masked(small, "0x3", "0xffff"),
  reg0: masked(u32, "0xff", "0x80000000"),
  reg1: u32,
  reg5: masked(u32, "0xffff"),
  xreg1: masked(small, "0xf"),
  tun_id: small,
  pkt_mark: masked(small, "0x5"),
  ct_state: ctState,
  ct_zone: small,
  ct_mark: masked(u32, "0x1", "0xff"),
  ct_label: masked(small, "0x1"),
};
const L2: FieldPool = { dl_src: macMatch, dl_dst: macMatch };
const VLAN: FieldPool = {
  dl_vlan: vlan,
  dl_vlan_pcp: pick("0", "3"),
  vlan_tci: pick("0", "0/0x1fff", "0x1000/0x1000", "0x100a/0x1fff"),
};
const IP: FieldPool = {
  nw_src: ipMatch,
  nw_dst: ipMatch,
  nw_tos: pick("0", "16", "252"),
  nw_ecn: pick("0", "1", "3"),
  nw_ttl: pick("0", "1", "64"),
  nw_frag: pick("no", "yes", "first", "later", "not_later"),
};
const IP6: FieldPool = {
  ipv6_src: ip6Match,
  ipv6_dst: ip6Match,
  ipv6_label: pick("0", "0x12345"),
  nw_ttl: pick("1", "64"),
  nw_frag: pick("no", "first", "later"),
};
const PORTS: FieldPool = { tp_src: l4Match, tp_dst: l4Match };
const TCP: FieldPool = { ...PORTS, tcp_flags: pick("+syn-ack", "0x12/0x17", "+ack", "2") };

/** A kind of packet: the keyword, fields for matches, and the sort of actions that fit. */
interface Kind {
  readonly keyword: string;
  readonly fields: FieldPool;
  readonly fits: "any" | "ip" | "ip6" | "l4" | "l46" | "arp" | "mpls";
}

const KINDS: readonly Kind[] = [
  { keyword: "", fields: {}, fits: "any" },
  { keyword: "ip", fields: IP, fits: "ip" },
  { keyword: "tcp", fields: { ...IP, ...TCP }, fits: "l4" },
  { keyword: "udp", fields: { ...IP, ...PORTS }, fits: "l4" },
  { keyword: "sctp", fields: { ...IP, ...PORTS }, fits: "l4" },
  {
    keyword: "icmp",
    fields: { ...IP, icmp_type: pick("0", "3", "8"), icmp_code: small },
    fits: "ip",
  },
  {
    keyword: "arp",
    fields: {
      arp_op: pick("1", "2"),
      arp_spa: ipMatch,
      arp_tpa: ipMatch,
      arp_sha: mac,
      arp_tha: mac,
    },
    fits: "arp",
  },
  { keyword: "ipv6", fields: IP6, fits: "ip6" },
  { keyword: "tcp6", fields: { ...IP6, ...TCP }, fits: "l46" },
  { keyword: "udp6", fields: { ...IP6, ...PORTS }, fits: "l46" },
  {
    keyword: "icmp6",
    fields: { ...IP6, icmp_type: pick("128", "135", "136"), icmp_code: small },
    fits: "ip6",
  },
  {
    keyword: "mpls",
    fields: { mpls_label: pick("3", "100"), mpls_tc: pick("0", "5"), mpls_bos: pick("0", "1") },
    fits: "mpls",
  },
  { keyword: "dl_type=0x1234", fields: {}, fits: "any" },
];

/** `name=value` for some fields of the pools, in any order. */
function someFields(pool: FieldPool, max: number): fc.Arbitrary<string[]> {
  const all = Object.keys(pool);
  return fc
    .subarray(all, { maxLength: Math.min(max, all.length) })
    .chain((names) =>
      fc.tuple(...names.map((n) => map(pool[n] ?? fc.constant("0"), (v) => `${n}=${v}`))),
    );
}

const bucket = fc
  .tuple(
    fc.integer({ min: 1, max: 9 }),
    fc.array(
      fc.oneof(
        map(port, (p) => `output:${p}`),
        map(mac, (m) => `mod_dl_dst:${m}`),
        map(small, (n) => `set_field:${n}->reg1`),
      ),
      { minLength: 1, maxLength: 2 },
    ),
  )
  .map(([weight, actions]) => ({ weight, actions: actions.join(",") }));

const group = fc
  .tuple(
    pick("all", "select", "indirect", "ff"),
    fc.array(bucket, { minLength: 1, maxLength: 3 }),
    pick("", ",selection_method=hash", ",selection_method=dp_hash"),
  )
  .map(([type, buckets, method]) => (id: number): string => {
    const used = type === "indirect" ? buckets.slice(0, 1) : buckets;
    const text = used.map((b) => {
      const weight = type === "select" ? `weight:${b.weight},` : "";
      const watch = type === "ff" ? `watch_port:${(b.weight % 3) + 1},` : "";
      return `bucket=${weight}${watch}actions=${b.actions}`;
    });
    return `group_id=${id},type=${type}${type === "select" ? method : ""},${text.join(",")}`;
  });

const nat = pick(
  "",
  ",nat",
  ",nat(src=10.1.1.1)",
  ",nat(dst=10.1.1.1-10.1.1.9:80-90)",
  ",nat(src=10.9.9.9,random)",
);
const ct = fc
  .tuple(
    fc.boolean(),
    pick("", ",zone=1", ",zone=NXM_NX_REG0[0..15]"),
    fc.option(fc.integer({ min: 1, max: TABLES_MAX }), { nil: 0 }),
    nat,
    pick("", ",exec(set_field:0x1->ct_mark)", ",exec(load:0x2->NXM_NX_CT_LABEL[0..31])"),
  )
  .map(([commit, zone, table, natPart, exec]) => {
    const parts = [
      commit ? "commit" : "",
      zone.slice(1),
      table > 0 ? `table=${table}` : "",
      natPart.includes("(") && !commit ? "" : natPart.slice(1),
      commit ? exec.slice(1) : "",
    ];
    return `ct(${parts.filter((p) => p !== "").join(",")})`;
  });

const ANY_ACTIONS: readonly Text[] = [
  map(port, (p) => `output:${p}`),
  map(port, (p) => p),
  pick("in_port", "normal", "flood", "all", "local", "exit", "ct_clear", "pop_queue"),
  pick("output:NXM_NX_REG0[0..15]", "note:01.02.03", "controller", "controller(max_len=64)"),
  pick("controller(reason=no_match,id=7,userdata=01.02)", "controller(pause)"),
  map(mac, (m) => `mod_dl_src:${m}`),
  map(mac, (m) => `mod_dl_dst:${m}`),
  map(vlan, (v) => `mod_vlan_vid:${v}`),
  pick("strip_vlan", "mod_vlan_pcp:3", "push_vlan:0x8100", "push_vlan:0x88a8"),
  map(u32, (v) => `set_field:${v}->reg0`),
  map(u32, (v) => `set_field:${v}/0xff->reg1`),
  map(small, (v) => `load:${v}->NXM_NX_REG5[3..7]`),
  map(small, (v) => `set_field:${v}->metadata`),
  map(small, (v) => `set_tunnel:${v}`),
  map(small, (v) => `set_queue:${v}`),
  map(small, (v) => `set_field:${v}->pkt_mark`),
  pick(
    "move:NXM_NX_REG0[]->NXM_NX_REG5[]",
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
    "move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]",
    "push:NXM_NX_REG0[],pop:NXM_NX_REG1[]",
    "load:0->NXM_OF_IN_PORT[]",
    "push_mpls:0x8847",
    "multipath(symmetric_l4,0,modulo_n,4,0,NXM_NX_REG1[0..3])",
    "bundle(eth_src,0,hrw,ofport,members:1,2,3)",
    "bundle_load(symmetric_l4,0,active_backup,ofport,NXM_NX_REG1[],members:2,3)",
    "learn(table=4,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])",
    "learn(table=3,priority=7,in_port=2,load:0x5->NXM_NX_REG0[])",
    "check_pkt_larger(1400)->NXM_NX_REG0[0]",
    "enqueue:2:1",
    "sample(probability=100,collector_set_id=1,obs_domain_id=0,obs_point_id=0)",
  ),
  map(fc.integer({ min: 1, max: 4 }), (g) => `group:${g}`),
  map(fc.integer({ min: 0, max: TABLES_MAX }), (t) => `resubmit(,${t})`),
  fc.tuple(port, fc.integer({ min: 1, max: TABLES_MAX })).map(([p, t]) => `resubmit(${p},${t})`),
];

const NESTED: readonly Text[] = [
  fc
    .array(fc.oneof(...ANY_ACTIONS.slice(0, 10)), { minLength: 1, maxLength: 3 })
    .map((a) => `clone(${a.join(",")})`),
];

const IP_ACTIONS: readonly Text[] = [
  map(ip, (a) => `mod_nw_src:${a}`),
  map(ip, (a) => `mod_nw_dst:${a}`),
  pick("mod_nw_tos:16", "mod_nw_ecn:1", "mod_nw_ttl:9", "dec_ttl", "dec_ttl(1,2)"),
  pick("move:NXM_OF_IP_SRC[]->NXM_NX_REG1[]", "set_field:10.0.0.0/255.0.0.0->ip_dst"),
  ct,
];
const IP6_ACTIONS: readonly Text[] = [
  map(ip6, (a) => `set_field:${a}->ipv6_src`),
  pick("dec_ttl", "set_field:0x11->ipv6_label", "mod_nw_tos:16"),
  map(fc.constant("ct(commit,zone=5)"), (s) => s),
];
const L4_ACTIONS: readonly Text[] = [
  map(l4, (p) => `mod_tp_src:${p}`),
  map(l4, (p) => `mod_tp_dst:${p}`),
];

function actionsFor(fits: Kind["fits"]): Text {
  const more: Record<Kind["fits"], readonly Text[]> = {
    any: [],
    ip: IP_ACTIONS,
    ip6: IP6_ACTIONS,
    l4: [...IP_ACTIONS, ...L4_ACTIONS],
    l46: [...IP6_ACTIONS, ...L4_ACTIONS],
    arp: [pick("set_field:1->arp_op", "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]")],
    mpls: [pick("pop_mpls:0x0800", "dec_mpls_ttl", "set_field:7->mpls_label", "set_mpls_ttl(3)")],
  };
  const one = fc.oneof(...ANY_ACTIONS, ...NESTED, ...more[fits], ...more[fits]);
  const end = fc.oneof(
    { weight: 6, arbitrary: fc.constant("") },
    { weight: 1, arbitrary: fc.constant("goto_table:6") },
    { weight: 1, arbitrary: map(port, (p) => `write_actions(output:${p})`) },
    { weight: 1, arbitrary: map(small, (v) => `write_metadata:${v}/0x7`) },
  );
  const list = fc
    .tuple(fc.array(one, { minLength: 1, maxLength: 5 }), end)
    .map(([a, e]) => [...a, ...(e === "" ? [] : [e])].join(","));
  return fc.oneof(
    { weight: 12, arbitrary: list },
    { weight: 1, arbitrary: fc.constant("drop") },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 }))
        .map(([id, n]) => `conjunction(${id},${n}/2)`),
    },
  );
}

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant(KINDS[0] as Kind) },
  { weight: 8, arbitrary: fc.constantFrom(...KINDS) },
);

const flow: Text = kind.chain((k) =>
  fc
    .tuple(
      fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 6, arbitrary: fc.nat(TABLES_MAX) },
        { weight: 1, arbitrary: fc.constant(6) },
      ),
      fc.integer({ min: 0, max: 9 }),
      fc.option(pick("cookie=0x1", "cookie=0xdeadbeef"), { nil: "", freq: 3 }),
      someFields({ ...METADATA, ...L2, ...VLAN }, 2),
      someFields(k.fields, 3),
      fc.oneof(
        { weight: 20, arbitrary: actionsFor(k.fits) },
        { weight: 1, arbitrary: actionsFor("l4") },
      ),
      fc.oneof(
        { weight: 12, arbitrary: fc.constant("") },
        { weight: 1, arbitrary: pick("conj_id=1", "conj_id=2", "recirc_id=0") },
      ),
    )
    .map(([table, priority, cookie, low, own, actions, extra]) =>
      [
        `table=${table}`,
        `priority=${priority}`,
        cookie,
        k.keyword,
        ...low,
        ...own,
        extra,
        `actions=${actions}`,
      ]
        .filter((p) => p !== "")
        .join(","),
    ),
);

/** Exact values for a packet of a kind. */
const packet: Text = fc.constantFrom(...KINDS).chain((k) => {
  const exact: Record<string, Text> = {
    nw_src: ip,
    nw_dst: ip,
    ipv6_src: ip6,
    ipv6_dst: ip6,
    tp_src: l4,
    tp_dst: l4,
    arp_spa: ip,
    arp_tpa: ip,
    tcp_flags: pick("syn", "ack", "0x12"),
    nw_frag: pick("no", "no", "first", "later"),
  };
  const pool = Object.fromEntries(
    Object.entries(k.fields).map(([name, arb]) => [name, exact[name] ?? arb]),
  );
  return fc
    .tuple(
      port,
      mac,
      mac,
      fc.option(vlan, { nil: "" }),
      someFields(pool, 6),
      fc.option(u32, { nil: "", freq: 3 }),
      fc.option(pick("trk", "trk|new", "trk|est"), { nil: "", freq: 4 }),
    )
    .map(([p, src, dst, vid, fields, reg, state]) =>
      [
        k.keyword,
        `in_port=${p}`,
        `dl_src=${src}`,
        `dl_dst=${dst}`,
        vid === "" ? "" : `dl_vlan=${vid}`,
        ...fields,
        reg === "" ? "" : `reg0=${reg}`,
        state === "" ? "" : `ct_state=${state}`,
      ]
        .filter((t) => t !== "")
        .join(","),
    );
});

/** A table of flows on two bridges, up to four groups, and some packets. */
export const scenario: fc.Arbitrary<Scenario> = fc.record({
  version: pick("OpenFlow10", "OpenFlow13", "OpenFlow15"),
  groups: fc.array(group, { maxLength: 4 }).map((gs) => gs.map((g, i) => g(i + 1))),
  flows: fc.array(flow, { minLength: 1, maxLength: 14 }),
  flows1: fc.array(flow, { maxLength: 3 }),
  packets: fc.array(packet, { minLength: 1, maxLength: 6 }),
});

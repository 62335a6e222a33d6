// Action texts: one arbitrary per kind of action, valid ones and near misses.
//
// `ACTION_TEXT` is keyed by kind so that a kind without an arbitrary does not compile.

import { HASH_FIELDS } from "../../src/flow/flow-hash.ts";
import fc from "fast-check";
import type { ActionKind } from "../../src/openflow/actions/types.ts";

const u = (max: number) =>
  fc.oneof(
    fc.integer({ min: 0, max }).map(String),
    fc.integer({ min: 0, max }).map((n) => `0x${n.toString(16)}`),
    fc.constantFrom("0", "1", String(max)),
  );
const u8 = u(0xff);
const u16 = u(0xffff);
const u32 = u(0xffffffff);
const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }).map((n) => `0x${n.toString(16)}`),
  u32,
  fc.constantFrom("0xffffffffffffffff", "0"),
);
const ip4 = fc
  .integer({ min: 0, max: 0xffffffff })
  .map((n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join("."));
const ip6 = fc.constantFrom("fe80::1", "2001:db8::1:2", "::1", "::", "ff02::1:ff00:1");
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((b) => [...b].map((x) => x.toString(16).padStart(2, "0")).join(":"));
const hexBytes = (max: number) =>
  fc
    .uint8Array({ minLength: 1, maxLength: max })
    .map((b) => [...b].map((x) => x.toString(16).padStart(2, "0")).join("."));
const port = fc.oneof(
  u(300),
  fc.constantFrom("LOCAL", "in_port", "NORMAL", "FLOOD", "ALL", "CONTROLLER", "TABLE", "ANY"),
  fc.constantFrom("65279", "65280", "65534", "0xfffffffe"),
);
const table = u(254);

const WRITABLE_REGS = [
  "NXM_NX_REG0",
  "NXM_NX_REG15",
  "reg3",
  "OXM_OF_PKT_REG1",
  "xreg2",
  "NXM_NX_XXREG1",
  "xxreg0",
  "NXM_NX_TUN_ID",
  "tun_metadata1",
  "OXM_OF_METADATA",
  "metadata",
  "NXM_NX_PKT_MARK",
  "NXM_OF_ETH_SRC",
  "eth_dst",
  "NXM_OF_VLAN_TCI",
  "NXM_OF_IP_SRC",
  "NXM_OF_IN_PORT",
  "NXM_OF_TCP_DST",
  "tcp_src",
  "nw_tos",
  "NXM_NX_IP_TTL",
  "ip_dscp",
  "vlan_vid",
  "in_port_oxm",
  "NXM_NX_CT_MARK",
  "ct_label",
  "nsh_c1",
  "NXM_OF_ARP_SPA",
  "arp_op",
  "ipv6_dst",
  "tun_ipv6_dst",
  "tun_flags",
  "conj_id",
  "packet_type",
  "actset_output",
  "ct_state",
];
const fieldName = fc.constantFrom(...WRITABLE_REGS);
const range = fc.oneof(
  fc.constant("[]"),
  fc.nat(31).map((n) => `[${n}]`),
  fc.tuple(fc.nat(40), fc.nat(40)).map(([a, b]) => `[${Math.min(a, b)}..${Math.max(a, b)}]`),
);
const subfield = fc.tuple(fieldName, range).map(([f, r]) => f + r);
const bit = fc.tuple(fieldName, fc.nat(40)).map(([f, n]) => `${f}[${n}]`);
/** Two subfields of one width. */
const move = fc
  .tuple(fieldName, fieldName, fc.nat(20), fc.nat(20), fc.integer({ min: 0, max: 33 }))
  .map(([a, b, i, j, n]) => `${a}[${i}..${i + n}]->${b}[${j}..${j + n}]`);

const SET_FIELDS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  eth_src: mac,
  dl_dst: fc.tuple(mac, mac).map(([a, b]) => `${a}/${b}`),
  ip_src: ip4,
  nw_dst: ip4.map((a) => `${a}/24`),
  ipv6_src: ip6,
  tcp_src: u16,
  udp_dst: u16,
  sctp_dst: u16,
  reg0: u32,
  reg9: fc.tuple(u32, u32).map(([a, b]) => `${a}/${b}`),
  xreg1: fc.tuple(u64, u64).map(([a, b]) => `${a}/${b}`),
  xxreg2: u64,
  metadata: u64,
  tun_id: u64,
  tun_src: ip4,
  tun_flags: fc.constantFrom("oam", "0", "+oam", "-oam"),
  tun_metadata0: u64,
  tun_metadata63: fc.tuple(u64, u64).map(([a, b]) => `${a}/${b}`),
  vlan_vid: u(0x1fff),
  vlan_pcp: u(8),
  vlan_tci: u16,
  ip_dscp: u(63),
  nw_tos: u8,
  nw_ecn: u(4),
  nw_ttl: u8,
  mpls_label: u(0xfffff),
  mpls_tc: u(7),
  arp_op: u16,
  arp_spa: ip4,
  arp_sha: mac,
  pkt_mark: u32,
  in_port: port,
  in_port_oxm: port,
  icmp_type: u8,
  nd_target: ip6,
  nsh_ttl: u(63),
  nsh_spi: u32,
  ct_mark: u32,
  ipv6_label: u(0xfffff),
  tun_ttl: u8,
  tun_gbp_id: u16,
  tun_erspan_idx: u32,
  tcp_flags: fc.constantFrom("+syn", "syn"),
  bogus: u8,
};
const setField = fc
  .constantFrom(...Object.keys(SET_FIELDS))
  .chain((name) => (SET_FIELDS[name] ?? u8).map((v) => `set_field:${v}->${name}`));
const load = fc.tuple(u64, subfield).map(([v, sf]) => `load:${v}->${sf}`);

const natRange = fc.oneof(
  ip4,
  fc.tuple(ip4, ip4, u16).map(([a, b, p]) => `${a}-${b}:${p}`),
  fc.tuple(ip4, fc.nat(60000)).map(([a, p]) => `${a}:${p + 1}-${p + 500}`),
  ip6,
  fc.tuple(ip6, fc.nat(60000)).map(([a, p]) => `[${a}]:${p + 1}`),
  ip6.map((a) => `${a}-${a}f`),
);
const nat = fc.oneof(
  fc.constant("nat"),
  fc
    .tuple(
      fc.constantFrom("src", "dst"),
      natRange,
      fc.constantFrom("", ",random", ",hash", ",persistent", ",persistent,hash", ",hash,random"),
    )
    .map(([d, r, f]) => `nat(${d}=${r}${f})`),
  fc.constantFrom("nat(src)", "nat(dst,random)"),
);
const ctOption = fc.oneof(
  fc.constantFrom("commit", "force", "alg=ftp", "alg=tftp", "alg=foo"),
  table.map((t) => `table=${t}`),
  u16.map((z) => `zone=${z}`),
  bit.map((b) => `zone=${b}`),
  fc.constantFrom("zone=NXM_NX_REG0[0..15]", "zone=reg1[3..18]", "zone=OXM_OF_PKT_REG0[16..31]"),
  nat,
  u32.map((v) => `exec(set_field:${v}->ct_mark)`),
  u32.map((v) => `exec(load:${v}->NXM_NX_CT_LABEL[32..63])`),
  fc.constant("exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[],set_field:1->ct_label)"),
);
const learnSpec = fc.oneof(
  fc.constantFrom(
    "NXM_OF_VLAN_TCI[0..11]",
    "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]",
    "output:NXM_OF_IN_PORT[]",
    "eth_type=0x800",
    "nw_proto=6",
    "NXM_OF_ETH_TYPE[]=0x800",
    "reg0[3..10]=0x12",
    "in_port=LOCAL",
    "nw_dst=10.0.0.1",
    "nsh_c1[]=5",
  ),
  move.map((m) => `load:${m}`),
  fc.tuple(u32, subfield).map(([v, sf]) => `load:${v}->${sf}`),
  fc.tuple(subfield, u32).map(([sf, v]) => `${sf}=${v}`),
  bit.map((b) => `result_dst=${b}`),
  subfield.map((sf) => `output:${sf}`),
  table.map((t) => `table=${t}`),
  u16.map((t) => `idle_timeout=${t}`),
  u16.map((t) => `fin_hard_timeout=${t}`),
  u16.map((t) => `priority=${t}`),
  u64.map((c) => `cookie=${c}`),
  fc.constantFrom("send_flow_rem", "delete_learned", "limit=5"),
);

const mpAlgorithm = fc.constantFrom("modulo_n", "hash_threshold", "hrw", "iter_hash", "nonsense");

export const ACTION_TEXT: Readonly<Record<ActionKind, fc.Arbitrary<string>>> = {
  output: fc.oneof(
    port,
    port.map((p) => `output:${p}`),
    u16.map((n) => `controller:${n}`),
  ),
  group: u32.map((n) => `group:${n}`),
  controller: fc
    .array(
      fc.oneof(
        fc.constantFrom("reason=no_match", "reason=invalid_ttl", "reason=5", "pause"),
        u16.map((n) => `max_len=${n}`),
        u16.map((n) => `id=${n}`),
        u32.map((n) => `meter_id=${n}`),
        hexBytes(20).map((h) => `userdata=${h}`),
      ),
      { maxLength: 4 },
    )
    .map((o) => `controller(${o.join(",")})`),
  enqueue: fc.tuple(port, u32).map(([p, q]) => `enqueue:${p}:${q}`),
  output_reg: subfield.map((sf) => `output:${sf}`),
  bundle: fc
    .tuple(
      fc.constantFrom(...HASH_FIELDS, "bad"),
      u16,
      fc.constantFrom("active_backup", "hrw"),
      fc.oneof(fc.constant(""), subfield),
      fc.array(port, { maxLength: 6 }),
      fc.constantFrom("members", "slaves"),
    )
    .map(([f, b, a, dst, m, word]) => {
      const name = dst === "" ? "bundle" : "bundle_load";
      return `${name}(${f},${b},${a},ofport,${dst === "" ? "" : `${dst},`}${word}:${m.join(",")})`;
    }),
  set_field: fc.oneof(setField, load),
  set_vlan_vid: fc
    .tuple(fc.constantFrom("set", "mod"), u(0x1001))
    .map(([w, n]) => `${w}_vlan_vid:${n}`),
  set_vlan_pcp: fc.tuple(fc.constantFrom("set", "mod"), u(8)).map(([w, n]) => `${w}_vlan_pcp:${n}`),
  strip_vlan: fc.constantFrom("strip_vlan", "pop_vlan"),
  push_vlan: fc.constantFrom("push_vlan:0x8100", "push_vlan:0x88a8", "push_vlan:0x800"),
  set_eth_src: mac.map((m) => `mod_dl_src:${m}`),
  set_eth_dst: mac.map((m) => `mod_dl_dst:${m}`),
  set_ipv4_src: ip4.map((a) => `mod_nw_src:${a}`),
  set_ipv4_dst: ip4.map((a) => `mod_nw_dst:${a}`),
  set_ip_dscp: u8.map((n) => `mod_nw_tos:${n}`),
  set_ip_ecn: u(4).map((n) => `mod_nw_ecn:${n}`),
  set_ip_ttl: fc.tuple(fc.constantFrom("set", "mod"), u8).map(([w, n]) => `${w}_nw_ttl:${n}`),
  set_l4_src_port: u16.map((n) => `mod_tp_src:${n}`),
  set_l4_dst_port: u16.map((n) => `mod_tp_dst:${n}`),
  reg_move: move.map((m) => `move:${m}`),
  stack_push: subfield.map((sf) => `push:${sf}`),
  stack_pop: subfield.map((sf) => `pop:${sf}`),
  dec_ttl: fc.oneof(
    fc.constant("dec_ttl"),
    fc.array(u16, { maxLength: 5 }).map((ids) => `dec_ttl(${ids.join(",")})`),
  ),
  set_mpls_label: u(0x100000).map((n) => `set_mpls_label(${n})`),
  set_mpls_tc: u(8).map((n) => `set_mpls_tc:${n}`),
  set_mpls_ttl: u8.map((n) => `set_mpls_ttl(${n})`),
  dec_mpls_ttl: fc.constant("dec_mpls_ttl"),
  push_mpls: fc.constantFrom("push_mpls:0x8847", "push_mpls:0x8848", "push_mpls:0x1234"),
  pop_mpls: u16.map((n) => `pop_mpls:${n}`),
  dec_nsh_ttl: fc.constant("dec_nsh_ttl"),
  delete_field: fc.constantFrom("delete_field:tun_metadata0", "delete_field:tun_metadata63"),
  encap: fc.constantFrom(
    "encap(ethernet)",
    "encap(mpls)",
    "encap(mpls_mc)",
    "encap(nsh)",
    "encap(nsh(md_type=1))",
    "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))",
    "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedcba9876543210)))",
    "encap(nsh(md_type=3))",
    "encap(nsh(foo=3))",
    "encap(ip)",
  ),
  decap: fc.constantFrom(
    "decap",
    "decap()",
    "decap(packet_type(ns=0,type=0))",
    "decap(packet_type(ns=1,type=0x894f))",
    "decap(packet_type(ns=5,type=1))",
    "decap(foo)",
  ),
  set_tunnel: fc.oneof(
    u64.map((n) => `set_tunnel:${n}`),
    u64.map((n) => `set_tunnel64:${n}`),
  ),
  set_queue: u32.map((n) => `set_queue:${n}`),
  pop_queue: fc.constant("pop_queue"),
  fin_timeout: fc
    .array(
      fc.oneof(
        u16.map((n) => `idle_timeout=${n}`),
        u16.map((n) => `hard_timeout=${n}`),
      ),
      { maxLength: 2 },
    )
    .map((o) => `fin_timeout(${o.join(",")})`),
  resubmit: fc.oneof(
    port.map((p) => `resubmit:${p}`),
    table.map((t) => `resubmit(,${t})`),
    fc.tuple(port, table).map(([p, t]) => `resubmit(${p},${t})`),
    fc.tuple(port, table).map(([p, t]) => `resubmit(${p},${t},ct)`),
  ),
  learn: fc.array(learnSpec, { maxLength: 6 }).map((s) => `learn(${s.join(",")})`),
  conjunction: fc.tuple(u32, u(5), u(5)).map(([id, c, n]) => `conjunction(${id},${c}/${n})`),
  multipath: fc
    .tuple(fc.constantFrom(...HASH_FIELDS), u16, mpAlgorithm, fc.nat(300), u32, subfield)
    .map(([f, b, a, n, arg, dst]) => `multipath(${f},${b},${a},${n},${arg},${dst})`),
  note: hexBytes(30).map((h) => `note:${h}`),
  exit: fc.constant("exit"),
  sample: fc
    .tuple(u16, u32, u32, u32, fc.constantFrom("", ",egress", ",ingress"), fc.option(port))
    .map(
      ([p, c, d, o, dir, sp]) =>
        `sample(probability=${p},collector_set_id=${c},obs_domain_id=${d},obs_point_id=${o}` +
        `${sp === null ? "" : `,sampling_port=${sp}`}${dir})`,
    ),
  unroll_xlate: fc.constant("unroll_xlate"),
  ct: fc.array(ctOption, { maxLength: 4 }).map((o) => `ct(${o.join(",")})`),
  ct_clear: fc.constant("ct_clear"),
  nat,
  output_trunc: fc.tuple(port, u(200)).map(([p, n]) => `output(port=${p},max_len=${n})`),
  clone: fc.constantFrom(
    "clone(output:1)",
    "clone(set_field:1->reg0,resubmit(,3))",
    "clone()",
    "clone(clone(push_vlan:0x8100,2),drop)",
    "clone(ct(commit),3)",
    "clone(goto_table:3)",
  ),
  check_pkt_larger: fc.tuple(u16, bit).map(([n, b]) => `check_pkt_larger(${n})->${b}`),
  debug_recirc: fc.constant("debug_recirc"),
  debug_slow: fc.constant("debug_slow"),
  meter: u32.map((n) => `meter:${n}`),
  clear_actions: fc.constant("clear_actions"),
  write_actions: fc.constantFrom(
    "write_actions(output:1)",
    "write_actions(set_field:5->reg1,push_vlan:0x8100,group:3)",
    "write_actions(drop)",
    "write_actions(dec_ttl,output:2,resubmit(,5))",
    "write_actions(learn(table=1))",
  ),
  write_metadata: fc.oneof(
    u64.map((n) => `write_metadata:${n}`),
    fc.tuple(u64, u64).map(([n, m]) => `write_metadata:${n}/${m}`),
  ),
  goto_table: table.map((t) => `goto_table:${t}`),
};

/** The text of one action of any kind. */
export const actionText: fc.Arbitrary<string> = fc
  .constantFrom(...(Object.keys(ACTION_TEXT) as ActionKind[]))
  .chain((kind) => ACTION_TEXT[kind]);

/** The text of a few actions. */
export const actionsText: fc.Arbitrary<string> = fc
  .array(actionText, { minLength: 1, maxLength: 4 })
  .map((a) => a.join(","));

/** Matches that meet different prerequisites. */
export const matchText: fc.Arbitrary<string> = fc.constantFrom(
  "",
  "tcp",
  "tcp",
  "ip",
  "udp6",
  "sctp",
  "mpls",
  "arp",
  "icmp6,icmp_type=135",
  "tcp,dl_vlan=5",
  "ip,ct_state=+trk+est",
  "dl_vlan=3,dl_vlan_pcp=2",
  "packet_type=(1,0x894f)",
  "icmp",
);

// Records how the real ovs-ofctl reads and shows matches, for test/golden/matches.txt and nxm.txt.
//
// `node tools/run.mjs tools/golden-matches.ts` needs Open vSwitch 3.1.0. The texts are those that
// test/arbitraries/matches.ts makes from a fixed seed, some spoiled, and a list of special cases.
// Each goes through `ovs-ofctl parse-flow 'TEXT actions=drop'` once per form of the wire.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { damaged, matchText, nxMatchText, seeded } from "../test/arbitraries/matches.ts";

const SEED = 20230227;
const GOOD = 400;
const BAD = 200;
const NXM_LINES = 500;

/** Cases that no generator comes across. */
const SPECIAL = [
  "",
  "*",
  "in_port=*",
  "ip,nw_src=*",
  "eth,ip",
  "dl_vlan=0xffff",
  "dl_vlan=5,dl_vlan_pcp=3",
  "vlan_tci=0",
  "vlan_tci=0x1123",
  "vlan_tci=0x1000/0x1000",
  "vlan_vid=0",
  "vlan_vid=0x1000/0x1000",
  "dl_type=0x05ff",
  "dl_type=0x800,nw_proto=6",
  "tcp,tp_src=0x0ff0/0xfff0,tp_dst=80",
  "ip,ip_frag=not_later",
  "ip,nw_tos=3",
  "ip,nw_tos=4",
  "ip,ip_dscp=64",
  "ipv6,ipv6_label=0x12345/0xfffff",
  "ipv6,ipv6_label=0x100000",
  "mpls,mpls_label=1048576",
  "arp,arp_op=256",
  "ip,nw_src=10.0.0.1/0",
  "ip,nw_src=10.0.0.0/255.0.255.0",
  "ip,nw_src=10.0.0.1/33",
  "metadata=0x1/0xffffffffffffffff",
  "tun_id=0x10000000000000000",
  "tun_metadata0",
  "tun_metadata0=0x1234,tun_metadata0=5",
  "tun_metadata0=0x1234/0xffff,tun_metadata63=7",
  "reg0=1,reg0=2",
  "xxreg0=0x123456789abcdef0123456789abcdef0",
  "reg0[0..7]=256",
  "reg0[3]=1,reg0[4]=0",
  "NXM_NX_REG0[0..15]=7",
  "OXM_OF_ETH_TYPE[]=0x800",
  "ct_state=+trk+trk",
  "ct_state=trk|foo",
  "ct_state=+foo",
  "ct_state=est,trk",
  "conj_id=7",
  "recirc_id=1,dp_hash=2",
  "skb_priority=5",
  "tun_ttl=5",
  "nsh_mdtype=1,dl_type=0x894f",
  "dl_type=0x894f,nsh_mdtype=1,nsh_c1=0x11,nsh_ttl=64",
  "ip,ct_nw_src=1.2.3.4",
  "in_port=eth0",
  "in_port=-1",
  "in_port=65535",
  "in_port=65280",
  "foo=1",
  "foo",
  "tp_dst=(80",
  "tcp, tp_dst : 80",
  "tcp_flags=+syn+ack,tcp",
  "tcp,tcp_flags=syn|ack",
  "tcp,tcp_flags=0x1000",
];

function run(option: string, text: string): { out: string; err: string } {
  const r = spawnSync("ovs-ofctl", [option, "parse-flow", `${text} actions=drop`], {
    encoding: "utf8",
  });
  const err = /^ovs-ofctl: (.*)$/m.exec(r.stderr)?.[1] ?? "";
  return { out: r.stdout, err };
}

const FORMS = ["-FNXM", "-OOpenFlow13", "-OOpenFlow15"] as const;

const lines = [
  "# Made by `node tools/run.mjs tools/golden-matches.ts` with Open vSwitch 3.1.0.",
  "# A match; then the error, or the usable protocols and what NXM, OpenFlow 1.3 and 1.5 keep of it.",
];
const r = seeded(SEED);
const texts = [...SPECIAL];
for (let i = 0; i < GOOD; i++) {
  texts.push(matchText(r));
}
for (let i = 0; i < BAD; i++) {
  texts.push(damaged(r, matchText(r)).replaceAll("action", "a"));
}
for (const text of texts.filter((t) => !t.startsWith("-"))) {
  const first = run("-FNXM,OXM,OpenFlow10", text);
  if (first.err !== "" && first.err !== "no usable protocol") {
    lines.push(text, `! ${first.err}`);
    continue;
  }
  lines.push(text, `= ${/^usable protocols: (.*)$/m.exec(first.out)?.[1] ?? ""}`);
  for (const form of FORMS) {
    const { out, err } = run(form, text);
    const shown = /\): ADD (?:table:255 ?)?(.*?) ?actions=drop$/m.exec(out)?.[1];
    const failed = /decode error: (\w+)/.exec(out)?.[1];
    lines.push(`  ${err !== "" ? `! ${err}` : (shown ?? `! ${failed ?? "?"}`)}`.trimEnd());
  }
}
writeFileSync("test/golden/matches.txt", `${lines.join("\n")}\n`);

const nxm: string[] = [];
while (nxm.length < NXM_LINES) {
  nxm.push(nxMatchText(r));
}
const parsed = ["--strict parse-nx-match", "parse-nx-match", "parse-oxm OpenFlow14"].map((args) => {
  const p = spawnSync("ovs-ofctl", args.split(" "), {
    encoding: "utf8",
    input: `${nxm.join("\n")}\n`,
  });
  return p.stdout.split("\n");
});
const rows = nxm.flatMap((text, i) => [text, ...parsed.map((p) => `  ${p[i] ?? ""}`)]);
writeFileSync(
  "test/golden/nxm.txt",
  [
    "# Made by `node tools/run.mjs tools/golden-matches.ts` with Open vSwitch 3.1.0.",
    "# A match; then parse-nx-match --strict, parse-nx-match, parse-oxm OpenFlow14.",
    ...rows,
    "",
  ].join("\n"),
);

// Files and command lines as nobody should write them: wrong characters, huge numbers, deep nesting,
// enormous lists, things twice. What Open vSwitch answers to them is in test/golden/bad-input.json.

export interface BadCase {
  readonly name: string;
  /** The command line; FILE stands for the file. */
  readonly argv: readonly string[];
  /** The file's text; characters stand for bytes. */
  readonly file?: string;
}

const nested = (n: number) => `in_port=1,actions=${"clone(".repeat(n)}2${")".repeat(n)}\n`;
const many = (n: number, of: (i: number) => string, by = "") =>
  Array.from({ length: n }, (_, i) => of(i)).join(by);

const FLOW_FILES: Readonly<Record<string, string>> = {
  "lines end as on Windows": "in_port=1,actions=2\r\nin_port=2,actions=1\r\n",
  "a byte order mark": "\xef\xbb\xbfin_port=1,actions=2\n",
  "a line of a null character": "in_port=1,actions=2\n\0\nin_port=2,actions=1\n",
  "a null character in a flow": "in_port=1,actions=2\nin_port=2,ac\0tions=1\n",
  "no end of line": "in_port=1,actions=2",
  "bytes of no encoding": "in_port=1,actions=\xff\xfe\n",
  "64 nested clones": nested(64),
  "100 nested clones": nested(100),
  "200 nested clones": nested(200),
  "5000 nested clones": nested(5000),
  "70 nested ct": `in_port=1,ip,actions=${"ct(commit,exec(".repeat(70)}load:1->NXM_NX_CT_MARK[]${"))".repeat(70)}\n`,
  "9000 outputs": `in_port=1,actions=${many(9000, () => "output:2", ",")}\n`,
  "4000 outputs": `in_port=1,actions=${many(4000, () => "output:2", ",")}\n`,
  "a field 3000 times": `in_port=1,${"reg0=1,".repeat(3000)}actions=2\n`,
  "priority 65536": "priority=65536,actions=2\n",
  "priority -1": "priority=-1,actions=2\n",
  "table 256": "table=256,actions=2\n",
  "a cookie of 65 bits": "cookie=0x1ffffffffffffffff,actions=2\n",
  "a port of 23 digits": "in_port=99999999999999999999999,actions=2\n",
  "a timeout of 17 bits": "idle_timeout=70000,actions=2\n",
  "an address of five bytes": "ip,nw_src=1.2.3.4.5,actions=2\n",
  "VLAN 4096": "dl_vlan=4096,actions=2\n",
  "port 99999": "tcp,tp_dst=99999,actions=2\n",
  "fields twice":
    "in_port=1,in_port=2,actions=2\nip,ip,actions=2\nip,nw_src=1.1.1.1,nw_src=2.2.2.2,actions=1\n",
  "nothing but comments": "\n\n# c\n   \n\t\n",
  "a dash": "-\n",
  "a word": "actions\n",
  "comments behind flows": "in_port=1,actions=2 # foo\n#in_port=3\n   # x\nin_port=2 actions=1\n",
  "an open ct": "in_port=1,actions=ct(commit,zone=1\n",
  "an open clone": "in_port=1,actions=clone(2\n",
  "brackets the wrong way": "in_port=1,actions=)(\n",
  "spaces and tabs": "   in_port=1   ,  actions=2  \n\tin_port=2\tactions=1\n",
  "commands in a file": "delete in_port=1\nadd in_port=1,actions=2\nfoo in_port=1,actions=2\n",
  "one bad line among 3000": `${many(3000, (i) => `in_port=${i % 100},dl_vlan=${i % 4000},actions=2\n`)}in_port=1,foo=3,actions=2\nin_port=2,actions=1\n`,
};

const GROUP_FILES: Readonly<Record<string, string>> = {
  "1500 buckets": `group_id=1,type=select,${many(1500, () => "bucket=output:1", ",")}\n`,
  "a bucket id twice":
    "group_id=1,type=all,bucket=bucket_id:5,output:1,bucket=bucket_id:5,output:2\n",
  "a group id of 33 bits": "group_id=4294967296,type=all,bucket=output:1\n",
  "an empty bucket": "group_id=1,type=all,bucket=\n",
  "a type that is none": "group_id=1,type=foo\n",
  "no group id": "type=all,bucket=output:1\n",
  "two buckets of an indirect group": "group_id=1,type=indirect,bucket=output:1,bucket=output:2\n",
  "a weight of 17 bits": "group_id=1,type=select,bucket=weight:70000,output:1\n",
  "a null character": "group_id=1,type=all,bucket=output:1\0\n\0\n",
};

const LINES: readonly string[] = [
  "ovs-vsctl add-port br0 p1",
  "ovs-vsctl add-br br0",
  "ovs-vsctl add-port br0 br0",
  "ovs-vsctl add-br p1",
  "ovs-vsctl add-bond br0 bond0 p1 p2",
  "ovs-vsctl add-port br0 p9 tag=5000",
  "ovs-vsctl add-port br0 p9 tag=-1",
  "ovs-vsctl add-port br0 p9 trunks=1,2,99999",
  "ovs-vsctl set interface p1 ofport_request=70000",
  "ovs-vsctl set interface p1 ofport_request=99999999999999999999",
  "ovs-appctl netdev-dummy/receive p1 zz",
  "ovs-appctl netdev-dummy/receive p1 00",
  "ovs-appctl netdev-dummy/receive p1 in_port(1),eth()",
  "ovs-appctl netdev-dummy/receive nop 00",
  "ovs-appctl dpctl/add-flow in_port(1),eth_type(0x800) 1",
  "ovs-appctl dpctl/add-flow in_port(1),eth(),eth_type(0x0800),ipv4(frag=no 1",
  "ovs-appctl dpctl/ct-set-maxconns 99999999999",
  "ovs-appctl dpctl/ct-set-maxconns -1",
  "ovs-appctl dpctl/ct-set-limits zone=70000,limit=1",
  "ovs-appctl dpctl/ct-set-limits default=99999999999",
  "ovs-appctl dpctl/ipf-set-max-nfrags 100000",
  "ovs-appctl dpctl/ipf-set-min-frag v4 300",
  "ovs-appctl ofproto/trace br0 in_port=1,foo",
  "ovs-appctl ofproto/trace br0 in_port=1 zz",
  "ovs-appctl ofproto/trace nobr in_port=1",
  "ovs-appctl fdb/show nobr",
  "ovs-appctl time/warp foo",
  "ovs-ofctl -O OpenFlow13 add-meter br0 meter=262145,pktps,band=type=drop,rate=1",
  "ovs-ofctl -O OpenFlow13 add-meter br0 meter=0xffff0001,pktps,band=type=drop,rate=1",
  "ovs-ofctl -O OpenFlow13 add-group br0 group_id=0xffffff01,type=all,bucket=output:1",
];

export const BAD_CASES: readonly BadCase[] = [
  ...Object.entries(FLOW_FILES).flatMap(([name, file]) => [
    { name: `${name}: add-flows`, argv: ["ovs-ofctl", "add-flows", "br0", "FILE"], file },
    { name: `${name}: aggregate`, argv: ["ovs-ofctl", "dump-aggregate", "br0"] },
    {
      name: `${name}: in a bundle`,
      argv: ["ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", "br0", "FILE"],
      file,
    },
    { name: `${name}: away`, argv: ["ovs-ofctl", "del-flows", "br0"] },
  ]),
  ...Object.entries(GROUP_FILES).flatMap(([name, file]) => [
    { name, argv: ["ovs-ofctl", "-O", "OpenFlow15", "add-groups", "br0", "FILE"], file },
    { name: `${name}: away`, argv: ["ovs-ofctl", "-O", "OpenFlow15", "del-groups", "br0"] },
  ]),
  ...LINES.map((line) => ({ name: line, argv: line.split(" ") })),
];

export const BAD_SETUP: readonly (readonly string[])[] = [
  ["ovs-appctl", "time/stop"],
  ["ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure"],
  ["ovs-vsctl", "add-port", "br0", "p1", "--", "set", "interface", "p1", "type=dummy"],
];

/** What a text says without its time, its transaction and its bytes. */
export function neutralBad(text: string): string {
  return text
    .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|/gm, "<time>|")
    .replace(/xid=0x[0-9a-f]+/g, "xid=*")
    .replace(/^[0-9a-f]{8} .*\n/gm, "");
}

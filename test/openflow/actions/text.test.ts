// Action texts: what is accepted, how it is printed, and the exact words of refusals.

import { describe, expect, it } from "vitest";
import { P } from "../../../src/flow/of-version.ts";
import type { NameMap } from "../../../src/flow/ofp-port.ts";
import {
  formatActions,
  parseActions,
  parseInstructions,
} from "../../../src/openflow/actions/actions.ts";

const show = (text: string) => {
  const r = parseInstructions(text);
  return r.ok ? formatActions(r.value.actions) : `! ${r.error.message}`;
};

/** Text on the left, what is printed of it on the right; "=" prints itself. */
const TABLE: readonly [string, string][] = [
  ["", "drop"],
  ["drop", "="],
  ["DROP", "drop"],
  ["1", "output:1"],
  ["output:1", "="],
  ["Output(1)", "output:1"],
  ["local", "LOCAL"],
  ["controller", "CONTROLLER:65535"],
  ["CONTROLLER:123", "="],
  ["controller(max_len=5,id=0)", "CONTROLLER:5"],
  ["controller(reason=invalid_ttl,pause)", "="],
  ["controller(userdata=0102)", "controller(userdata=01.02)"],
  ["output:NXM_NX_REG0[3..5]", "="],
  ["output:reg0[]", "output:NXM_NX_REG0[]"],
  ["output(max_len=100,port=3)", "output(port=3,max_len=100)"],
  ["enqueue(1,2)", "enqueue:1:2"],
  ["mod_vlan_vid:3", "="],
  ["set_nw_ttl:3", "mod_nw_ttl:3"],
  ["dec_ttl(1,2)", "="],
  ["dec_ttl()", "dec_ttl"],
  ["set_field:10.0.0.1->nw_src", "set_field:10.0.0.1->ip_src"],
  ["set_field:5/7->reg3", "set_field:0x5/0x7->reg3"],
  ["load:5->reg3[1..4]", "load:0x5->NXM_NX_REG3[1..4]"],
  ["load:0->reg3[]", "load:0->NXM_NX_REG3[]"],
  [
    "load:0x10000000000000000->xxreg0[]",
    "load:0->NXM_NX_XXREG0[0..63],load:0x1->NXM_NX_XXREG0[64..127]",
  ],
  ["set_tunnel:0x100000000", "set_tunnel64:0x100000000"],
  ["set_tunnel64:5", "set_tunnel64:0x5"],
  ["resubmit:5", "="],
  ["resubmit(5,)", "resubmit:5"],
  ["resubmit(,7,ct)", "="],
  ["fin_timeout(hard_timeout=3)", "="],
  ["ct(zone=0)", "ct()"],
  ["ct(exec(set_field:1->ct_mark),commit)", "ct(commit,exec(set_field:0x1->ct_mark))"],
  ["ct(commit,nat(src=10.0.0.1-10.0.0.1))", "ct(commit,nat(src=10.0.0.1))"],
  ["clone(1,clone(2))", "clone(output:1,clone(output:2))"],
  ["learn()", "learn(table=1)"],
  ["write_actions(drop)", "="],
  ["meter:1,apply_actions(1)", "! apply_actions is the default instruction"],
  ["goto_table:1", "="],
  ["write_metadata:5/0xffffffffffffffff", "write_metadata:0x5"],
  // Refusals.
  ["foo", "! unknown action foo"],
  ["drop,1", '! "drop" must not be accompanied by any other action or instruction'],
  ["output:foo", "! foo: output to unknown port"],
  ["output(port=3,max_len=10)", "! max_len 10 is less than the minimum value 14"],
  ["enqueue:3", '! "enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"'],
  ["group:foo", "! invalid numeric format foo"],
  ["group:", "! missing required numeric argument"],
  ["mod_vlan_vid:4096", "! 4096: not a valid VLAN VID"],
  ["mod_vlan_pcp:8", "! 8: not a valid VLAN PCP"],
  ["push_vlan:0x800", "! 0x800: not a valid VLAN ethertype"],
  ["mod_dl_src:1", "! invalid mac address 1"],
  ["mod_nw_src:1", "! 1: could not convert to IP address"],
  ["mod_nw_tos:3", "! 3: not a valid TOS"],
  ["set_field:1", "! 1: missing `->'"],
  ["set_field:1->", "! 1->: missing field name following `->'"],
  ["set_field:1->foo", "! foo is not a valid OXM field name"],
  ["set_field:1->nw_proto", "! nw_proto is read-only"],
  ["set_field:8->vlan_pcp", "! 8 is not a valid value for field vlan_pcp"],
  ["load:4->reg0[0..1]", "! 4->reg0[0..1]: value 0x4 does not fit into 2 bits"],
  [
    "move:reg0[]->reg1[0..3]",
    "! reg0[]->reg1[0..3]: source field is 32 bits wide but destination is 4 bits wide",
  ],
  ["push:reg0[]x", "! x: trailing garbage following push or pop"],
  ["resubmit", '! at least one "in_port" or "table" must be specified on resubmit'],
  ["resubmit(,300)", "! 300: resubmit to unknown table"],
  ["conjunction(1,3/2)", "! clause index must be less than or equal to number of clauses"],
  ["conjunction(1)", '! "conjunction" syntax is "conjunction(id,i/n)"'],
  [
    "conjunction(1,1/2),1",
    '! "conjunction" actions may be used along with "note" but not any other kind of action ' +
      '(such as the "output" action used here)',
  ],
  ["note:1", "! bad hex digit in `note' argument"],
  ["sample(probability=0)", '! invalid probability value "0"'],
  ["sample()", '! non-zero "probability" must be specified on sample'],
  ["ct(force)", '! "force" flag requires "commit" flag.'],
  ["ct(table=255)", "! invalid table 0xff"],
  ["ct(commit,exec(1))", "! ct action doesn't support nested action output"],
  ["ct(exec(set_field:1->reg0))", "! ct action doesn't support nested modification of reg0"],
  ["set_field:1->ct_mark", "! cannot set CT fields outside of ct action"],
  ["nat", '! Cannot have NAT action outside of "ct" action'],
  ["ct(nat(src=1.2.3.4,dst=1.2.3.4))", '! May only specify one of "src" or "dst".'],
  ["check_pkt_larger(x)->reg0[1]", '! invalid (null) "x"'],
  ["learn(table=255)", "! table=255: table id 255 not valid for `learn' action"],
  ["learn(foo=1)", "! foo=1: unknown keyword foo"],
  ["unroll_xlate", "! UNROLL is an internal action that shouldn't be used via OpenFlow"],
  [
    "goto_table:1,1",
    "! invalid instruction ordering: apply_actions must appear before goto_table, " +
      "for OpenFlow 1.1+ compatibility",
  ],
  [
    "goto_table:1,goto_table:2",
    "! duplicate goto_table instruction not allowed, for OpenFlow 1.1+ compatibility",
  ],
  ["write_actions(goto_table:3)", "! goto_table instruction not allowed here"],
];

describe("texts", () => {
  for (const [text, printed] of TABLE) {
    it(`${text} → ${printed}`, () => {
      expect(show(text)).toBe(printed === "=" ? text : printed);
    });
  }
});

describe("protocols", () => {
  const usable = (text: string) => {
    const r = parseActions(text);
    return r.ok ? r.value.usable : -1;
  };
  it.each([
    ["output:1", P.ANY],
    ["push_vlan:0x8100", P.OF11_UP],
    ["meter:1", P.OF15_UP],
    ["encap(ethernet)", P.OF13_UP],
    ["set_field:1->reg0", P.NXM_OXM_ANY],
    // clone() starts over, as in Open vSwitch.
    ["encap(ethernet),clone(1)", P.ANY],
  ])("%s", (text, protocols) => {
    expect(usable(text)).toBe(protocols);
  });
});

describe("names", () => {
  const names: NameMap = {
    nameOf: (n) => (n === 5 ? "eth-0" : n === 6 ? "eth1" : null),
    numberOf: (s) => (s === "eth-0" ? 5 : s === "eth1" ? 6 : null),
  };
  it.each([
    ["eth1,output:eth-0", 'output:eth1,output:"eth-0"'],
    ['resubmit("eth-0",eth1)', 'resubmit("eth-0",eth1)'],
    ["goto_table:eth1", "goto_table:eth1"],
  ])("%s", (text, printed) => {
    const r = parseInstructions(text, { ports: names, tables: names });
    const fp = { ports: names, tables: names };
    expect(r.ok ? formatActions(r.value.actions, fp) : r.error.message).toBe(printed);
  });
});

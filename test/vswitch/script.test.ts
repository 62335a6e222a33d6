// Command lines as scripts: words, builtins, background commands, completion.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { complete } from "../../src/vswitch/complete.ts";
import { Script, Switch } from "../../src/vswitch/index.ts";
import { readStatements, splitWords } from "../../src/vswitch/words.ts";

function runScript(text: string, sw = new Switch()) {
  let stdout = "";
  let stderr = "";
  const script = new Script(sw.vs, {
    stdout: (t) => {
      stdout += t;
    },
    stderr: (t) => {
      stderr += t;
    },
  });
  const status = script.runText(text);
  return { stdout, stderr, status };
}

describe("words", () => {
  test.each([
    ["a  b\tc", ["a", "b", "c"]],
    [`a "b c" 'd "e'`, ["a", "b c", 'd "e']],
    [`"a\\"b\\c\\$" x'y'"z"`, ['a"b\\c$', "xyz"]],
    ["a\\ b # comment", ["a b"]],
    ["ip,nw_dst=1.2.3.4#x actions=resubmit(,1)", ["ip,nw_dst=1.2.3.4#x", "actions=resubmit(,1)"]],
    ["a \\\n b", ["a", "b"]],
    ["''", [""]],
  ])("%j", (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  test.each([
    ["a | b", '"|" is not understood here; put it in quotes if it is meant so', 3],
    ["a >f", '">" is not understood here; put it in quotes if it is meant so', 3],
    ["a $X", "variables and the output of commands are not understood here", 3],
    ['a "x`b`"', "variables and the output of commands are not understood here", 5],
    ["& a", "a command is missing", 2],
  ])("%j is refused", (line, error, column) => {
    expect(readStatements(line)).toEqual({ error, line: 1, column });
  });

  test.each(["'a", '"a', "a \\\n", "a <<E\nb\n", "a\\"])("%j goes on", (text) => {
    expect(readStatements(text)).toEqual({ more: true });
  });

  test("here documents belong to the statement before them", () => {
    const r = readStatements("a <<E; b <<-'F'\n$1\nE\n\tx\n\tF\nc\n");
    expect("statements" in r && r.statements.map((s) => [s.argv, s.stdin])).toEqual([
      [["a"], "$1\n"],
      [["b"], "x\n"],
    ]);
  });

  test("any words come back once they are quoted", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1 }), (words) => {
        const line = words.map((w) => `'${w.replaceAll("'", "'\\''")}'`).join(" ");
        expect(splitWords(line)).toEqual(words);
      }),
    );
  });

  test("no text breaks the reader, and it never stands still", () => {
    const unit = fc.constantFrom(..."ab '\"\\\n;&<#$|E-".split(""));
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1 }), (text) => {
        const r = readStatements(text);
        expect("next" in r ? r.next : 1).toBeGreaterThan(0);
      }),
    );
  });
});

describe("scripts", () => {
  test("run the tools, with here documents and files for standard input", () => {
    const sw = new Switch();
    sw.writeFile("more", "in_port=2 actions=drop\n");
    const { stdout, stderr, status } = runScript(
      `ovs-vsctl add-br br0 && ovs-ofctl del-flows br0
       ovs-ofctl add-flows br0 - <<EOF
in_port=1 actions=2
EOF
       ovs-ofctl add-flows br0 - < more
       ovs-ofctl --no-stats dump-flows br0`,
      sw,
    );
    expect({ stdout, stderr, status }).toEqual({
      stdout: " in_port=1 actions=output:2\n in_port=2 actions=drop\n",
      stderr: "",
      status: 0,
    });
  });

  test("end at the first failure under set -e, but not where one is asked about", () => {
    const text = "ovs-vsctl br-exists br9 && echo there\necho next\nnonsense\necho last\n";
    expect(runScript(text)).toMatchObject({ stdout: "next\nlast\n", status: 0 });
    expect(runScript(`set -e\n${text}`)).toEqual({
      stdout: "next\n",
      stderr: "tablewalk shell: 4: nonsense: command not found\n",
      status: 127,
    });
  });

  test("say where they cannot be understood", () => {
    expect(runScript("echo a\necho 'b\n")).toMatchObject({ stdout: "a\n", status: 2 });
    expect(runScript("echo a\necho $X\n").stderr).toBe(
      "tablewalk shell: 2:6: variables and the output of commands are not understood here\n",
    );
  });

  test("show what commands in the background print, until they are killed", () => {
    const { stdout, stderr, status } = runScript(
      `ovs-vsctl add-br br0
       ovs-ofctl -O OpenFlow13 monitor br0 65534 &
       jobs
       ovs-vsctl add-port br0 p1
       kill %1; jobs`,
    );
    expect(stdout).toBe("[1] ovs-ofctl -O OpenFlow13 monitor br0 65534\n");
    expect(stderr).toContain("OFPT_PORT_STATUS (OF1.3) (xid=0x0): ADD: 1(p1):");
    expect(status).toBe(0);
  });

  test("let time pass at once", () => {
    const { stdout } = runScript(
      `ovs-vsctl add-br br0
       ovs-ofctl add-flow br0 table=3,hard_timeout=5,ip,actions=drop
       sleep 4.5; ovs-ofctl dump-aggregate br0 table=3
       sleep 1;   ovs-ofctl dump-aggregate br0 table=3`,
    );
    expect(stdout.match(/flow_count=\d+/g)).toEqual(["flow_count=1", "flow_count=0"]);
  });
});

describe("completion", () => {
  const sw = new Switch();
  sw.run("ovs-vsctl add-br br-int -- add-port br-int vif1");

  test.each([
    ["ovs-o", "ovs-ofctl"],
    ["ovs-vsctl add-b", "add-bond"],
    ["ovs-appctl ofproto/trace br", "br-int"],
    ["ovs-ofctl add-flow br-int 'in_port=vi", "vif1"],
    ["ovs-ofctl add-flow br-int 'ip,nw_ds", "nw_dst="],
    ["ovs-ofctl add-flow br-int 'ip actions=resub", "resubmit("],
    ["ovs-ofctl add-flow br-int 'ip actions=ct(commit),NOR", "NORMAL"],
    ["ovs-vsctl list Interf", "Interface"],
    ["ovs-vsctl get Interface vif1 ofpo", "ofport"],
    ["ovs-vsctl --may-e", "--may-exist"],
    ["ovs-vsctl add-br b -- set-fa", "set-fail-mode"],
    ["echo x; ovs-vsctl del-p", "del-port"],
  ])("%j", (line, wanted) => {
    const { candidates, part } = complete(sw.vs, line);
    expect(candidates).toContain(wanted);
    expect(line.endsWith(part)).toBe(true);
  });
});

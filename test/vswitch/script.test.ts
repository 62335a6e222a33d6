// Command lines as scripts: words, builtins, background commands, completion.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { complete } from "../../src/vswitch/complete.ts";
import { Script, Switch } from "../../src/vswitch/index.ts";
import { plainText, readStatements, splitWords, type Word } from "../../src/vswitch/words.ts";

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
    ["a >f", '">" is not understood here; put it in quotes if it is meant so', 3],
    ["a $1", "only $NAME and $(COMMAND) are understood here", 3],
    ["a \u0024{X:-y}", "only $NAME and $(COMMAND) are understood here", 3],
    ["a $((1+2))", "only $NAME and $(COMMAND) are understood here", 3],
    ['a "x`b`"', "only $NAME and $(COMMAND) are understood here", 5],
    ["& a", "a command is missing", 2],
    ["a |; b", "a command is missing", 5],
  ])("%j is refused", (line, error, column) => {
    expect(readStatements(line)).toEqual({ error, line: 1, column });
  });

  test.each(["'a", '"a', "a \\\n", "a <<E\nb\n", "a\\", "a $(b", 'a "$(b)'])(
    "%j goes on",
    (text) => {
      expect(readStatements(text)).toEqual({ more: true });
    },
  );

  test("here documents belong to the statement before them", () => {
    const r = readStatements("a <<'E'; b <<-F\n$X\nE\n\tx\n\tF\nc\n");
    const plain = (words: readonly Word[]) => words.map(plainText);
    expect(
      "statements" in r && r.statements.map((s) => plain([...s.words, s.stdin ?? []])),
    ).toEqual([
      ["a", "$X\n"],
      ["b", "x\n"],
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
    const unit = fc.constantFrom(..."ab '\"\\\n;&<#$|E-(){}".split(""));
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
    expect(runScript("echo a\necho $1\n").stderr).toBe(
      "tablewalk shell: 2:6: only $NAME and $(COMMAND) are understood here\n",
    );
  });

  test.each([
    ["A=x; echo $A-\u0024{A}b \"$A\" '$A'", "x-xb x $A\n"],
    ['A="1  2" B=3; echo $A "$A" $B', "1 2 1  2 3\n"],
    ['A=; echo a $A b "$A"c ""$A d', "a b c  d\n"],
    ['echo $(echo a b; echo "c)") (x) "$(echo (y))"', "a b c) (x) (y)\n"],
    ["echo a$(echo b $(echo c))d", "ab cd\n"],
    ["ovs-vsctl add-br b9 && ovs-vsctl add-br b1; ovs-vsctl list-br | sort -r", "b9\nb1\n"],
    ["ovs-vsctl br-exists b || echo no && echo b", "no\nb\n"],
    ["echo a > /dev/null; echo b >/dev/null && echo c | grep d > /dev/null || echo e", "e\n"],
    ["echo y || echo n && echo b", "y\nb\n"],
    ['echo "a b\nc" | wc -l', "2\n"],
    ["ovs-appctl list-commands | grep -c 'dpctl/dump-con[a-z]*k$'", "0\n"],
    ["ovs-appctl list-commands | grep -o '^  dpctl/dump-con[a-z]*'", "  dpctl/dump-conntrack\n"],
    ["ovs-appctl list-commands | grep bond/ | head -1", "  bond/disable-member     port member\n"],
    ["echo f(1) f(22) | sed 's/f(\\([0-9]*\\))/<\\1&>/g'", "<1f(1)> <22f(22)>\n"],
    ["echo f(1) | sed -E 's/f\\(([0-9]+)\\)/g\\1/'", "g1\n"],
  ])("%j", (text, stdout) => {
    expect(runScript(text).stdout).toBe(stdout);
  });

  test.each([
    ["echo $X; echo b", "tablewalk shell: X: this variable was never set\n"],
    ["echo a | awk 1", "tablewalk shell: 1: awk: command not found\n"],
    ["echo a | sort -k2", "sort: option -k is not understood\n"],
    ["echo a | grep '\\('", "grep: \\(: this expression is not understood\n"],
    ["echo a | sed p", "sed: only s/EXPRESSION/TEXT/ and s/EXPRESSION/TEXT/g are understood\n"],
    ["ovs-pcap a", "ovs-pcap: a: No such file or directory\n"],
    ["ovs-pcap", "ovs-pcap: exactly 1 non-option argument required (use --help for help)\n"],
  ])("%j is told", (text, stderr) => {
    expect(runScript(text).stderr).toBe(stderr);
  });

  test("show the packets of captures", () => {
    const { stdout } = runScript(`
      ovs-vsctl add-br br0 -- add-port br0 p1 -- set interface p1 type=dummy options:tx_pcap=p1.pcap
      ARP=ffffffffffff02000000000108060001080006040001
      ovs-ofctl packet-out br0 "in_port=local packet=$ARP actions=p1"
      ovs-pcap p1.pcap`);
    expect(stdout).toBe("ffffffffffff02000000000108060001080006040001\n");
  });

  test("may hold variables in here documents", () => {
    const flows = `P=1\novs-vsctl add-br br0\novs-ofctl add-flows br0 - <<E\nin_port=$P,actions=drop\nE\n`;
    const { stdout } = runScript(`${flows}ovs-ofctl --no-stats dump-flows br0 in_port=1`);
    expect(stdout).toBe(" in_port=1 actions=drop\n");
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

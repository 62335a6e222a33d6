// Tracing bench: ofproto/trace in this process against the real ovs-vswitchd over one open unixctl
// socket. Same flows, same questions, whole texts, which are compared first.
//
// The pipelines: a few tables with 2,000 flows, and a chain of 30 tables as OVN makes it. Rounds of
// both sides alternate, and they are short: on a machine with other work the best round is the one
// that was not disturbed, and medians tell more of that work than of either side.

import { MemoryFileSystem, ManualClock, SeededRng } from "../src/lib/env.ts";
import { runCommandLine } from "../src/vswitch/commands.ts";
import { VSwitch } from "../src/vswitch/vswitch.ts";
import { haveRealOvs, RealOvs } from "../tools/oracle/real-ovs.ts";
import { neutral } from "../tools/oracle/side.ts";
import { median, type Table } from "./table.ts";

const ROUNDS = 250;
const ROUND_TRACES = 64;
const WARM_UP_TRACES = 10_000;
const QUESTIONS = 64;

interface Pipeline {
  readonly name: string;
  readonly flows: readonly string[];
  readonly question: (i: number) => string;
}

function wide(): Pipeline {
  const flows: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const dst = `10.${i % 250}.${Math.floor(i / 250)}.0/24`;
    flows.push(
      `table=0,priority=${100 + (i % 7)},ip,in_port=${1 + (i % 4)},nw_dst=${dst},` +
        `actions=load:${i}->NXM_NX_REG0[],resubmit(,1)`,
    );
  }
  flows.push(
    "table=1,priority=10,tcp,tp_dst=80,actions=mod_dl_src:00:00:00:00:00:05,dec_ttl,resubmit(,2)",
    "table=1,priority=0,actions=resubmit(,2)",
    "table=2,reg0=0/1,actions=move:NXM_NX_REG0[0..15]->NXM_NX_REG1[0..15],resubmit(,3)",
    "table=2,priority=1,actions=mod_vlan_vid:4,resubmit(,3)",
    "table=3,actions=output:5",
  );
  return {
    name: "2,000 flows, 4 tables",
    flows,
    question: (i) =>
      `in_port=${1 + (i % 4)},tcp,nw_src=1.2.3.4,nw_dst=10.${i % 250}.0.7,nw_ttl=64,` +
      `tcp_dst=${i % 2 === 0 ? 80 : 81}`,
  };
}

function chain(): Pipeline {
  const flows: string[] = [];
  for (let t = 0; t < 30; t++) {
    flows.push(`table=${t},priority=1,metadata=0x5,actions=resubmit(,${t + 1})`);
    for (let i = 0; i < 60; i++) {
      flows.push(
        `table=${t},priority=100,metadata=0x5,reg14=${i},ip,nw_src=10.0.${i}.0/24,` +
          `actions=load:${t}->NXM_NX_REG10[0..7],resubmit(,${t + 1})`,
      );
    }
  }
  flows.push(
    "table=0,priority=200,metadata=0,actions=load:0x5->OXM_OF_METADATA[]," +
      "move:NXM_OF_IN_PORT[]->NXM_NX_REG14[0..15],resubmit(,1)",
    "table=30,actions=mod_dl_dst:00:00:00:00:00:07,output:5",
  );
  return {
    name: "1,832 flows, 31 tables",
    flows,
    question: (i) => `in_port=${1 + (i % 4)},udp,nw_src=10.0.${1 + (i % 4)}.${i % 250},nw_ttl=64`,
  };
}

const SETUP: readonly (readonly string[])[] = [
  "add-br br0 -- set bridge br0 fail_mode=secure",
  ...[1, 2, 3, 4, 5].map(
    (i) => `add-port br0 p${i} -- set interface p${i} type=dummy ofport_request=${i}`,
  ),
].map((line) => ["ovs-vsctl", ...line.split(" ")]);

/** Traces a second in each round. */
type Rates = number[];

async function round(to: Rates, ask: (i: number) => unknown): Promise<void> {
  const start = performance.now();
  for (let i = 0; i < ROUND_TRACES; i++) {
    const answer = ask(i);
    if (answer instanceof Promise) {
      await answer;
    }
  }
  to.push((ROUND_TRACES * 1000) / (performance.now() - start));
}

async function measure(pipeline: Pipeline): Promise<{ ours: Rates; real: Rates }> {
  const vs = new VSwitch({
    clock: new ManualClock(1_000_000),
    rng: new SeededRng(1),
    fs: new MemoryFileSystem(),
  });
  const other = haveRealOvs() ? new RealOvs() : null;
  const stdin = `${pipeline.flows.join("\n")}\n`;
  const ours: Rates = [];
  const real: Rates = [];
  try {
    await other?.start();
    for (const argv of SETUP) {
      runCommandLine(vs, argv);
      await other?.run(argv);
    }
    const load = ["ovs-ofctl", "-O", "OpenFlow13", "add-flows", "br0", "-"];
    runCommandLine(vs, load, stdin);
    await other?.run(load, stdin);
    const ask = (i: number) => ["ovs-appctl", "ofproto/trace", "br0", pipeline.question(i)];
    for (let i = 0; i < QUESTIONS && other !== null; i++) {
      const want = neutral((await other.run(ask(i))).stdout);
      const got = neutral(runCommandLine(vs, ask(i)).stdout);
      if (want !== got) {
        throw new Error(`different answers to ${ask(i).join(" ")}:\n${want}\n${got}`);
      }
    }
    for (let i = 0; i < WARM_UP_TRACES; i++) {
      runCommandLine(vs, ask(i % QUESTIONS));
    }
    for (let i = 0; i < ROUNDS; i++) {
      await round(ours, (n) => runCommandLine(vs, ask(n)));
      if (other !== null) {
        await round(real, (n) => other.run(ask(n)));
      }
    }
  } finally {
    other?.stop();
  }
  return { ours, real };
}

const whole = (n: number) => Math.round(n).toLocaleString("en-US");

export async function traceBench(): Promise<Table> {
  const rows: string[][] = [];
  for (const pipeline of [wide(), chain()]) {
    const { ours, real } = await measure(pipeline);
    const best = Math.max(...ours);
    const row = [pipeline.name, whole(best), whole(median(ours))];
    if (real.length === 0) {
      rows.push([...row, "not installed", "", ""]);
      continue;
    }
    const rival = Math.max(...real);
    rows.push([...row, whole(rival), whole(median(real)), `${(best / rival).toFixed(1)}x`]);
  }
  return {
    title: "ofproto/trace, traces a second, text included",
    header: [
      "pipeline",
      "tablewalk, in process, best",
      "median",
      "ovs-vswitchd, one socket, best",
      "median",
      "ratio of the best",
    ],
    rows,
  };
}

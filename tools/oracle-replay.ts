// Random captures through the live Open vSwitch and through `tablewalk replay`, frame by frame:
// `node tools/run.mjs tools/oracle-replay.ts [FIRST-SEED [LAST-SEED]]`.
//
// Each run takes one of a few tables that remember (timeouts, learning, addresses, connections, NAT)
// and some frames with pauses between a second and five minutes. The real switch gets them on a
// clock that is moved to the time of each; what leaves by each port has to be the same. Pauses are
// longer than the half second that revalidators sleep, as the real ones are woken after each frame.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replayMain } from "../src/cli/replay.ts";
import { PcapReader, PcapWriter } from "../src/io/pcap-file.ts";
import { formatHex } from "../src/lib/bytes.ts";
import { randomRange, SeededRng } from "../src/lib/env.ts";
import { RealOvs } from "./oracle/real-ovs.ts";
import { SETTLE_ROUNDS, SETTLE_WARP_MS } from "./oracle/side.ts";
import { frame } from "./replay-frames.ts";

const FRAMES = 24;
const START_SEC = 1_700_000_000;
const PORTS = [1, 2, 3] as const;
/** Not near any timeout of the tables, alone or added up. */
const PAUSES_MS = [630, 630, 1130, 3270, 7330, 12_730, 21_130, 31_330, 61_370, 131_410, 311_170];

const TABLES: readonly (readonly string[])[] = [
  [
    "table=0,priority=5,udp,tp_dst=1,idle_timeout=10,actions=output:3",
    "table=0,priority=5,udp,tp_dst=2,hard_timeout=20,actions=output:3",
    "table=0,priority=5,udp,tp_dst=3,idle_timeout=15,hard_timeout=40,actions=output:2,output:3",
    "table=0,priority=1,actions=NORMAL",
  ],
  [
    "table=0,priority=1,actions=learn(table=1,idle_timeout=10,priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)",
    "table=1,priority=0,actions=flood",
  ],
  [
    "table=0,priority=1,ip,actions=ct(table=1,zone=1)",
    "table=1,priority=5,ct_state=+new+trk,ip,in_port=1,actions=ct(commit,zone=1),output:2",
    "table=1,priority=5,ct_state=+est+trk,ip,in_port=1,actions=output:2",
    "table=1,priority=5,ct_state=+est+trk,ip,in_port=2,actions=output:1",
    "table=1,priority=1,actions=output:3",
  ],
  [
    "table=0,priority=5,udp,in_port=1,actions=learn(table=1,hard_timeout=30,priority=5,eth_type=0x800,nw_proto=17,NXM_OF_UDP_DST[]=NXM_OF_UDP_SRC[],output:NXM_OF_IN_PORT[]),output:2",
    "table=0,priority=4,actions=resubmit(,1)",
    "table=1,priority=0,actions=output:3",
  ],
  [
    "table=0,priority=5,tcp,actions=learn(table=1,fin_idle_timeout=2,idle_timeout=60,priority=5,eth_type=0x800,nw_proto=6,NXM_OF_TCP_DST[]=NXM_OF_TCP_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)",
    "table=0,priority=4,actions=NORMAL",
    "table=1,priority=0,actions=flood",
  ],
  [
    "table=0,priority=1,in_port=1,ip,actions=ct(commit,zone=1,nat(src=10.9.9.9)),output:2",
    "table=0,priority=1,in_port=2,ip,actions=ct(table=1,zone=1,nat)",
    "table=0,priority=1,in_port=3,actions=output:1",
    "table=1,priority=1,ct_state=+est+trk,actions=output:1",
    "table=1,priority=0,actions=output:3",
  ],
];

interface Sent {
  readonly ms: number;
  readonly port: number;
  readonly data: Uint8Array;
}

function framesOf(seed: number): Sent[] {
  const rng = new SeededRng(seed * 7919);
  const pick = <T>(list: readonly T[]): T => list[randomRange(rng, list.length)] as T;
  let ms = 0;
  return Array.from({ length: FRAMES }, (_, i) => {
    ms += i === 0 ? 0 : pick(PAUSES_MS);
    const from = randomRange(rng, PORTS.length);
    const to = (from + 1 + randomRange(rng, 2)) % PORTS.length;
    const data = frame({
      ethSrc: `02:00:00:00:00:0${from + 1}`,
      ethDst: `02:00:00:00:00:0${to + 1}`,
      src: `10.0.0.${from + 1}`,
      dst: `10.0.0.${to + 1}`,
      proto: pick([6, 17, 17]),
      sport: pick([1, 2, 3]),
      dport: pick([1, 2, 3]),
      flags: pick([0x02, 0x10, 0x12, 0x11, 0x18]),
      seq: 100,
      ack: 100,
      data: new Uint8Array(8),
    });
    return { ms, port: from + 1, data };
  });
}

/** `FRAME pPORT HEX` of all that left the real switch; its dumps go into `dir`. */
async function real(
  sent: readonly Sent[],
  table: readonly string[],
  dir: string,
): Promise<string[]> {
  const ovs = new RealOvs();
  const must = async (argv: readonly string[], stdin = "") => {
    const answer = await ovs.run(argv, stdin);
    if (answer.exit !== 0) {
      throw new Error(`${argv.join(" ")}: ${answer.stderr}`);
    }
    return answer.stdout;
  };
  const out: string[] = [];
  try {
    await ovs.start();
    await must(["ovs-appctl", "time/stop"]);
    await must(["ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure"]);
    for (const p of PORTS) {
      const set = ["set", "interface", `p${p}`, "type=dummy", `ofport_request=${p}`];
      const capture = `options:tx_pcap=p${p}.pcap`;
      await must(["ovs-vsctl", "add-port", "br0", `p${p}`, "--", ...set, capture]);
    }
    await must(["ovs-ofctl", "add-flows", "br0", "-"], table.join("\n"));
    for (const [name, argv] of [
      ["flows", ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "br0"]],
      ["dpif", ["ovs-appctl", "dpif/show"]],
    ] as const) {
      writeFileSync(join(dir, name), await must(argv));
    }
    let nowMs = 0;
    for (const [i, s] of sent.entries()) {
      if (s.ms > nowMs) {
        await must(["ovs-appctl", "time/warp", String(s.ms - nowMs), "500"]);
      }
      await ovs.frame(`p${s.port}`, formatHex(s.data));
      await ovs.settle();
      nowMs = s.ms + SETTLE_WARP_MS * SETTLE_ROUNDS;
      for (const p of PORTS) {
        out.push(...ovs.captured(`p${p}.pcap`).map((hex) => `${i + 1} p${p} ${hex}`));
      }
    }
  } finally {
    ovs.stop();
  }
  return out;
}

async function ours(sent: readonly Sent[], dir: string): Promise<string[]> {
  const args = ["--quiet", "--bridge", "br0", "--from", dir, "--out", join(dir, "out.pcapng")];
  for (const p of PORTS) {
    const path = join(dir, `in-${p}.pcap`);
    const w = new PcapWriter(path);
    for (const s of sent.filter((x) => x.port === p)) {
      w.write(s.data, START_SEC + Math.floor(s.ms / 1000), (s.ms % 1000) * 1e6);
    }
    w.close();
    args.push("--in", `p${p}=${path}`);
  }
  const { write } = process.stdout;
  process.stdout.write = () => true;
  const status = await replayMain(args);
  process.stdout.write = write;
  const reader = new PcapReader(join(dir, "out.pcapng"));
  const out = status === 0 ? [] : [`status ${status}`];
  for (let r = reader.next(); r !== null; r = reader.next()) {
    const ms = (r.sec - START_SEC) * 1000 + r.nsec / 1e6;
    const frameNumber = sent.findIndex((s) => s.ms === ms) + 1;
    const port = reader.interfaceName(r.iface);
    if (port !== "br0") {
      out.push(`${frameNumber} ${port} ${formatHex(r.data)}`);
    }
  }
  reader.close();
  return out;
}

const inOrder = (lines: readonly string[]) =>
  [...lines].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1));

const [first = 1, last = first + 9] = process.argv.slice(2).map(Number);
let different = 0;
for (let seed = first; seed <= last; seed++) {
  const dir = mkdtempSync(join(tmpdir(), "tablewalk-replays-"));
  const sent = framesOf(seed);
  const a = inOrder(await real(sent, TABLES[seed % TABLES.length] as readonly string[], dir));
  const b = inOrder(await ours(sent, dir));
  const at = a.findIndex((line, i) => line !== b[i]);
  if (at < 0 && a.length === b.length) {
    console.log(`seed ${seed}: ${a.length} frames left, the same`);
  } else {
    different++;
    const i = at < 0 ? a.length : at;
    console.log(`seed ${seed}: real ${a[i]}\n     ours ${b[i]}`);
  }
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = different === 0 ? 0 : 1;

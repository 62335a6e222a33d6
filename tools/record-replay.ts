// Records examples/replay from the real Open vSwitch: `node tools/run.mjs tools/record-replay.ts`.
//
// A gateway of flows that translates addresses gets packets of both directions of some
// conversations, one after the other, on a clock that is moved to the time of each. What arrives
// goes into lan.pcap, wan.pcap and dmz.pcap, the dumps of the switch into host/, and what left it by
// each port, with the time of the packet that caused it, into switch-*.pcap. Replayed, host/ and the
// three captures have to give the same bytes (test/cli/replay.test.ts).

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PcapReader, PcapWriter } from "../src/io/pcap-file.ts";
import { formatHex, parseHex } from "../src/lib/bytes.ts";
import { frame, type FrameSpec } from "./replay-frames.ts";
import { RealOvs } from "./oracle/real-ovs.ts";
import { SETTLE_ROUNDS, SETTLE_WARP_MS } from "./oracle/side.ts";

const DIR = "examples/replay";
const PORTS = ["lan", "wan", "dmz"] as const;
type Port = (typeof PORTS)[number];
/** 2023-11-14 22:13:20 UTC. */
const START_SEC = 1_700_000_000;

/** What a host on each side sends: the gateway is its next hop. */
const GATEWAY = "02:00:00:00:00:fe";
const MAC: Record<Port, string> = {
  lan: "02:00:00:00:01:10",
  wan: "02:00:00:00:ff:01",
  dmz: "02:00:00:00:02:80",
};
const CLIENT = "10.0.1.10";
const CLIENT2 = "10.0.1.11";
const SERVER = "198.51.100.7";
const RESOLVER = "198.51.100.53";
const PUBLIC = "203.0.113.1";
const CALLER = "192.0.2.9";
const WEB = "10.0.2.80";

interface Sent extends FrameSpec {
  readonly port: Port;
  readonly ms: number;
}

const S = 0x02;
const SA = 0x12;
const A = 0x10;
const PA = 0x18;
const FA = 0x11;
const text = (s: string) => new TextEncoder().encode(s);

/** The conversations, in the order of time. */
function conversations(): Sent[] {
  const out: Sent[] = [];
  let ms = 0;
  const send = (port: Port, spec: Omit<FrameSpec, "ethSrc" | "ethDst">, after = 100) => {
    ms += after;
    out.push({ port, ms, ethSrc: MAC[port], ethDst: GATEWAY, ...spec });
  };
  const tcp = (src: string, sport: number, dst: string, dport: number) => (o: object) => ({
    src,
    dst,
    proto: 6,
    sport,
    dport,
    ...o,
  });
  // A client fetches a page; its address becomes the gateway's.
  const up = tcp(CLIENT, 40000, SERVER, 443);
  const down = tcp(SERVER, 443, PUBLIC, 40000);
  send("lan", up({ flags: S, seq: 1000 }));
  send("wan", down({ flags: SA, seq: 5000, ack: 1001 }));
  send("lan", up({ flags: A, seq: 1001, ack: 5001 }));
  send("lan", up({ flags: PA, seq: 1001, ack: 5001, data: text("GET / HTTP/1.0\r\n\r\n") }));
  send(
    "wan",
    down({ flags: PA, seq: 5001, ack: 1019, data: text("HTTP/1.0 200 OK\r\n\r\nhello\n") }),
  );
  send("lan", up({ flags: A, seq: 1019, ack: 5026 }));
  // Another client comes from the same port to the same server: it gets the next free one.
  const up2 = tcp(CLIENT2, 40000, SERVER, 443);
  const down2 = tcp(SERVER, 443, PUBLIC, 40001);
  send("lan", up2({ flags: S, seq: 2000 }));
  send("wan", down2({ flags: SA, seq: 6000, ack: 2001 }));
  send("lan", up2({ flags: A, seq: 2001, ack: 6001 }));
  // Somebody outside calls the published service, which lives on another address and port.
  const call = tcp(CALLER, 50000, PUBLIC, 80);
  const answer = tcp(WEB, 8080, CALLER, 50000);
  send("wan", call({ flags: S, seq: 7000 }));
  send("dmz", answer({ flags: SA, seq: 8000, ack: 7001 }));
  send("wan", call({ flags: PA, seq: 7001, ack: 8001, data: text("GET /index HTTP/1.0\r\n\r\n") }));
  send("dmz", answer({ flags: PA, seq: 8001, ack: 7024, data: text("HTTP/1.0 204 None\r\n\r\n") }));
  // A name is asked for; the second server is closed and its error names the inner packet.
  const ask = { proto: 17, sport: 5353, dport: 53, data: text("?example") };
  const answered = { proto: 17, sport: 53, dport: 5353, data: text("!example") };
  send("lan", { src: CLIENT, dst: RESOLVER, ...ask });
  send("wan", { src: RESOLVER, dst: PUBLIC, ...answered });
  send("lan", { src: CLIENT, dst: SERVER, ...ask });
  send("wan", {
    src: SERVER,
    dst: PUBLIC,
    proto: 1,
    unreachable: { ...ask, src: PUBLIC, dst: SERVER },
  });
  // A scanner finds nothing.
  send("wan", tcp("192.0.2.66", 61000, PUBLIC, 22)({ flags: S, seq: 1 }));
  send("wan", tcp("192.0.2.66", 61001, PUBLIC, 443)({ flags: A, seq: 9, ack: 9 }));
  // Time is let out for as long as somebody asks for it every five seconds.
  const time = {
    src: CLIENT2,
    dst: RESOLVER,
    proto: 17,
    sport: 123,
    dport: 123,
    data: text("time"),
  };
  send("lan", time, 1000);
  send("lan", time, 4000);
  send("lan", time, 8000);
  // The first connection ends.
  send("lan", up({ flags: FA, seq: 1019, ack: 5026 }));
  send("wan", down({ flags: FA, seq: 5026, ack: 1020 }));
  send("lan", up({ flags: A, seq: 1020, ack: 5027 }));
  return out;
}

const ovs = new RealOvs();
const must = async (...argv: string[]) => {
  const answer = await ovs.run(argv);
  if (answer.exit !== 0) {
    throw new Error(`${argv.join(" ")}: ${answer.stderr}`);
  }
  return answer.stdout;
};

async function build(): Promise<void> {
  await must("ovs-appctl", "time/stop");
  await must("ovs-vsctl", "add-br", "br-nat", "--", "set", "bridge", "br-nat", "fail_mode=secure");
  for (const [i, port] of PORTS.entries()) {
    const set = ["set", "interface", port, "type=dummy", `ofport_request=${i + 1}`];
    const capture = `options:tx_pcap=${port}.pcap`;
    await must("ovs-vsctl", "add-port", "br-nat", port, "--", ...set, capture);
  }
  const flows = readFileSync(join(DIR, "gateway.flows"), "utf8");
  const answer = await ovs.run(
    ["ovs-ofctl", "-O", "OpenFlow15", "add-flows", "br-nat", "-"],
    flows,
  );
  if (answer.exit !== 0) {
    throw new Error(answer.stderr);
  }
}

/** What a host would have left behind. */
async function saveHost(): Promise<void> {
  const host = join(DIR, "host");
  mkdirSync(host, { recursive: true });
  const save = async (name: string, ...argv: string[]) =>
    writeFileSync(join(host, name), await must(...argv));
  const ofctl = ["ovs-ofctl", "-O", "OpenFlow15"];
  await save("ovs-ofctl_-O_OpenFlow15_dump-flows_br-nat", ...ofctl, "dump-flows", "br-nat");
  await save("ovs-ofctl_-O_OpenFlow15_dump-groups_br-nat", ...ofctl, "dump-groups", "br-nat");
  await save("ovs-appctl_fdb_show_br-nat", "ovs-appctl", "fdb/show", "br-nat");
  await save("ovs-appctl_dpif_show", "ovs-appctl", "dpif/show");
}

async function saveDatabase(): Promise<void> {
  for (const port of PORTS) {
    await must("ovs-vsctl", "clear", "interface", port, "options");
  }
  await must("ovs-vsctl", "clear", "Open_vSwitch", ".", "external_ids");
  // The database as it is, without its history.
  const db = join(ovs.dir, "compact.db");
  await must("ovsdb-tool", "compact", join(ovs.dir, "conf.db"), db);
  writeFileSync(join(DIR, "host", "conf.db"), readFileSync(db));
}

async function run(): Promise<void> {
  const sent = conversations();
  const inputs = new Map(PORTS.map((p) => [p, new PcapWriter(join(DIR, `${p}.pcap`))]));
  const outputs = new Map(PORTS.map((p) => [p, new PcapWriter(join(DIR, `switch-${p}.pcap`))]));
  let nowMs = 0;
  for (const spec of sent) {
    const data = frame(spec);
    const sec = START_SEC + Math.floor(spec.ms / 1000);
    const nsec = (spec.ms % 1000) * 1_000_000;
    await must("ovs-appctl", "time/warp", String(spec.ms - nowMs), "500");
    inputs.get(spec.port)?.write(data, sec, nsec);
    await ovs.frame(spec.port, formatHex(data));
    await ovs.settle();
    nowMs = spec.ms + SETTLE_WARP_MS * SETTLE_ROUNDS;
    for (const port of PORTS) {
      for (const hex of ovs.captured(`${port}.pcap`)) {
        outputs.get(port)?.write(parseHex(hex) ?? new Uint8Array(0), sec, nsec);
      }
    }
  }
  for (const w of [...inputs.values(), ...outputs.values()]) {
    w.close();
  }
  const conns = await must("ovs-appctl", "dpctl/dump-conntrack");
  const lines = conns.split("\n").filter((l) => l !== "");
  writeFileSync(join(DIR, "switch-conntrack.txt"), `${lines.sort().join("\n")}\n`);
  const flows = await must("ovs-ofctl", "--no-stats", "dump-flows", "br-nat");
  writeFileSync(join(DIR, "switch-flows.txt"), flows);
}

function report(): void {
  for (const port of PORTS) {
    const reader = new PcapReader(join(DIR, `switch-${port}.pcap`));
    let n = 0;
    while (reader.next() !== null) {
      n++;
    }
    reader.close();
    console.log(`${port}: ${n} packets left`);
  }
}

try {
  await ovs.start();
  await build();
  await saveHost();
  await run();
  await saveDatabase();
  report();
} finally {
  ovs.stop();
}

// The replay command: the gateway that the real switch was recorded at, merging, every format of
// captures, timeouts, coverage, and that two runs give the same bytes.
//
// examples/replay was recorded with `node tools/run.mjs tools/record-replay.ts`.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { traceMain } from "../../src/cli/trace.ts";
import { PcapngWriter, PcapReader, PcapWriter } from "../../src/io/pcap-file.ts";
import { concatBytes, formatHex, putU32le } from "../../src/lib/bytes.ts";
import { pcapngInterface, pcapngPacket, pcapngSection } from "../../src/packet/pcap-write.ts";
import type { FullReport } from "../../src/vswitch/replay/replay-text.ts";
import { frame } from "../../tools/replay-frames.ts";
import {
  dir,
  file,
  flowsFile,
  FORWARD,
  NAT,
  NAT_IN,
  packetsIn,
  pcap,
  replay,
  report,
  run,
  T0,
  type TracedClass,
  udp,
} from "./replay-bed.ts";

describe("against the real switch", () => {
  test("a gateway translates both directions as the real one did, byte for byte", async () => {
    const out = join(dir, "nat");
    const r = await replay("--quiet", "--from", `${NAT}/host`, ...NAT_IN, "--out-dir", out);
    expect([r.status, r.stderr]).toEqual([0, ""]);
    for (const port of ["lan", "wan", "dmz"]) {
      expect(formatHex(readFileSync(join(out, `${port}.pcap`)))).toBe(
        formatHex(readFileSync(`${NAT}/switch-${port}.pcap`)),
      );
    }
  });

  test("connections and flows end up as the real switch showed them", async () => {
    const data = await report("--from", `${NAT}/host`, ...NAT_IN);
    const conns = readFileSync(`${NAT}/switch-conntrack.txt`, "utf8").trim().split("\n");
    expect([...data.connections.list].sort()).toEqual(conns);
    const [file] = data.coverage;
    const gone = file?.lines.filter((l) => l.ended !== null) ?? [];
    expect(gone.map((l) => [l.line, l.packets, l.ended])).toEqual([[2, 2, "idle_timeout"]]);
    const left = readFileSync(`${NAT}/switch-flows.txt`, "utf8").trim().split("\n").length;
    expect((file?.flows ?? 0) - gone.length).toBe(left);
    expect(data.drops).toEqual([
      { counter: "drop_action_of_pipeline", text: "dropped by the pipeline", packets: 3 },
    ]);
    expect(data.packets).toBe(data.delivered + data.dropped);
    expect(data.classes.reduce((n, c) => n + c.packets, 0)).toBe(data.packets);
  });

  test("connections of a dump are known", async () => {
    const seeded = join(dir, "seeded");
    mkdirSync(seeded);
    for (const name of readdirSync(`${NAT}/host`)) {
      writeFileSync(join(seeded, name), readFileSync(`${NAT}/host/${name}`));
    }
    const conns = readFileSync(`${NAT}/switch-conntrack.txt`);
    // Data of the published service in the middle of its connection.
    const reader = new PcapReader(`${NAT}/wan.pcap`);
    const frames: Uint8Array[] = [];
    for (let r = reader.next(); r !== null; r = reader.next()) {
      frames.push(r.data.slice());
    }
    const data = frames.find((f) => f.length === 77) as Uint8Array;
    const wan = pcap([[0, data]]);
    const args = ["--in", `wan=${wan}`];
    const cold = await report("--from", `${NAT}/host`, ...args);
    expect(cold.classes[0]?.path).toMatch(/ct_state|1\/priority=50/);
    expect(cold.classes[0]?.first_trace).toContain("ct_state=new|trk");
    const dumped = file(conns, "txt");
    const told = await report("--from", `${NAT}/host`, "--ct-dump", dumped, ...args);
    writeFileSync(join(seeded, "ovs-appctl_dpctl_dump-conntrack"), conns);
    const inside = await report("--from", seeded, ...args);
    for (const r of [told, inside]) {
      expect(r.classes[0]?.first_trace).toContain("ct_state=est|trk|dnat");
      expect(r.classes[0]?.path).toBe("0/priority=50 | 1/priority=80 2/priority=10 3/priority=20");
      expect(r.connections).toMatchObject({ made: 0, now: 5 });
    }
  });
});

describe("time", () => {
  test("captures are merged by time; of two at one time the one named first comes first", async () => {
    const a = pcap([
      [0, udp(1)],
      [5, udp(2)],
      [7, udp(3)],
    ]);
    const b = pcap([
      [3, udp(11)],
      [5, udp(12)],
    ]);
    const out = join(dir, "merged");
    const args = ["--quiet", "--from", FORWARD, "--bridge", "br0", "--out-dir", out];
    await replay(...args, "--in", `1=${a}`, "--in", `3=${b}`);
    const file = join(out, "br0-port2.pcap");
    expect(packetsIn(file)).toEqual(["0:1", "3000:11", "5000:2", "5000:12", "7000:3"]);
    await replay(...args, "--in", `3=${b}`, "--in", `1=${a}`);
    expect(packetsIn(file)).toEqual(["0:1", "3000:11", "5000:12", "5000:2", "7000:3"]);
  });

  test("nanoseconds are kept, and so is the order of a file whose times go back", async () => {
    const path = join(dir, "ns.pcap");
    const w = new PcapWriter(path, true);
    w.write(udp(1), T0, 123_456_789);
    w.write(udp(2), T0, 123_456_000);
    w.close();
    const out = join(dir, "ns");
    const r = await report("--from", FORWARD, "--in", `1=${path}`, "--out-dir", out);
    expect(packetsIn(join(out, "br0-port2.pcap"))).toEqual(["123456.789:1", "123456:2"]);
    expect(r.captures[0]?.backward_times).toBe(1);
  });

  test("idle and hard timeouts of flows happen when they would have", async () => {
    const flows = flowsFile([
      "table=0, idle_timeout=10,priority=3,udp,in_port=1,tp_src=1 actions=output:2",
      "table=0, hard_timeout=10,priority=3,udp,in_port=1,tp_src=2 actions=output:2",
      "table=0, priority=1,in_port=1 actions=drop",
    ]);
    const times = [0, 9, 18, 27, 39].map((s) => s * 1000);
    const frames = times.flatMap(
      (ms) =>
        [
          [ms, udp(1)],
          [ms + 100, udp(2)],
        ] as const,
    );
    const out = join(dir, "timeouts");
    const r = await report(
      "--from",
      flows,
      "--bridge",
      "br0",
      "--in",
      `1=${pcap(frames)}`,
      "--out-dir",
      out,
    );
    expect(packetsIn(join(out, "br0-port2.pcap"))).toEqual([
      "0:1",
      "100000:2",
      "9000000:1",
      "9100000:2",
      "18000000:1",
      "27000000:1",
    ]);
    expect(r.coverage[0]?.lines.map((l) => [l.packets, l.ended])).toEqual([
      [4, "idle_timeout"],
      [2, "hard_timeout"],
      [4, null],
    ]);
  });

  test("flows are as old at the first packet as their dump shows", async () => {
    const stats = (idle: number, hard: number) =>
      `duration=${hard}.5s, table=0, n_packets=1, n_bytes=60, idle_age=${idle}`;
    const flows = file(
      [
        ` cookie=0x0, ${stats(6, 6)}, idle_timeout=10, priority=3,udp,tp_src=1 actions=drop`,
        ` cookie=0x0, ${stats(0, 26)}, hard_timeout=30, priority=3,udp,tp_src=2 actions=drop`,
        ` cookie=0x0, ${stats(0, 26)}, hard_timeout=30, hard_age=1, priority=3,udp,tp_src=3 actions=drop`,
        " cookie=0x0, duration=9s, table=0, n_packets=0, n_bytes=0, priority=1 actions=output:2",
      ].join("\n"),
      "txt",
    );
    const at = (ms: number) => [1, 2, 3].map((port) => [ms + port, udp(port)] as const);
    const times = pcap([[0, udp(9)], ...at(5100)]);
    const r = await report("--from", flows, "--bridge", "br0", "--in", `2=${times}`);
    expect(r.coverage[0]?.lines.map((l) => [l.packets, l.ended])).toEqual([
      [0, "idle_timeout"],
      [0, "hard_timeout"],
      [1, null],
      [3, null],
    ]);
  });

  test("learned addresses age", async () => {
    const flows = flowsFile(["table=0, priority=0 actions=NORMAL"]);
    const ports = file(
      "OFPST_PORT_DESC reply (xid=0x2):\n" +
        [1, 2, 3]
          .map(
            (n) =>
              ` ${n}(p${n}): addr:aa:55:aa:55:00:0${n}\n     config:     0\n     state:      0\n`,
          )
          .join(""),
      "txt",
    );
    const a = pcap([
      [0, udp(1, 2, 1)],
      [301_000, udp(2, 2, 1)],
    ]);
    const b = pcap([
      [100, udp(3, 1, 2)],
      [602_500, udp(4, 1, 2)],
    ]);
    const out = join(dir, "ages");
    const args = ["--from", flows, "--from", ports, "--bridge", "br0", "--out-dir", out];
    await replay("--quiet", ...args, "--in", `p1=${a}`, "--in", `p2=${b}`);
    expect(packetsIn(join(out, "p3.pcap"))).toEqual(["0:1", "301000000:2", "602500000:4"]);
    expect(packetsIn(join(out, "p1.pcap"))).toEqual(["100000:3", "602500000:4"]);
  });

  test("a silence of years ends soon, and time goes on after the last packet if asked", async () => {
    const frames = [
      [0, udp(1)],
      [50 * 365 * 86_400_000, udp(2)],
    ] as const;
    const r = await report("--from", FORWARD, "--in", `1=${pcap(frames)}`, "--linger", "20");
    expect([r.packets, r.delivered, r.megaflows.made, r.megaflows.now]).toEqual([2, 2, 2, 0]);
  });
});

describe("captures", () => {
  test("one pcapng for all ports goes out and comes in", async () => {
    const all = join(dir, "all.pcapng");
    const w = new PcapngWriter(all);
    const [lo, p1, p3] = ["lo", "br0-port1", "br0-port3"].map((n) => w.addInterface(n));
    w.write(p1 ?? 0, udp(1), T0, 1000);
    w.write(lo ?? 0, udp(9), T0, 1500);
    w.write(p3 ?? 0, udp(2), T0, 2000);
    w.close();
    const out = join(dir, "out.pcapng");
    const args = ["--from", FORWARD, "--bridge", "br0", "--in", all, "--out", out];
    const r = await replay("--json", ...args);
    expect(r.stderr).toContain(`note: ${all}: 1 packets of lo, which is no port, were passed over`);
    expect(packetsIn(out)).toEqual(["1:1", "2:2"]);
    const one = await report("--from", FORWARD, "--in", `1=${all}:br0-port3`);
    expect([one.packets, one.captures[0]?.skipped.other_interface]).toEqual([1, 2]);
  });

  test("packets that were sent do not arrive: by direction, or by sender", async () => {
    const flagged = (dirBits: number, frame: Uint8Array) => {
      const block = pcapngPacket(0, frame, T0, 0);
      const options = new Uint8Array(12);
      options.set([2, 0, 4, 0, dirBits, 0, 0, 0, 0, 0, 0, 0]);
      const longer = concatBytes([block.subarray(0, -4), options, block.subarray(-4)]);
      putU32le(longer, 4, longer.length);
      putU32le(longer, longer.length - 4, longer.length);
      return longer;
    };
    const ng = [pcapngSection(), pcapngInterface("x"), flagged(1, udp(1)), flagged(2, udp(2))];
    const r = await report("--from", FORWARD, "--in", `1=${file(concatBytes(ng), "pcapng")}`);
    expect([r.packets, r.captures[0]?.skipped.outbound]).toEqual([1, 1]);
    const both = pcap([
      [0, udp(1, 2, 1)],
      [1, udp(2, 1, 2)],
      [2, udp(3, 2, 1)],
    ]);
    const by = (senders: string) =>
      report("--from", FORWARD, "--in", `1=${both}`, "--sent-by", `br0-port1=${senders}`);
    expect((await by("02:00:00:00:00:01")).packets).toBe(2);
    expect((await by("!02:00:00:00:00:01")).packets).toBe(1);
  });

  test("tunnels of a kernel datapath: outer headers come in, inner packets go out", async () => {
    const shown = file(
      "system@ovs-system: hit:0 missed:0\n  br-int:\n    br-int 65534/1: (internal)\n    tap0 1/2: (system)\n" +
        "    vx 2/3: (vxlan: key=flow, local_ip=192.0.2.1, remote_ip=192.0.2.2)\n",
      "txt",
    );
    const flows = flowsFile([
      "table=0, priority=1,tun_id=0x7b,in_port=2 actions=output:1",
      "table=0, priority=1,in_port=1 actions=set_field:0x7b->tun_id,output:2",
    ]);
    const inner = udp(77);
    const outer = (vni: number) =>
      frame({
        ethSrc: "02:00:00:00:00:0a",
        ethDst: "02:00:00:00:00:0b",
        src: "192.0.2.2",
        dst: "192.0.2.1",
        proto: 17,
        sport: 50000,
        dport: 4789,
        data: concatBytes([Uint8Array.of(8, 0, 0, 0, 0, 0, vni, 0), inner]),
      });
    const nic = pcap([
      [0, outer(0x7b)],
      [1, udp(5)],
      [2, outer(0x7c)],
    ]);
    const out = join(dir, "kernel");
    const host = ["--from", shown, "--from", flows, "--bridge", "br-int", "--out-dir", out];
    const r = await report(...host, "--in", `vx=${nic}`, "--in", `tap0=${pcap([[5, udp(6)]])}`);
    expect(packetsIn(join(out, "tap0.pcap"))).toEqual(["0:77"]);
    expect(packetsIn(join(out, "vxlan_sys_4789.pcap"))).toEqual(["5000:6"]);
    expect([r.packets, r.delivered, r.captures[0]?.skipped.not_tunnelled]).toEqual([3, 2, 1]);
    expect(r.ports.map((p) => [p.port, p.rx_packets, p.tx_packets])).toEqual([
      ["tap0", 1, 1],
      ["br-int", 0, 0],
      ["vx", 2, 0],
      ["vxlan_sys_4789", 0, 1],
    ]);
    expect(r.classes[2]?.datapath_actions).toMatch(/^set\(tunnel\(tun_id=0x7b,src=192.0.2.1,/);
  });

  test("a capture cut at any byte is replayed up to there, and the error says where", async () => {
    const whole = readFileSync(
      pcap([
        [0, udp(1)],
        [1, udp(2)],
      ]),
    );
    const record = 16 + udp(1).length;
    for (let n = 0; n <= whole.length; n += n === 0 || n > whole.length - 3 ? 1 : 6) {
      const path = file(whole.subarray(0, n));
      const r = await replay("--quiet", "--json", "--from", FORWARD, "--in", `1=${path}`);
      const isWhole = n >= 24 && (n - 24) % record === 0;
      const data = JSON.parse(r.stdout) as FullReport;
      expect([n, r.status]).toEqual([n, isWhole ? 0 : 2]);
      expect(data.packets).toBe(Math.max(0, Math.floor((n - 24) / record)));
      expect(data.delivered).toBe(data.packets);
      if (!isWhole) {
        expect(data.captures[0]?.error).toMatch(/^\S+: the capture .* \(at byte \d+\)$/);
        expect(r.stderr).toContain(path);
      }
    }
  }, 60_000);

  test("frames of any length and content do no harm", async () => {
    const frames: [number, Uint8Array][] = [];
    for (let n = 0; n < 80; n++) {
      frames.push([n, Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 0xff)]);
    }
    frames.push([90, new Uint8Array(3000)]);
    const r = await report("--from", FORWARD, "--in", `1=${pcap(frames)}`);
    expect(r.packets).toBe(81);
    expect(r.drops.map((d) => [d.counter, d.packets])).toEqual([
      ["datapath_drop_rx_invalid_packet", 14],
      ["device_refused", 1],
    ]);
    const noted = await replay("--from", FORWARD, "--in", `1=${pcap(frames)}`);
    expect(noted.stderr).toContain("note: 1 packets were refused by ports; were they too long?");
    const more = await report("--from", FORWARD, "--in", `1=${pcap(frames)}`, "--mtu", "9000");
    expect(more.drops.map((d) => d.counter)).toEqual(["datapath_drop_rx_invalid_packet"]);
  });
});

describe("reports", () => {
  test("two runs give the same bytes", async () => {
    const once = async (name: string) => {
      const out = join(dir, name);
      const args = ["--from", `${NAT}/host`, ...NAT_IN, "--out-dir", out];
      const cov = [
        "--coverage",
        join(dir, `${name}.info`),
        "--coverage",
        join(dir, `${name}.json`),
      ];
      const { stdout } = await replay("--json", ...args, ...cov);
      const all = readdirSync(out)
        .sort()
        .map((f) => formatHex(readFileSync(join(out, f))));
      return [
        stdout,
        ...all,
        ...["info", "json"].map((e) => readFileSync(join(dir, `${name}.${e}`), "utf8")),
      ];
    };
    expect(await once("once")).toEqual(await once("twice"));
  });

  test("coverage is a tracefile: dumps are sources, flows lines, tables functions", async () => {
    const path = join(dir, "cov.info");
    await replay(
      "--quiet",
      "--from",
      FORWARD,
      "--in",
      `1=${pcap([[0, udp(1)]])}`,
      "--coverage",
      path,
    );
    expect(readFileSync(path, "utf8")).toBe(
      `TN:\nSF:${FORWARD}\nFN:1,br0/table=0\nFNDA:1,br0/table=0\nFNF:1\nFNH:1\nDA:1,1\nDA:2,0\nLF:2\nLH:1\nend_of_record\n`,
    );
  });

  test("the text names what matters", async () => {
    const r = await replay("--from", `${NAT}/host`, ...NAT_IN);
    expect(r.stdout).toContain(
      "Replayed 25 packets (1,425 bytes) of 3 captures, 15.100 s of traffic",
    );
    expect(r.stdout).toContain("3  drop_action_of_pipeline  dropped by the pipeline");
    expect(r.stdout).toMatch(
      /never hit, by line of \S+dump-flows_br-nat:\n {2}4: table=0, priority=0 actions=drop\n/,
    );
    const k = await replay("--from", `${NAT}/host`, ...NAT_IN, "--class", "7");
    expect(k.stdout).toMatch(/^Packet 18:\nFlow: tcp,in_port=2,.*tp_dst=22/);
    expect(k.stdout).toContain("resume conntrack with ct_state=new|trk");
    expect(k.stdout).toContain("The forked pipeline will be resumed at table 1.");
  });

  test("path classes are those that tracing each kind of packet finds", async () => {
    const flows = flowsFile([
      "table=0, cookie=0x1,priority=9,udp,tp_src=0x0/0xfffc actions=resubmit(,1)",
      "table=0, cookie=0x2,priority=8,udp,nw_dst=10.0.0.4/30 actions=dec_ttl,resubmit(,1),output:3",
      "table=0, cookie=0x3,priority=7,in_port=1 actions=resubmit(,2)",
      "table=1, cookie=0x4,priority=1,dl_dst=02:00:00:00:00:02 actions=output:2",
      "table=1, cookie=0x5,priority=0 actions=drop",
      "table=2, cookie=0x6,priority=5,udp,tp_src=0x10/0x10 actions=output:3,resubmit(,1)",
    ]);
    const frames = Array.from({ length: 400 }, (_, i) => {
      const port = (i * 7) % 40;
      return [i, udp(port, 2 + ((i * 13) % 6))] as const;
    });
    const capture = pcap(frames);
    const r = await report("--from", flows, "--bridge", "br0", "--in", `1=${capture}`);
    const host = ["--quiet", "--json", "--from", flows, "--bridge", "br0"];
    const t = await run(traceMain, [...host, "--pcap", capture, "--in-port", "1"]);
    const traced = (JSON.parse(t.stdout) as { classes: TracedClass[] }).classes;
    const seen = (c: { path: string; packets: number; bytes: number; first_packet: number }) =>
      `${c.path}: ${c.packets} ${c.bytes} ${c.first_packet}`;
    expect(r.classes.map(seen).sort()).toEqual(traced.map(seen).sort());
    expect(traced.length).toBeGreaterThan(5);
  });

  test("a flow that goes to a meter is delivered and lost", async () => {
    const host = ["table=0, priority=1,in_port=1 actions=meter:1,output:2"];
    const meters = file(
      "OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):\nmeter=1 pktps bands=\ntype=drop rate=1\n",
      "txt",
    );
    const frames = Array.from({ length: 5 }, (_, i) => [i, udp(i)] as [number, Uint8Array]);
    const r = await report(
      "--from",
      flowsFile(host),
      "--from",
      meters,
      "--in",
      `1=${pcap(frames)}`,
    );
    expect([r.delivered, r.dropped, r.classes.length]).toEqual([1, 4, 1]);
    expect(r.drops).toMatchObject([{ counter: "datapath_drop_meter", packets: 4 }]);
  });
});

// Every limit that a source file exports is tried at its end, or it is written down here why not.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Conn } from "../../src/datapath/ct-conn.ts";
import { EXPECTATIONS_MAX, Expectations } from "../../src/datapath/ct-expect.ts";
import { CT_DUMP_LINE_MAX, parseConn } from "../../src/datapath/ct-dump.ts";
import { Datapath, RECIRC_DEPTH_MAX } from "../../src/datapath/datapath.ts";
import { DummyNetdev } from "../../src/datapath/dummy-netdev.ts";
import { EXECUTE_DEPTH_MAX } from "../../src/datapath/execute.ts";
import { FlowCache, MEGAFLOWS_MAX } from "../../src/datapath/flow-cache.ts";
import { METERS_MAX } from "../../src/datapath/meter.ts";
import type { OdpAction } from "../../src/datapath/odp-action.ts";
import { ODP_NESTED_MAX } from "../../src/datapath/odp-text-parse.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { NETDEV_QUEUE_MAX, PairNetdev } from "../../src/datapath/port.ts";
import { type FlowKey, K, newKey } from "../../src/flow/flow-key.ts";
import { ManualClock, MemoryFileSystem, SeededRng } from "../../src/lib/env.ts";
import { MULTIPATH_LINKS_MAX } from "../../src/openflow/actions/multipath.ts";
import { parseActions } from "../../src/openflow/actions/actions.ts";
import { MAC_ENTRIES_MAX, MacLearning } from "../../src/openflow/mac-learning.ts";
import { MIRRORS_MAX } from "../../src/openflow/mirror.ts";
import { NEIGHBOURS_MAX, TunnelNeighbours } from "../../src/openflow/tunnel-neighbours.ts";
import { RANGE_MAX } from "../../src/ovsdb/atom.ts";
import { PACKET_BYTES_MAX, PacketBuf } from "../../src/packet/packet.ts";
import { runCommandLine } from "../../src/vswitch/commands.ts";
import { L7_BYTES_MAX } from "../../src/vswitch/commands/trace.ts";
import { VSwitch } from "../../src/vswitch/vswitch.ts";

const frame = (bytes = 60) => PacketBuf.of(new Uint8Array(bytes));

function newSwitch() {
  const fs = new MemoryFileSystem();
  const vs = new VSwitch({ clock: new ManualClock(1000), rng: new SeededRng(1), fs });
  const run = (line: string) => runCommandLine(vs, line.split(" "));
  run("ovs-vsctl add-br br0");
  run("ovs-vsctl add-port br0 p1 -- set interface p1 type=dummy");
  return { vs, run };
}

function newDatapath(): Datapath {
  const clock = new ManualClock(1);
  return new Datapath({ name: "dp", type: "system", clock, rng: new SeededRng(1) });
}

function nested(depth: number): OdpAction[] {
  let actions: OdpAction[] = [{ kind: "output", port: 1 }];
  for (let i = 0; i < depth; i++) {
    actions = [{ kind: "clone", actions }];
  }
  return actions;
}

/** Each tries one limit, at its end and one past it. */
const TRIED: Readonly<Record<string, () => void>> = {
  NETDEV_QUEUE_MAX: () => {
    const dev = new DummyNetdev("p1", "dummy", 1, new ManualClock());
    for (let i = 0; i < NETDEV_QUEUE_MAX; i++) {
      expect(dev.enqueue(frame())).toBe(true);
    }
    expect(dev.enqueue(frame())).toBe(false);
    expect(dev.queueFull).toBe(1);
    const [a, b] = [new PairNetdev("a"), new PairNetdev("b")];
    PairNetdev.connect(a, b);
    for (let i = 0; i < NETDEV_QUEUE_MAX; i++) {
      expect(a.send(frame())).toBeNull();
    }
    expect(a.send(frame())).toBe("dropped");
  },
  MEGAFLOWS_MAX: () => {
    const cache = new FlowCache();
    const mask = newKey();
    mask[K.nw_src.word] = 0xffffffff;
    const insert = (n: number) => {
      const key: FlowKey = newKey();
      key[K.nw_src.word] = n;
      return cache.insert(key, mask, [], null);
    };
    for (let n = 0; n < MEGAFLOWS_MAX; n++) {
      insert(n);
    }
    expect(cache.size).toBe(MEGAFLOWS_MAX);
    expect(insert(MEGAFLOWS_MAX)).toBeNull();
  },
  EXECUTE_DEPTH_MAX: () => {
    const dp = newDatapath();
    dp.execute(frame(), nested(EXECUTE_DEPTH_MAX), newKey());
    expect(dp.losses.get("actions_too_deep")).toBe(0);
    expect(dp.counters.get("datapath_drop_invalid_port")).toBe(1);
    dp.execute(frame(), nested(EXECUTE_DEPTH_MAX + 1), newKey());
    expect(dp.losses.get("actions_too_deep")).toBe(1);
  },
  RECIRC_DEPTH_MAX: () => {
    const dp = newDatapath();
    let translated = 0;
    dp.upcalls = {
      miss: (_p, key) => {
        translated++;
        const recircId = (key[K.recirc_id.word] as number) + 1;
        return { actions: [{ kind: "recirc", recircId }], install: null };
      },
      userspace: () => null,
      installed: () => {},
    };
    dp.receive(1, frame());
    expect(translated).toBe(RECIRC_DEPTH_MAX + 1);
    expect(dp.counters.get("datapath_drop_recirc_error")).toBe(1);
  },
  PACKET_BYTES_MAX: () => {
    const dp = newDatapath();
    dp.receive(1, frame(PACKET_BYTES_MAX));
    expect(dp.counters.get("datapath_drop_rx_invalid_packet")).toBe(0);
    dp.receive(1, frame(PACKET_BYTES_MAX + 1));
    dp.receive(1, frame(13));
    expect(dp.counters.get("datapath_drop_rx_invalid_packet")).toBe(2);
    dp.execute(frame(PACKET_BYTES_MAX + 1), [], newKey());
    expect(dp.losses.get("execute_bad_size")).toBe(1);
  },
  METERS_MAX: () => {
    const dp = newDatapath();
    const config = { inPackets: true, bands: [{ rate: 1, burst: 1 }] };
    expect(dp.setMeter(METERS_MAX - 1, config)).toBe(true);
    expect(dp.setMeter(METERS_MAX, config)).toBe(false);
  },
  EXPECTATIONS_MAX: () => {
    const all = new Expectations();
    const parent = new Conn();
    for (let n = 0; n < EXPECTATIONS_MAX; n++) {
      all.expect(n, parent, false);
    }
    expect([all.size, all.refused]).toEqual([EXPECTATIONS_MAX, 0]);
    parent.key.zone = 1;
    all.expect(1, parent, false);
    expect([all.size, all.refused]).toEqual([EXPECTATIONS_MAX, 1]);
    parent.key.zone = 0;
    all.forget(parent.key);
    expect(all.size).toBe(0);
  },
  NEIGHBOURS_MAX: () => {
    const all = new TunnelNeighbours();
    for (let n = 0; n <= NEIGHBOURS_MAX; n++) {
      all.set("br0", Uint32Array.of(0, 0, 0xffff, n), 1, n, 0);
    }
    expect([all.size, all.refused]).toEqual([NEIGHBOURS_MAX, 1]);
    all.run(24 * 3600 * 1000);
    expect(all.size).toBe(0);
  },
  MAC_ENTRIES_MAX: () => {
    const ml = new MacLearning();
    ml.setMaxEntries(MAC_ENTRIES_MAX + 1);
    expect(ml.maxEntries).toBe(MAC_ENTRIES_MAX);
  },
  MIRRORS_MAX: () => {
    const { vs, run } = newSwitch();
    for (let n = 0; n <= MIRRORS_MAX; n++) {
      const mirror = `--id=@m create mirror name=m${n} select_all=true output_vlan=7`;
      expect(run(`ovs-vsctl -- ${mirror} -- add bridge br0 mirrors @m`).exit).toBe(0);
    }
    expect(vs.bridges.get("br0")).toBeDefined();
  },
  ODP_NESTED_MAX: () => {
    const text = (n: number) => `${"clone(".repeat(n)}1${")".repeat(n)}`;
    expect(parseOdpActions(text(ODP_NESTED_MAX - 2), null)).not.toBeNull();
    expect(parseOdpActions(text(ODP_NESTED_MAX - 1), null)).toBeNull();
  },
  MULTIPATH_LINKS_MAX: () => {
    const text = (n: number) => `multipath(eth_src,0,modulo_n,${n},0,NXM_NX_REG0[])`;
    expect(parseActions(text(MULTIPATH_LINKS_MAX)).ok).toBe(true);
    expect(parseActions(text(MULTIPATH_LINKS_MAX + 1)).ok).toBe(false);
  },
  CT_DUMP_LINE_MAX: () => {
    const line =
      "udp,orig=(src=1.1.1.1,dst=1.1.1.2,sport=1,dport=2)," +
      "reply=(src=1.1.1.2,dst=1.1.1.1,sport=2,dport=1)";
    expect(parseConn(line, 0).ok).toBe(true);
    expect(parseConn(line + ",zone=1".repeat(CT_DUMP_LINE_MAX / 6), 0).ok).toBe(false);
  },
  L7_BYTES_MAX: () => {
    const { run } = newSwitch();
    const trace = (n: number) => run(`ovs-appctl ofproto/trace br0 udp,in_port=1 --l7-len ${n}`);
    expect(trace(L7_BYTES_MAX + 1).stderr).toMatch(/^64001: too much L7 data\n/);
  },
  RANGE_MAX: () => {
    const { run } = newSwitch();
    const set = (n: bigint) => run(`ovs-vsctl set port p1 external_ids:a=b trunks=0-${n}`);
    expect(set(RANGE_MAX - 1n).exit).toBe(0);
    expect(set(RANGE_MAX).exit).toBe(1);
  },
};

/** Why a limit is not tried above. A file name is that of the test that tries it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  RESUBMIT_DEPTH_MAX: "xlate-limits.test.ts",
  LLDP_NEIGHBOURS_MAX: "trees-limits.test.ts",
  RESUBMITS_MAX: "xlate-limits.test.ts",
  STACK_BYTES_MAX: "xlate-limits.test.ts",
  ODP_ACTION_BYTES_MAX: "xlate-limits.test.ts",
  LIVENESS_DEPTH_MAX: "xlate-limits.test.ts",
  OUTPUT_ACTIONS_MAX: "xlate-limits.test.ts",
  JSON_DEPTH_MAX: "data.test.ts",
  MULTIPART_BYTES_MAX: "multipart.test.ts",
  SELECT_HASH_VALUES_MAX: "xlate-laws.test.ts",
  PCAP_PACKET_BYTES_MAX: "pcap.test.ts",
  PCAPNG_BLOCK_BYTES_MAX: "pcap.test.ts",
  PCAPNG_INTERFACES_MAX: "pcap.test.ts",
  CT_CONNS_MAX: "floods.test.ts",
  IPF_FRAGS_MAX: "floods.test.ts",
  IPF_FRAGS_MAX_BOUND: "bad-input.test.ts",
  NAT_PORT_ATTEMPTS_MAX: "floods.test.ts",
  ZONE_MAX: "bad-input.test.ts",
  TABLE_MAX_ENTRIES: "floods.test.ts",
  GROUPS_MAX: "bad-input.test.ts",
  METER_BANDS_MAX: "bad-input.test.ts",
  ACTION_PARSE_DEPTH_MAX: "bad-input.test.ts",
  ACTION_DECODE_DEPTH_MAX: "fuzz.test.ts",
  ACTION_LIST_BYTES_MAX: "bad-input.test.ts",
  ACTION_BYTES_MAX: "bad-input.test.ts",
  OFP_MSG_BYTES_MAX: "bad-input.test.ts",
  PRINT_DEPTH_MAX: "fuzz.test.ts",
  FTP_MSG_MAX: "frame-fuzz.ts",
  GENEVE_OPTS_BYTES_MAX: "frame-fuzz.ts",
  GENEVE_SCAN_BYTES_MAX: "fuzz.test.ts",
  BATCH_PACKETS_MAX: "conntrack.test.ts",
  NSH_CTX_BYTES_MAX: "fuzz.test.ts",
  TABLE_NAME_MAX: "fuzz.test.ts",
  BUNDLE_MEMBERS_MAX: "fuzz.test.ts",
  HEADER_BYTES_MAX: "file.test.ts",
  SHARED_DATUMS_MAX: "a million rows are too many for a test; later numbers are not shared",
  TLV_WALK_DEPTH_MAX: "fuzz.test.ts",
  FLATTEN_DEPTH_MAX: "fuzz.test.ts",
  ACTION_KEY_DEPTH_MAX: "deeper than what a parser lets in",
  RECIRC_STATES_MAX: "a million states are too many for a test; a miss then freezes nothing",
  CONN_QUEUE_MAX: "a million messages are too many for a test; later ones are counted as lost",
  BUNDLE_MESSAGES_MAX: "ten million messages are too many for a test",
  RUN_PACKETS_MAX: "ends a loop of devices; the next turn goes on",
  SETTLE_ROUNDS_MAX: "ends a turn of the main loop; the next goes on",
  TURNS_MAX: "ends a turn of the main loop; the next goes on",
  CATCH_UP_TURNS_MAX: "ends a turn of the main loop; the next goes on",
  MONITOR_RUNS_MAX: "ends a turn of the main loop; the next goes on",
  WARP_STEPS_MAX: "a million steps of the clock are too many for a test",
  TRACE_RECIRCS_MAX: "a trace recirculates as often as its tables freeze, which are fewer",
  ITER_HASH_TRIES_MAX: "the loop ends at the first live bucket; this is only a guard",
  DP_PORTS_MAX: "65535 ports are too many for a test",
  AUTO_PORT_MAX: "numbers go round, see ports.test.ts",
  DUMP_ACTION_TEXTS_MAX: "a memory of texts, which starts over",
  KEY_POOL_MAX: "a pool of arrays; more are made when it is empty",
  MONITOR_BURST_MAX: "100000 messages at once are too many for a test",
  RECORDED_PACKETS_MAX: "what a recording keeps, and a default",
  BAD_LINES_SHOWN_MAX: "how many notes are shown",
  HINT_WORD_MAX: "words that a hint is looked for",
  CAPTURES_MAX: "as many files as the machine opens at once",
  INPUT_FILES_MAX: "as many files are too many for a test",
  INPUT_DEPTH_MAX: "as many directories are too many for a test",
  INPUT_FILE_BYTES_MAX: "a gigabyte is too much for a test",
  ARCHIVE_BYTES_MAX: "four gigabytes are too much for a test",
  PATH_MEGAFLOWS_MAX: "a report is cut there and says so",
  PATH_CLASSES_MAX: "a report is cut there and says so",
  PATH_NODES_MAX: "a report is cut there and says so",
  PATH_STEPS_MAX: "a report is cut there and says so",
  REPLAY_LISTED_MAX: "a report is cut there and says so",
  REVALIDATE_AT_ONCE_MAX: "a replay does the rest a moment later",
  SILENT_TURNS_MAX: "a long silence of a capture is passed over",
  BPDU_DEPTH_MAX: "trees-limits.test.ts",
  BPDU_CASCADE_MAX: "counted as bpdu_too_deep",
  CFM_REMOTES_MAX: "more maintenance points than a fault needs",
  DUMMY_QUEUES_MAX: "queues of a dummy device, of which one is used",
  STP_PORTS_MAX: "trees-limits.test.ts",
  RSTP_PORTS_MAX: "a port number of twelve bits",
  RSTP_ROUNDS_MAX: "state machines come to rest before",
  RSTP_WAITING_MAX: "trees-limits.test.ts",
  OFPP11_MAX: "a number of the protocol",
  U64_MAX: "a number of the protocol",
  U32_MAX: "a number of the protocol",
  VERSION_MAX: "a number that stands for no end",
  CLS_TRIES_MAX: "as many prefix fields as a table may have",
  GUIDE_CLASSES_MAX: "a subtable in no class is looked into, with the same answer",
  TRIE_BITS_MAX: "bits of an address",
  NEIGHBOUR_AGING_MAX_S: "what tnl/neigh/aging takes",
};

function files(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((e) =>
    e.isDirectory() ? files(join(dir, e.name)) : [join(dir, e.name)],
  );
}

describe("limits", () => {
  for (const [name, tryIt] of Object.entries(TRIED)) {
    it(name, tryIt);
  }

  it("that are exported are all tried, or it is said why not", () => {
    const tests = files("test").map((f) => f.split("/").at(-1));
    const names = files("src")
      .filter((f) => f.endsWith(".ts"))
      .flatMap((f) => [
        ...readFileSync(f, "utf8").matchAll(/^export const ([A-Z0-9_]+_MAX(?:_[A-Z]+)?)\b/gm),
      ])
      .map((m) => m[1] ?? "");
    expect(names.filter((n) => !(n in TRIED) && !(n in ELSEWHERE))).toEqual([]);
    const elsewhere = Object.values(ELSEWHERE).filter((why) => why.endsWith(".ts"));
    expect(elsewhere.filter((why) => !why.includes(" ") && !tests.includes(why))).toEqual([]);
  });
});

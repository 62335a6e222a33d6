// Flows as text: keys of each command, errors, lines of dumps, and the fast reader of dumps.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MaskPool } from "../../src/flow/mask-pool.ts";
import { P } from "../../src/flow/of-version.ts";
import { ManualClock } from "../../src/lib/env.ts";
import { Vlog } from "../../src/lib/vlog.ts";
import { DECODE_LOG_BURST, decodeLog } from "../../src/openflow/conn-log.ts";
import { DumpReader } from "../../src/openflow/dump-reader.ts";
import { formatFlowStats } from "../../src/openflow/flow-stats-text.ts";
import {
  COMMAND_IN_TEXT,
  COMMAND_NONE,
  parseFlow,
  parseFlowFile,
  parseFlowMod,
  parseFlowStatsRequest,
} from "../../src/openflow/flow-text.ts";
import { NO_CONTEXT } from "../../src/openflow/match-parse.ts";
import { formatMatch } from "../../src/openflow/match-text.ts";
import { NameTable } from "../../src/openflow/messages/names.ts";
import { type FlowMod, OFPFC, U64_MAX } from "../../src/openflow/messages/types-flow.ts";
import { FLOW_FLAG } from "../../src/openflow/rule.ts";
import { damaged, matchText, seeded } from "../arbitraries/matches.ts";

function good(text: string, command: number = OFPFC.ADD): FlowMod {
  const r = parseFlow(text, command, NO_CONTEXT);
  if (!r.ok) {
    throw new Error(r.error.message);
  }
  return r.value.fm;
}

function bad(text: string, command: number = OFPFC.ADD): string {
  const r = parseFlow(text, command, NO_CONTEXT);
  return r.ok ? "" : r.error.message;
}

describe("keys of a flow", () => {
  it("are all read", () => {
    const fm = good(
      "table=3,priority=7,cookie=0x1f,idle_timeout=5,hard_timeout=0x10,importance=9," +
        "send_flow_rem,check_overlap,reset_counts,no_packet_counts,no_byte_counts,ip actions=drop",
    );
    expect(fm).toMatchObject({ tableId: 3, priority: 7, newCookie: 31n, idleTimeoutS: 5 });
    expect(fm).toMatchObject({ hardTimeoutS: 16, importance: 9, modifyCookie: true });
    expect(fm.flags).toBe(
      FLOW_FLAG.SEND_FLOW_REM |
        FLOW_FLAG.CHECK_OVERLAP |
        FLOW_FLAG.RESET_COUNTS |
        FLOW_FLAG.NO_PKT_COUNTS |
        FLOW_FLAG.NO_BYT_COUNTS,
    );
  });

  it("depend on the command", () => {
    expect(good("out_port=2,out_group=3,cookie=1/-1", OFPFC.DELETE)).toMatchObject({
      outPort: 2,
      outGroup: 3,
      cookie: 1n,
      cookieMask: U64_MAX,
    });
    expect(bad("out_port=2,actions=drop")).toBe("unknown keyword out_port");
    expect(bad("priority=2", OFPFC.DELETE)).toBe("unknown keyword priority");
    expect(bad("priority=2", OFPFC.DELETE_STRICT)).toBe("");
    expect(bad("importance=2,actions=drop", OFPFC.MODIFY)).toBe("unknown keyword importance");
    expect(bad("cookie=1/1,actions=drop")).toBe("flow additions cannot use a cookie mask");
    expect(bad("cookie=1", OFPFC.DELETE)).toBe(
      "cannot set cookie (to match on a cookie, specify a mask, e.g. cookie=1/-1)",
    );
    expect(bad("ip", OFPFC.MODIFY)).toBe("must specify an action");
    expect(good("ip,actions=drop", OFPFC.MODIFY).newCookie).toBe(0n);
    expect(good("cookie=5/5,actions=drop", OFPFC.MODIFY).newCookie).toBe(U64_MAX);
  });

  it("may begin with a command", () => {
    const command = (text: string) => good(text, COMMAND_IN_TEXT).command;
    expect(command("add ip actions=drop")).toBe(OFPFC.ADD);
    expect(command("delete ip")).toBe(OFPFC.DELETE);
    expect(command(" delete_strict priority=1")).toBe(OFPFC.DELETE_STRICT);
    expect(command("modify_s ip actions=drop")).toBe(OFPFC.MODIFY_STRICT);
    expect(command("ip actions=drop")).toBe(OFPFC.ADD);
  });

  it("are refused with Open vSwitch's words", () => {
    expect(bad("table=foo,actions=drop")).toBe('unknown table "foo"');
    expect(bad("priority=65536,actions=drop")).toBe('invalid priority "65536"');
    expect(bad("table=,actions=drop")).toBe("field table missing value");
    expect(bad("bar=1,actions=drop")).toBe("unknown keyword bar");
    expect(bad("cookie=x,actions=drop")).toBe("invalid numeric format x");
    expect(bad("out_port=foo", OFPFC.DELETE)).toBe("foo is not a valid OpenFlow port");
    expect(bad("tun_ttl=5,actions=drop")).toBe(
      "actions are invalid with specified match (OFPBAC_MATCH_INCONSISTENT)",
    );
  });

  it("narrow the protocols", () => {
    const usable = (text: string, command: number = OFPFC.ADD) => {
      const r = parseFlow(text, command, NO_CONTEXT);
      return r.ok ? r.value.usable : 0;
    };
    expect(usable("actions=drop")).toBe(P.ANY);
    expect(usable("table=1,actions=drop")).toBe(P.TID);
    expect(usable("reg0=1,actions=drop")).toBe(P.NXM_OXM_ANY);
    expect(usable("tcp6,tp_dst=80,actions=drop")).toBe(P.NXM_OXM_ANY);
    expect(usable("reset_counts,actions=drop")).toBe(P.OF12_UP);
    expect(usable("cookie=1/1", COMMAND_NONE)).toBe(P.NXM_OF11_UP);
    const r = parseFlowStatsRequest("table=1", false, NO_CONTEXT);
    expect(r.ok && r.value.usable).toBe(P.ANY);
  });

  it("may name ports and tables", () => {
    const ports = new NameTable();
    ports.put(7, "eth0");
    ports.put(8, "a-b");
    const tables = new NameTable();
    tables.put(4, "acl");
    const cx = { ports, tables, log: null };
    const r = parseFlow('table=acl,in_port="a-b" actions=output:eth0', OFPFC.ADD, cx);
    expect(r.ok && r.value.fm.tableId).toBe(4);
    expect(r.ok && formatMatch(r.value.fm.match)).toBe("in_port=8");
    expect(r.ok && formatMatch(r.value.fm.match, ports)).toBe('in_port="a-b"');
  });
});

describe("files of flows", () => {
  it("skip comments and tell the line of an error", () => {
    const r = parseFlowFile("f.txt", "# one\nip actions=1\n\nactions=2 # two\n", 0, NO_CONTEXT);
    expect(r.ok && r.value.fms.length).toBe(2);
    const e = parseFlowFile("f.txt", "ip actions=1\n\nip,foo=1 actions=2\n", 0, NO_CONTEXT);
    expect(!e.ok && e.error.message).toBe("f.txt:3: unknown keyword foo");
  });

  it("log what normalisation changes, but not without end", () => {
    const lines: string[] = [];
    const vlog = new Vlog(new ManualClock(0));
    vlog.setLevels("PATTERN:ANY:%c|%p|%m");
    vlog.writeTo((line) => lines.push(line.slice(0, -1)));
    const log = decodeLog(vlog);
    for (let i = 0; i < DECODE_LOG_BURST + 3; i++) {
      parseFlowMod("tp_dst=80 actions=drop", OFPFC.ADD, { ...NO_CONTEXT, log });
    }
    expect(lines.slice(0, 3)).toEqual([
      "ofp_match|INFO|normalization changed ofp_match, details:",
      "ofp_match|INFO| pre: tp_dst=80",
      "ofp_match|INFO|post: ",
    ]);
    expect(lines.length).toBe(3 * DECODE_LOG_BURST);
  });
});

/** Lines as various ovs-ofctl print them. */
const DUMP = [
  "NXST_FLOW reply (xid=0x4):",
  " cookie=0x0, duration=1.234s, table=0, n_packets=5, n_bytes=490, idle_age=1, priority=0 actions=NORMAL",
  "OFPST_FLOW reply (OF1.3) (xid=0x2):",
  " cookie=0xffffffffffffffff, duration=72.3s, table=11, n_packets=0, n_bytes=0, idle_timeout=60, hard_timeout=300, send_flow_rem reset_counts importance=3, priority=90,icmp,metadata=0x2,nw_dst=10.1.0.1,icmp_type=8,icmp_code=0 actions=push:NXM_OF_IP_SRC[],pop:NXM_OF_IP_DST[],resubmit(,12)",
  " table=1,priority=5,tcp6,reg0=0x1/0xff,ipv6_src=fe80::/10,tp_dst=0x50/0xfff0 actions=drop",
  " table=2, ct_state=+trk-new,ip,dl_vlan=5,dl_vlan_pcp=3,nw_src=10.0.0.0/255.0.255.0 actions=ct(commit,zone=3)",
  " dl_src=01:00:00:00:00:00/01:00:00:00:00:00,tun_id=0x5,in_port=65535 actions=output:2",
  ' in_port=LOCAL,vlan_tci=0x0000/0x1fff actions=group:7,output:"eth0"',
  " priority=010,reg1=07,tp_src=(5),ip actions=output:1",
  " tun_metadata0=0x1234/0xffff,conj_id=7 actions=drop",
  " icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1 actions=set_field:fe80::2->nd_target",
  "",
  "# comment",
  " foo=1 actions=drop",
  " ip,nw_src=1.2.3 actions=drop",
  " ip actions=foo",
  " no flow at all",
];

function same(line: string, reader: DumpReader, pool: MaskPool): void {
  const kind = reader.read(line);
  const r = parseFlow(line.replace(/#.*/, ""), OFPFC.ADD, NO_CONTEXT);
  if (kind === "skipped") {
    expect(r.ok, line).toBe(false);
    return;
  }
  expect(kind === "flow", line).toBe(r.ok);
  if (!r.ok) {
    expect(reader.error?.message, line).toBe(r.error.message);
    return;
  }
  const { match, ...fm } = r.value.fm;
  const { match: _, ...mine } = reader.fm;
  expect(mine, line).toEqual(fm);
  expect(reader.draft.usable, line).toBe(r.value.usable);
  const a = pool.pack(match);
  const b = reader.pack(pool);
  expect(a.mask, line).toBe(b.mask);
  expect(a.values, line).toEqual(b.values);
}

describe("the reader of dumps", () => {
  it("reads each line as the flow parser does, twice the same", () => {
    const reader = new DumpReader(NO_CONTEXT);
    const pool = new MaskPool();
    for (const line of [...DUMP, ...DUMP]) {
      same(line, reader, pool);
    }
  });

  it("reads a line in a larger text, and statistics", () => {
    const reader = new DumpReader(NO_CONTEXT);
    const text = DUMP.join("\n");
    const start = text.indexOf(" cookie=0x0");
    expect(reader.read(text, start, text.indexOf("\n", start))).toBe("flow");
    expect(reader.stats).toEqual({
      nPackets: 5,
      nBytes: 490,
      durationS: 1,
      idleAgeS: 1,
      hardAgeS: -1,
    });
    const wrong = text.indexOf(" foo=1");
    expect(reader.read(text, wrong, text.indexOf("\n", wrong))).toBe("error");
    expect(reader.error).toMatchObject({ message: "unknown keyword foo", offset: 1 });
  });

  it("agrees with the flow parser on random and spoiled flows", () => {
    const reader = new DumpReader(NO_CONTEXT);
    const pool = new MaskPool();
    const ACTIONS = ["drop", "output:1", "set_field:5->tcp_dst", "mod_vlan_vid:3,2", "dec_ttl"];
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const r = seeded(seed);
        const text = matchText(r);
        const head = r(4) === 0 ? damaged(r, text).replace(/a(?=ction)/g, "b") : text;
        same(`table=${r(9)},${head} actions=${ACTIONS[r(ACTIONS.length)]}`, reader, pool);
      }),
      { numRuns: 1500 },
    );
  });

  it("reads what a host printed", () => {
    const reader = new DumpReader(NO_CONTEXT);
    const pool = new MaskPool();
    const lines = readFileSync("test/golden/matches.txt", "utf8").split("\n");
    for (const line of lines.filter((l) => l.startsWith("  ") && !l.startsWith("  !"))) {
      same(`${line} actions=drop`, reader, pool);
    }
  });
});

describe("the line of a flow", () => {
  it("shows what differs from the default", () => {
    const fs = {
      ...good("priority=5,ip,in_port=3 actions=output:7"),
      cookie: 0n,
      tableId: 0,
      durationS: 3,
      durationNs: 250_000_000,
      idleAgeS: -1,
      hardAgeS: -1,
      packetCount: 1n,
      byteCount: U64_MAX,
      flags: FLOW_FLAG.SEND_FLOW_REM,
    };
    const none = { ports: null, tables: null };
    expect(formatFlowStats(fs, none, false)).toBe(
      "send_flow_rem priority=5,ip,in_port=3 actions=output:7",
    );
    expect(formatFlowStats(fs, none, true)).toBe(
      "cookie=0x0, duration=3.250s, table=0, n_packets=1, n_bytes=?, " +
        "send_flow_rem priority=5,ip,in_port=3 actions=output:7",
    );
  });
});

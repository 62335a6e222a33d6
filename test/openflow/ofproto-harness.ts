// A bridge's OpenFlow layer without a switch around it, and short ways to talk to it in flow text.

import { ManualClock, SeededRng } from "../../src/lib/env.ts";
import { Vlog } from "../../src/lib/vlog.ts";
import { formatActions } from "../../src/openflow/actions/actions.ts";
import { parseFlow } from "../../src/openflow/flow-text.ts";
import { parseGroupMod } from "../../src/openflow/messages/group-parse.ts";
import { unknownCounters } from "../../src/openflow/messages/port-stats.ts";
import { formatMatch } from "../../src/openflow/match-text.ts";
import { type FlowMod, OFPFC } from "../../src/openflow/messages/types-flow.ts";
import { type GroupMod, OFPGC } from "../../src/openflow/messages/types-group.ts";
import { type BundleEntry, commitBundle } from "../../src/openflow/bundle.ts";
import { flowModInit } from "../../src/openflow/flow-mod.ts";
import { groupMod, groupModOp } from "../../src/openflow/group-mod.ts";
import { Ofproto } from "../../src/openflow/ofproto.ts";
import type { OfprotoProvider } from "../../src/openflow/ofproto-provider.ts";
import { expandRule, requestedRules } from "../../src/openflow/ofproto-stats.ts";
import { OFPG } from "../../src/openflow/messages/names.ts";
import { newMatch } from "../../src/flow/match.ts";
import { OFPP, OFPTT_ALL } from "../../src/flow/ofp-port.ts";

export const NO_TEXT = { ports: null, tables: null, log: null };

/** A provider that can do everything and does nothing. */
export function idleProvider(): OfprotoProvider {
  let meters = 0;
  return {
    needRevalidate: () => {},
    syncStats: () => {},
    ruleCheck: () => null,
    portStats: () => ({ stats: unknownCounters(), custom: [] }),
    setPortUp: () => true,
    portReconfigured: () => {},
    queueStats: () => [],
    queues: () => [],
    packetOut: () => null,
    setFragHandling: () => true,
    ctFlush: () => {},
    meterFeatures: () => ({
      maxMeters: 10,
      bandTypes: 2,
      capabilities: 15,
      maxBands: 8,
      maxColor: 0,
    }),
    meterSet: (id) => (id < 0 ? meters++ : id),
    meterGet: (_id, n) => ({
      packetInCount: 0n,
      byteInCount: 0n,
      bands: Array.from({ length: n }, () => ({ packetCount: 0n, byteCount: 0n })),
    }),
    meterDel: () => {},
    dial: () => "Connection refused",
    listen: () => true,
    nextSocket: () => 0,
    localMac: () => 0,
    ipfixStats: () => null,
    resume: () => "NXR_NOT_SUPPORTED",
  };
}

export interface TestBridge {
  readonly p: Ofproto;
  readonly clock: ManualClock;
  /** Runs `add`, `modify`, `delete`, `modify_strict`, `delete_strict` lines; the error or "". */
  flow(text: string): string;
  group(text: string, command?: number): string;
  /** Flows as short text, in the order of a dump. */
  dump(selection?: Partial<{ cookie: bigint; cookieMask: bigint; tableId: number }>): string[];
}

const COMMANDS: Readonly<Record<string, number>> = {
  add: OFPFC.ADD,
  modify: OFPFC.MODIFY,
  modify_strict: OFPFC.MODIFY_STRICT,
  delete: OFPFC.DELETE,
  delete_strict: OFPFC.DELETE_STRICT,
};

export function flowModOf(text: string): FlowMod {
  const [word = "", ...rest] = text.split(" ");
  const command = COMMANDS[word];
  const body = command === undefined ? text : rest.join(" ");
  const r = parseFlow(body, command ?? OFPFC.ADD, NO_TEXT);
  if (!r.ok) {
    throw new Error(`${text}: ${r.error.message}`);
  }
  return r.value.fm;
}

export function groupModOf(text: string, command: number = OFPGC.ADD): GroupMod {
  const r = parseGroupMod(text, command, { ports: null, tables: null });
  if (!r.ok) {
    throw new Error(`${text}: ${r.error.message}`);
  }
  return r.value.gm;
}

export function testBridge(provider: OfprotoProvider = idleProvider()): TestBridge {
  const clock = new ManualClock(1_000_000);
  const rng = new SeededRng(7);
  const log = new Vlog(clock);
  const p = new Ofproto({ name: "br0", clock, rng, provider, log, swVersion: "3.1.0" });
  return {
    p,
    clock,
    flow: (text) => {
      const error = p.flowMod(flowModOf(text)) ?? "";
      p.removePostponed();
      return error;
    },
    group: (text, command) => {
      const error = groupMod(p, groupModOf(text, command), null) ?? "";
      p.removePostponed();
      return error;
    },
    dump: (selection = {}) => {
      const rules = requestedRules(p, {
        aggregate: false,
        match: newMatch(),
        cookie: 0n,
        cookieMask: 0n,
        outPort: OFPP.ANY,
        outGroup: OFPG.ANY,
        tableId: OFPTT_ALL,
        ...selection,
      });
      if (typeof rules === "string") {
        return [rules];
      }
      return rules.map((rule) => {
        const table = rule.tableId === 0 ? "" : `table=${rule.tableId} `;
        const match = formatMatch(expandRule(p, rule), null, rule.priority);
        const actions = formatActions(rule.actions.actions);
        return `${table}${match === "" ? "" : `${match} `}${actions}`;
      });
    },
  };
}

/** Commits lines as one bundle; groups as `group group_id=...`. */
export function commitBundleOf(
  b: TestBridge,
  lines: readonly string[],
  flags: number,
): string | null {
  const conn = b.p.conns.connect({ version: 5 });
  const entries = lines.map((line): BundleEntry => {
    const common = { msg: new Uint8Array([5, 14, 0, 8, 0, 0, 0, 1]), xid: 1 };
    if (line.startsWith("group ")) {
      return { ...common, kind: "group_mod", op: groupModOp(groupModOf(line.slice(6))) };
    }
    const fm = flowModOf(line);
    const op = flowModInit(b.p, fm, b.p.masks.pack(fm.match));
    if (typeof op === "string") {
      throw new Error(op);
    }
    return { ...common, kind: "flow_mod", op };
  });
  conn.bundles.set(1, {
    id: 1,
    flags,
    openMsg: new Uint8Array(8),
    entries,
    closed: false,
    usedMs: 0,
  });
  const error = commitBundle(conn, 1, flags);
  b.p.removePostponed();
  return error;
}

// ovs-ofctl: replace-flows and diff-flows.
//
// Both put the flows of two sources side by side, keyed by table, match and priority, and then look
// at each pair. Tunnel options have no fixed place in a match, so before flows are compared their
// options are moved to places that all flows share (ovs: utilities/ovs-ofctl.c struct fte_state,
// fte_fill, ofctl_replace_flows, ofctl_diff_flows).

import { Classifier } from "../../datapath/classifier.ts";
import { type ClsRule, newClsRule, VERSION_MIN } from "../../datapath/classifier-rule.ts";
import { FIELDS } from "../../flow/fields.ts";
import { cloneMatch, type Match, newMatch, setTunMetadata, tunMdLocOf } from "../../flow/match.ts";
import { miniMatchOf } from "../../flow/minimatch.ts";
import { type NameMap, OFPP, OFPTT_ALL } from "../../flow/ofp-port.ts";
import { P, type Protocols } from "../../flow/of-version.ts";
import { K } from "../../flow/flow-key.ts";
import { putTunMdTail, readTunMd, TunTable, tunMdPresent } from "../../flow/tun-metadata.ts";
import { actionsEqualAsText, formatActions } from "../../openflow/actions/actions.ts";
import type { FormatContext } from "../../openflow/actions/types.ts";
import type { Action } from "../../openflow/actions/types.ts";
import { parseFlow, stripComment } from "../../openflow/flow-text.ts";
import { formatShownMatch } from "../../openflow/match-text.ts";
import { encodeFlowMod } from "../../openflow/messages/flow-mod.ts";
import { OFPG } from "../../openflow/messages/names.ts";
import { NO_BUFFER, OFPFC } from "../../openflow/messages/types-flow.ts";
import { FLOW_FLAG } from "../../openflow/rule.ts";
import type { Command } from "../command.ts";
import { fetchFlows } from "./ofctl-flows.ts";
import { OfctlExit, ofctlFatal, type Vconn } from "./ofctl-vconn.ts";
import { type OfctlSession, ofctlWriteRow } from "./ofctl-session.ts";

/** What one source says about a flow, besides its match and priority. */
interface FlowVersion {
  readonly cookie: bigint;
  readonly idleTimeoutS: number;
  readonly hardTimeoutS: number;
  readonly importance: number;
  readonly flags: number;
  readonly actions: readonly Action[];
  readonly tableId: number;
}

/** A flow in both sources. */
interface Pair {
  readonly match: Match;
  readonly priority: number;
  readonly versions: [FlowVersion | null, FlowVersion | null];
}

interface Pending {
  readonly match: Match;
  readonly priority: number;
  readonly version: FlowVersion;
  readonly source: 0 | 1;
}

class FlowPairs {
  readonly #pending: Pending[] = [];
  /** Widths of the tunnel options seen, by option number. */
  readonly #optionBytes = new Map<number, number>();

  queue(p: Pending): void {
    this.#pending.push(p);
    for (const [index, bytes] of optionsOf(p.match)) {
      this.#optionBytes.set(index, Math.max(bytes, this.#optionBytes.get(index) ?? 0));
    }
  }

  /** Tables in ascending order, the pairs of each in the order of a classifier. */
  *tables(): Generator<Pair[]> {
    const tab = this.#tunTable();
    const tables = new Map<number, Classifier<Pair>>();
    for (const p of this.#pending) {
      const match = moveOptions(p.match, tab);
      const { tableId } = p.version;
      const cls = tables.get(tableId) ?? new Classifier<Pair>();
      tables.set(tableId, cls);
      insertPair(cls, match, p);
    }
    for (const id of [...tables.keys()].sort((a, b) => a - b)) {
      const cls = tables.get(id) as Classifier<Pair>;
      yield [...cls.rules(null, VERSION_MIN)].map((cr) => cr.data);
    }
  }

  /** A map with every option that occurs; which class and type they have does not matter. */
  #tunTable(): TunTable {
    const mappings = [...this.#optionBytes].map(([index, bytes]) => ({
      optionClass: Math.floor(index / 255),
      optionType: index,
      optionBytes: Math.ceil(bytes / 4) * 4,
      index,
    }));
    const tab = new TunTable().withAdded(mappings.sort((a, b) => a.index - b.index));
    return "error" in tab ? ofctlFatal("too many tunnel options") : tab;
  }
}

function insertPair(cls: Classifier<Pair>, match: Match, p: Pending): void {
  const mini = miniMatchOf(match.flow, match.wc);
  const old = cls.findExactly(mini, p.priority, VERSION_MIN);
  const versions: Pair["versions"] = [null, null];
  versions[p.source] = p.version;
  if (old !== null) {
    const other = p.source === 0 ? 1 : 0;
    versions[other] = old.data.versions[other];
  }
  const pair: Pair = { match, priority: p.priority, versions };
  const rule: ClsRule<Pair> = newClsRule(mini, p.priority, pair);
  // A displaced rule's place goes to the new one, as classifier_replace() has it.
  cls.replace(rule, VERSION_MIN);
}

/** The tunnel options that a match has laid out by itself: number and bytes. */
function optionsOf(m: Match): [number, number][] {
  if (m.tunMd === null) {
    return [];
  }
  return [...m.tunMd.entries.keys()]
    .filter((index) => tunMdPresent(m.wc, index))
    .map((index) => [index, tunMdLocOf(m, index)?.loc.bytes ?? 0]);
}

/** The same match with its options at the places that a map gives. */
function moveOptions(m: Match, tab: TunTable): Match {
  if (m.tunMd === null) {
    return m;
  }
  const moved = cloneMatch(m);
  moved.tab = tab;
  moved.tunMd = null;
  for (const slot of [K.tun_md_present, K.tun_md_opts]) {
    moved.flow.fill(0, slot.word, slot.word + slot.words);
    moved.wc.fill(0, slot.word, slot.word + slot.words);
  }
  for (const [index] of optionsOf(m)) {
    const place = tunMdLocOf(m, index);
    const field = FIELDS.find((f) => f.tunMetadata === index);
    if (place === null || field === undefined) {
      continue;
    }
    const value = new Uint32Array(field.words);
    const mask = new Uint32Array(field.words).fill(place.masked ? 0 : 0xffffffff);
    putTunMdTail(value, readTunMd(m.flow, place.loc));
    if (place.masked) {
      putTunMdTail(mask, readTunMd(m.wc, place.loc));
    }
    setTunMetadata(field, value, place.masked ? mask : null, moved);
  }
  return moved;
}

function sameVersion(a: FlowVersion, b: FlowVersion): boolean {
  return (
    a.cookie === b.cookie &&
    a.idleTimeoutS === b.idleTimeoutS &&
    a.hardTimeoutS === b.hardTimeoutS &&
    a.importance === b.importance &&
    a.tableId === b.tableId &&
    // Forms that differ on the wire but print alike are the same.
    actionsEqualAsText(a.actions, b.actions)
  );
}

function formatVersion(pair: Pair, which: 0 | 1, cx: FormatContext): string {
  const v = pair.versions[which];
  if (v === null) {
    return "";
  }
  const parts = [
    v.tableId === 0 ? "" : `table=${v.tableId} `,
    formatShownMatch(pair.match, cx, pair.priority),
    v.cookie === 0n ? "" : ` cookie=0x${v.cookie.toString(16)}`,
    v.idleTimeoutS === 0 ? "" : ` idle_timeout=${v.idleTimeoutS}`,
    v.hardTimeoutS === 0 ? "" : ` hard_timeout=${v.hardTimeoutS}`,
    v.importance === 0 ? "" : ` importance=${v.importance}`,
    ` actions=${formatActions(v.actions, cx)}\n`,
  ];
  return parts.join("");
}

/** Answers in which protocols the flows can be sent. */
function readFile(
  s: OfctlSession,
  pairs: FlowPairs,
  file: string,
  { names, source }: { names: { ports: NameMap | null; tables: NameMap | null }; source: 0 | 1 },
): Protocols {
  const text = s.readFile(file, (why) => `${file}: open (${why})`);
  let usable: Protocols = P.ANY;
  text.split("\n").forEach((raw, i) => {
    const line = stripComment(raw);
    if (line === undefined) {
      return;
    }
    const r = parseFlow(line, OFPFC.ADD, { ...names, log: s.logSink });
    if (!r.ok) {
      ofctlFatal(`${file}:${i + 1}: ${r.error.message}`);
    }
    const { fm } = r.value;
    usable &= r.value.usable;
    const version = {
      cookie: fm.newCookie,
      idleTimeoutS: fm.idleTimeoutS,
      hardTimeoutS: fm.hardTimeoutS,
      importance: fm.importance,
      flags: fm.flags & (FLOW_FLAG.SEND_FLOW_REM | FLOW_FLAG.EMERG),
      actions: fm.actions,
      tableId: fm.tableId === OFPTT_ALL ? 0 : fm.tableId,
    };
    pairs.queue({ match: fm.match, priority: fm.priority, version, source });
  });
  return usable;
}

function readSwitch(
  s: OfctlSession,
  pairs: FlowPairs,
  v: Vconn,
  { protocol, source }: { protocol: Protocols; source: 0 | 1 },
): void {
  const request = {
    aggregate: false,
    match: newMatch(),
    cookie: 0n,
    cookieMask: 0n,
    outPort: OFPP.ANY,
    outGroup: OFPG.ANY,
    tableId: OFPTT_ALL,
  };
  for (const { match, priority, ...fs } of fetchFlows(s, v, request, protocol)) {
    const { cookie, idleTimeoutS, hardTimeoutS, importance, actions, tableId } = fs;
    const version = {
      cookie,
      idleTimeoutS,
      hardTimeoutS,
      importance,
      flags: 0,
      actions,
      tableId,
    };
    pairs.queue({ match, priority, version, source });
  }
}

const FILE = 0;
const SWITCH = 1;

function flowModOf(pair: Pair, which: 0 | 1, command: number, v: Vconn): Uint8Array {
  const version = pair.versions[which] as FlowVersion;
  const fm = {
    match: pair.match,
    priority: pair.priority,
    cookieMask: 0n,
    cookie: 0n,
    newCookie: version.cookie,
    modifyCookie: true,
    tableId: version.tableId,
    command,
    idleTimeoutS: version.idleTimeoutS,
    hardTimeoutS: version.hardTimeoutS,
    bufferId: NO_BUFFER,
    outPort: OFPP.ANY,
    outGroup: OFPG.ANY,
    flags: version.flags,
    importance: version.importance,
    actions: command === OFPFC.ADD ? version.actions : [],
  };
  return encodeFlowMod(fm, v.protocol, v.nextXid());
}

function replaceFlows(s: OfctlSession, name: string, file: string): void {
  const pairs = new FlowPairs();
  const { ports, tables } = s.accept(name);
  const usable = readFile(s, pairs, file, { names: { ports, tables }, source: FILE });
  const v = s.open(name);
  const protocol = s.setProtocolForDump(v, usable);
  readSwitch(s, pairs, v, { protocol, source: SWITCH });
  const requests: Uint8Array[] = [];
  for (const table of pairs.tables()) {
    for (const pair of table) {
      if (pair.versions[SWITCH] !== null && pair.versions[FILE] === null) {
        requests.push(flowModOf(pair, SWITCH, OFPFC.DELETE_STRICT, v));
      }
    }
    for (const pair of table) {
      const [wanted, there] = pair.versions;
      if (wanted !== null && (s.options.readd || there === null || !sameVersion(there, wanted))) {
        requests.push(flowModOf(pair, FILE, OFPFC.ADD, v));
      }
    }
  }
  if (s.options.bundle) {
    s.transactBundle(v, requests);
  } else {
    for (const request of requests) {
      s.transactNoreply(v, request);
    }
  }
  v.close();
}

/** Reads a file, or else a switch; answers the port names to print with. */
function readSource(
  s: OfctlSession,
  pairs: FlowPairs,
  name: string,
  source: 0 | 1,
  ports: NameMap | null,
): NameMap | null {
  const isFile = /^[./]/.test(name) || (!name.includes(":") && s.ctx.vs.fs.exists(name));
  if (isFile) {
    readFile(s, pairs, name, { names: { ports, tables: null }, source });
    return ports;
  }
  const v = s.open(name);
  const protocol = s.setProtocolForDump(v, P.ANY);
  readSwitch(s, pairs, v, { protocol, source });
  v.close();
  return ports ?? s.shown(name).ports;
}

function diffFlows(s: OfctlSession, first: string, second: string): void {
  const pairs = new FlowPairs();
  let ports = readSource(s, pairs, first, 0, null);
  ports = readSource(s, pairs, second, 1, ports);
  const cx = s.inColour(ports, null);
  let differences = false;
  for (const table of pairs.tables()) {
    for (const pair of table) {
      const [a, b] = pair.versions;
      if (a !== null && b !== null && sameVersion(a, b)) {
        continue;
      }
      differences = true;
      const before = formatVersion(pair, 0, cx);
      const after = formatVersion(pair, 1, cx);
      s.print(before === "" ? "" : `-${before}`);
      s.print(after === "" ? "" : `+${after}`);
    }
  }
  if (differences) {
    throw new OfctlExit(2, "");
  }
}

export const OFCTL_DIFF_COMMANDS: readonly Command[] = [
  ofctlWriteRow(
    "replace-flows",
    "switch file",
    [2, 2],
    "Makes a switch's flows those of a file, touching only what differs.",
    (s, argv) => replaceFlows(s, argv[1] ?? "", argv[2] ?? ""),
  ),
  ofctlWriteRow(
    "diff-flows",
    "source1 source2",
    [2, 2],
    "Prints how the flows of two sources, each a file or a switch, differ.",
    (s, argv) => diffFlows(s, argv[1] ?? "", argv[2] ?? ""),
  ),
];

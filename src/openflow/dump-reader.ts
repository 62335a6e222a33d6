// DumpReader: flows from the output of `ovs-ofctl dump-flows`, fast.
//
// A host's dump has hundreds of thousands of lines that say much the same: a few masks, a few dozen
// kinds of actions. So a line is scanned once, straight into one reused match; what is rare goes
// through the parser of flow-text.ts. Masks are shared (MaskPool), and so are actions: equal texts
// that were checked against matches with the same prerequisites become one list.
//
// It reads what any ovs-ofctl since 2.8 prints, with or without statistics and names, and the flow
// files of `ovs-save`. Headers of replies, comments and blank lines are skipped. A line that is wrong
// is told with its error, and the next one is read as if nothing had been.
//
// Invariant: a line gives what parseFlow(line, OFPFC.ADD) gives, plus the statistics.

import { FIELDS, type Field } from "../flow/fields.ts";
import { VLAN } from "../flow/flow-is.ts";
import { get, K } from "../flow/flow-key.ts";
import type { MaskPool } from "../flow/mask-pool.ts";
import { addEthernetPrereq, type Match, newMatch } from "../flow/match.ts";
import type { MiniMatch } from "../flow/minimatch.ts";
import { P, type Protocols } from "../flow/of-version.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import type { ParseError } from "../lib/errors.ts";
import { KeyValueScan } from "../lib/scan.ts";
import type { Action } from "./actions/types.ts";
import { fastReader, isSeparator, LineCursor, NOT_FAST } from "./dump-fields.ts";
import {
  type FlowDraft,
  finishMatch,
  keysOf,
  newFlowMod,
  readActions,
  readFlowKeyValue,
  resetFlowMod,
} from "./flow-text.ts";
import { matchKeyword, PROTOCOL_KEYWORDS, type TextContext } from "./match-parse.ts";
import { type FlowMod, OFPFC } from "./messages/types-flow.ts";

/** Different action texts that are remembered; beyond it those not used lately are forgotten. */
export const DUMP_ACTION_TEXTS_MAX = 20_000;

/** What a dump says of a flow besides the flow mod. One record is reused for all lines. */
export interface DumpStats {
  nPackets: number;
  nBytes: number;
  durationS: number;
  /** -1 if the dump does not say. */
  idleAgeS: number;
  hardAgeS: number;
}

/** What became of a line. */
export type DumpLine = "flow" | "skipped" | "error";

/** Reads `pos`..`end` of the cursor's line; the result is false if the general parser has to. */
type KeyReader = (r: DumpReader, c: LineCursor) => boolean;

/** The list of an action text that was checked with one kind of match, and those with others. */
interface Checked {
  readonly sig: Signature;
  readonly actions: readonly Action[];
  readonly usable: Protocols;
  readonly next: Checked | undefined;
}

export class DumpReader {
  readonly stats: DumpStats = { nPackets: 0, nBytes: 0, durationS: 0, idleAgeS: -1, hardAgeS: -1 };
  /** The flow of the last line; its `match` is overwritten by the next one. */
  readonly fm: FlowMod;
  /** Why the last line was an error. */
  error: ParseError | null = null;
  readonly draft: FlowDraft;
  readonly #cx: TextContext;
  readonly #match: Match;
  readonly #cursor = new LineCursor();
  /** By text: one for each kind of match that it was checked with. */
  #actions = new Map<string, Checked>();
  #remembered = 0;
  /** What #actions was when it was full; texts that come again go back. */
  #older = new Map<string, Checked>();
  /** Where the current line starts in its text. */
  #start = 0;

  constructor(cx: TextContext, tab: TunTable | null = null) {
    this.#cx = cx;
    this.#match = newMatch(tab);
    this.fm = newFlowMod(OFPFC.ADD, this.#match);
    this.draft = { fm: this.fm, match: this.#match, keys: keysOf(OFPFC.ADD), usable: P.ANY };
  }

  /** The last flow's match in its sparse form, the mask shared with others of the pool. */
  pack(masks: MaskPool): MiniMatch {
    return masks.pack(this.#match);
  }

  /** Reads one line, without its end of line: all of `text` or the part of it that is given. */
  read(text: string, start = 0, end: number = text.length): DumpLine {
    // A slice bounds the searches; the scanner below reads the text itself, which is faster.
    const slice = text.slice(start, end);
    const hash = slice.indexOf("#");
    const line = hash < 0 ? slice : slice.slice(0, hash);
    const at = line.indexOf("action");
    const eq = at < 0 ? -1 : line.indexOf("=", at + 1);
    if (eq < 0) {
      return this.#noActions(line);
    }
    this.#reset();
    this.#start = start;
    if (!this.#head(text, start, start + at)) {
      return "error";
    }
    finishMatch(this.draft);
    return this.#tail(line.slice(eq + 1), eq + 1) ? "flow" : "error";
  }

  /** A blank line, the header of a reply, or something that is no flow. */
  #noActions(text: string): DumpLine {
    if (/^[ \t\r\n]*$/.test(text) || /^\s*\w+ reply \(/.test(text)) {
      return "skipped";
    }
    this.error = { message: "must specify an action", text, offset: text.length };
    return "error";
  }

  #reset(): void {
    const m = this.#match;
    m.flow.fill(0);
    m.wc.fill(0);
    m.tunMd = null;
    this.draft.usable = P.ANY;
    this.error = null;
    resetFlowMod(this.fm);
    const s = this.stats;
    s.nPackets = 0;
    s.nBytes = 0;
    s.durationS = 0;
    s.idleAgeS = -1;
    s.hardAgeS = -1;
  }

  /** The keys in front of the actions, which begin at `end`. */
  #head(text: string, from: number, end: number): boolean {
    const c = this.#cursor;
    c.text = text;
    c.end = end;
    let i = from;
    for (;;) {
      while (i < end && isSeparator(text.charCodeAt(i))) {
        i++;
      }
      if (i >= end) {
        return true;
      }
      const start = i;
      let hash = 0;
      let code = text.charCodeAt(i);
      while (i < end && !isKeyEnd(code)) {
        hash = hashStep(hash, code);
        code = text.charCodeAt(++i);
      }
      const reader = KEY_READERS.find(hash, text, start, i);
      // A reader sees the value, or for a word without value the end of it.
      c.pos = i < end && code === EQUALS ? i + 1 : i;
      c.hasValue = c.pos > i;
      if (reader?.(this, c) === true) {
        i = c.pos;
        continue;
      }
      i = this.#general(text, start, end);
      if (i < 0) {
        return false;
      }
    }
  }

  /** Reads one key with the parser of flow-text.ts; the result is where it ended, or -1. */
  #general(text: string, start: number, end: number): number {
    const scan = new KeyValueScan(text.slice(start, end));
    const kv = scan.next();
    if (kv === undefined) {
      return end;
    }
    const error = readFlowKeyValue(this.draft, kv, this.#cx);
    if (error !== null) {
      this.error = { message: error, text: kv.key, offset: start + kv.keyOfs - this.#start };
      return -1;
    }
    return start + scan.pos;
  }

  #tail(raw: string, at: number): boolean {
    const sig = signature(this.#match, this.fm.tableId);
    const known = sig === null ? undefined : this.#known(raw, sig);
    if (known !== undefined && (known.usable & this.draft.usable) !== 0) {
      this.fm.actions = known.actions;
      this.draft.usable &= known.usable;
      return true;
    }
    const before = this.draft.usable;
    // Only what the actions themselves allow is remembered, so they are checked on their own.
    this.draft.usable = P.ANY;
    let error = readActions(this.draft, raw, this.#cx);
    const own = this.draft.usable;
    this.draft.usable = own & before;
    if (error === null && this.draft.usable === 0) {
      error = "actions are invalid with specified match (OFPBAC_MATCH_INCONSISTENT)";
    }
    if (error !== null) {
      this.error = { message: error, text: raw, offset: at };
      return false;
    }
    // A copy has room for just its elements, unlike what was built one by one.
    this.fm.actions = this.fm.actions.slice();
    if (sig !== null) {
      this.#remember(raw, sig, own);
    }
    return true;
  }

  #known(raw: string, sig: Signature): Checked | undefined {
    let c = this.#list(raw);
    while (c !== undefined && c.sig !== sig) {
      c = c.next;
    }
    return c;
  }

  /** All that is remembered of a text. */
  #list(raw: string): Checked | undefined {
    const list = this.#actions.get(raw);
    if (list !== undefined) {
      return list;
    }
    const old = this.#older.get(raw);
    if (old !== undefined) {
      this.#put(raw, old);
    }
    return old;
  }

  #remember(raw: string, sig: Signature, usable: Protocols): void {
    this.#put(raw, { sig, actions: this.fm.actions, usable, next: this.#list(raw) });
  }

  #put(raw: string, list: Checked): void {
    if (this.#remembered >= DUMP_ACTION_TEXTS_MAX / 2) {
      this.#older = this.#actions;
      this.#actions = new Map();
      this.#remembered = 0;
    }
    this.#remembered++;
    // A slice would keep the whole dump alive.
    this.#actions.set(` ${raw}`.slice(1), list);
  }
}

const EQUALS = 61;

function isKeyEnd(c: number): boolean {
  return c === 58 || c === EQUALS || c === 40 || isSeparator(c);
}

const PROTO_ICMPV6 = 58;

/** Equal for matches that a check of actions cannot tell apart. */
type Signature = number | string;

/**
 * All of a match that the check of actions looks at: Ethertype, protocol, tag, fragment, connection
 * state, table; for ICMPv6 also type and code. Null if it looks at more. A number where it fits.
 */
function signature(m: Match, tableId: number): Signature | null {
  const { flow, wc } = m;
  if (flow[K.packet_type.word] !== 0) {
    return null;
  }
  const proto = get(flow, K.nw_proto);
  const tag = (get(flow, K.vlan_tci) & VLAN.CFI) | ((get(wc, K.vlan_tci) & VLAN.CFI) << 1);
  const low = get(flow, K.dl_type) | (proto << 16) | ((tag >>> 12) << 24);
  const high = get(flow, K.ct_state) | (get(wc, K.ct_state) << 8) | ((tableId & 0xff) << 16);
  // nw_frag has two bits: `low` stays below 2^28, the sum below 2^52.
  const n = low + (get(flow, K.nw_frag) & 3) * 0x4000000 + high * 0x10000000;
  return proto === PROTO_ICMPV6 ? `${n}/${get(flow, K.tp_src)}/${get(flow, K.tp_dst)}` : n;
}

function fieldReader(field: Field): KeyReader | undefined {
  const read = fastReader(field);
  if (read === undefined) {
    return undefined;
  }
  return (r, c) => {
    const protocols = c.hasValue ? read(field, c, r.draft.match) : NOT_FAST;
    if (protocols === NOT_FAST) {
      return false;
    }
    r.draft.usable &= protocols;
    addEthernetPrereq(r.draft.match, field);
    return true;
  };
}

/** A plain decimal for a member of the flow mod. */
function u16Reader(member: "priority" | "idleTimeoutS" | "hardTimeoutS" | "importance"): KeyReader {
  return (r, c) => {
    if (!c.hasValue || !c.decimal() || !c.atEnd() || c.value > 0xffff) {
      return false;
    }
    r.fm[member] = c.value;
    return true;
  };
}

/** A statistic: a number, perhaps with a fraction and a unit. */
function statReader(member: keyof DumpStats): KeyReader {
  return (r, c) => {
    if (!c.hasValue || c.atEnd() || !c.decimal()) {
      return false;
    }
    r.stats[member] = c.value;
    c.plainToEnd();
    return c.atEnd();
  };
}

function readTable(r: DumpReader, c: LineCursor): boolean {
  if (!c.hasValue || !c.decimal() || !c.atEnd() || c.value >= 255) {
    return false;
  }
  r.fm.tableId = c.value;
  r.draft.usable &= P.TID;
  return true;
}

/** Hex cookies of up to 53 bits, which are nearly all. */
function readCookie(r: DumpReader, c: LineCursor): boolean {
  if (!c.hasValue || !c.hex() || !c.atEnd()) {
    return false;
  }
  r.fm.newCookie = c.hi === 0 ? BigInt(c.value) : (BigInt(c.hi) << 32n) | BigInt(c.value);
  r.fm.modifyCookie = true;
  return true;
}

function makeKeyReaders(): Map<string, KeyReader> {
  const readers = new Map<string, KeyReader>([
    ["cookie", readCookie],
    ["table", readTable],
    ["priority", u16Reader("priority")],
    ["idle_timeout", u16Reader("idleTimeoutS")],
    ["hard_timeout", u16Reader("hardTimeoutS")],
    ["importance", u16Reader("importance")],
    ["n_packets", statReader("nPackets")],
    ["n_bytes", statReader("nBytes")],
    ["duration", statReader("durationS")],
    ["idle_age", statReader("idleAgeS")],
    ["hard_age", statReader("hardAgeS")],
  ]);
  for (const [word, p] of PROTOCOL_KEYWORDS) {
    readers.set(word, (r, c) => {
      if (c.hasValue || !c.atEnd()) {
        return false;
      }
      matchKeyword(r.draft.match, p);
      return true;
    });
  }
  for (const field of FIELDS) {
    const reader = fieldReader(field);
    if (reader !== undefined) {
      readers.set(field.name, reader);
      if (field.aka !== "") {
        readers.set(field.aka, reader);
      }
    }
  }
  return readers;
}

/** Slots of the table of keys: a power of two well above their number. */
const KEY_SLOTS = 4096;

function hashStep(hash: number, code: number): number {
  return (Math.imul(hash, 31) + code) & (KEY_SLOTS - 1);
}

/** The readers by key, found without cutting the key out of its line. */
class KeyTable {
  readonly #slots: ({ readonly key: string; readonly reader: KeyReader }[] | undefined)[];

  constructor(readers: ReadonlyMap<string, KeyReader>) {
    this.#slots = Array.from({ length: KEY_SLOTS }, () => undefined);
    for (const [key, reader] of readers) {
      let hash = 0;
      for (let i = 0; i < key.length; i++) {
        hash = hashStep(hash, key.charCodeAt(i));
      }
      const list = this.#slots[hash];
      if (list === undefined) {
        this.#slots[hash] = [{ key, reader }];
      } else {
        list.push({ key, reader });
      }
    }
  }

  find(hash: number, text: string, start: number, end: number): KeyReader | undefined {
    const list = this.#slots[hash];
    if (list === undefined) {
      return undefined;
    }
    for (const { key, reader } of list) {
      if (key.length === end - start && text.startsWith(key, start)) {
        return reader;
      }
    }
    return undefined;
  }
}

const KEY_READERS = new KeyTable(makeKeyReaders());

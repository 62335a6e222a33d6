// Conntrack equals a naive list of connections: zones, limits of zones and of all, timeouts, forced
// commits, translation to one address or to one address and port.
//
// The list knows UDP and ICMP queries. Translations that would have to choose among ports are left
// out, since the choice is random.
import fc from "fast-check";
import { expect, it } from "vitest";
import { CT_CONNS_MAX, Conntrack } from "../../src/datapath/conntrack.ts";
import { parseOdpActions } from "../../src/datapath/odp-text-parse-actions.ts";
import { PacketBatch } from "../../src/datapath/packet-batch.ts";
import { flowCompose } from "../../src/flow/compose.ts";
import { extract } from "../../src/flow/extract.ts";
import { CT_STATE_NAMES, formatFlags } from "../../src/flow/flag-text.ts";
import { get, K, newKey } from "../../src/flow/flow-key.ts";
import { formatIpv4 } from "../../src/lib/address.ts";
import { SeededRng } from "../../src/lib/env.ts";
import { PacketBuf } from "../../src/packet/packet.ts";
import { keyWith, packetOf } from "../arbitraries/frames.ts";
import { wrongSums } from "../arbitraries/layers.ts";

const [UDP, ICMP] = [17, 1];
const HOST = 0x0a000001;
const NAT_IP = 0x0a090909;
const FIRST_MS = { [UDP]: 60_000, [ICMP]: 60_000 } as Record<number, number>;
const BOTH_MS = 30_000;

interface Tuple {
  readonly proto: number;
  readonly src: number;
  readonly dst: number;
  readonly sport: number;
  readonly dport: number;
}

interface Send {
  readonly op: "send";
  readonly from: number;
  readonly to: number;
  /** Answers the last packet that left, as it left. */
  readonly answer: boolean;
  readonly proto: number;
  readonly zone: number;
  readonly commit: "" | "commit" | "force_commit";
  readonly nat: "" | "nat" | "src" | "src:port" | "dst" | "dst:port";
}
type Op =
  | Send
  | { readonly op: "wait"; readonly ms: number }
  | { readonly op: "flush"; readonly zone: number }
  | { readonly op: "limit"; readonly zone: number; readonly n: number }
  | { readonly op: "maxconns"; readonly n: number };

/** The ports of a query of ICMP are its type (8, or 0 of an answer) and 0. */
const back = (t: Tuple): Tuple => ({
  proto: t.proto,
  src: t.dst,
  dst: t.src,
  sport: t.proto === ICMP ? 8 - t.sport : t.dport,
  dport: t.proto === ICMP ? 0 : t.sport,
});
const text = (t: Tuple) =>
  `${t.proto} ${formatIpv4(t.src >>> 0)}:${t.sport}>${formatIpv4(t.dst >>> 0)}:${t.dport}`;
const same = (a: Tuple, b: Tuple) => text(a) === text(b);

interface Naive {
  readonly zone: number;
  readonly orig: Tuple;
  /** What its replies look like. */
  readonly reply: Tuple;
  readonly limitZone: number | null;
  answered: boolean;
  sent: number;
  expiresMs: number;
}

class NaiveTracker {
  conns: Naive[] = [];
  /** Forgotten, but they count until they are swept away. */
  dead: Naive[] = [];
  readonly limits = new Map<number, number>();
  maxConns = 1000;

  /** State and tuple after `ct(...)`. */
  send(t: Tuple, s: Send, nowMs: number): { state: string; out: Tuple; translated: string } {
    this.conns = this.conns.filter((c) => nowMs < c.expiresMs);
    const here = this.conns.filter((c) => c.zone === s.zone);
    let conn = here.find((c) => same(c.orig, t) || same(c.reply, t));
    const reply = conn !== undefined && !same(conn.orig, t);
    const commit = s.commit !== "";
    // A translated connection survives: what is found and forgotten is only its second entry.
    const plain = conn !== undefined && same(conn.reply, back(conn.orig));
    if (conn !== undefined && plain && reply && s.commit === "force_commit") {
      this.conns = this.conns.filter((c) => c !== conn);
      this.dead.push(conn);
      conn = undefined;
    }
    const translates = s.nat !== "" && (s.nat === "nat" || commit);
    if (conn !== undefined) {
      conn.answered ||= reply;
      conn.expiresMs = nowMs + (conn.answered ? BOTH_MS : (FIRST_MS[t.proto] ?? 0));
      const out = translates ? (reply ? back(conn.orig) : back(conn.reply)) : t;
      const state = conn.answered ? (reply ? "est|rpl" : "est") : "new";
      return { state, out, translated: text(out) === text(t) ? "" : "translated" };
    }
    if (t.proto === ICMP && t.sport === 0) {
      return { state: "inv", out: t, translated: "" }; // an answer without a query
    }
    if (!commit || this.isFull(s.zone)) {
      return { state: "new", out: t, translated: "" };
    }
    const reply2 = this.replyOf(t, s);
    const limitZone = this.limits.has(s.zone) ? s.zone : null;
    const expiresMs = nowMs + (FIRST_MS[t.proto] ?? 0);
    const made = {
      zone: s.zone,
      orig: t,
      reply: reply2,
      limitZone,
      answered: false,
      sent: 1,
      expiresMs,
    };
    this.conns.push(made);
    const out = translates ? back(reply2) : t;
    return { state: "new", out, translated: text(out) === text(t) ? "" : "translated" };
  }

  /** True if two connections would have the same replies: which of them is found is chance. */
  isAmbiguous(t: Tuple, zone: number): boolean {
    const all = [...this.conns, ...this.dead].filter((c) => c.zone === zone);
    return all.some(
      (c) =>
        (same(c.reply, back(t)) && !same(c.orig, t)) ||
        (same(c.orig, back(t)) && !same(c.reply, t)),
    );
  }

  /** True if a translation would have to look for other ports, or changes nothing. */
  collides(t: Tuple, s: Send): boolean {
    if ((s.nat.startsWith("src") ? t.src : s.nat.startsWith("dst") ? t.dst : 0) === NAT_IP) {
      return true;
    }
    const reply = this.replyOf(t, s);
    return this.conns.some(
      (c) => c.zone === s.zone && (same(c.orig, reply) || same(c.reply, reply)) && !same(c.orig, t),
    );
  }

  private isFull(zone: number): boolean {
    const limit = this.limits.get(zone);
    const all = [...this.conns, ...this.dead];
    const inZone = all.filter((c) => c.limitZone === zone).length;
    return (limit !== undefined && inZone >= limit) || all.length >= this.maxConns;
  }

  private replyOf(t: Tuple, s: Send): Tuple {
    const r = back(t);
    switch (s.nat) {
      case "src":
        return { ...r, dst: NAT_IP };
      case "src:port":
        return { ...r, dst: NAT_IP, ...(t.proto === ICMP ? {} : { dport: 7000 }) };
      case "dst":
        return { ...r, src: NAT_IP };
      case "dst:port":
        return { ...r, src: NAT_IP, ...(t.proto === ICMP ? {} : { sport: 8080 }) };
      default:
        return r;
    }
  }
}

function compose(t: Tuple): PacketBuf {
  const key = keyWith({
    dl_type: 0x0800,
    nw_proto: t.proto,
    nw_ttl: 64,
    nw_src: t.src,
    nw_dst: t.dst,
    tp_src: t.sport,
    tp_dst: t.dport,
  });
  const p = new PacketBuf();
  flowCompose(p, key, 12);
  return packetOf(p.data().slice());
}

function tupleOf(p: PacketBuf): Tuple {
  const key = newKey();
  extract(p, key);
  const [src, dst] = [get(key, K.nw_src), get(key, K.nw_dst)];
  const [sport, dport] = [get(key, K.tp_src), get(key, K.tp_dst)];
  return { proto: get(key, K.nw_proto), src, dst, sport, dport };
}

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      op: fc.constant("send" as const),
      from: fc.nat(3),
      to: fc.nat(3),
      answer: fc.boolean(),
      proto: fc.constantFrom(UDP, UDP, ICMP),
      zone: fc.nat(1),
      commit: fc.constantFrom(
        "" as const,
        "commit" as const,
        "commit" as const,
        "force_commit" as const,
      ),
      nat: fc.constantFrom(
        "" as const,
        "nat" as const,
        "nat" as const,
        "src" as const,
        "src:port" as const,
        "dst" as const,
        "dst:port" as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("wait" as const),
      ms: fc.constantFrom(1000, 29_999, 30_000, 60_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("flush" as const), zone: fc.nat(1) }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("limit" as const), zone: fc.nat(1), n: fc.nat(3) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("maxconns" as const),
      n: fc.integer({ min: 1, max: 5 }),
    }),
  },
);

function actionText(s: Send): string {
  const nat = {
    "": "",
    nat: ",nat",
    src: ",nat(src=10.9.9.9)",
    "src:port": ",nat(src=10.9.9.9:7000)",
    dst: ",nat(dst=10.9.9.9)",
    "dst:port": ",nat(dst=10.9.9.9:8080)",
  }[s.nat];
  const translation = s.commit === "" && s.nat !== "" ? ",nat" : nat;
  return `ct(${s.commit === "" ? "" : `${s.commit},`}zone=${s.zone}${translation})`;
}

class Pair {
  readonly ct = new Conntrack({ rng: new SeededRng(7), policies: () => undefined, warn: () => {} });
  readonly naive = new NaiveTracker();
  nowMs = 0;
  /** What was seen, to know that the law was asked about something. */
  readonly met = new Map<string, number>();
  private last: { tuple: Tuple; zone: number } | null = null;

  step(o: Op): void {
    const { ct, naive } = this;
    switch (o.op) {
      case "wait":
        this.nowMs += o.ms;
        // A sweep comes as far as the allowed connections let it.
        ct.maxConns = CT_CONNS_MAX;
        ct.run(this.nowMs, true);
        ct.maxConns = naive.maxConns;
        naive.dead = [];
        break;
      case "flush":
        ct.flush(o.zone);
        naive.conns = naive.conns.filter((c) => c.zone !== o.zone);
        naive.dead = naive.dead.filter((c) => c.zone !== o.zone);
        break;
      case "limit":
        ct.limits.set(o.zone, o.n + 1);
        naive.limits.set(o.zone, o.n + 1);
        break;
      case "maxconns":
        ct.maxConns = o.n;
        naive.maxConns = o.n;
        break;
      case "send":
        if (o.from !== o.to) {
          this.send(o);
        }
    }
  }

  private send(o: Send): void {
    // A commit that translates without saying to what makes a connection that nothing answers.
    const toNothing = o.commit !== "" && o.nat === "nat";
    const s = { ...o, nat: toNothing ? ("" as const) : o.nat };
    if (o.commit === "" && o.nat !== "") {
      s.nat = "nat";
    }
    const answers = o.answer && this.last !== null;
    const icmp = o.proto === ICMP;
    const fresh: Tuple = {
      proto: o.proto,
      src: HOST + o.from,
      dst: HOST + o.to,
      sport: icmp ? 8 : 1000 + o.from,
      dport: icmp ? 0 : 53 + o.to,
    };
    const tuple = answers && this.last !== null ? back(this.last.tuple) : fresh;
    const call = answers && this.last !== null ? { ...s, zone: this.last.zone } : s;
    if (this.naive.isAmbiguous(tuple, call.zone) || this.naive.collides(tuple, call)) {
      return;
    }
    const p = compose(tuple);
    const action = parseOdpActions(actionText(call), null)?.[0];
    if (action?.kind !== "ct") {
      throw new Error(actionText(call));
    }
    const key = newKey();
    extract(p, key);
    this.ct.execute(PacketBatch.of(p), action, key, this.nowMs);
    const want = this.naive.send(tuple, call, this.nowMs);
    const state = formatFlags(CT_STATE_NAMES, p.md.ctState).replace(/\|?(trk|[sd]nat)/g, "");
    const got = `${state.replace(/^\|/, "")} ${text(tupleOf(p))}`;
    expect(got, `${actionText(call)} on ${text(tuple)}`).toBe(`${want.state} ${text(want.out)}`);
    expect(wrongSums(p.data().slice())).toEqual([]);
    this.last = { tuple: want.out, zone: call.zone };
    for (const what of [want.state, want.translated]) {
      this.met.set(what, (this.met.get(what) ?? 0) + 1);
    }
  }
}

it("equals a naive list, translations and limits included", () => {
  const met = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(op, { minLength: 5, maxLength: 40 }), (list) => {
      const pair = new Pair();
      for (const o of list) {
        pair.step(o);
        expect([...pair.ct.list(null, pair.nowMs)].length).toBe(
          pair.naive.conns.filter((c) => pair.nowMs < c.expiresMs).length,
        );
      }
      for (const [what, n] of pair.met) {
        met.set(what, (met.get(what) ?? 0) + n);
      }
    }),
    { numRuns: Number(process.env.CT_RUNS ?? 150) },
  );
  for (const what of ["new", "est", "est|rpl", "translated"]) {
    expect(met.get(what) ?? 0, what).toBeGreaterThan(30);
  }
});

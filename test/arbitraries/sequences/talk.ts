// Conversations between hosts: what both ends send, in order, as they would over a network that may
// translate addresses on the way, lose, repeat, reorder and damage packets.

import { perhapsDamaged } from "./damage-frame.ts";
import type { Draw } from "./draw.ts";
import { frame, type Step } from "./step.ts";
import * as w from "./wire.ts";

export const MAC_A = "02:00:00:00:00:01";
export const MAC_B = "02:00:00:00:00:02";

/** One end as the other end sees it may have another address and port. */
export interface End {
  readonly ip: string;
  readonly port: number;
}

/** Both ends of a connection, by the addresses that each side uses. */
export interface Talk {
  /** Ports of the switch where the two ends are. */
  readonly inside: string;
  readonly outside: string;
  /** What the client sends: from `from` to `to`. */
  readonly from: End;
  readonly to: End;
  /** What the server sends: from `backFrom` to `backTo`. */
  readonly backFrom: End;
  readonly backTo: End;
  /** A frame's tag, or none. */
  readonly tag: w.Bytes;
}

const is6 = (t: Talk) => t.from.ip.includes(":");

/** A frame with a transport from the client (or back from the server). */
export function send(d: Draw, t: Talk, back: boolean, l4: w.Transport): Step {
  const [a, b] = back ? [t.backFrom, t.backTo] : [t.from, t.to];
  return sendBetween(d, t, back, a.ip, b.ip, l4);
}

function sendBetween(
  d: Draw,
  t: Talk,
  back: boolean,
  src: string,
  dst: string,
  l4: w.Transport,
): Step {
  const csumError = d.chance(3) ? d.range(1, 9) : 0;
  const packet = is6(t)
    ? w.ipv6({ src, dst, hlimit: d.pick([64, 64, 64, 1]), tclass: d.pick([0, 0, 0x20, 3]) }, l4)
    : w.ipv4({ src, dst, ttl: d.pick([64, 64, 64, 1]), tos: d.pick([0, 0, 16, 3]), csumError }, l4);
  return frame(port(t, back), perhapsDamaged(d, onWire(t, back, packet), 4));
}

const port = (t: Talk, back: boolean): string => (back ? t.outside : t.inside);

function onWire(t: Talk, back: boolean, packet: w.Bytes): Uint8Array {
  const [src, dst] = back ? [MAC_B, MAC_A] : [MAC_A, MAC_B];
  return w.eth(dst, src, is6(t) ? 0x86dd : 0x0800, packet, t.tag);
}

interface Segment {
  readonly back: boolean;
  readonly flags: number;
  readonly payload: w.Bytes;
  readonly options: w.Bytes;
}

const WSCALE: w.Bytes = [2, 4, 5, 0xb4, 3, 3, 7, 0];
const TIMESTAMPS: w.Bytes = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0];

/** Segments of a TCP connection, from SYN to the end or to where it is broken off. */
export function tcpTalk(d: Draw, t: Talk): Step[] {
  const options = d.pick([[], [], WSCALE, TIMESTAMPS]);
  const seg = (back: boolean, flags: number, payload: w.Bytes = []): Segment => {
    const own = flags & w.SYN && d.chance(80) ? options : [];
    return { back, flags, payload, options: own };
  };
  const data = () => w.text("x".repeat(d.pick([1, 5, 40])));
  const end = d.one<Segment[]>([
    [3, () => [seg(false, w.FIN | w.ACK), seg(true, w.FIN | w.ACK), seg(false, w.ACK)]],
    [1, () => [seg(true, w.FIN | w.ACK), seg(false, w.ACK), seg(false, w.FIN | w.ACK)]],
    [2, () => [seg(d.chance(50), w.RST)]],
    [1, () => [seg(d.chance(50), w.RST | w.ACK), seg(false, w.SYN)]],
    [3, () => []],
  ]);
  const whole = [
    seg(false, w.SYN),
    seg(true, w.SYN | w.ACK),
    seg(false, w.ACK),
    ...d.many(0, 3, () => seg(d.chance(40), w.ACK | w.PSH, data())),
    ...end,
  ];
  return segments(d, t, disturbed(d, whole));
}

/** Loses, repeats, swaps one or begins in the middle, now and then. */
function disturbed<T>(d: Draw, list: readonly T[]): T[] {
  const out = [...list];
  if (out.length > 1 && d.chance(35)) {
    const at = d.int(out.length - 1);
    d.one<unknown>([
      [2, () => out.splice(at, 1)],
      [2, () => out.splice(at, 0, out[at] as T)],
      [2, () => out.splice(at, 2, ...out.slice(at, at + 2).reverse())],
      [2, () => out.splice(0, at)],
      [1, () => out.push(...out.slice(0, 2))],
    ]);
  }
  return out;
}

/** Sequence numbers as both ends would count them, wrong ones now and then. */
function segments(d: Draw, t: Talk, list: readonly Segment[]): Step[] {
  const next = [d.pick([1000, 0xfffffffa, 1]), d.pick([5000, 0xffffff00])];
  return list.map((s) => {
    const [own, other] = s.back ? [1, 0] : [0, 1];
    const wrong = d.chance(6) ? d.pick([1, 100000, 0x40000000, -70000]) : 0;
    const [a, b] = s.back ? [t.backFrom, t.backTo] : [t.from, t.to];
    const segment = w.tcp(
      {
        sport: a.port,
        dport: b.port,
        seq: ((next[own] as number) + wrong) >>> 0,
        ack: s.flags & w.ACK ? ((next[other] as number) + (d.chance(4) ? 90000 : 0)) >>> 0 : 0,
        flags: d.chance(3) ? d.int(63) : s.flags,
        window: d.pick([8192, 8192, 65535, 0, 100]),
        options: s.options,
        csumError: d.chance(2) ? 1 : 0,
      },
      s.payload,
    );
    const used = s.payload.length + (s.flags & (w.SYN | w.FIN) ? 1 : 0);
    next[own] = ((next[own] as number) + used) >>> 0;
    return send(d, t, s.back, segment);
  });
}

export function udpTalk(d: Draw, t: Talk): Step[] {
  const packet = (back: boolean): Step => {
    const [a, b] = back ? [t.backFrom, t.backTo] : [t.from, t.to];
    const payload = w.text("q".repeat(d.pick([0, 3, 30])));
    return send(d, t, back, w.udp(a.port, b.port, payload, !is6(t) && d.chance(15)));
  };
  return d.many(1, 5, (i) => packet(i > 0 && d.chance(50)));
}

export function sctpTalk(d: Draw, t: Talk): Step[] {
  const packet = (back: boolean, chunk: number): Step => {
    const [a, b] = back ? [t.backFrom, t.backTo] : [t.from, t.to];
    return send(d, t, back, w.sctp(a.port, b.port, chunk, 7));
  };
  return disturbed(d, [1, 2, 10, 11, 0, 3, 7, 8, 14]).map((c, i) => packet(i % 2 === 1, c));
}

/** Echo requests and replies, and kinds that start no connection. */
export function icmpTalk(d: Draw, t: Talk): Step[] {
  const id = (d.int(2) << 16) | 1;
  const types = is6(t) ? [128, 129, 133] : [8, 0, 13];
  const make = is6(t) ? w.icmp6 : w.icmp;
  return d.many(1, 4, (i) => {
    const back = i > 0 && d.chance(50);
    const type = d.chance(10) ? d.pick([...types, 14, 15, 17]) : (types[back ? 1 : 0] as number);
    return send(d, t, back, make(type, d.chance(5) ? 1 : 0, id + i, w.text("ping".repeat(3))));
  });
}

/** An error about a packet of the talk, from an end or from a router between. */
export function errorTalk(d: Draw, t: Talk): Step[] {
  const back = d.chance(60);
  // The error speaks of a packet that its receiver has sent.
  const [a, b] = back ? [t.backTo, t.backFrom] : [t.to, t.from];
  const l4 = d.one<w.Transport>([
    [4, () => w.tcp({ sport: a.port, dport: b.port, flags: w.SYN })],
    [4, () => w.udp(a.port, b.port, w.text("lost"))],
    [1, () => (is6(t) ? w.icmp6(128, 0, 1) : w.icmp(8, 0, 1))],
    [1, () => w.sctp(a.port, b.port, 1, 0)],
  ]);
  const addresses = { src: a.ip, dst: b.ip };
  const whole = is6(t) ? w.ipv6(addresses, l4) : w.ipv4(addresses, l4);
  const about = d.chance(15) ? whole.slice(0, d.int(whole.length)) : whole;
  const error = is6(t)
    ? d.pick([w.icmp6(1, 4, 0, about), w.icmp6(2, 0, 1280, about), w.icmp6(3, 0, 0, about)])
    : d.pick([w.icmp(3, 3, 0, about), w.icmp(3, 4, 576, about), w.icmp(11, 0, 0, about)]);
  const router = is6(t) ? "fd00:0:2::1" : "10.0.9.9";
  return [sendBetween(d, t, back, d.pick([b.ip, router]), a.ip, error)];
}

/** A UDP or ICMP packet in fragments, in any order, some lost, repeated, overlapping. */
export function fragmentTalk(d: Draw, t: Talk): Step[] {
  const back = d.chance(30);
  const [a, b] = back ? [t.backFrom, t.backTo] : [t.from, t.to];
  const payload = w.text("abcdefgh".repeat(d.pick([2, 4, 150])));
  const small = payload.length < 100;
  const sizes = small ? d.pick([[16, 8], [24], [8, 16, 8]]) : d.pick([[552], [600, 600], [1024]]);
  const l4 = d.one<w.Transport>([
    [4, () => w.udp(a.port, b.port, payload)],
    [1, () => w.tcp({ sport: a.port, dport: b.port, flags: w.SYN }, payload)],
    [1, () => (is6(t) ? w.icmp6(128, 0, 9, payload) : w.icmp(8, 0, 9, payload))],
  ]);
  const addresses = { src: a.ip, dst: b.ip };
  const id = d.range(1, 3);
  const parts = is6(t)
    ? w.ipv6Fragments(addresses, l4, id, sizes)
    : w.ipv4Fragments({ ...addresses, id }, l4, sizes);
  return disturbed(d, disturbed(d, parts)).map((p) =>
    frame(port(t, back), perhapsDamaged(d, onWire(t, back, p), 3)),
  );
}

/** FTP control talk that announces a data connection, and that connection. */
export function ftpTalk(d: Draw, t: Talk): Step[] {
  const control: Talk = {
    ...t,
    to: { ...t.to, port: 21 },
    backFrom: { ...t.backFrom, port: 21 },
  };
  const passive = d.chance(50);
  const say = (back: boolean, line: string): Segment => ({
    back,
    flags: w.ACK | w.PSH,
    payload: w.text(`${line}\r\n`),
    options: [],
  });
  const plain = (back: boolean, flags: number): Segment => ({
    back,
    flags,
    payload: [],
    options: [],
  });
  const address = (passive ? t.backFrom.ip : t.from.ip).replaceAll(".", ",");
  const announced = is6(t)
    ? passive
      ? say(true, "229 Entering Extended Passive Mode (|||5001|)")
      : say(false, `EPRT |2|${t.from.ip}|5001|`)
    : passive
      ? say(true, `227 Entering Passive Mode (${address},19,137)`)
      : say(false, `PORT ${address},19,137`);
  const steps = segments(d, control, [
    plain(false, w.SYN),
    plain(true, w.SYN | w.ACK),
    plain(false, w.ACK),
    ...(d.chance(50) ? [say(false, passive ? "PASV" : "TYPE I")] : []),
    announced,
    plain(!passive, w.ACK),
  ]);
  const data: Talk = passive
    ? { ...t, to: { ...t.to, port: 5001 }, backFrom: { ...t.backFrom, port: 5001 } }
    : {
        ...t,
        inside: t.outside,
        outside: t.inside,
        from: { ...t.backFrom, port: 20 },
        to: { ...t.backTo, port: 5001 },
        backFrom: { ...t.from, port: 5001 },
        backTo: { ...t.to, port: 20 },
      };
  const dataSteps = segments(d, data, [
    plain(false, w.SYN),
    plain(true, w.SYN | w.ACK),
    plain(false, w.ACK),
  ]);
  return [...steps, ...dataSteps];
}

/** A TFTP request and the answer from another port. */
export function tftpTalk(d: Draw, t: Talk): Step[] {
  const request = [0, d.pick([1, 2, 3]), ...w.text("file\0octet\0")];
  return [
    send(d, t, false, w.udp(t.from.port, 69, request)),
    send(d, t, true, w.udp(3000, t.backTo.port, [0, 3, 0, 1, ...w.text("data")])),
    send(d, t, false, w.udp(t.from.port, 3000, [0, 4, 0, 1])),
  ];
}

/** Steps of several talks, each in its own order. */
export function interleaved(d: Draw, talks: readonly (readonly Step[])[]): Step[] {
  const left = talks.map((t) => [...t]).filter((t) => t.length > 0);
  const out: Step[] = [];
  while (left.length > 0) {
    const i = d.chance(60) ? 0 : d.int(left.length - 1);
    const talk = left[i] as Step[];
    out.push(talk.shift() as Step);
    if (talk.length === 0) {
      left.splice(i, 1);
    }
  }
  return out;
}

// Traffic that gets somewhere: what hosts around a switch would send, and what goes wrong on the way.
//
// A source is told what the switch sent and answers some of it, so that connections come about,
// translated ones and those in tunnels too: an answer swaps the addresses of every layer, which keeps
// all checksums. Errors quote packets, big packets come in fragments, and a part of everything is
// damaged in one place, behind headers that are right. All of it follows from one random source.

import { layersOf, mendSums, u16, u32 } from "./layers.ts";
import type { Pick } from "./matches.ts";
import {
  arp,
  echo,
  ethernet,
  type Host,
  HOST_OUI,
  hostOf,
  igmp,
  ip4,
  ip6,
  join,
  multicastMac,
  put32,
  sctp,
  tcp,
  text,
  udp,
} from "./packets.ts";
import { strangeFrame } from "./strange-frames.ts";

export interface Arrival {
  readonly port: string;
  readonly frame: Uint8Array;
}

export interface TrafficOptions {
  /** Ports that hosts are on, and those of the underlay. */
  readonly ports: readonly string[];
  readonly underlay: readonly string[];
  /** One in so many frames is damaged; 0: none. */
  readonly damageOneIn: number;
  /** One in so many frames comes in where its sender does not live. */
  readonly movedOneIn: number;
}

const MEMORY = 48;
/** Of a hundred frames that are new, those from this one on are strange. */
const STRANGE_FROM = 88;
/** One in so many packets in tunnels is strange, comes over IPv6. */
const STRANGE_ONE_IN = 4;
const UNDERLAY6_ONE_IN = 4;
const HOSTS = 6;
/** Kinds of tunnels that encapsulated() knows. */
export const TUNNELS = 12;
/** Hosts with higher numbers are behind the underlay. */
const REMOTE = 20;
const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16];
const SERVICES = [80, 443, 53, 21, 69, 4789, 6081, 2152, 5000] as const;

/** Exchanges two stretches of bytes. */
function swap(b: Uint8Array, x: number, y: number, n: number): void {
  const was = b.slice(x, x + n);
  b.copyWithin(x, y, y + n);
  b.set(was, y);
}

/** The frame that the receiver of a frame would send back, at every layer. */
export function answerTo(frame: Uint8Array): Uint8Array {
  const b = frame.slice();
  for (const l of layersOf(frame)) {
    if (l.quoted) {
      continue;
    }
    switch (l.kind) {
      case "eth":
        swap(b, l.at, l.at + 6, 6);
        break;
      case "ip4":
        swap(b, l.at + 12, l.at + 16, 4);
        break;
      case "ip6":
        swap(b, l.at + 8, l.at + 24, 16);
        break;
      case "tcp":
        swap(b, l.at, l.at + 2, 2);
        answerSegment(b, l.at, l.end);
        break;
      case "udp":
        // A tunnel is always sent to its port.
        if (![4789, 6081, 2152].includes(u16(b, l.at + 2))) {
          swap(b, l.at, l.at + 2, 2);
        }
        break;
      case "sctp":
        swap(b, l.at, l.at + 2, 2);
        break;
      case "icmp":
        b[l.at] = b[l.at] === 8 ? 0 : (b[l.at] ?? 0);
        break;
      case "icmp6":
        b[l.at] = b[l.at] === 128 ? 129 : (b[l.at] ?? 0);
        break;
      default:
        break;
    }
  }
  mendSums(b);
  return b;
}

/** Flags and numbers of the segment that answers another. */
function answerSegment(b: Uint8Array, at: number, end: number): void {
  const flags = b[at + 13] ?? 0;
  const data = Math.max(0, end - at - 4 * ((b[at + 12] ?? 0) >>> 4));
  const used = data + ((flags & (SYN | FIN)) !== 0 ? 1 : 0);
  const seq = (flags & ACK) !== 0 ? u32(b, at + 8) : 1000;
  put32(b, at + 8, (u32(b, at + 4) + used) >>> 0);
  put32(b, at + 4, seq);
  b[at + 13] = (flags & SYN) !== 0 && (flags & ACK) === 0 ? SYN | ACK : ACK | (flags & FIN);
}

export class Traffic {
  private readonly r: Pick;
  private readonly options: TrafficOptions;
  private readonly seen: Arrival[] = [];
  private readonly queue: Arrival[] = [];
  private id = 1;

  constructor(r: Pick, options: TrafficOptions) {
    this.r = r;
    this.options = options;
  }

  /** The switch sent a frame out of a port. */
  sent(port: string, frame: Uint8Array): void {
    if (this.seen.length < MEMORY) {
      this.seen.push({ port, frame });
    } else {
      this.seen[this.r(MEMORY)] = { port, frame };
    }
  }

  next(): Arrival {
    const a = this.queue.shift() ?? this.fresh();
    const { damageOneIn } = this.options;
    return damageOneIn > 0 && this.r(damageOneIn) === 0
      ? { port: a.port, frame: this.damage(a.frame) }
      : a;
  }

  private one<T>(list: readonly T[]): T {
    return list[this.r(list.length)] as T;
  }

  private fresh(): Arrival {
    const { r } = this;
    const n = r(100);
    const known = this.seen.length > 0 ? this.one(this.seen) : null;
    if (known !== null && n < 45 && this.isAtHome(known)) {
      return this.at(known.port, answerTo(known.frame));
    }
    if (known !== null && n < 50) {
      return this.at(known.port, this.error(known.frame));
    }
    const port = this.one(this.options.ports);
    if (n >= STRANGE_FROM) {
      return { port, frame: strangeFrame(r) };
    }
    if (n < 53) {
      return this.fragments(port);
    }
    if (n < 60) {
      return { port: this.one(this.options.underlay), frame: this.encapsulated() };
    }
    return this.at(port, this.conversation());
  }

  /** A host has its port; one frame in so many comes in by another. */
  private at(port: string, frame: Uint8Array): Arrival {
    const { ports, underlay } = this.options;
    if (underlay.includes(port)) {
      return { port, frame };
    }
    const home = ports[(frame[11] ?? 0) % ports.length] ?? port;
    return { port: this.r(this.options.movedOneIn) === 0 ? port : home, frame };
  }

  /** Only who lives behind the underlay answers from there, most of the time. */
  private isAtHome({ port, frame }: Arrival): boolean {
    if (frame[6] !== HOST_OUI) {
      return false; // who is not there does not answer
    }
    if (!this.options.underlay.includes(port) || this.r(this.options.movedOneIn) === 0) {
      return true;
    }
    const inner = layersOf(frame).findLast((l) => l.kind === "eth");
    return (frame[(inner?.at ?? 0) + 5] ?? 0) > REMOTE;
  }

  /** Two hosts; the first is behind the underlay if `remote`, the second now and then. */
  private hosts(remote = false): readonly [Host, Host] {
    const a = 1 + this.r(HOSTS);
    const b = 1 + ((a + this.r(HOSTS - 1)) % HOSTS);
    const far = !remote && this.r(5) === 0;
    return [hostOf(remote ? REMOTE + a : a), hostOf(far ? REMOTE + b : b)];
  }

  private tags(): number[] {
    const tag = () => (this.r(8) << 13) | this.one([0, 5, 7]);
    const n = this.r(24);
    return n < 21 ? [] : n < 23 ? [tag()] : [tag(), tag()];
  }

  private payload(): Uint8Array {
    const n = this.r(8);
    return new Uint8Array(n === 0 ? 1400 : n < 4 ? 0 : this.r(120)).fill(this.r(256));
  }

  /** A packet of one of some conversations. */
  private conversation(remote = false): Uint8Array {
    const { r } = this;
    const [src, dst] = this.hosts(remote);
    const v6 = r(4) === 0;
    const n = r(20);
    if (n === 0) {
      return this.frame(src, dst, 0x0806, arp(src, dst, 1 + r(2)));
    }
    if (n === 1) {
      return this.frame(src, dst, this.one([0x88cc, 0x8847, 0x894f, 0x1234]), this.payload());
    }
    if (n === 2) {
      return this.frame(src, { ...dst, mac: multicastMac(r) }, 0x0800, igmp(src, r));
    }
    const sport = 1000 + r(4);
    const dport = this.one(SERVICES);
    const kind = r(10);
    const [proto, body] =
      kind < 5
        ? [6, this.segment(sport, dport)]
        : kind < 8
          ? [17, udp(sport, dport, this.payload())]
          : kind < 9
            ? [v6 ? 58 : 1, echo(v6, false, sport)]
            : [132, sctp(sport, dport, this.payload())];
    const more = [
      this.one([0, 0, 0x20, 3, 0xff]),
      this.one([64, 64, 64, 1, 255]),
      this.id++ & 0xffff,
    ];
    const net = v6 ? ip6(src, dst, proto, body) : ip4(src, dst, proto, body, more);
    return this.frame(src, dst, v6 ? 0x86dd : 0x0800, net);
  }

  private segment(sport: number, dport: number): Uint8Array {
    const flags = this.one([
      SYN,
      SYN,
      SYN,
      ACK,
      ACK | PSH,
      FIN | ACK,
      RST,
      SYN | ACK,
      SYN | FIN,
      0,
    ]);
    const syn = (flags & SYN) !== 0;
    const ftp = dport === 21 && !syn;
    const data = syn
      ? new Uint8Array(0)
      : ftp
        ? text(this.one(["PORT 10,0,0,1,4,1\r\n", "EPRT |2|2001:db8::1|1025|\r\n", "USER x\r\n"]))
        : this.payload();
    return tcp({ sport, dport, seq: syn ? 1000 : 1001, ack: syn ? 0 : 1001, flags }, data);
  }

  private frame(src: Host, dst: Host, type: number, body: Uint8Array): Uint8Array {
    const f = join(ethernet(src, dst, this.tags(), type), body);
    mendSums(f);
    const padded = this.r(6) === 0 && f.length < 60 ? join(f, new Uint8Array(60 - f.length)) : f;
    return padded;
  }

  /** An ICMP error that quotes what came out. */
  private error(frame: Uint8Array): Uint8Array {
    const layers = layersOf(frame);
    const ip = layers.find((l) => l.kind === "ip4" || l.kind === "ip6");
    if (ip === undefined) {
      return frame;
    }
    const [src, dst] = this.hosts();
    const v6 = ip.kind === "ip6";
    const quote = frame.slice(ip.at, Math.min(ip.end, ip.at + (v6 ? 60 : 40) + this.r(80)));
    const head = new Uint8Array(8);
    head[0] = this.one(v6 ? [1, 2, 3, 4] : [3, 11, 12, 5]);
    head[1] = this.r(4);
    const from = {
      ...src,
      mac: frame.slice(0, 6),
      [v6 ? "ip6" : "ip4"]: v6
        ? frame.slice(ip.at + 24, ip.at + 40)
        : frame.slice(ip.at + 16, ip.at + 20),
    };
    const to = {
      ...dst,
      mac: frame.slice(6, 12),
      [v6 ? "ip6" : "ip4"]: v6
        ? frame.slice(ip.at + 8, ip.at + 24)
        : frame.slice(ip.at + 12, ip.at + 16),
    };
    const body = join(head, quote);
    const net = v6 ? ip6(from, to, 58, body) : ip4(from, to, 1, body);
    const f = join(ethernet(from, to, [], v6 ? 0x86dd : 0x0800), net);
    mendSums(f);
    return f;
  }

  /** A big UDP packet in two or three pieces; the first comes now. */
  private fragments(port: string): Arrival {
    const [src, dst] = this.hosts();
    const whole = ip4(src, dst, 17, udp(1000 + this.r(4), 53, new Uint8Array(1800 + this.r(1500))));
    const framed = join(ethernet(src, dst, [], 0x0800), whole);
    mendSums(framed);
    const body = framed.slice(34);
    const id = 0x4000 + (this.id++ & 0xfff);
    const step = this.one([1200, 1280, 1400]);
    const pieces: Arrival[] = [];
    for (let at = 0; at < body.length; at += step) {
      const more = at + step < body.length ? 0x2000 : 0;
      const part = ip4(src, dst, 17, body.slice(at, at + step), [0, 64, id, more | (at / 8)]);
      const f = join(ethernet(src, dst, [], 0x0800), part);
      mendSums(f);
      pieces.push({ port, frame: f });
    }
    if (this.r(4) === 0) {
      pieces.reverse();
    }
    this.queue.push(...pieces.slice(1, this.r(8) === 0 ? 2 : undefined));
    return pieces[0] as Arrival;
  }

  /** A frame in a tunnel of one kind or another, from the other end to ours. */
  encapsulated(inner = this.toBeTunnelled(), kind = this.r(TUNNELS)): Uint8Array {
    const bare = inner.slice(14);
    const peer = { ...hostOf(50), ip4: Uint8Array.of(172, 31, 1, 50), ip6: underlay6(0x92) };
    const us = {
      mac: Uint8Array.of(0xaa, 0x66, 0xaa, 0x66, 0, 1),
      ip4: Uint8Array.of(172, 31, 1, 1),
      ip6: underlay6(1),
    };
    const vni = this.one([1, 5, 7]);
    const [proto, body] = this.tunnel(kind, inner, bare, vni);
    const v6 = this.r(UNDERLAY6_ONE_IN) === 0;
    const net = v6
      ? ip6(peer, us, proto, body)
      : ip4(peer, us, proto, body, [this.one([0, 3]), 64]);
    const f = join(ethernet(peer, us, [], v6 ? 0x86dd : 0x0800), net);
    mendSums(f);
    return f;
  }

  private toBeTunnelled(): Uint8Array {
    return this.r(STRANGE_ONE_IN) === 0 ? strangeFrame(this.r) : this.conversation(true);
  }

  private tunnel(
    kind: number,
    inner: Uint8Array,
    bare: Uint8Array,
    vni: number,
  ): readonly [number, Uint8Array] {
    const key = Uint8Array.of(0, 0, vni, 0);
    const sport = 32768 + this.r(1000);
    const seq = Uint8Array.of(0, 0, 0, this.r(256));
    switch (kind) {
      case 0:
      case 1:
        return [17, udp(sport, 4789, join(Uint8Array.of(8, 0, 0, 0), key, inner))];
      case 2: {
        const opts = this.one([
          new Uint8Array(0),
          Uint8Array.of(0xff, 0xff, 0x80, 1, 0, 0, 0, 0xa),
          Uint8Array.of(0, 1, 2, 0, 0, 1, 3, 1, 1, 2, 3, 4),
        ]);
        const head = Uint8Array.of(opts.length / 4, 0, 0x65, 0x58);
        return [17, udp(sport, 6081, join(head, key, opts, inner))];
      }
      case 3:
        return [47, join(Uint8Array.of(0x20, 0, 0x65, 0x58, 0, 0, 0, vni), inner)];
      case 4:
        return [47, join(Uint8Array.of(0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, vni), seq, inner)];
      case 5: {
        const head = Uint8Array.of(0x10, 0, 0x88, 0xbe);
        return [47, join(head, seq, Uint8Array.of(0x10, 0, 0, vni, 0, 0, 0, 3), inner)];
      }
      case 6: {
        const head = Uint8Array.of(0x10, 0, 0x22, 0xeb);
        const md = Uint8Array.of(0x20, 0, 0, vni, 0, 0, 0, 0, 0, 0, 0, 0x30);
        return [47, join(head, seq, md, inner)];
      }
      case 7: {
        const head = Uint8Array.of(0x30, 0xff, bare.length >> 8, bare.length, 0, 0, 0, vni);
        return [17, udp(sport, 2152, join(head, bare))];
      }
      default:
        return this.rareTunnel(kind, inner, bare, vni);
    }
  }

  /** Parts of tunnel headers that few use. */
  private rareTunnel(
    kind: number,
    inner: Uint8Array,
    bare: Uint8Array,
    vni: number,
  ): readonly [number, Uint8Array] {
    const { r } = this;
    const key = Uint8Array.of(0, 0, vni, r(8) === 0 ? 1 : 0);
    const sport = 32768 + r(1000);
    switch (kind) {
      case 8: {
        const next = 1 + r(5);
        const head = Uint8Array.of(0x0c, 0, 0, next);
        const payload = next === 3 ? inner : bare;
        return [17, udp(sport, this.one([4790, 4789]), join(head, key, payload))];
      }
      case 9: {
        // Version, how many words of options (or more than there are), "OAM" and "critical".
        const version = this.one([0, 0, 0, 0x40]);
        const head = Uint8Array.of(version | r(4), this.one([0x80, 0x40, 0]), 0x65, 0x58);
        const option = Uint8Array.of(0xff, 0xff, this.one([0x80, 0]), r(4), 0, 0, 0, 0xa);
        return [17, udp(sport, 6081, join(head, key, option, inner))];
      }
      case 10: {
        const words = new Uint8Array(12);
        words[7] = vni;
        const ofIp = r(2) === 0;
        const head = ofIp ? [0xb0, 0, 0x08, 0x00] : [0xb0, r(8), 0x65, 0x58];
        return [47, join(Uint8Array.from(head), words, ofIp ? bare : inner)];
      }
      default: {
        const flags = this.one([0x32, 0x34, 0x36, 0x10, 0x31]);
        const type = this.one([0xff, 0xff, 1, 2, 26, 254]);
        const more = Uint8Array.of(0, 1, 0, this.one([0, 0x85, 0x40]), 1, 0x10, 0, 0);
        const n = bare.length + more.length;
        const head = Uint8Array.of(flags, type, n >> 8, n, 0, 0, 0, vni);
        return [17, udp(sport, 2152, join(head, more, bare))];
      }
    }
  }

  /** Spoils a frame in one place, near a header most of the time. */
  private damage(frame: Uint8Array): Uint8Array {
    const { r } = this;
    const layers = layersOf(frame);
    const layer = this.one(layers.slice(layers.length > 1 && r(4) > 0 ? 1 : 0)) ?? null;
    const at = Math.min(frame.length - 1, (layer?.at ?? 0) + r(24));
    const f = frame.slice();
    switch (r(8)) {
      case 0:
        return f.slice(0, at);
      case 1:
        return f.slice(0, r(f.length + 1));
      case 2:
        return join(f.slice(0, at), new Uint8Array(1 + r(60)).fill(r(256)), f.slice(at));
      case 3:
        return join(f.slice(0, at), f.slice(at + 1 + r(12)));
      case 4:
        return Uint8Array.from({ length: r(120) }, () => r(256));
      case 5:
        f.fill(this.one([0, 0xff]), at, at + 1 + r(8));
        break;
      default:
        f[at] = r(2) === 0 ? this.one([0, 1, 0x45, 0x60, 0x7f, 0x80, 0xff]) : r(256);
    }
    if (r(2) === 0) {
      mendSums(f); // so that what is wrong is not stopped by a checksum
    }
    return f;
  }
}

/** Addresses of the two ends of tunnels over IPv6. */
function underlay6(n: number): Uint8Array {
  return Uint8Array.of(0x20, 1, 0xca, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n);
}

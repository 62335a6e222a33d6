// What a frame is made of, found by a reader of its own: the naive twin of extract() and of all that
// updates checksums.
//
// `layersOf` lists headers from the outside in, through VLAN tags, tunnels and the packets that ICMP
// errors quote; it stops where bytes make no sense. `wrongSums` computes each checksum from scratch;
// `mendSums` makes them right. References: RFC 1071, RFC 9260 appendix A.

export type LayerKind =
  | "eth"
  | "ip4"
  | "ip6"
  | "tcp"
  | "udp"
  | "icmp"
  | "icmp6"
  | "sctp"
  | "gre"
  | "vxlan"
  | "geneve"
  | "gtpu"
  | "erspan";

export interface Layer {
  readonly kind: LayerKind;
  /** Offset of the header, and of the first byte behind what it covers. */
  readonly at: number;
  readonly end: number;
  /** The network header of a transport header. */
  readonly ip: Layer | null;
  /** Part of a packet that an ICMP error quotes. */
  readonly quoted: boolean;
}

const LAYERS_MAX = 40;
const EXTENSIONS = new Set([0, 43, 60]);

const u16 = (b: Uint8Array, at: number) => ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
const u32 = (b: Uint8Array, at: number) => ((u16(b, at) << 16) | u16(b, at + 2)) >>> 0;
const put16 = (b: Uint8Array, at: number, v: number) => {
  b[at] = v >>> 8;
  b[at + 1] = v;
};

class Walk {
  readonly layers: Layer[] = [];
  private readonly b: Uint8Array;
  private quoted = false;

  constructor(b: Uint8Array) {
    this.b = b;
  }

  private add(kind: LayerKind, at: number, end: number, ip: Layer | null = null): Layer | null {
    if (this.layers.length >= LAYERS_MAX) {
      return null;
    }
    const layer = { kind, at, end, ip, quoted: this.quoted };
    this.layers.push(layer);
    return layer;
  }

  eth(at: number, end: number): void {
    if (end - at < 14 || this.add("eth", at, end) === null) {
      return;
    }
    let type = at + 12;
    while (type + 4 <= end && [0x8100, 0x88a8].includes(u16(this.b, type))) {
      type += 4;
    }
    this.network(u16(this.b, type), type + 2, end);
  }

  network(type: number, at: number, end: number): void {
    if (type === 0x0800) {
      this.ip4(at, end);
    } else if (type === 0x86dd) {
      this.ip6(at, end);
    } else if (type === 0x6558) {
      this.eth(at, end);
    }
  }

  /** A packet without a link layer. */
  bare(at: number, end: number): void {
    const version = (this.b[at] ?? 0) >>> 4;
    this.network(version === 4 ? 0x0800 : version === 6 ? 0x86dd : 0, at, end);
  }

  ip4(at: number, end: number): void {
    const { b } = this;
    const header = ((b[at] ?? 0) & 15) * 4;
    const total = u16(b, at + 2);
    const cut = at + total > end;
    if ((b[at] ?? 0) >>> 4 !== 4 || header < 20 || at + header > end || total < header) {
      return;
    }
    if (cut && !this.quoted) {
      return;
    }
    const ip = this.add("ip4", at, Math.min(end, at + total));
    if (ip !== null && (u16(b, at + 6) & 0x3fff) === 0 && !cut) {
      this.transport(b[at + 9] ?? 0, at + header, ip);
    }
  }

  ip6(at: number, end: number): void {
    const { b } = this;
    const stop = at + 40 + u16(b, at + 4);
    if (at + 40 > end || (b[at] ?? 0) >>> 4 !== 6 || stop > end) {
      return;
    }
    const ip = this.add("ip6", at, stop);
    let next = b[at + 6] ?? 0;
    let here = at + 40;
    while (EXTENSIONS.has(next) && here + 8 <= stop) {
      next = b[here] ?? 0;
      here += 8 + 8 * (b[here + 1] ?? 0);
    }
    if (ip !== null && here <= stop) {
      this.transport(next, here, ip);
    }
  }

  private transport(proto: number, at: number, ip: Layer): void {
    const { end } = ip;
    const room = end - at;
    if (proto === 6 && room >= 20) {
      this.add("tcp", at, end, ip);
    } else if (proto === 17 && room >= 8) {
      this.udp(at, end, ip);
    } else if (proto === 1 && ip.kind === "ip4" && room >= 8) {
      this.add("icmp", at, end, ip);
      if ([3, 5, 11, 12].includes(this.b[at] ?? 0)) {
        this.quote(at + 8, end);
      }
    } else if (proto === 58 && ip.kind === "ip6" && room >= 4) {
      this.add("icmp6", at, end, ip);
      if ((this.b[at] ?? 0) < 128) {
        this.quote(at + 8, end);
      }
    } else if (proto === 132 && room >= 12) {
      this.add("sctp", at, end, ip);
    } else if (proto === 47 && room >= 4) {
      this.gre(at, end, ip);
    }
  }

  private quote(at: number, end: number): void {
    this.quoted = true;
    this.bare(at, end);
  }

  private udp(at: number, end: number, ip: Layer): void {
    const { b } = this;
    if (u16(b, at + 4) !== end - at) {
      return;
    }
    this.add("udp", at, end, ip);
    const port = u16(b, at + 2);
    const inner = at + 8;
    if (end - inner < 8) {
      return;
    }
    if (port === 4789) {
      this.add("vxlan", inner, end);
      this.eth(inner + 8, end);
    } else if (port === 6081) {
      this.add("geneve", inner, end);
      this.network(u16(b, inner + 2), inner + 8 + ((b[inner] ?? 0) & 63) * 4, end);
    } else if (port === 2152 && b[inner + 1] === 0xff) {
      this.add("gtpu", inner, end);
      this.bare(inner + 8 + (((b[inner] ?? 0) & 2) !== 0 ? 4 : 0), end);
    }
  }

  private gre(at: number, end: number, ip: Layer): void {
    const flags = u16(this.b, at);
    const type = u16(this.b, at + 2);
    const inner = at + 4 * (1 + ((flags >> 15) & 1) + ((flags >> 13) & 1) + ((flags >> 12) & 1));
    if ((flags & 0x4fff) !== 0 || inner > end) {
      return;
    }
    this.add("gre", at, end, ip);
    if (type === 0x88be || type === 0x22eb) {
      this.add("erspan", inner, end);
      this.eth(inner + (type === 0x88be ? 8 : 12), end);
    } else {
      this.network(type, inner, end);
    }
  }
}

/** The headers of an Ethernet frame. */
export function layersOf(frame: Uint8Array): readonly Layer[] {
  const walk = new Walk(frame);
  walk.eth(0, frame.length);
  return walk.layers;
}

function sum(b: Uint8Array, at: number, end: number, start = 0): number {
  let s = start;
  for (let i = at; i < end; i += 2) {
    s += ((b[i] ?? 0) << 8) | (i + 1 < end ? (b[i + 1] ?? 0) : 0);
  }
  while (s > 0xffff) {
    s = (s & 0xffff) + Math.floor(s / 0x10000);
  }
  return s;
}

function pseudo(b: Uint8Array, ip: Layer, proto: number, bytes: number): number {
  const [from, n] = ip.kind === "ip4" ? [ip.at + 12, 8] : [ip.at + 8, 32];
  return sum(b, from, from + n, proto + (bytes >>> 16) + (bytes & 0xffff));
}

let crcTable: Uint32Array | null = null;

function crc32c(b: Uint8Array, at: number, end: number): number {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) {
      c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    }
    return c >>> 0;
  });
  let crc = 0xffffffff;
  for (let i = at; i < end; i++) {
    crc = (crc >>> 8) ^ (crcTable[(crc ^ (b[i] ?? 0)) & 255] as number);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** The checksum that a layer ought to have and where; null if it has none. */
function sumOf(b: Uint8Array, l: Layer): { at: number; right: number; bytes: 2 | 4 } | null {
  const { at, end, ip } = l;
  const internet = (csumAt: number, start: number, upTo: number) => {
    const s = sum(b, at, upTo, start) + 0xffff - u16(b, csumAt);
    return { at: csumAt, right: 0xffff ^ sum(new Uint8Array(0), 0, 0, s), bytes: 2 as const };
  };
  const covered = (csumAt: number, proto: number) =>
    ip === null ? null : internet(csumAt, pseudo(b, ip, proto, end - at), end);
  switch (l.kind) {
    case "ip4":
      return internet(at + 10, 0, at + ((b[at] ?? 0) & 15) * 4);
    case "tcp":
      return covered(at + 16, 6);
    case "udp":
      return u16(b, at + 6) === 0 ? null : covered(at + 6, 17);
    case "icmp6":
      return covered(at + 2, 58);
    case "icmp":
      return internet(at + 2, 0, end);
    case "gre":
      return (u16(b, at) & 0x8000) === 0 ? null : internet(at + 4, 0, end);
    case "sctp": {
      const copy = b.slice(at, end);
      copy.fill(0, 8, 12);
      return { at: at + 8, right: crc32c(copy, 0, copy.length), bytes: 4 };
    }
    default:
      return null;
  }
}

function has(b: Uint8Array, s: { at: number; right: number; bytes: 2 | 4 }): boolean {
  if (s.bytes === 4) {
    return [0, 1, 2, 3].every((i) => b[s.at + i] === ((s.right >>> (8 * i)) & 255));
  }
  const there = u16(b, s.at);
  // Zero has two forms.
  return there === s.right || (there % 0xffff === 0 && s.right % 0xffff === 0);
}

/** Layers whose checksum is not what it ought to be, such as "tcp at 34". */
export function wrongSums(frame: Uint8Array): string[] {
  return layersOf(frame).flatMap((l) => {
    const s = sumOf(frame, l);
    return s === null || has(frame, s) ? [] : [`${l.quoted ? "quoted " : ""}${l.kind} at ${l.at}`];
  });
}

/** Makes all checksums right, the innermost first. */
export function mendSums(frame: Uint8Array): void {
  for (const l of layersOf(frame).toReversed()) {
    const s = sumOf(frame, l);
    if (s !== null && s.bytes === 2) {
      put16(frame, s.at, l.kind === "udp" && s.right === 0 ? 0xffff : s.right);
    } else if (s !== null) {
      for (let i = 0; i < 4; i++) {
        frame[s.at + i] = s.right >>> (8 * i);
      }
    }
  }
}

export { put16, u16, u32 };

// Builders of frames, byte by byte and independent of the code under test: Ethernet with tags, ARP,
// IPv4 and IPv6 with options and extension headers, TCP, UDP, SCTP, ICMP, IGMP and MLD, MPLS, NSH.
// Checksums are right unless told otherwise; lengths are those of the bytes given.

export type Bytes = readonly number[];

/** A transport header and payload: protocol number, bytes, place of the checksum (-1: none). */
export interface Transport {
  readonly proto: number;
  readonly bytes: Bytes;
  readonly csumAt: number;
  /** True if the checksum covers a pseudo-header over IPv4 too (not so for ICMP). */
  readonly pseudo: boolean;
  /** Added to the right checksum. */
  readonly csumError?: number;
}

export const u8 = (v: number): Bytes => [v & 0xff];
export const u16 = (v: number): Bytes => [(v >>> 8) & 0xff, v & 0xff];
export const u32 = (v: number): Bytes => [...u16(v >>> 16), ...u16(v & 0xffff)];
export const zeros = (n: number): Bytes => new Array<number>(Math.max(n, 0)).fill(0);
export const text = (s: string): Bytes => [...s].map((c) => c.charCodeAt(0));

/** `02:00:00:00:00:01` */
export function mac(s: string): Bytes {
  return s.split(":").map((h) => Number.parseInt(h, 16));
}

/** `10.0.0.1` */
export function ip4(s: string): Bytes {
  return s.split(".").map(Number);
}

/** `fd00::1` */
export function ip6(s: string): Bytes {
  const [head = "", tail] = s.split("::");
  const words = (t: string) => (t === "" ? [] : t.split(":")).map((h) => Number.parseInt(h, 16));
  const [a, b] = [words(head), tail === undefined ? [] : words(tail)];
  return [...a, ...new Array<number>(8 - a.length - b.length).fill(0), ...b].flatMap(u16);
}

/** The Internet checksum (RFC 1071). */
export function checksum(bytes: Bytes): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

function put16(bytes: Bytes, at: number, v: number): Bytes {
  return [...bytes.slice(0, at), ...u16(v), ...bytes.slice(at + 2)];
}

export function eth(dst: string, src: string, type: number, payload: Bytes, tags: Bytes = []) {
  return Uint8Array.from([...mac(dst), ...mac(src), ...tags, ...u16(type), ...payload]);
}

export function vlanTag(vid: number, pcp = 0, tpid = 0x8100): Bytes {
  return [...u16(tpid), ...u16((pcp << 13) | vid)];
}

export interface Ip4 {
  readonly src: string;
  readonly dst: string;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** Bit 14 DF, bit 13 MF, below them the offset in units of 8 bytes. */
  readonly frag?: number;
  /** A multiple of 4 bytes. */
  readonly options?: Bytes;
  readonly csumError?: number;
  /** Added to the right total length. */
  readonly lengthError?: number;
}

/** The bytes of a transport with its checksum over `pseudo`. */
function sealed(t: Transport, pseudo: Bytes): Bytes {
  if (t.csumAt < 0) {
    return t.bytes;
  }
  const right = checksum([...pseudo, ...put16(t.bytes, t.csumAt, 0)]);
  const sum = right === 0 && t.proto === 17 ? 0xffff : right;
  return put16(t.bytes, t.csumAt, (sum + (t.csumError ?? 0)) & 0xffff);
}

/** Transport bytes as they would be in one packet between the two addresses. */
export function transport4(h: Ip4, t: Transport): Bytes {
  const pseudo = [...ip4(h.src), ...ip4(h.dst), 0, t.proto, ...u16(t.bytes.length)];
  return sealed(t, t.pseudo ? pseudo : []);
}

/** An IPv4 header before bytes that are already whole. */
export function ipv4Raw(h: Ip4, proto: number, body: Bytes): Bytes {
  const options = h.options ?? [];
  const length = 20 + options.length + body.length + (h.lengthError ?? 0);
  const head = [
    ...u8(0x45 + options.length / 4),
    ...u8(h.tos ?? 0),
    ...u16(length),
    ...u16(h.id ?? 1),
    ...u16(h.frag ?? 0),
    ...u8(h.ttl ?? 64),
    ...u8(proto),
    ...u16(0),
    ...ip4(h.src),
    ...ip4(h.dst),
    ...options,
  ];
  return [...put16(head, 10, (checksum(head) + (h.csumError ?? 0)) & 0xffff), ...body];
}

export function ipv4(h: Ip4, t: Transport): Bytes {
  return ipv4Raw(h, t.proto, transport4(h, t));
}

interface Piece {
  readonly at: number;
  readonly part: Bytes;
  readonly isLast: boolean;
}

/** A payload in pieces of `sizes` bytes; a last one takes what is left. */
function cut(body: Bytes, sizes: readonly number[]): Piece[] {
  const list: Piece[] = [];
  let at = 0;
  for (const size of [...sizes, body.length]) {
    if (at >= body.length) {
      break;
    }
    const part = body.slice(at, at + size);
    list.push({ at, part, isLast: at + part.length >= body.length });
    at += part.length;
  }
  return list;
}

/** The packet in fragments whose payloads are of `sizes` bytes (multiples of 8 but the last). */
export function ipv4Fragments(h: Ip4, t: Transport, sizes: readonly number[]): Bytes[] {
  return cut(transport4(h, t), sizes).map(({ at, part, isLast }) =>
    ipv4Raw({ ...h, frag: (isLast ? 0 : 0x2000) | (at / 8) }, t.proto, part),
  );
}

export interface Ip6 {
  readonly src: string;
  readonly dst: string;
  readonly tclass?: number;
  readonly label?: number;
  readonly hlimit?: number;
  /** Extension headers by number, each with its bytes after the next-header byte. */
  readonly extensions?: readonly { readonly type: number; readonly rest: Bytes }[];
  readonly lengthError?: number;
}

export function transport6(h: Ip6, t: Transport): Bytes {
  return sealed(t, [...ip6(h.src), ...ip6(h.dst), ...u32(t.bytes.length), 0, 0, 0, t.proto]);
}

export function ipv6Raw(h: Ip6, proto: number, body: Bytes): Bytes {
  const extensions = h.extensions ?? [];
  const types = [...extensions.map((e) => e.type), proto];
  const chain = extensions.flatMap((e, i) => [types[i + 1] as number, ...e.rest]);
  const first = (0x60000000 | ((h.tclass ?? 0) << 20) | (h.label ?? 0)) >>> 0;
  return [
    ...u32(first),
    ...u16(chain.length + body.length + (h.lengthError ?? 0)),
    types[0] as number,
    ...u8(h.hlimit ?? 64),
    ...ip6(h.src),
    ...ip6(h.dst),
    ...chain,
    ...body,
  ];
}

export function ipv6(h: Ip6, t: Transport): Bytes {
  return ipv6Raw(h, t.proto, transport6(h, t));
}

export function ipv6Fragments(h: Ip6, t: Transport, id: number, sizes: readonly number[]): Bytes[] {
  return cut(transport6(h, t), sizes).map(({ at, part, isLast }) => {
    const rest = [0, ...u16(at | (isLast ? 0 : 1)), ...u32(id)];
    const extensions = [...(h.extensions ?? []), { type: 44, rest }];
    return ipv6Raw({ ...h, extensions }, t.proto, part);
  });
}

export interface Tcp {
  readonly sport: number;
  readonly dport: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly flags: number;
  readonly window?: number;
  readonly options?: Bytes;
  readonly csumError?: number;
}

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export function tcp(h: Tcp, payload: Bytes = []): Transport {
  const options = h.options ?? [];
  const bytes = [
    ...u16(h.sport),
    ...u16(h.dport),
    ...u32(h.seq ?? 1000),
    ...u32(h.ack ?? 0),
    ...u16(((5 + options.length / 4) << 12) | h.flags),
    ...u16(h.window ?? 8192),
    ...zeros(4),
    ...options,
    ...payload,
  ];
  return { proto: 6, bytes, csumAt: 16, pseudo: true, csumError: h.csumError ?? 0 };
}

/** `noCsum`: a checksum field of zero, as IPv4 allows. */
export function udp(sport: number, dport: number, payload: Bytes = [], noCsum = false): Transport {
  const bytes = [...u16(sport), ...u16(dport), ...u16(8 + payload.length), 0, 0, ...payload];
  return { proto: 17, bytes, csumAt: noCsum ? -1 : 6, pseudo: true };
}

/** SCTP with a verification tag and one chunk; its CRC is left at zero, nobody looks at it. */
export function sctp(sport: number, dport: number, chunk: number, tag: number): Transport {
  const bytes = [...u16(sport), ...u16(dport), ...u32(tag), ...zeros(4), chunk, 0, ...u16(4)];
  return { proto: 132, bytes, csumAt: -1, pseudo: false };
}

export function icmp(type: number, code: number, rest: number, payload: Bytes = []): Transport {
  const bytes = [type, code, 0, 0, ...u32(rest), ...payload];
  return { proto: 1, bytes, csumAt: 2, pseudo: false };
}

export function icmp6(type: number, code: number, rest: number, payload: Bytes = []): Transport {
  const bytes = [type, code, 0, 0, ...u32(rest), ...payload];
  return { proto: 58, bytes, csumAt: 2, pseudo: true };
}

export function raw(proto: number, bytes: Bytes): Transport {
  return { proto, bytes, csumAt: -1, pseudo: false };
}

export function arp(op: number, sha: string, spa: string, tha: string, tpa: string): Bytes {
  const head = [0, 1, 8, 0, 6, 4, ...u16(op)];
  return [...head, ...mac(sha), ...ip4(spa), ...mac(tha), ...ip4(tpa)];
}

/** A neighbour solicitation (135) or advertisement (136) with a link-layer address option. */
export function nd(type: 135 | 136, target: string, lladdr: string | null, flags = 0): Transport {
  const option = lladdr === null ? [] : [type === 135 ? 1 : 2, 1, ...mac(lladdr)];
  return icmp6(type, 0, flags, [...ip6(target), ...option]);
}

export function mplsLse(label: number, tc: number, bos: number, ttl: number): Bytes {
  return u32(((label << 12) | (tc << 9) | (bos << 8) | ttl) >>> 0);
}

/** NSH of MD type 1: `next` 1 IPv4, 2 IPv6, 3 Ethernet. */
export function nsh(next: number, spi: number, si: number, ttl: number, c1: number): Bytes {
  const first = u16((ttl << 6) | 6);
  return [...first, 1, next, ...u32(((spi << 8) | si) >>> 0), ...u32(c1), ...zeros(12)];
}

const ROUTER_ALERT: Bytes = [0x94, 4, 0, 0];

/** IGMPv1/v2 messages and queries. */
export function igmp(src: string, dst: string, type: number, group: string, code = 0): Bytes {
  const t = { proto: 2, bytes: [type, code, 0, 0, ...ip4(group)], csumAt: 2, pseudo: false };
  return ipv4({ src, dst, ttl: 1, options: ROUTER_ALERT }, t);
}

export interface GroupRecord {
  readonly type: number;
  readonly group: string;
  readonly sources: readonly string[];
}

export function igmpV3(src: string, records: readonly GroupRecord[]): Bytes {
  const list = records.flatMap((r) => [
    r.type,
    0,
    ...u16(r.sources.length),
    ...ip4(r.group),
    ...r.sources.flatMap(ip4),
  ]);
  const bytes = [0x22, 0, 0, 0, 0, 0, ...u16(records.length), ...list];
  const h = { src, dst: "224.0.0.22", ttl: 1, options: ROUTER_ALERT };
  return ipv4(h, { proto: 2, bytes, csumAt: 2, pseudo: false });
}

/** MLDv1: 130 query, 131 report, 132 done; and MLDv2 reports (143). */
export function mld(src: string, dst: string, type: number, group: string): Bytes {
  return ipv6({ src, dst, hlimit: 1 }, icmp6(type, 0, 0x03e80000, ip6(group)));
}

export function mldV2(src: string, records: readonly GroupRecord[]): Bytes {
  const list = records.flatMap((r) => [
    r.type,
    0,
    ...u16(r.sources.length),
    ...ip6(r.group),
    ...r.sources.flatMap(ip6),
  ]);
  return ipv6({ src, dst: "ff02::16", hlimit: 1 }, icmp6(143, 0, records.length, list));
}

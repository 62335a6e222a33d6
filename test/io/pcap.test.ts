// Captures: what is written is read, in every format, in chunks of any size; cut files say where.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PcapngWriter, PcapReader, PcapWriter } from "../../src/io/pcap-file.ts";
import { concatBytes, formatHex, putU32 } from "../../src/lib/bytes.ts";
import { PcapDecoder } from "../../src/packet/pcap-format.ts";
import {
  pcapHeader,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  pcapRecord,
} from "../../src/packet/pcap-write.ts";

interface Pkt {
  readonly data: Uint8Array;
  readonly sec: number;
  readonly nsec: number;
}

const packets = fc.array(
  fc.record({
    data: fc.uint8Array({ maxLength: 40 }),
    sec: fc.nat(0xffffffff),
    nsec: fc.nat(999999).map((us) => us * 1000),
  }),
  { maxLength: 5 },
);

/** Turns a little-endian classic file into a big-endian one. */
function swapped(file: Uint8Array, recordOfs: readonly number[]): Uint8Array {
  const b = file.slice();
  const swap = (at: number, n: number) => b.set(b.slice(at, at + n).reverse(), at);
  swap(0, 4);
  swap(4, 2);
  swap(6, 2);
  for (const at of [8, 12, 16, 20]) {
    swap(at, 4);
  }
  for (const at of recordOfs) {
    for (let i = 0; i < 16; i += 4) {
      swap(at + i, 4);
    }
  }
  return b;
}

const text = (p: Pkt) => `${p.sec}.${p.nsec} ${formatHex(p.data)}`;

function decode(file: Uint8Array, chunk: number): { got: string[]; error: string | null } {
  const d = new PcapDecoder();
  const got: string[] = [];
  let at = 0;
  for (;;) {
    const r = d.next();
    if (r === "record") {
      got.push(text(d.record));
    } else if (r === "error") {
      return { got, error: d.error?.message ?? "?" };
    } else if (at >= file.length) {
      return { got, error: d.finish() ? null : (d.error?.message ?? "?") };
    } else {
      d.push(file.subarray(at, at + chunk));
      at += chunk;
    }
  }
}

function classic(ps: readonly Pkt[], nanos: boolean): { file: Uint8Array; ofs: number[] } {
  const parts = [pcapHeader(1518, nanos)];
  const ofs: number[] = [];
  let at = 24;
  for (const p of ps) {
    ofs.push(at);
    parts.push(pcapRecord(p.data, p.sec, nanos ? p.nsec : p.nsec / 1000));
    at += 16 + p.data.length;
  }
  return { file: concatBytes(parts), ofs };
}

function ng(ps: readonly Pkt[]): Uint8Array {
  const parts = [pcapngSection(), pcapngInterface("p1"), pcapngInterface("port2")];
  return concatBytes([...parts, ...ps.map((p, i) => pcapngPacket(i % 2, p.data, p.sec, p.nsec))]);
}

describe("captures", () => {
  it("reads what it wrote", () => {
    fc.assert(
      fc.property(packets, fc.boolean(), fc.boolean(), fc.integer({ min: 1, max: 99 }), (...a) => {
        const [ps, nanos, big, chunk] = a;
        const { file, ofs } = classic(ps, nanos);
        const want = { got: ps.map(text), error: null };
        expect(decode(big ? swapped(file, ofs) : file, chunk)).toEqual(want);
        expect(decode(ng(ps), chunk)).toEqual(want);
      }),
    );
  });

  it("a file cut anywhere gives the records before the cut and where it is", () => {
    const ps = [1, 2].map((n) => ({ data: new Uint8Array(n * 3), sec: n, nsec: 0 }));
    for (const file of [classic(ps, false).file, ng(ps)]) {
      const whole = decode(file, 7).got;
      for (let n = 0; n < file.length; n++) {
        const { got, error } = decode(file.subarray(0, n), 7);
        expect(whole.slice(0, got.length)).toEqual(got);
        expect(error === null || /at byte \d+\)$/.test(error)).toBe(true);
        expect(got.length < whole.length).toBe(true);
      }
    }
  });

  it("any bytes end in records or one error", () => {
    const start = fc.constantFrom(pcapHeader(), pcapngSection(), new Uint8Array(0));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 80 }), (head, tail) => {
        decode(concatBytes([head, tail]), 16);
      }),
    );
  });

  it("refuses lengths that would eat the memory", () => {
    const huge = pcapRecord(new Uint8Array(4), 0, 0);
    putU32(huge, 8, 0xffffffff);
    expect(decode(concatBytes([pcapHeader(), huge]), 8).error).toBe(
      "bad packet length 4294967295 (more than 262144) (at byte 24)",
    );
    const block = pcapngInterface("x");
    putU32(block, 4, 0xffffff7f);
    expect(decode(concatBytes([pcapngSection(), block]), 8).error).toMatch(/^bad block length/);
    expect(decode(new TextEncoder().encode("hello world"), 4).error).toBe(
      "bad magic 0x68656c6c: no pcap or pcapng file (at byte 0)",
    );
  });

  it("files on disk", () => {
    const dir = mkdtempSync(`${tmpdir()}/pcap-`);
    const w = new PcapWriter(`${dir}/a.pcap`);
    w.write(Uint8Array.of(1, 2, 3), 5, 7000);
    w.close();
    const n = new PcapngWriter(`${dir}/b.pcapng`);
    const iface = n.addInterface("eth0");
    n.write(iface, Uint8Array.of(4), 6, 8);
    n.close();
    const a = new PcapReader(`${dir}/a.pcap`);
    const ra = a.next();
    expect(ra === null ? "" : text(ra)).toBe("5.7000 010203");
    expect([a.next(), a.error]).toEqual([null, null]);
    a.close();
    const b = new PcapReader(`${dir}/b.pcapng`);
    const rb = b.next();
    expect(rb === null ? "" : text(rb)).toBe("6.8 04");
    expect(b.interfaceName(0)).toBe("eth0");
    b.close();
    writeFileSync(`${dir}/c.pcap`, pcapHeader().subarray(0, 10));
    const c = new PcapReader(`${dir}/c.pcap`);
    expect(c.next()).toBeNull();
    expect(c.error?.message).toMatch(/c\.pcap: the capture ends in its header/);
    c.close();
  });
});

// The library layer: small functions, each with cases in compact form and laws.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as L from "../../src/lib/index.ts";

describe("bytes", () => {
  it("puts what it gets", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(8), (v, at) => {
        const b = new Uint8Array(16);
        L.putU32(b, at, v);
        expect(L.getU32(b, at)).toBe(v);
        expect(L.getU16(b, at)).toBe(v >>> 16);
        expect(L.getU32le(b, at)).toBe(L.bswap32(v));
        L.putU64(b, at, BigInt(v) * 0xdeadbeefn);
        expect(L.getU64(b, at)).toBe(BigInt(v) * 0xdeadbeefn);
      }),
    );
  });

  it("encodes UTF-8 as the platform does", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (s) => {
        expect([...L.encodeUtf8(s)]).toEqual([...new TextEncoder().encode(s)]);
        expect(L.decodeUtf8(L.encodeUtf8(s))).toBe(s);
      }),
    );
  });

  it("decodes any bytes, valid ones as the platform does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (b) => {
        const s = L.decodeUtf8(b);
        const theirs = new TextDecoder("utf-8", { ignoreBOM: true }).decode(b);
        if (!theirs.includes("\ufffd")) {
          expect(s).toBe(theirs);
        } else {
          expect(s).toContain("\ufffd");
        }
      }),
    );
  });

  it("reads hex with spaces and stops at what is none", () => {
    expect(L.parseHexPrefix(" 0a 0B\n0cz")).toEqual({ bytes: Uint8Array.of(10, 11, 12), rest: 9 });
    expect(L.parseHex("0a0")).toBeUndefined();
    expect(L.formatHex(Uint8Array.of(0, 255))).toBe("00ff");
  });

  it("never moves a cursor beyond its end", () => {
    const c = new L.Cursor(Uint8Array.of(1, 2, 3));
    expect([c.u16(), c.u16(), c.failed, c.left, c.u8()]).toEqual([0x102, 0, true, 1, 3]);
    expect(c.sub(1).failed).toBe(true);
  });

  it("writes and patches", () => {
    const w = new L.Writer(1);
    w.u8(1).u16(0x203).u32(0x4050607).pad(8).fixedString("abcdef", 4);
    w.patchU16(1, 0xffff);
    expect(L.formatHex(w.bytes())).toBe("01ffff040506070061626300");
  });
});

describe("numbers", () => {
  it.each([
    ["0", 0n],
    ["-1", -1n],
    ["0x1F", 31n],
    ["010", 8n],
    [" 7", 7n],
    ["+7", 7n],
    ["9223372036854775807", 9223372036854775807n],
    ["9223372036854775808", undefined],
    ["0x", undefined],
    ["08", undefined],
    ["", undefined],
    ["7 ", undefined],
  ])("strToLlong(%j)", (text, want) => {
    expect(L.strToLlong(text)).toBe(want);
  });
  it("keeps the low 32 bits of a wider number as strtoul() does", () => {
    expect(L.strToU32("0x1ffffffff")).toEqual({ ok: true, value: 0xffffffff });
    expect(L.strToU32("-1")).toEqual({ ok: true, value: 0xffffffff });
    expect(L.strToU32("")).toMatchObject({
      error: { message: "missing required numeric argument" },
    });
    expect(L.strToU16("65536", "port")).toMatchObject({
      error: { message: 'invalid port "65536"' },
    });
  });
  it.each([
    [1.25, 1, "1.2"],
    [1.75, 1, "1.8"],
    [1.35, 1, "1.4"],
    [0.125, 2, "0.12"],
    [3.375, 2, "3.38"],
    [2.5, 0, "2"],
    [7, 1, "7.0"],
  ])("formatFixed(%d, %d) is what printf() makes of it", (value, digits, want) => {
    expect(L.formatFixed(value, digits)).toBe(want);
  });
  it("formats words", () => {
    expect(L.formatHex64(1, 2)).toBe("0x100000002");
    expect(L.formatAltHex64(0, 0)).toBe("0");
  });
});

describe("addresses", () => {
  // From inet_ntop(), by `python3 -c "import socket; print(socket.inet_ntop(10, ...))"`.
  it.each([
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["0:0:0:0:0:ffff:102:304", "::ffff:1.2.3.4"],
    ["0:0:0:0:0:0:102:304", "::1.2.3.4"],
    ["0:0:0:0:0:0:0:304", "::304"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["fe80::a:b", "fe80::a:b"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ])("IPv6 %s", (text, want) => {
    const w = new Uint32Array(4);
    expect(L.parseIpv6(text, w)).toBe(true);
    expect(L.formatIpv6(w)).toBe(want);
  });
  it.each([":", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1::", "12345::", "1:::2", ":1::"])(
    "no IPv6 address: %s",
    (text) => expect(L.parseIpv6(text, new Uint32Array(4))).toBe(false),
  );
  it("reads back what it prints", () => {
    const words = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff), fc.nat(0xffffffff)), {
      minLength: 4,
      maxLength: 4,
    });
    fc.assert(
      fc.property(words, (w) => {
        const out = new Uint32Array(4);
        expect(L.parseIpv6(L.formatIpv6(w), out)).toBe(true);
        expect([...out]).toEqual(w);
        expect(L.parseIpv4(L.formatIpv4(w[0] ?? 0))).toBe(w[0]);
        const mac = L.parseMac(L.formatMac((w[1] ?? 0) & 0xffff, w[2] ?? 0));
        expect(mac).toEqual({ hi: (w[1] ?? 0) & 0xffff, lo: w[2] });
      }),
    );
  });
  it.each(["1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "", "1..2.3"])(
    "no IPv4 address: %s",
    (text) => expect(L.parseIpv4(text)).toBeUndefined(),
  );
  it("reads masked addresses and gives OVS's errors", () => {
    const v4 = (t: string) => {
      const r = L.parseIpv4Masked(t);
      return r.ok ? L.formatIpv4Masked(r.value.ip, r.value.mask) : r.error.message;
    };
    expect(v4("10.1.2.3/8")).toBe("10.1.2.3/8");
    expect(v4("10.1.2.3/255.0.255.0")).toBe("10.1.2.3/255.0.255.0");
    expect(v4("10.1.2.3/255.255.0.0")).toBe("10.1.2.3/16");
    expect(v4("10.1.2.3")).toBe("10.1.2.3");
    expect(v4("10.1.2.3/33")).toBe(
      "10.1.2.3/33: IPv4 network prefix bits not between 0 and 32, inclusive",
    );
    expect(v4("10.1.2.3x")).toBe("10.1.2.3x: invalid IP address");
    const v6 = (t: string) => {
      const ip = new Uint32Array(4);
      const mask = new Uint32Array(4);
      const r = L.parseIpv6Masked(t, ip, mask);
      return r.ok ? L.formatIpv6Masked(ip, mask) : r.error.message;
    };
    expect(v6("fe80::1/64")).toBe("fe80::1/64");
    expect(v6("fe80::1/ffff::1")).toBe("fe80::1/ffff::1");
    expect(v6("fe80::1/129")).toBe(
      "fe80::1/129: IPv6 network prefix bits not between 0 and 128, inclusive",
    );
    expect(v6("x")).toBe("x: invalid IPv6 address");
  });
});

describe("checksums", () => {
  const frame = fc.uint8Array({ minLength: 8, maxLength: 64 }).filter((b) => b.length % 2 === 0);
  it("the incremental update equals a fresh sum", () => {
    fc.assert(
      fc.property(frame, fc.nat(0xffffffff), (b, v) => {
        const at = 4;
        const old = L.csum(b);
        const oldWord = L.getU32(b, at);
        L.putU32(b, at, v);
        const fresh = L.csum(b);
        const updated = L.recalcCsum32(old, oldWord, v);
        // Zero has two forms; only all-zero data sums to the one that the update cannot make.
        expect([fresh, fresh ^ 0xffff]).toContain(
          updated === 0 || updated === 0xffff ? fresh : updated,
        );
        expect(updated === fresh || fresh === 0xffff || fresh === 0).toBe(true);
      }),
    );
  });
  it("CRC32c of the RFC's vectors", () => {
    expect(L.crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(L.crc32c(L.encodeLatin1("123456789"))).toBe(0xe3069283);
  });
});

describe("hashes", () => {
  it("is MurmurHash3 on whole words", () => {
    expect(L.hashString("test", 0)).toBe(0xba6bd213);
    expect(L.hashString("test", 0x9747b28c)).toBe(0x704b81dc);
  });
  it("hashes bytes as words", () => {
    const w = Uint32Array.of(0x04030201, 0x08070605);
    expect(L.hashBytes(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 5)).toBe(L.hashWords(w, 0, 2, 5));
  });
});

describe("key-value pieces", () => {
  const pieces = (t: string) => L.splitKeyValues(t).map((k) => `${k.key}${k.delim}|${k.value}`);
  it.each([
    ["a=b,c(d,e) f", ["a=|b", "c(|d,e", "f|"]],
    [" , a:b=c\t", ["a:|b=c"]],
    ["learn(a=b(c),d),x", ["learn(|a=b(c),d", "x|"]],
    ["set_field:(1)->x,y", ["set_field:|(1)->x", "y|"]],
    ["load(5)->r[0..3],z", ["load(|5)->r[0..3]", "z|"]],
    ["a=(b,c),d", ["a=|(b,c)", "d|"]],
    ["a(b", ["a(|b"]],
    ["", []],
  ])("%j", (text, want) => expect(pieces(text)).toEqual(want));
  it("keeps positions and ends", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab=:(), ->") }), (t) => {
        for (const k of L.splitKeyValues(t)) {
          expect(t.slice(k.keyOfs, k.keyOfs + k.key.length)).toBe(k.key);
          expect(t.slice(k.valueOfs, k.valueOfs + k.value.length)).toBe(k.value);
        }
      }),
    );
  });
});

describe("hints", () => {
  it("finds what was meant", () => {
    expect(L.nearestWord("nw_scr", ["nw_dst", "nw_src", "dl_src"])).toBe("nw_src");
    expect(L.nearestWord("xyz", ["nw_src"])).toBeUndefined();
    expect(L.editDistance("abc", "acb")).toBe(1);
  });
});

describe("environment", () => {
  it("a seed fixes the numbers, a clock only goes forward", () => {
    const a = new L.SeededRng(5);
    const b = new L.SeededRng(5);
    expect([a.u32(), a.u32()]).toEqual([b.u32(), b.u32()]);
    const c = new L.ManualClock(10, 1000);
    c.advance(-5);
    c.advanceTo(3);
    c.advance(7);
    expect([c.nowMs(), c.wallMs()]).toEqual([17, 1017]);
  });
  it("counts by name", () => {
    const c = new L.Counters(L.counterTable("t", { a: "first", b: "second" }));
    c.inc("b", 2);
    expect(c.snapshot().map((r) => `${r.name}=${r.count}`)).toEqual(["a=0", "b=2"]);
  });
});

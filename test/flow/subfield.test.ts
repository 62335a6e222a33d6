// Subfields as text and in keys, and the places of tunnel options.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { F, FIELDS } from "../../src/flow/fields.ts";
import { fieldGet } from "../../src/flow/field-value.ts";
import { K, newKey, set } from "../../src/flow/flow-key.ts";
import { newMatch, setTunMetadata } from "../../src/flow/match.ts";
import {
  checkDst,
  checkSrc,
  copySubfield,
  formatSubfield,
  parseSubfield,
  parseSubfieldAt,
  readSubfield,
  readSubfieldNumber,
  type Subfield,
  swapSubfields,
  valueBit,
  writeSubfield,
} from "../../src/flow/subfield.ts";
import { readTunMd, TunTable, writeTunMd } from "../../src/flow/tun-metadata.ts";

const WHAT = "syntax error expecting [] or [<bit>] or [<start>..<end>]";

describe("subfields as text", () => {
  const shown = (text: string) => {
    const r = parseSubfield(text);
    return r.ok ? formatSubfield(r.value) : `! ${r.error.message}`;
  };
  it.each([
    ["NXM_NX_REG0[0..15]", "NXM_NX_REG0[0..15]"],
    ["reg0[]", "NXM_NX_REG0[]"],
    ["reg0", "NXM_NX_REG0[]"],
    ["reg0[0..31]", "NXM_NX_REG0[]"],
    ["ip_src[3]", "NXM_OF_IP_SRC[3]"],
    ["OXM_OF_ETH_SRC[40..47]", "NXM_OF_ETH_SRC[40..47]"],
    ["NXM_NX_REG1_W[1]", "NXM_NX_REG1[1]"],
    ["xreg0[32..63]", "OXM_OF_PKT_REG0[32..63]"],
    ["tun_metadata5[0..7]", "NXM_NX_TUN_METADATA5[0..7]"],
    ["foo[1]", "! foo[1]: unknown field `foo'"],
    ["reg0[x]", `! reg0[x]: ${WHAT}`],
    ["reg0[1", `! reg0[1: ${WHAT}`],
    ["reg0[5..2]", "! reg0[5..2]: starting bit 5 is after ending bit 2"],
    ["reg0[32]", "! reg0[32]: starting bit 32 is not valid because field is only 32 bits wide"],
    ["reg0[3..40]", "! reg0[3..40]: ending bit 40 is not valid because field is only 32 bits wide"],
    ["reg0[1]x", "! unexpected input following field syntax"],
  ])("%s", (text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  it("may stand in a longer text", () => {
    const r = parseSubfieldAt("move:reg0[0..3]->reg1[]", 5);
    expect(r.ok && [formatSubfield(r.value.sf), r.value.end]).toEqual(["NXM_NX_REG0[0..3]", 15]);
  });
});

/** Subfields of fields that any packet has. */
const SUBFIELDS: fc.Arbitrary<Subfield> = fc
  .tuple(
    fc.constantFrom(
      ...FIELDS.filter(
        (f) =>
          f.prereq === "none" &&
          f.writable &&
          f.bits >= 32 &&
          f.tunMetadata < 0 &&
          f.format === "hex",
      ),
    ),
    fc.nat(),
    fc.nat(),
  )
  .map(([field, a, b]) => {
    const ofs = a % field.bits;
    return { field, ofs, bits: 1 + (b % (field.bits - ofs)) };
  });

describe("subfields in keys", () => {
  it("are read as they were written, and nothing else changes", () => {
    fc.assert(
      fc.property(
        SUBFIELDS,
        fc.array(fc.nat(0xffffffff), { minLength: 4, maxLength: 4 }),
        (sf, w) => {
          const key = newKey();
          key.fill(0x5a5a5a5a);
          const before = key.slice();
          const x = Uint32Array.from(w);
          writeSubfield(sf, x, key);
          const got = readSubfield(sf, key);
          for (let i = 0; i < sf.bits; i++) {
            expect(valueBit(got, i)).toBe(valueBit(x, i));
          }
          writeSubfield(sf, readSubfield(sf, before), key);
          expect(key).toEqual(before);
        },
      ),
    );
  });

  it("are copied and swapped, and both ends are un-wildcarded", () => {
    const key = newKey();
    const wc = newKey();
    set(key, K.reg0, 0x12345678);
    set(key, K.reg1, 0xaabbccdd);
    const low = { field: F.reg0, ofs: 0, bits: 8 };
    const high = { field: F.reg1, ofs: 24, bits: 8 };
    copySubfield(low, high, key, wc);
    expect(fieldGet(F.reg1, key)[0]).toBe(0x78bbccdd);
    expect([fieldGet(F.reg0, wc)[0], fieldGet(F.reg1, wc)[0]]).toEqual([0xff, 0xff000000]);
    swapSubfields(
      { field: F.reg0, ofs: 16, bits: 16 },
      { field: F.reg1, ofs: 0, bits: 16 },
      key,
      null,
    );
    expect(fieldGet(F.reg0, key)[0]).toBe(0xccdd5678);
    expect(readSubfieldNumber({ field: F.reg1, ofs: 0, bits: 16 }, key)).toBe(0x1234);
  });

  it("need their field's prerequisites", () => {
    const key = newKey();
    copySubfield(
      { field: F.reg0, ofs: 0, bits: 8 },
      { field: F.ip_src, ofs: 0, bits: 8 },
      key,
      null,
    );
    expect(key.every((w) => w === 0)).toBe(true);
    expect(checkSrc({ field: F.ip_src, ofs: 0, bits: 8 }, newMatch())).toBe(
      "OFPBAC_MATCH_INCONSISTENT",
    );
    expect(checkDst({ field: F.ct_state, ofs: 0, bits: 8 }, newMatch())).toBe(
      "OFPBAC_BAD_SET_ARGUMENT",
    );
    expect(checkDst({ field: F.reg0, ofs: 30, bits: 8 }, null)).toBe("OFPBAC_BAD_SET_LEN");
    expect(checkDst({ field: F.reg0, ofs: 0, bits: 32 }, null)).toBeNull();
  });
});

function table(...sizes: number[]): TunTable {
  const t = new TunTable().withAdded(
    sizes.map((optionBytes, index) => ({ optionClass: 1, optionType: index, optionBytes, index })),
  );
  if ("error" in t) {
    throw new Error(t.error);
  }
  return t;
}

describe("the TLV map", () => {
  it("gives out the first hole that is large enough, and splits if none is", () => {
    const t = table(124, 100, 32).withDeleted([0]);
    expect(t.loc(2)?.pieces).toEqual([{ offset: 224, bytes: 32 }]);
    const small = t.withAdded([{ optionClass: 2, optionType: 0, optionBytes: 8, index: 5 }]);
    expect("error" in small || small.loc(5)?.pieces).toEqual([{ offset: 0, bytes: 8 }]);
    const holes = table(64, 64, 64, 64).withDeleted([0, 2]);
    const split = holes.withAdded([{ optionClass: 2, optionType: 0, optionBytes: 100, index: 9 }]);
    expect("error" in split || split.loc(9)?.pieces).toEqual([
      { offset: 0, bytes: 64 },
      { offset: 128, bytes: 36 },
    ]);
  });

  it("refuses what is there already or does not fit, and stays as it was", () => {
    const t = table(124, 124);
    const add = (index: number, optionType: number, optionBytes: number) => {
      const r = t.withAdded([{ optionClass: 1, optionType, optionBytes, index }]);
      return "error" in r ? r.error : "";
    };
    expect(add(0, 9, 4)).toBe("NXTTMFC_ALREADY_MAPPED");
    expect(add(5, 1, 4)).toBe("NXTTMFC_DUP_ENTRY");
    expect(add(5, 9, 12)).toBe("NXTTMFC_TABLE_FULL");
    expect(add(5, 9, 8)).toBe("");
    expect(t.size).toBe(2);
    expect(t.find(1, 1)).toBe(1);
    expect(t.find(1, 2)).toBe(-1);
  });

  it("holds bodies apart, however they are split", () => {
    const t = table(64, 64, 64, 64).withDeleted([0, 2]);
    const s = t.withAdded([{ optionClass: 2, optionType: 0, optionBytes: 100, index: 9 }]);
    const loc = "error" in s ? undefined : s.loc(9);
    const other = t.loc(1);
    if (loc === undefined || other === undefined) {
      throw new Error("no place");
    }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 100, maxLength: 100 }), (body) => {
        const key = newKey();
        writeTunMd(key, other, 1, new Uint8Array(64).fill(7));
        writeTunMd(key, loc, 9, body);
        expect(readTunMd(key, loc)).toEqual(body);
        expect(readTunMd(key, other)).toEqual(new Uint8Array(64).fill(7));
      }),
    );
  });

  it("is not needed by a match, which then lays its options out itself", () => {
    const m = newMatch();
    const value = new Uint32Array(31);
    value[30] = 0x1234;
    expect(setTunMetadata(F.tun_metadata3, value, null, m)).toBeUndefined();
    expect(m.tunMd?.entries.get(3)?.loc).toEqual({ bytes: 2, pieces: [{ offset: 0, bytes: 2 }] });
    expect(setTunMetadata(F.tun_metadata3, value, null, m)).toBe(
      "field tun_metadata3 set multiple times",
    );
    const large = new Uint32Array(31).fill(0xffffffff);
    expect(setTunMetadata(F.tun_metadata4, large, null, m)).toBeUndefined();
    expect(setTunMetadata(F.tun_metadata5, large, null, m)).toBeUndefined();
    expect(setTunMetadata(F.tun_metadata6, large, null, m)).toBe(
      "field tun_metadata6 exceeds maximum size for tunnel metadata (used 374, max 256)",
    );
  });
});

// The field table: its own order, the layout it gives to keys, and laws that every row obeys.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mfFormat, mfParse } from "../../src/flow/field-text.ts";
import {
  allOnes,
  fieldGet,
  fieldIsMaskValid,
  fieldIsValueValid,
  fieldMask,
  fieldPrereqsOk,
  fieldSet,
  fieldSetMasked,
  isAllOnes,
  isAllZero,
} from "../../src/flow/field-value.ts";
import {
  F,
  FIELDS,
  type Field,
  fieldByName,
  fieldByOxm,
  fieldByOxmName,
} from "../../src/flow/fields.ts";
import { newKey, set } from "../../src/flow/flow-key.ts";
import { P } from "../../src/flow/of-version.ts";
import { K, KEY_WORDS, SLOT_LIST, STAGE_END } from "../../src/flow/slots.ts";
import { TunTable } from "../../src/flow/tun-metadata.ts";
import { seeded, valueText } from "../arbitraries/matches.ts";

const TAB = (() => {
  const mappings = Array.from({ length: 2 }, (_, index) => ({
    optionClass: 0x102,
    optionType: index,
    optionBytes: 124,
    index,
  }));
  const tab = new TunTable().withAdded(mappings);
  if ("error" in tab) {
    throw new Error(tab.error);
  }
  return tab;
})();

/** All but the tunnel options that TAB has no room for. */
const TESTED = FIELDS.filter((f) => f.tunMetadata < 2);

describe("the table", () => {
  it("has Open vSwitch's fields in its order", () => {
    expect(FIELDS.length).toBe(183);
    const at = [
      "dp_hash",
      "tun_id",
      "tun_metadata0",
      "metadata",
      "reg0",
      "xreg0",
      "xxreg0",
    ] as const;
    expect(at.map((n) => F[n].id)).toEqual([0, 4, 20, 84, 101, 117, 125]);
    expect(F.nsh_ttl.id).toBe(182);
    expect(FIELDS.every((f, i) => f.id === i)).toBe(true);
  });

  it("finds fields by name, alias and wire number", () => {
    expect(fieldByName("nw_src")).toBe(F.ip_src);
    expect(fieldByName("nsp")).toBe(F.nsh_spi);
    expect(fieldByName("ip_srk")).toBeUndefined();
    expect(fieldByOxmName("OXM_OF_PKT_REG3")?.field).toBe(F.xreg3);
    expect(fieldByOxm(0x005ad650, 0xffff, 4)?.field).toBe(F.nsh_spi);
    for (const f of FIELDS) {
      for (const h of f.oxm) {
        expect(fieldByOxm(h.vendor, h.class, h.field)).toEqual({ field: f, header: h });
      }
    }
  });

  it("says which protocols can express a field", () => {
    expect(F.ip_src.usableCidr).toBe(P.ANY);
    expect(F.ip_src.usableBitwise).toBe(P.NXM_OF11_UP);
    expect(F.dl_vlan.usableExact).toBe(P.ANY);
    expect(F.reg0.usableExact).toBe(P.NXM_OXM_ANY);
    expect(F.tun_ttl.usableExact).toBe(P.NONE);
    expect(F.eth_src.usableBitwise).toBe(P.NXM_OF11_UP);
  });

  it("documents every field in a sentence", () => {
    for (const f of FIELDS) {
      expect(f.doc, f.name).toMatch(/^[A-Z0-9].{8,}\.$/);
    }
  });
});

describe("the layout of keys", () => {
  it("is this one", () => {
    expect(KEY_WORDS).toBe(165);
    expect(STAGE_END.length).toBe(4);
    const lines = SLOT_LIST.map((s) => `${s.name} ${s.word}.${s.shift} ${s.bits} ${s.stage}`);
    expect(lines.join("\n")).toMatchSnapshot();
  });

  it("gives every field bits of its slot", () => {
    for (const f of FIELDS.filter((x) => x.words === 1 && x.tunMetadata < 0)) {
      expect(f.lsb, f.name).toBeLessThan(f.slot.bits);
    }
  });
});

/** Cases for one field: its values as text, from a seed. */
function eachField(check: (f: Field, text: string) => void): void {
  for (const f of TESTED) {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        check(f, valueText(seeded(seed), f));
      }),
      { numRuns: 20 },
    );
  }
}

describe("laws of every row", () => {
  it("parse after format gives the value and its mask back", () => {
    eachField((f, text) => {
      const a = mfParse(f, text);
      if (!a.ok || isAllZero(a.value.mask)) {
        return;
      }
      if (f === F.ct_state && isAllOnes(f, a.value.mask)) {
        return; // Open vSwitch shows bits that have no name, which cannot be read back.
      }
      const shown = mfFormat(f, a.value.value, a.value.mask);
      // A packet type is shown with its keyword, and masks of flags may have no short form.
      const b = mfParse(f, shown.replace(/^packet_type=/, "").replace(/^eth$/, "(0,0)"));
      if (b.ok) {
        const masked = (v: Uint32Array) => v.map((w, i) => w & (a.value.mask[i] ?? 0));
        expect(masked(b.value.value), `${f.name} ${text} ${shown}`).toEqual(masked(a.value.value));
      }
      expect(b.ok, `${f.name}: ${text} -> ${shown}`).toBe(true);
    });
  });

  it("get after set gives a valid value back", () => {
    eachField((f, text) => {
      const a = mfParse(f, text);
      if (!a.ok || !isAllOnes(f, a.value.mask) || !fieldIsValueValid(f, a.value.value)) {
        return;
      }
      const key = newKey();
      fieldSet(f, a.value.value, key, TAB);
      expect(fieldGet(f, key, TAB), `${f.name} ${text}`).toEqual(expectedGet(f, a.value.value));
    });
  });

  it("a masked set changes only the bits of its mask", () => {
    eachField((f, text) => {
      const a = mfParse(f, text);
      if (!a.ok || !f.maskable || f.slot === K.vlan_tci || !fieldIsValueValid(f, a.value.value)) {
        return;
      }
      const key = newKey();
      key.fill(0x5a5a5a5a);
      const before = fieldGet(f, key, TAB);
      fieldSetMasked(f, a.value.value, a.value.mask, key, TAB);
      const after = fieldGet(f, key, TAB);
      const kept = limited(f);
      after.forEach((w, i) => {
        const m = (a.value.mask[i] ?? 0) & (kept[i] ?? 0);
        const old = before[i] ?? 0;
        expect((w ^ old) & ~m & (kept[i] ?? 0), f.name).toBe(0);
        expect((w ^ (a.value.value[i] ?? 0)) & m, f.name).toBe(0);
      });
    });
  });

  it("a whole mask shows as all ones, where the field shows all its bits", () => {
    for (const f of TESTED) {
      const wc = newKey();
      fieldMask(f, wc, TAB);
      expect(isAllZero(fieldGet(f, wc, TAB)), f.name).toBe(false);
      expect(fieldIsMaskValid(f, allOnes(f))).toBe(true);
    }
  });
});

/** The bits of a value that the key keeps for a field. */
function limited(f: Field): Uint32Array {
  const mask = allOnes(f);
  if (f.words === 1 && f.slot.words === 1) {
    const bits = Math.min(f.bits, f.slot.bits - f.lsb);
    mask[0] = ((mask[0] ?? 0) & (bits >= 32 ? 0xffffffff : 2 ** bits - 1)) >>> 0;
  }
  return mask;
}

/** What reading gives after writing: some VLAN fields imply that there is a tag. */
function expectedGet(f: Field, value: Uint32Array): Uint32Array {
  const mask = limited(f);
  if (f === F.vlan_vid) {
    return value;
  }
  return value.map((w, i) => w & (mask[i] ?? 0));
}

describe("prerequisites", () => {
  const ok = (f: Field, ...slots: [keyof typeof K, number][]) => {
    const key = newKey();
    for (const [name, v] of slots) {
      set(key, K[name], v);
    }
    return fieldPrereqsOk(f, key);
  };
  it("are those of ovs-fields(7)", () => {
    expect(ok(F.ip_src)).toBe(false);
    expect(ok(F.ip_src, ["dl_type", 0x800])).toBe(true);
    expect(ok(F.ip_src, ["packet_type", 0x10800])).toBe(true);
    expect(ok(F.eth_src, ["packet_type", 0x10800])).toBe(false);
    expect(ok(F.tcp_src, ["dl_type", 0x86dd], ["nw_proto", 6])).toBe(true);
    expect(ok(F.tcp_src, ["dl_type", 0x86dd], ["nw_proto", 6], ["nw_frag", 3])).toBe(false);
    expect(ok(F.vlan_pcp, ["vlan_tci", 0x1005])).toBe(true);
    expect(ok(F.vlan_pcp, ["vlan_tci", 5])).toBe(false);
    expect(ok(F.arp_spa, ["dl_type", 0x8035])).toBe(true);
    expect(ok(F.nd_sll, ["dl_type", 0x86dd], ["nw_proto", 58], ["tp_src", 135])).toBe(true);
    expect(ok(F.nd_tll, ["dl_type", 0x86dd], ["nw_proto", 58], ["tp_src", 135])).toBe(false);
    expect(ok(F.ct_nw_src, ["ct_state", 0x21])).toBe(true);
    expect(ok(F.ct_nw_src, ["ct_state", 0x20])).toBe(false);
  });
});

// LLDP frames: what is written reads back; frames cut anywhere or full of noise are never taken for
// good ones by accident of an exception.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lldpFrame, readLldp, withoutVlan } from "../../src/packet/lldp.ts";
import { Lldp } from "../../src/openflow/lldp.ts";

const announcement = fc.record({
  chassis: fc.tuple(fc.nat({ max: 0xffff }), fc.nat({ max: 0xffffffff })),
  port: fc.stringMatching(/^[a-z0-9]{1,15}$/),
  systemName: fc.stringMatching(/^[a-z]{0,20}$/),
  systemDescr: fc.stringMatching(/^[a-z ]{0,40}$/),
  mappings: fc.array(
    fc.record({
      isid: fc.nat({ max: 0xffffff }),
      vlan: fc.nat({ max: 0xfff }),
      status: fc.nat({ max: 15 }),
    }),
    { maxLength: 10 },
  ),
});

describe("LLDP", () => {
  it("frames read back as they were written", () => {
    fc.assert(
      fc.property(announcement, (a) => {
        const { neighbour, unrecognised } = readLldp(lldpFrame(a, [1, 2]));
        expect(unrecognised).toBe(0);
        expect(neighbour?.mappings).toEqual(a.mappings);
        expect([...(neighbour?.portId ?? [])]).toEqual([...new TextEncoder().encode(a.port)]);
        expect(neighbour?.chassisId).toEqual(neighbour?.system?.mac);
      }),
      { numRuns: 100 },
    );
  });

  it("cut frames are bad ones", () => {
    const whole = lldpFrame(
      { chassis: [1, 2], port: "p1", systemName: "a", systemDescr: "b", mappings: [] },
      [1, 2],
    );
    for (let n = 0; n < whole.length; n++) {
      expect(readLldp(whole.subarray(0, n)).neighbour, `${n} bytes`).toBe(null);
    }
    expect(readLldp(whole).neighbour).not.toBe(null);
  });

  it("noise is counted, never thrown", () => {
    fc.assert(
      fc.property(announcement, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 }))), (a, noise) => {
        const frame = lldpFrame(a, [1, 2]);
        for (const [at, byte] of noise) {
          frame[at % frame.length] = byte;
        }
        const lldp = new Lldp("p1", [1, 2]);
        lldp.received(frame);
        lldp.received(withoutVlan(frame));
        expect(lldp.counts.rx).toBe(2);
      }),
      { numRuns: 200 },
    );
  });
});

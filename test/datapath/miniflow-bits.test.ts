// Words of Open vSwitch's flow structure that a mask touches. `dpctl/dump-flows -m` of the real one
// told (4,1) of IP packets and (7,0) of an MPLS packet whose translations went too deep.

import { describe, expect, it } from "vitest";
import { miniflowBits } from "../../src/datapath/miniflow-bits.ts";
import { fill, type FlowKey, K, newKey, set } from "../../src/flow/flow-key.ts";
import type { SlotName } from "../../src/flow/slots.ts";
import { ETH_TYPE } from "../../src/flow/vlan-mpls.ts";

const ALWAYS: readonly SlotName[] = ["recirc_id", "packet_type", "in_port", "dl_type", "vlan_tci"];

function keyOf(values: Partial<Record<SlotName, number>>): FlowKey {
  const key = newKey();
  for (const [name, value] of Object.entries(values)) {
    set(key, K[name as SlotName], value);
  }
  return key;
}

function maskOf(...names: readonly SlotName[]): FlowKey {
  const mask = newKey();
  for (const name of [...ALWAYS, ...names]) {
    fill(mask, K[name]);
  }
  return mask;
}

describe("miniflowBits", () => {
  it("counts words, not fields; the port is none of them", () => {
    const ip = keyOf({ dl_type: ETH_TYPE.IP, nw_proto: 17 });
    expect(miniflowBits(ip, maskOf("nw_frag"))).toEqual([4, 1]);
    expect(miniflowBits(ip, maskOf("nw_frag", "nw_proto", "tp_src", "tp_dst"))).toEqual([4, 2]);
  });

  it("leaves out what a failed translation looked at and no packet of the kind has", () => {
    const mpls = keyOf({ dl_type: ETH_TYPE.MPLS });
    const seen = ["dl_dst", "dl_src", "mpls_lse", "mpls_lse1", "mpls_lse2"] as const;
    expect(miniflowBits(mpls, maskOf(...seen, "reg0", "nw_proto", "nw_ttl"))).toEqual([7, 0]);
    const ip = keyOf({ dl_type: ETH_TYPE.IP, nw_proto: 17 });
    expect(miniflowBits(ip, maskOf("nw_frag", "mpls_lse", "tun_id", "nsh_c1"))).toEqual([4, 1]);
  });

  it("counts the tunnel of a packet that came through one, options only if it has any", () => {
    const tunnel = keyOf({ dl_type: ETH_TYPE.IP, tun_dst: 0x0a000001 });
    const mask = maskOf("tun_dst", "tun_md_present", "nw_frag");
    expect(miniflowBits(tunnel, mask)).toEqual([5, 1]);
    set(tunnel, K.tun_md_present, 1);
    expect(miniflowBits(tunnel, mask)).toEqual([6, 1]);
  });
});

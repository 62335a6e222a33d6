// Properties of a topology, tried with random frames: two switches joined by a patch pair, with
// hosts in two VLANs. What goes into one VLAN never comes out in the other, and a frame for a
// host that is known goes to that host alone.
//
// It needs fast-check beside the package; in a project with vitest or jest the property is a test.

import fc from "fast-check";
import { frameOf, Switch } from "tablewalk";

interface Station {
  readonly port: string;
  readonly vlan: number;
  readonly mac: string;
}

/** Hosts h0, h1 … stand in turn at the two switches; each has its VLAN. */
const STATIONS: readonly Station[] = [10, 20, 10, 20, 10, 20].map((vlan, i) => ({
  port: `h${i}`,
  vlan,
  mac: `02:00:00:00:00:0${i}`,
}));

function topology(): Switch {
  const sw = new Switch();
  sw.run("ovs-vsctl add-br left -- add-br right");
  for (const [near, far] of [
    ["left", "right"],
    ["right", "left"],
  ]) {
    const options = `type=patch options:peer=${far}-${near}`;
    sw.run(`ovs-vsctl add-port ${near} ${near}-${far} -- set Interface ${near}-${far} ${options}`);
  }
  for (const [i, { port, vlan }] of STATIONS.entries()) {
    sw.run(`ovs-vsctl add-port ${i % 2 === 0 ? "left" : "right"} ${port} tag=${vlan}`);
  }
  return sw;
}

/** The stations whose host got a frame since the last time. */
function receivers(sw: Switch): Station[] {
  return STATIONS.filter((s) => sw.host(s.port).received().length > 0);
}

const station = fc.constantFrom(...STATIONS);
const conversation = fc.array(fc.record({ from: station, to: station, port: fc.nat(65535) }), {
  minLength: 1,
  maxLength: 20,
});

/** Tries so many conversations, each in a new switch; throws with the smallest that fails. */
export function main(print: (text: string) => void, runs = 20): void {
  let frames = 0;
  const property = fc.property(conversation, (packets) => {
    const sw = topology();
    const known = new Set<Station>();
    receivers(sw); // Plugs all hosts in.
    for (const { from, to, port } of packets) {
      const flow = `udp,dl_src=${from.mac},dl_dst=${to.mac},nw_ttl=64,udp_dst=${port}`;
      sw.host(from.port).send(frameOf(flow));
      known.add(from);
      frames++;
      const got = receivers(sw);
      if (got.some((s) => s.vlan !== from.vlan)) {
        return false; // A frame crossed from one VLAN to the other.
      }
      if (known.has(to) && to.vlan === from.vlan) {
        const expected = to === from ? [] : [to];
        if (got.length !== expected.length || got[0] !== expected[0]) {
          return false; // A known host did not get its frame, or others did too.
        }
      }
    }
    return true;
  });
  fc.assert(property, { numRuns: runs, seed: 1 });
  print(`${runs} conversations, ${frames} frames: VLANs stay apart, known hosts are found`);
}

main(console.log);

// What exporters of IPFIX count, and how long their flows stay.
import { describe, expect, it } from "vitest";
import { ETH_TYPE, IP_PROTO } from "../../src/flow/flow-is.ts";
import { type FlowKey, K, newKey, set } from "../../src/flow/flow-key.ts";
import { IpfixExporter } from "../../src/openflow/ipfix-exporter.ts";

const INPUT = { obsDomainId: 1, obsPointId: 2, outputPort: 0xffffffff, egress: false };

function packet(dlType: number, proto: number, port = 0): FlowKey {
  const key = newKey();
  set(key, K.dl_type, dlType);
  set(key, K.nw_proto, proto);
  set(key, K.tp_src, port);
  return key;
}

function exporter(activeTimeoutS: number, maxFlows: number) {
  const clock = { ms: 1000 };
  return { clock, e: new IpfixExporter(7, { activeTimeoutS, maxFlows }, () => clock.ms) };
}

describe("an IPFIX exporter", () => {
  it("tells protocols that it knows from others", () => {
    const { e } = exporter(0, 0);
    e.sample(packet(ETH_TYPE.IP, IP_PROTO.TCP), INPUT);
    e.sample(packet(ETH_TYPE.IP, IP_PROTO.ICMP), INPUT);
    e.sample(packet(ETH_TYPE.IP, IP_PROTO.ICMPV6), INPUT);
    e.sample(packet(ETH_TYPE.IPV6, IP_PROTO.ICMPV6), INPUT);
    e.sample(packet(ETH_TYPE.IPV6, 89), INPUT);
    e.sample(packet(ETH_TYPE.ARP, 1), INPUT);
    expect(e.stats).toMatchObject({ pkts: 6n, ipv4Pkts: 2n, ipv6Pkts: 1n, errorPkts: 2n });
    expect(e.stats).toMatchObject({ ipv4ErrorPkts: 1n, ipv6ErrorPkts: 1n, collectorSetId: 7 });
  });

  it("keeps flows until they are too many or too old", () => {
    const { e, clock } = exporter(10, 2);
    const take = (port: number) => e.sample(packet(ETH_TYPE.IP, IP_PROTO.UDP, port), INPUT);
    take(1);
    take(1);
    expect(e.stats).toMatchObject({ pkts: 2n, totalFlows: 1n, currentFlows: 1n });
    clock.ms += 5000;
    take(2);
    take(3);
    expect(e.stats).toMatchObject({ totalFlows: 3n, currentFlows: 2n });
    take(1);
    expect(e.stats).toMatchObject({ totalFlows: 4n, currentFlows: 2n });
    clock.ms += 10_000;
    e.expire();
    expect(e.stats).toMatchObject({ totalFlows: 4n, currentFlows: 0n });
  });

  it("sees other flows on output", () => {
    const { e } = exporter(10, 10);
    const p = packet(ETH_TYPE.IP, IP_PROTO.UDP, 1);
    e.sample(p, INPUT);
    e.sample(p, { ...INPUT, outputPort: 2, egress: true });
    expect(e.stats.currentFlows).toBe(2n);
  });
});

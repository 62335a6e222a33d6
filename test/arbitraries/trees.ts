// Random topologies of bridges that speak STP over patch ports, and what happens to them: time,
// links that go, other costs and priorities, topology changes by hand.
//
// A session is a list of command lines. BPDUs never leave the switch, so that both sides see the
// same ones at the same time.

import fc from "fast-check";

export interface TreeSession {
  readonly lines: readonly (readonly string[])[];
  readonly bridges: number;
  readonly ports: readonly string[];
}

interface Link {
  readonly a: number;
  readonly b: number;
  readonly cost: number | null;
  readonly priority: number | null;
}

const words = (line: string): string[] => line.split(" ");
const maybe = <T>(a: fc.Arbitrary<T>) => fc.option(a, { freq: 3 });

const priority = fc.constantFrom(0, 4096, 28672, 32768, 32769, 61440, 65535);
const cost = fc.constantFrom(1, 5, 19, 100, 65535);

const bridgeSettings = fc.record({
  mac: fc.nat({ max: 15 }),
  priority: maybe(priority),
  "system-id": maybe(fc.constantFrom("aa:00:00:00:00:01", "aa:00:00:00:00:09")),
  "hello-time": maybe(fc.constantFrom(500, 1000, 3000, 10000)),
  "max-age": maybe(fc.constantFrom(5, 6, 10, 40, 100)),
  "forward-delay": maybe(fc.constantFrom(4, 10, 30, 50)),
});

type BridgeSettings = typeof bridgeSettings extends fc.Arbitrary<infer T> ? T : never;

function addBridge(i: number, s: BridgeSettings): string[] {
  const { mac, ...settings } = s;
  // The last byte keeps addresses apart.
  const hwaddr = `aa:66:aa:66:0${mac.toString(16)}:0${i}`;
  const config = Object.entries(settings)
    .filter(([, v]) => v !== null)
    .map(([k, v]) => `other_config:stp-${k}=${v}`);
  const set = ["--", "set", "bridge", `br${i}`, `other_config:hwaddr=${hwaddr}`, ...config];
  return ["ovs-vsctl", "add-br", `br${i}`, ...set];
}

/** One end after the other: what one transaction adds comes in the order of random UUIDs. */
function addLink(i: number, { a, b, cost: c, priority: p }: Link): string[][] {
  const end = (br: number, name: string, peer: string) =>
    `ovs-vsctl add-port br${br} ${name} -- set interface ${name} type=patch options:peer=${peer}`;
  const [x, y] = [`l${i}a`, `l${i}b`];
  const costs = c === null ? "" : ` -- set port ${x} other_config:stp-path-cost=${c}`;
  const priorities = p === null ? "" : ` -- set port ${y} other_config:stp-port-priority=${p}`;
  return [words(end(a, x, y) + costs), words(end(b, y, x) + priorities)];
}

function steps(bridges: number, ports: readonly string[]): fc.Arbitrary<string[]> {
  const bridge = fc.nat({ max: bridges - 1 }).map((i) => `br${i}`);
  const port = fc.constantFrom(...ports);
  const set = (what: fc.Arbitrary<string>, column: string, value: fc.Arbitrary<unknown>) =>
    fc.tuple(what, value).map(([w, v]) => words(`ovs-vsctl set ${w} other_config:${column}=${v}`));
  const ofBridge = bridge.map((b) => `bridge ${b}`);
  const ofPort = port.map((p) => `port ${p}`);
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(fc.constantFrom(3000, 16000, 31000), fc.constantFrom(100, 500, 1000, 2000, 3000))
        .map(([total, step]) => words(`ovs-appctl time/warp ${total} ${step}`)),
    },
    fc.constantFrom(1000, 7000, 20000).map((ms) => words(`ovs-appctl time/warp ${ms}`)),
    fc.option(bridge).map((b) => words(`ovs-appctl stp/tcn${b === null ? "" : ` ${b}`}`)),
    set(ofBridge, "stp-priority", priority),
    set(ofBridge, "stp-forward-delay", fc.integer({ min: 4, max: 30 })),
    set(ofPort, "stp-path-cost", cost),
    set(ofPort, "stp-port-priority", fc.nat({ max: 255 })),
    set(ofPort, "stp-enable", fc.boolean()),
    port.map((p) => words(`ovs-vsctl --if-exists del-port ${p}`)),
    fc
      .tuple(bridge, fc.boolean())
      .map(([b, on]) => words(`ovs-vsctl set bridge ${b} stp_enable=${on}`)),
  );
}

export const treeSession: fc.Arbitrary<TreeSession> = fc
  .integer({ min: 2, max: 4 })
  .chain((bridges) => {
    const any = fc.nat({ max: bridges - 1 });
    const link = (a: fc.Arbitrary<number>, b: fc.Arbitrary<number>) =>
      fc.record({ a, b, cost: maybe(cost), priority: maybe(fc.nat({ max: 255 })) });
    const trunk = Array.from({ length: bridges - 1 }, (_, i) =>
      link(fc.constant(i + 1), fc.nat({ max: i })),
    );
    return fc.tuple(
      fc.array(bridgeSettings, { minLength: bridges, maxLength: bridges }),
      fc.tuple(...trunk),
      fc.array(link(any, any), { maxLength: 3 }),
    );
  })
  .chain(([bridges, trunk, more]) => {
    const links = [...trunk, ...more];
    const ports = links.flatMap((_, i) => [`l${i}a`, `l${i}b`]);
    const n = bridges.length;
    return fc.array(steps(n, ports), { minLength: 3, maxLength: 10 }).map((doing) => ({
      lines: [
        ...bridges.map((s, i) => addBridge(i, s)),
        ...links.flatMap((l, i) => addLink(i, l)),
        ...bridges.map((_, i) => words(`ovs-vsctl set bridge br${i} stp_enable=true`)),
        ...doing,
      ],
      bridges: n,
      ports,
    }));
  });

// Captures as devices: received as they are in the file, sent with times, one file for many ports.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { CaptureMerge } from "../../src/io/capture-merge.ts";
import { PcapngWriter, PcapReader, PcapWriter } from "../../src/io/pcap-file.ts";
import { PcapNetdev, pcapngSink, pcapSink } from "../../src/io/pcap-netdev.ts";
import { formatHex } from "../../src/lib/bytes.ts";
import { PacketBuf } from "../../src/packet/packet.ts";

const dir = mkdtempSync(join(tmpdir(), "tablewalk-netdev-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function capture(
  name: string,
  packets: readonly (readonly [sec: number, nsec: number, byte: number])[],
): string {
  const path = join(dir, name);
  const w = new PcapWriter(path, true);
  for (const [sec, nsec, byte] of packets) {
    w.write(new Uint8Array(60).fill(byte), sec, nsec);
  }
  w.close();
  return path;
}

function contents(path: string): string[] {
  const reader = new PcapReader(path);
  const out: string[] = [];
  for (let r = reader.next(); r !== null; r = reader.next()) {
    const name = reader.interfaceName(r.iface);
    out.push(`${name}${r.sec}.${r.nsec} ${formatHex(r.data.subarray(0, 1))}x${r.data.length}`);
  }
  reader.close();
  return out;
}

it("sends on what it receives, with the same times", () => {
  const from = capture("a.pcap", [
    [1, 5, 0xaa],
    [2, 999_999_999, 0xbb],
  ]);
  const to = join(dir, "b.pcap");
  const writer = new PcapWriter(to, true);
  const dev = new PcapNetdev("p", { reader: new PcapReader(from), sink: pcapSink(writer) });
  for (let p = dev.receive(); p !== null; p = dev.receive()) {
    dev.send(p);
  }
  writer.close();
  expect(contents(to)).toEqual(contents(from));
  expect(dev.stats).toEqual({ rxPackets: 2, rxBytes: 120, txPackets: 2, txBytes: 120 });
});

it("many devices share a pcapng", () => {
  const path = join(dir, "many.pcapng");
  const writer = new PcapngWriter(path);
  const devs = ["x", "y"].map(
    (name, i) =>
      new PcapNetdev(name, { sink: pcapngSink(writer, name), now: () => ({ sec: i, nsec: 7 }) }),
  );
  for (const dev of [...devs, ...devs]) {
    dev.send(PacketBuf.of(new Uint8Array(14 + dev.stats.txPackets)));
  }
  writer.close();
  expect(contents(path)).toEqual(["x0.7 00x14", "y1.7 00x14", "x0.7 00x15", "y1.7 00x15"]);
});

it("captures are merged by time, equal times in the order of the captures", () => {
  const merge = new CaptureMerge<string>();
  merge.add(
    capture("m1.pcap", [
      [1, 0, 1],
      [3, 0, 2],
      [3, 0, 3],
    ]),
    "one",
  );
  merge.add(
    capture("m2.pcap", [
      [3, 0, 4],
      [2, 0, 5],
      [9, 0, 6],
    ]),
    "two",
  );
  merge.add(capture("m3.pcap", []), "none");
  const seen: string[] = [];
  for (let i = merge.next(); i !== null; i = merge.next()) {
    seen.push(`${i.tag}:${i.head?.data[0]}`);
  }
  merge.close();
  expect(seen).toEqual(["one:1", "one:2", "one:3", "two:4", "two:5", "two:6"]);
  expect(merge.inputs.map((i) => [i.count, i.backward])).toEqual([
    [3, 0],
    [3, 1],
    [0, 0],
  ]);
  expect(merge.readBytes).toBe(merge.fileBytes);
});

// Where the packets of a replay go: a capture for each port in a directory, or one with all.
//
// Time stamps are those of the packets that caused them, in nanoseconds if any capture that is read
// has them. A directory gets a capture for every port of the switch, an empty one too: that says
// that nothing left there.

import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { PcapngWriter, PcapWriter } from "../io/pcap-file.ts";
import type { PacketBuf } from "../packet/packet.ts";
import type { Replay, ReplaySink } from "../vswitch/replay/replay.ts";
import { replayPorts } from "../vswitch/replay/replay-ports.ts";

/** A packet as a range of bytes, without an object for each. */
class Range {
  bytes: Uint8Array = new Uint8Array(0);
  from = 0;
  to = 0;

  of(p: PacketBuf): Range {
    this.bytes = p.bytes;
    this.from = p.start;
    this.to = p.end;
    return this;
  }
}

class PcapSink implements ReplaySink {
  private readonly writer: PcapWriter;
  private readonly range = new Range();

  constructor(path: string, nanos: boolean) {
    this.writer = new PcapWriter(path, nanos);
  }

  write(p: PacketBuf, sec: number, nsec: number): void {
    this.writer.writeRange(this.range.of(p), sec, nsec);
  }

  close(): void {
    this.writer.close();
  }
}

class PcapngSink implements ReplaySink {
  private readonly writer: PcapngWriter;
  private readonly iface: number;
  private readonly range = new Range();

  constructor(writer: PcapngWriter, name: string) {
    this.writer = writer;
    this.iface = writer.addInterface(name);
  }

  write(p: PacketBuf, sec: number, nsec: number): void {
    this.writer.writeRange(this.iface, this.range.of(p), sec, nsec);
  }
}

/** The file of a port: its name, without what could leave the directory. */
export function captureName(port: string, taken: Set<string>): string {
  const safe = port.replace(/[^\w.@+-]/g, "_").replace(/^\.+/, "_");
  let name = `${safe}.pcap`;
  for (let n = 2; taken.has(name); n++) {
    name = `${safe}-${n}.pcap`;
  }
  taken.add(name);
  return name;
}

export interface OutputOptions {
  readonly outDir: string | undefined;
  readonly out: string | undefined;
  readonly nanos: boolean;
  /** Captures that are read, which must not be written over. */
  readonly inputs: readonly string[];
}

export interface Outputs {
  close(): void;
}

/** Opens the outputs and ties them to the ports. Throws what node:fs throws. */
export function openOutputs(replay: Replay, options: OutputOptions): Outputs {
  const inputs = new Set(options.inputs.map(realPath));
  const refuse = (path: string) => {
    if (inputs.has(realPath(path))) {
      throw new Error(`${path} is read, and would be written over`);
    }
  };
  const closers: (() => void)[] = [];
  const ports = replayPorts(replay.vs);
  const { outDir, out } = options;
  if (outDir !== undefined) {
    mkdirSync(outDir, { recursive: true });
    const taken = new Set<string>();
    const files = ports.map((p) => ({ port: p, path: join(outDir, captureName(p.name, taken)) }));
    for (const { path } of files) {
      refuse(path);
    }
    for (const { port, path } of files) {
      const sink = new PcapSink(path, options.nanos);
      replay.setSink(port.name, sink);
      closers.push(() => sink.close());
    }
  }
  if (out !== undefined) {
    refuse(out);
    const writer = new PcapngWriter(out);
    for (const port of ports) {
      replay.setSink(port.name, new PcapngSink(writer, port.name));
    }
    closers.push(() => writer.close());
  }
  return {
    close: () => {
      for (const close of closers) {
        close();
      }
    },
  };
}

/** A path as the system knows it; one that is not there as it is. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

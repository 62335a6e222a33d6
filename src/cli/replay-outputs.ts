// Where the packets of a replay go: a capture for each port in a directory, or one with all.
//
// Time stamps are those of the packets that caused them, in nanoseconds if any capture that is read
// has them. A directory gets a capture for every port of the switch, an empty one too: that says
// that nothing left there.

import { realpathSync } from "node:fs";
import { join } from "node:path";
import { PcapngWriter, PcapWriter } from "../io/pcap-file.ts";
import { pcapngSink, pcapSink } from "../io/pcap-netdev.ts";
import { makeDirectory } from "../io/system-error.ts";
import type { Replay } from "../vswitch/replay/replay.ts";
import { replayPorts } from "../vswitch/replay/replay-ports.ts";

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
  const ports = [...replayPorts(replay.vs), ...replay.vports];
  const { outDir, out } = options;
  if (outDir !== undefined) {
    makeDirectory(outDir);
    const taken = new Set<string>();
    const files = ports.map((p) => ({ port: p, path: join(outDir, captureName(p.name, taken)) }));
    for (const { path } of files) {
      refuse(path);
    }
    for (const { port, path } of files) {
      const writer = new PcapWriter(path, options.nanos);
      replay.setSink(port.name, pcapSink(writer));
      closers.push(() => writer.close());
    }
  }
  if (out !== undefined) {
    refuse(out);
    const writer = new PcapngWriter(out);
    for (const port of ports) {
      replay.setSink(port.name, pcapngSink(writer, port.name));
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

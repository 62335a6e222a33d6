// Reads test/golden/messages*.txt, which tools/golden-messages.ts makes.

import { readFileSync } from "node:fs";
import { parseHex } from "../../../src/lib/bytes.ts";

export interface GoldenMessage {
  readonly hex: string;
  /** The number of the message, and the first line of its text. */
  title: string;
  readonly bytes: Uint8Array;
  /** What the real ovs-ofctl prints at verbosity 2. */
  text: string;
  /** `MODULE|LEVEL|TEXT` lines, and the lines of dumps within them. */
  log: string;
}

export function readGoldenMessages(name: string): GoldenMessage[] {
  const out: GoldenMessage[] = [];
  for (const line of readFileSync(`test/golden/${name}.txt`, "utf8").split("\n")) {
    const last = out.at(-1);
    if (line.startsWith("> ")) {
      const hex = line.slice(2);
      const bytes = parseHex(hex) ?? new Uint8Array(0);
      out.push({ hex, title: "", bytes, text: "", log: "" });
    } else if (last !== undefined && line.startsWith("  ")) {
      last.title ||= `${out.length}: ${line.slice(2)}`;
      last.text += `${line.slice(2)}\n`;
    } else if (last !== undefined && line.startsWith("! ")) {
      last.log += `${line.slice(2)}\n`;
    }
  }
  return out;
}

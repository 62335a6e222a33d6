// Connections of a host dump: `dpctl/dump-conntrack` text into the trackers of the switch.
//
// The text does not say which datapath it is of, so that every datapath gets the connections.

import type { Result } from "../../lib/errors.ts";
import type { Conn } from "../../datapath/ct-conn.ts";
import { parseConn } from "../../datapath/ct-dump.ts";
import { packetsOf } from "../commands/dpctl-params.ts";
import type { VSwitch } from "../vswitch.ts";
import type { DumpText } from "./host-dump.ts";
import type { Notes } from "./note.ts";

/** Lines without a connection that are shown. */
const PROBLEMS_SHOWN_MAX = 5;

/** The connections of a text, line by line; lines of other kinds are passed over. */
function* connections(text: string, nowMs: number): Generator<Result<Conn>> {
  for (const line of text.split("\n")) {
    if (line.includes("orig=(")) {
      yield parseConn(line.trim(), nowMs);
    }
  }
}

/** A line of the kernel's own tool, such as `tcp 6 431999 ESTABLISHED src=1.1.1.1 dst=... use=1`. */
const OF_CONNTRACK_TOOL = /^\w+ +\d+ +\d+ .*\bsrc=\S+ dst=\S+/m;

export function loadConnections(vs: VSwitch, dump: DumpText, notes: Notes): void {
  const nowMs = vs.clock.nowMs();
  let loaded = 0;
  let bad = 0;
  let full = 0;
  for (const [i, pair] of (packetsOf(vs)?.all() ?? []).entries()) {
    for (const conn of connections(dump.text, nowMs)) {
      if (conn.ok) {
        const added = pair.ct.restore(conn.value);
        loaded += added && i === 0 ? 1 : 0;
        full += added ? 0 : 1;
      } else if (i === 0 && bad++ < PROBLEMS_SHOWN_MAX) {
        notes.push({ kind: "error", text: `${dump.name}: ${conn.error.message}` });
      }
    }
  }
  if (bad > PROBLEMS_SHOWN_MAX) {
    const more = bad - PROBLEMS_SHOWN_MAX;
    notes.push({ kind: "error", text: `${dump.name}: ${more} more lines are no connections` });
  }
  if (full > 0) {
    notes.push({ kind: "error", text: `${dump.name}: ${full} connections are too many` });
  }
  if (loaded + bad + full === 0 && dump.text.trim() !== "") {
    const is = OF_CONNTRACK_TOOL.test(dump.text) ? "this is what conntrack -L prints; " : "";
    const want = "the output of ovs-appctl dpctl/dump-conntrack is wanted";
    notes.push({ kind: "error", text: `${dump.name}: ${is}${want}` });
    return;
  }
  notes.push({ kind: "used", text: `${dump.name}: ${loaded} connections` });
}

// Queues of a port that mark packets: the DSCP that a queue's row asks for.
//
// Devices here have no queues of their own, so shaping is only stored; the mark is a matter of
// translation and works (ovs: vswitchd/bridge.c iface_configure_qos, ofproto-dpif.c set_queues).

import type { Row } from "../ovsdb/database.ts";
import type { Bridge, BridgePort } from "./bridge.ts";

/** Bits of the DSCP are the upper six of the type of service. */
const DSCP_SHIFT = 2;

/** Marks by queue as the rows have them. */
function wantedMarks(br: Bridge, port: Row): Map<number, number> {
  const marks = new Map<number, number>();
  const qos = br.vs.db.row("QoS", port.text("qos") ?? "");
  if (qos === undefined || qos.text("type") === undefined || qos.name("type") === "") {
    return marks;
  }
  const { keys, values } = qos.get("queues");
  for (const [i, queueId] of keys.entries()) {
    const dscp = br.vs.db.row("Queue", String(values?.[i] ?? ""))?.int("dscp");
    if (dscp !== undefined) {
      marks.set(Number(queueId), dscp << DSCP_SHIFT);
    }
  }
  return marks;
}

/** Makes the marks of a port what its row says; a change has megaflows translated again. */
export function configureQueues(br: Bridge, port: BridgePort, row: Row): void {
  const wanted = wantedMarks(br, row);
  for (const { xport } of port.ifaces) {
    const now = xport.skbPriorities;
    const same = now.size === wanted.size && [...wanted].every(([q, dscp]) => now.get(q) === dscp);
    if (!same) {
      now.clear();
      for (const [q, dscp] of wanted) {
        now.set(q, dscp);
      }
      br.vs.packets?.needRevalidate();
    }
  }
}

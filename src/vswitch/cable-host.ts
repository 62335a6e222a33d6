// A host at the far end of a port's cable, for programs: it sends frames and keeps what it gets.
//
// Frames are whole Ethernet frames without their checksum, as captures have them. The host answers
// nothing by itself: what it sends, the program decides.

import { type Netdev, newNetdevStats, RECORDED_PACKETS_MAX } from "../datapath/port.ts";
import { flowCompose } from "../flow/compose.ts";
import { NO_CONTEXT, parseExactFlow } from "../openflow/match-parse.ts";
import { PacketBuf } from "../packet/packet.ts";

/** Bytes behind the headers of a frame that is made from a flow, as Open vSwitch's own has them. */
const PAYLOAD_BYTES = 64;

export class CableHost {
  /** The port at the near end. */
  readonly port: string;
  /** What the port sees of the cable. */
  readonly end: Netdev;
  /** Frames that came while as many as a host keeps were waiting to be taken. */
  lost = 0;
  private got: Uint8Array[] = [];
  private readonly sending: PacketBuf[] = [];
  private readonly turn: () => void;

  /** `turn` lets the switch work until nothing changes. */
  constructor(port: string, turn: () => void) {
    this.port = port;
    this.turn = turn;
    const { sending } = this;
    const take = (p: PacketBuf) => this.take(p);
    this.end = {
      name: port,
      type: "host",
      stats: newNetdevStats(),
      send: take,
      receive: () => sending.shift() ?? null,
      get waiting() {
        return sending.length;
      },
    };
  }

  /** Sends frames to the port, in one batch, and lets the switch do what comes of them. */
  send(...frames: readonly Uint8Array[]): void {
    this.sending.push(...frames.map((f) => PacketBuf.of(f)));
    this.turn();
  }

  /** The frames that the port has sent since they were last asked for, the oldest first. */
  received(): Uint8Array[] {
    const { got } = this;
    this.got = [];
    return got;
  }

  private take(p: PacketBuf): null {
    if (this.got.length < RECORDED_PACKETS_MAX) {
      this.got.push(p.data().slice());
    } else {
      this.lost++;
    }
    return null;
  }
}

/**
 * The frame of a flow, such as `udp,dl_src=…,dl_dst=…,nw_src=10.0.0.1,nw_ttl=64,udp_dst=53`, with right
 * lengths and checksums; fields that are left out are zero. Throws with the parser's text.
 */
export function frameOf(flow: string, payload: Uint8Array | number = PAYLOAD_BYTES): Uint8Array {
  const parsed = parseExactFlow(flow, null, NO_CONTEXT);
  if (!parsed.ok) {
    throw new Error(parsed.error.message);
  }
  const p = new PacketBuf();
  flowCompose(p, parsed.value.flow, payload);
  return p.data().slice();
}

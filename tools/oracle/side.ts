// One side of a differential run: something that answers command lines.

export interface Answer {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Side {
  run(argv: readonly string[], stdin?: string): Promise<Answer>;
  /** Stops the clock, at CLOCK_PHASE_MS of a second. */
  stopClock(): Promise<void>;
  /** Hands a frame to a dummy port; when this has ended it has been processed. */
  frame(port: string, hex: string): Promise<Answer>;
  /** Moves the stopped clock, and lets what is due then happen. */
  warp(ms: number): Promise<void>;
  /** Lets counters and stale megaflows come to rest; moves a stopped clock. */
  settle(): Promise<void>;
  /** Starts a command that goes on, one at a time. */
  watch(argv: readonly string[]): Promise<void>;
  /** What the watching command has printed to standard error since the last call. */
  watched(): string;
  /** Frames that went to a `tx_pcap` file since the last call, as hex digits. */
  captured(file: string): string[];
  /** What the switch has logged since the last call; logging starts with the first one. */
  logged(): string;
  /** The directory that messages name. */
  readonly dir: string;
  stop(): void;
}

/**
 * Ages are differences of whole seconds, so both clocks have to stand at the same part of a second;
 * in the middle of ten milliseconds, as they are moved by tens and Open vSwitch's is known to one.
 */
export const CLOCK_PHASE_MS = 505;

/** Milliseconds by which the clock moves in each of the rounds of a settling. */
export const SETTLE_WARP_MS = 10;
export const SETTLE_ROUNDS = 2;

/** The packets of a capture from byte `from`, and where the whole ones end. */
export function packetsOf(bytes: Uint8Array, from: number): { packets: string[]; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packets: string[] = [];
  let at = Math.max(from, PCAP_HEADER_BYTES);
  while (at + PCAP_PACKET_HEADER_BYTES <= bytes.length) {
    const length = view.getUint32(at + 8, view.getUint32(0, true) === PCAP_MAGIC);
    const start = at + PCAP_PACKET_HEADER_BYTES;
    if (start + length > bytes.length) {
      break;
    }
    packets.push(Buffer.from(bytes.subarray(start, start + length)).toString("hex"));
    at = start + length;
  }
  return { packets, end: at };
}

const PCAP_HEADER_BYTES = 24;
const PCAP_PACKET_HEADER_BYTES = 16;
const PCAP_MAGIC = 0xa1b2c3d4;

/**
 * Makes neutral what differs from run to run of the real switch itself: times in log lines,
 * transaction ids, and recirculation ids, which count up over the life of the daemon.
 */
export function neutral(text: string): string {
  const ids = new Map<string, string>();
  return (
    text
      .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|/gm, "*|")
      // What a tool says where the machine keeps it waiting.
      .replace(/^\*\|(timeval|coverage)\|.*\n/gm, "")
      .replace(/\(xid=0x[0-9a-f]+\)/g, "(xid=*)")
      .replace(/\b(recirc\(|recirc_id\(|recirc_id=)(0x[0-9a-f]+|[1-9]\d*)/g, (_, head, id) => {
        if (!ids.has(id)) {
          ids.set(id, `<${ids.size + 1}>`);
        }
        return `${head}${ids.get(id)}`;
      })
  );
}

// Dumps of connections as different programs and versions print them, and dumps that are cut.
import { describe, expect, it } from "vitest";
import { parseConn } from "../../src/datapath/ct-dump.ts";
import { formatConn } from "../../src/datapath/ct-text.ts";

const T = "src=10.1.1.1,dst=10.1.1.2,sport=1,dport=2";
const R = "src=10.1.1.2,dst=10.1.1.1,sport=2,dport=1";
const PLAIN = `tcp,orig=(${T}),reply=(${R})`;
const KERNEL_INFO =
  "state_orig=ESTABLISHED,state_reply=ESTABLISHED,wscale_orig=7,wscale_reply=9," +
  "flags_orig=WINDOW_SCALE|SACK_PERM,flags_reply=WINDOW_SCALE|SACK_PERM";

/** Who printed a line, the line, and what this switch shows of it. */
const VERSIONS: readonly (readonly [string, string, string])[] = [
  [
    "2.5, userspace",
    `${PLAIN},protoinfo=(state=ESTABLISHED)`,
    `${PLAIN},protoinfo=(state=ESTABLISHED)`,
  ],
  [
    "2.5, kernel, all that there is",
    `tcp,orig=(${T},packets=4,bytes=400),reply=(${R},packets=3,bytes=300),` +
      "start=2016-02-03T04:05:06.789,id=3057326208,zone=5,status=SEEN_REPLY|ASSURED|CONFIRMED," +
      `timeout=431999,protoinfo=(${KERNEL_INFO})`,
    `${PLAIN},zone=5,protoinfo=(state=ESTABLISHED)`,
  ],
  [
    "2.7, a master with a helper and its child",
    `${PLAIN},zone=1,timeout=86399,mark=7,protoinfo=(state=ESTABLISHED),helper=ftp,` +
      "parent=(src=10.1.1.1,dst=10.1.1.2,sport=9,dport=21)",
    `${PLAIN},zone=1,mark=7,protoinfo=(state=ESTABLISHED),helper=ftp`,
  ],
  [
    "2.9, labels",
    `${PLAIN},zone=9,mark=4294967295,labels=0xa0000000000000001,protoinfo=(state=SYN_SENT)`,
    `${PLAIN},zone=9,mark=4294967295,labels=0xa0000000000000001,protoinfo=(state=SYN_SENT)`,
  ],
  [
    "kernel, SCTP with tags",
    `sctp,orig=(${T}),reply=(${R}),id=1,status=CONFIRMED,timeout=10,` +
      "protoinfo=(state=ESTABLISHED,vtag_orig=11,vtag_reply=12)",
    `sctp,orig=(${T}),reply=(${R})`,
  ],
  [
    "2.17, ICMP that was answered",
    "icmp,orig=(src=1.1.1.1,dst=1.1.1.2,id=9,type=8,code=0),reply=(src=1.1.1.2,dst=1.1.1.1,id=9," +
      "type=0,code=0),zone=3",
    "icmp,orig=(src=1.1.1.1,dst=1.1.1.2,id=9,type=8,code=0),reply=(src=1.1.1.2,dst=1.1.1.1,id=9," +
      "type=0,code=0),zone=3",
  ],
  [
    "ICMPv6, with the word of a kernel's dump",
    "icmpv6,orig=(src=fe80::1,dst=fe80::2,id=9,type=128,code=0),reply=(src=fe80::2,dst=fe80::1,id=9," +
      "type=129,code=0),id=5,status=SEEN_REPLY|CONFIRMED,timeout=29",
    "icmpv6,orig=(src=fe80::1,dst=fe80::2,id=9,type=128,code=0),reply=(src=fe80::2,dst=fe80::1,id=9," +
      "type=129,code=0)",
  ],
  [
    "something that comes after 3.1",
    `${PLAIN},zone=2,offloaded=yes,numa=(node=1),protoinfo=(state=FIN_WAIT_1,new_field=7)`,
    `${PLAIN},zone=2,protoinfo=(state=FIN_WAIT_1)`,
  ],
];

const OPTIONS = { verbose: false, stats: false, nowMs: 0 };

function shown(line: string): string | null {
  const read = parseConn(line, 0);
  return read.ok ? formatConn(read.value, OPTIONS) : null;
}

describe("a dump of connections", () => {
  it.each(VERSIONS)("of %s", (_who, line, expected) => {
    expect(shown(line)).toBe(expected);
  });

  it("cut anywhere within its tuples is no connection, behind them is one with what is left", () => {
    for (const [who, line] of VERSIONS) {
      const tuples = line.indexOf(")", line.indexOf("reply=(")) + 1;
      for (let at = 0; at <= line.length; at++) {
        const text = shown(line.slice(0, at));
        expect(text !== null, `${who}: ${line.slice(0, at)}`).toBe(at >= tuples);
      }
    }
  });

  it("with any character changed is read or refused", () => {
    for (const [, line] of VERSIONS) {
      for (const c of ["", "(", ")", ",", "=", "9", "\0", "é"]) {
        for (let at = 0; at < line.length; at++) {
          const text = shown(line.slice(0, at) + c + line.slice(at + 1));
          // What was read can be shown, and be read again as the same.
          expect(text === null || shown(text) === text, `${line.slice(0, at)}${c}`).toBe(true);
        }
      }
    }
  });
});

// `userspace(...)` read from text.
// ovs: lib/odp-util.c parse_odp_userspace_action.

import { parseFlags } from "../flow/flag-text.ts";
import { parseHexPrefix } from "../lib/bytes.ts";
import { scanInteger, u64Words } from "../lib/number.ts";
import type { TextScan } from "../lib/scan.ts";
import { type OdpAction, SLOW_PATH_REASONS, type UserCookie } from "./odp-action.ts";

const OFPP_NONE = 0xffff;
const SLOW_NAMES = SLOW_PATH_REASONS.map((r) => r.name);
const SLOW_MASK = SLOW_PATH_REASONS.reduce((m, r) => m | r.bit, 0);
/** The least that Open vSwitch passes to a datapath. */
const USERDATA_BYTES_MIN = 8;

/** Names with numbers, in their order: ",a=1,b=2". The first has no comma. */
function scanNumbers(
  s: TextScan,
  start: string,
  parts: readonly (readonly [name: string, base: 0 | 10])[],
  end: string,
): number[] | null {
  const at = s.pos;
  const out: number[] = [];
  if (s.lit(start)) {
    for (const [i, [name, base]] of parts.entries()) {
      if (!s.lit(`${i > 0 ? "," : ""}${name}=`) || !s.int(base)) {
        break;
      }
      out.push(s.value);
    }
    if (out.length === parts.length && s.lit(end)) {
      return out;
    }
  }
  s.pos = at;
  return null;
}

function u32(v: number | undefined): number {
  return Number(BigInt(v ?? 0) & 0xffffffffn);
}

function scanSflow(s: TextScan): UserCookie | null {
  const parts = [
    ["vid", 0],
    ["pcp", 0],
    ["output", 0],
  ] as const;
  const n = scanNumbers(s, ",sFlow(", parts, ")");
  if (n === null) {
    return null;
  }
  const tci = ((n[0] ?? 0) | ((n[1] ?? 0) << 13)) & 0xffff;
  return { type: "sflow", vlanTci: tci === 0 ? 0 : tci | 0x1000, output: u32(n[2]) };
}

function scanSlowPath(s: TextScan): UserCookie | null | undefined {
  if (!s.lit(",slow_path(")) {
    return undefined;
  }
  const end = s.text.indexOf(")", s.pos);
  const text = end < 0 ? null : s.text.slice(s.pos, end);
  // Flags are printed with commas but read with bars.
  const r = text === null ? null : parseFlags(text, SLOW_NAMES, "", SLOW_MASK);
  if (r === null || !r.ok) {
    return null;
  }
  s.pos = end + 1;
  return { type: "slow_path", reason: r.value.flags };
}

function scanFlowSample(s: TextScan): UserCookie | null | undefined {
  const parts = [
    ["probability", 0],
    ["collector_set_id", 0],
    ["obs_domain_id", 0],
    ["obs_point_id", 0],
    ["output_port", 0],
  ] as const;
  const n = scanNumbers(s, ",flow_sample(", parts, "");
  if (n === null) {
    return undefined;
  }
  const direction = s.lit(",ingress") ? "ingress" : s.lit(",egress") ? "egress" : "default";
  if (!s.lit(")")) {
    return null;
  }
  return {
    type: "flow_sample",
    probability: (n[0] ?? 0) & 0xffff,
    collectorSetId: u32(n[1]),
    obsDomainId: u32(n[2]),
    obsPointId: u32(n[3]),
    outputPort: u32(n[4]),
    direction,
  };
}

function scanController(s: TextScan): UserCookie | null {
  const at = s.pos;
  const head = scanNumbers(
    s,
    ",controller(",
    [
      ["reason", 10],
      ["dont_send", 10],
      ["continuation", 10],
      ["recirc_id", 10],
    ],
    ",rule_cookie=",
  );
  const cookie = head === null ? null : scanInteger(s.text, s.pos, 16);
  if (head !== null && cookie !== null && cookie.end !== s.pos) {
    s.pos = cookie.end;
    const tail = scanNumbers(
      s,
      ",",
      [
        ["controller_id", 10],
        ["max_len", 10],
      ],
      ")",
    );
    if (tail !== null) {
      return {
        type: "controller",
        reason: (head[0] ?? 0) & 0xffff,
        dontSend: ((head[1] ?? 0) & 0xff) !== 0,
        continuation: ((head[2] ?? 0) & 0xff) !== 0,
        recircId: u32(head[3]),
        ruleCookie: u64Words(BigInt.asUintN(64, cookie.value)),
        controllerId: (tail[0] ?? 0) & 0xffff,
        maxLen: (tail[1] ?? 0) & 0xffff,
      };
    }
  }
  s.pos = at;
  return null;
}

function scanUserdata(s: TextScan): UserCookie | null | undefined {
  if (!s.lit(",userdata(")) {
    return undefined;
  }
  const { bytes, rest } = parseHexPrefix(s.rest());
  s.pos += rest;
  if (!s.lit(")")) {
    return null;
  }
  const padded = new Uint8Array(Math.max(USERDATA_BYTES_MIN, bytes.length));
  padded.set(bytes);
  return { type: "raw", bytes: padded };
}

/** The cookie; undefined if the text is none that is known, null if it is wrong. */
function scanCookie(s: TextScan): UserCookie | null | undefined {
  const sflow = scanSflow(s);
  if (sflow !== null) {
    return sflow;
  }
  const slow = scanSlowPath(s);
  if (slow !== undefined) {
    return slow;
  }
  const sample = scanFlowSample(s);
  if (sample !== undefined) {
    return sample;
  }
  const ipfix = scanNumbers(s, ",ipfix(", [["output_port", 0]], ")");
  if (ipfix !== null) {
    return { type: "ipfix", outputPort: u32(ipfix[0]) };
  }
  return scanController(s) ?? scanUserdata(s);
}

export function parseUserspace(s: TextScan): OdpAction | null {
  if (!s.lit("userspace(pid=") || !s.int(0)) {
    return null;
  }
  const pid = u32(s.value);
  const found = scanCookie(s);
  if (found === null) {
    return null;
  }
  // Without a cookie an empty one is sent, which is printed as raw bytes.
  const cookie: UserCookie = found ?? { type: "raw", bytes: new Uint8Array(48) };
  const includeActions = s.lit(",actions");
  const at = s.pos;
  let tunnelOutPort: number | null = null;
  if (s.lit(",tunnel_out_port=") && s.int(0)) {
    tunnelOutPort = u32(s.value);
  } else {
    s.pos = at;
  }
  if (!s.lit(")")) {
    return null;
  }
  return {
    kind: "userspace",
    pid,
    cookie,
    ofpInPort: OFPP_NONE,
    bridge: "",
    includeActions,
    tunnelOutPort,
  };
}

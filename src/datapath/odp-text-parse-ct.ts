// `ct(...)` read from text, behind the "ct".
// ovs: lib/odp-util.c parse_conntrack_action, scan_ct_nat.

import type { TextScan } from "../lib/scan.ts";
import type { OdpAction, OdpNat } from "./odp-action.ts";
import { ODP_DELIMITERS, scanU128, type Words } from "./odp-scan.ts";

const HELPER_CHARS_MAX = 15;
const TIMEOUT_CHARS_MAX = 31;
const WORD_ENDS = `${ODP_DELIMITERS})`;

interface NatDraft {
  src: boolean;
  dst: boolean;
  min: Uint32Array | null;
  max: Uint32Array | null;
  portMin: number;
  portMax: number;
  persistent: boolean;
  hash: boolean;
  random: boolean;
}

function scanAddress(s: TextScan): Uint32Array | null {
  const at = s.pos;
  if (s.ipv4()) {
    return Uint32Array.of(s.value);
  }
  const words = new Uint32Array(4);
  if (s.ipv6(words)) {
    return words;
  }
  if (s.lit("[") && s.ipv6(words) && s.lit("]")) {
    return words;
  }
  s.pos = at;
  return null;
}

function scanU16(s: TextScan, before: string): number | null {
  const at = s.pos;
  if (s.lit(before) && s.int(10)) {
    return s.value & 0xffff;
  }
  s.pos = at;
  return null;
}

/** =ADDR[-ADDR][:PORT[-PORT]]; true also if there is no range. */
function scanRange(s: TextScan, n: NatDraft): boolean {
  if (!s.lit("=")) {
    return true;
  }
  n.min = scanAddress(s);
  if (n.min === null) {
    return false;
  }
  if (s.lit("-")) {
    n.max = scanAddress(s);
    if (n.max === null || n.max.length !== n.min.length) {
      return false;
    }
  }
  const port = scanU16(s, ":");
  if (port !== null) {
    n.portMin = port;
    if (s.lit("-")) {
      if (!s.int(10)) {
        return false;
      }
      n.portMax = s.value & 0xffff;
    }
  }
  return true;
}

function compareWords(a: Uint32Array, b: Uint32Array): number {
  const i = a.findIndex((w, k) => w !== b[k]);
  return i < 0 ? 0 : (a[i] as number) - (b[i] as number);
}

function finishNat(n: NatDraft): OdpNat | null {
  const max = n.max?.some((w) => w !== 0) ? n.max : null;
  if (
    (n.src && n.dst) ||
    (n.min !== null && max !== null && compareWords(max, n.min) < 0) ||
    (n.portMax !== 0 && n.portMax < n.portMin) ||
    (n.hash && n.random)
  ) {
    return null;
  }
  const type = n.src ? "src" : n.dst ? "dst" : null;
  const ranged = type !== null && n.min !== null;
  return {
    type,
    min: ranged ? n.min : null,
    max: ranged && max !== null && n.min !== null && compareWords(max, n.min) > 0 ? max : null,
    portMin: ranged ? n.portMin : 0,
    portMax: ranged && n.portMin !== 0 && n.portMax > n.portMin ? n.portMax : 0,
    persistent: ranged && n.persistent,
    hash: ranged && n.hash,
    random: ranged && n.random,
  };
}

/** Behind "nat". */
function scanNat(s: TextScan): OdpNat | null {
  const n: NatDraft = {
    src: false,
    dst: false,
    min: null,
    max: null,
    portMin: 0,
    portMax: 0,
    persistent: false,
    hash: false,
    random: false,
  };
  if (!s.lit("(")) {
    return finishNat(n);
  }
  const end = s.text.indexOf(")", s.pos);
  if (end < 0) {
    return null;
  }
  while (s.pos < end) {
    s.chars(ODP_DELIMITERS);
    if (s.lit("src")) {
      n.src = true;
    } else if (s.lit("dst")) {
      n.dst = true;
    } else if (s.lit("persistent")) {
      n.persistent = true;
      continue;
    } else if (s.lit("hash")) {
      n.hash = true;
      continue;
    } else if (s.lit("random")) {
      n.random = true;
      continue;
    } else {
      return null;
    }
    if (!scanRange(s, n)) {
      return null;
    }
  }
  s.pos++;
  return finishNat(n);
}

interface CtDraft {
  commit: boolean;
  force: boolean;
  zone: number;
  mark: { value: number; mask: number } | null;
  label: Words | null;
  helper: string | null;
  timeout: string | null;
  nat: OdpNat | null;
}

function scanWord(s: TextScan, max: number): string | null {
  const word = s.until(WORD_ENDS);
  return word === "" || word.length > max ? null : word;
}

function scanMark(s: TextScan, c: CtDraft): void {
  const value = Number(BigInt(s.value) & 0xffffffffn);
  const at = s.pos;
  if (s.lit("/") && s.int(16)) {
    c.mark = { value, mask: Number(BigInt(s.value) & 0xffffffffn) };
  } else {
    s.pos = at;
    c.mark = { value, mask: 0xffffffff };
  }
}

function scanNumber(s: TextScan, before: string, base: 10 | 16): boolean {
  const at = s.pos;
  if (s.lit(before) && s.int(base)) {
    return true;
  }
  s.pos = at;
  return false;
}

/** One argument of ct(); false if it is none. */
function scanArgument(s: TextScan, c: CtDraft): boolean {
  if (s.lit("commit")) {
    c.commit = true;
  } else if (s.lit("force_commit")) {
    c.force = true;
  } else if (scanNumber(s, "zone=", 10)) {
    c.zone = s.value & 0xffff;
  } else if (scanNumber(s, "mark=", 16)) {
    scanMark(s, c);
  } else if (s.lit("label=")) {
    c.label = scanU128(s);
    return c.label !== null;
  } else if (s.lit("helper=")) {
    c.helper = scanWord(s, HELPER_CHARS_MAX);
    return c.helper !== null;
  } else if (s.lit("timeout=")) {
    c.timeout = scanWord(s, TIMEOUT_CHARS_MAX);
    return c.timeout !== null;
  } else if (s.lit("nat")) {
    c.nat = scanNat(s);
    return c.nat !== null;
  } else {
    return false;
  }
  return true;
}

/** Behind "ct"; null for a mistake. */
export function parseCt(s: TextScan): OdpAction | null {
  const c: CtDraft = {
    commit: false,
    force: false,
    zone: 0,
    mark: null,
    label: null,
    helper: null,
    timeout: null,
    nat: null,
  };
  if (s.lit("(")) {
    while (s.peek() !== ")") {
      s.chars(ODP_DELIMITERS);
      if (s.atEnd() || !scanArgument(s, c)) {
        return null;
      }
    }
    s.pos++;
  }
  if (c.commit && c.force) {
    return null;
  }
  const mark = c.mark !== null && c.mark.mask !== 0 ? c.mark : null;
  const label = c.label?.mask.some((w) => w !== 0) ? c.label : null;
  return { kind: "ct", ...c, mark, label };
}

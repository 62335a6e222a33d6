// Splits "a=b,c(d,e),f:g h" into keys and values, as flows, actions and groups are written.
//
// A key ends at ":", "=", "(", a comma or white space. After ":" or "=" the value extends to the
// next comma or white space outside of parentheses; after "(" to the matching ")". White space and
// commas before a key are skipped. A value in parentheses that is followed by "->" extends like one
// after "=", and then keeps its ")": `check_pkt_larger(1500)->reg0[0]`. (ovs: lib/ofp-parse.c)

const KEY_END = /[:=(, \t\r\n]/g;
const SEPARATORS = ", \t\r\n";

export class KeyValueScanner {
  readonly text: string;
  /** Where the next key is looked for. */
  pos = 0;
  key = "";
  /** Empty if the key has none. */
  value = "";
  keyPos = 0;
  valuePos = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** Reads the next pair into `key` and `value`; false at the end. */
  next(): boolean {
    const { text } = this;
    let pos = this.pos;
    while (pos < text.length && SEPARATORS.includes(text.charAt(pos))) {
      pos++;
    }
    this.pos = pos;
    this.keyPos = pos;
    if (pos >= text.length) {
      return false;
    }
    KEY_END.lastIndex = pos;
    const m = KEY_END.exec(text);
    const end = m === null ? text.length : m.index;
    const delimiter = text.charAt(end);
    this.key = text.slice(pos, end);
    this.pos = Math.min(end + 1, text.length);
    this.valuePos = this.pos;
    this.value = "";
    if (delimiter === ":" || delimiter === "=") {
      this.takeValue(valueEnd(text, this.pos, SEPARATORS));
    } else if (delimiter === "(") {
      let close = valueEnd(text, this.pos, ")");
      if (text.startsWith(")->", close)) {
        close = valueEnd(text, close, SEPARATORS);
      }
      this.takeValue(close);
    }
    return true;
  }

  private takeValue(end: number): void {
    this.value = this.text.slice(this.valuePos, end);
    this.pos = Math.min(end + 1, this.text.length);
  }
}

/** The first delimiter from `pos` on that stands outside of parentheses, or the end. */
function valueEnd(text: string, pos: number, delimiters: string): number {
  let i = pos;
  while (i < text.length && !delimiters.includes(text.charAt(i))) {
    if (text.charAt(i) !== "(") {
      i++;
      continue;
    }
    let level = 0;
    do {
      const c = text.charAt(i);
      if (c === "") {
        return i;
      }
      level += c === "(" ? 1 : c === ")" ? -1 : 0;
      i++;
    } while (level > 0);
  }
  return i;
}

/** What strtok() gives: the parts between runs of delimiters, one call each. */
export class Tokens {
  private readonly text: string;
  private pos = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The next token, or null at the end. */
  next(delimiters: string): string | null {
    const { text } = this;
    let start = this.pos;
    while (start < text.length && delimiters.includes(text.charAt(start))) {
      start++;
    }
    if (start >= text.length) {
      this.pos = start;
      return null;
    }
    let end = start;
    while (end < text.length && !delimiters.includes(text.charAt(end))) {
      end++;
    }
    this.pos = Math.min(end + 1, text.length);
    return text.slice(start, end);
  }
}

/** C's atoi(): leading white space, a sign, digits; whatever follows is ignored. 32 bits, signed. */
export function atoi(text: string): number {
  const m = /^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text);
  if (m === null) {
    return 0;
  }
  // strtol() saturates at 64 bits, and atoi() keeps the low 32 bits of that.
  const limit = 0x7fffffffffffffffn;
  const v = BigInt(m[1] ?? "0");
  return Number(BigInt.asIntN(32, v > limit ? limit : v < -limit - 1n ? -limit - 1n : v));
}

// Words of a text as C's strtok() and atoi() see them.
//
// Some of the oldest action syntaxes of Open vSwitch are defined by what these two accept.

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

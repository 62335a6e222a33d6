// Colours of flows on a terminal: takes the plain text of a match, of actions or of statistics and
// puts an escape sequence before and after each part that Open vSwitch shows in colour.
//
// Texts are painted after they are made, so that whoever formats them knows nothing of colours and
// pays nothing for them. The text says enough: a part's colour depends on its name and on what
// stands behind it ("name=", "name:", "name("). Which part has which colour is a list of facts, with
// the odd ones out ("conj_id", learn's "priority=") written down as they are.
// ovs: lib/colors.c, colors.* in lib/match.c, lib/ofp-actions.c, lib/learn.c, lib/ofp-flow.c.

/** Kinds of parts, by the names that OVS_COLORS gives them. */
const KINDS = {
  ac: "actions",
  dr: "drop",
  le: "learn",
  pm: "param",
  pr: "paren",
  sp: "special",
  vl: "value",
} as const;

type Kind = (typeof KINDS)[keyof typeof KINDS];

/** The escape sequence that begins each kind of part; an empty one paints nothing. */
export type Palette = Readonly<Record<Kind, string>>;

const CLEAR_LINE = "\x1b[K";
const END = `\x1b[m${CLEAR_LINE}`;

function sequence(codes: string): string {
  return `\x1b[${codes}m${CLEAR_LINE}`;
}

const DEFAULT_PALETTE: Palette = {
  actions: sequence("1;31"),
  drop: sequence("34"),
  learn: sequence("31"),
  param: sequence("36"),
  paren: sequence("35"),
  special: sequence("33"),
  value: sequence("32"),
};

function kindOf(name: string): Kind | undefined {
  return Object.entries(KINDS).find(([short]) => short === name)?.[1];
}

/** The palette that a text such as "ac=01;31:dr=34" asks for; what makes no sense is passed over. */
export function parsePalette(text: string): Palette {
  const palette: Record<Kind, string> = { ...DEFAULT_PALETTE };
  for (const word of text.split(":")) {
    const [, name = "", codes = ""] = /^([^=]*)=([\d;]*)$/.exec(word) ?? [];
    const kind = kindOf(name);
    if (kind !== undefined) {
      palette[kind] = sequence(codes);
    }
  }
  return palette;
}

/** Words of a match that stand alone. */
const PROTOCOLS: ReadonlySet<string> = new Set(
  "icmp tcp udp sctp ip icmp6 tcp6 udp6 sctp6 ipv6 arp rarp mpls mplsm".split(" "),
);
const PLAIN_FIELDS = /^(?:packet_type|tun_metadata\d+)$/;
/** Actions without arguments. */
const WORDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["drop", "drop"],
  ["exit", "special"],
  ["dec_nsh_ttl", "special"],
  ["dec_ttl", "paren"],
  ["nat", "paren"],
  ["strip_vlan", "value"],
  ["pop_vlan", "value"],
  ["dec_mpls_ttl", "value"],
  ["pop_queue", "value"],
  ["ct_clear", "value"],
  ["clear_actions", "value"],
  ["debug_recirc", "value"],
  ["debug_slow", "value"],
]);
/** Names before a colon that are not parameters; "" paints nothing, as for reserved ports. */
const COLONS: ReadonlyMap<string, Kind | ""> = new Map<string, Kind | "">([
  ["output", "special"],
  ["group", "special"],
  ["resubmit", "special"],
  ["load", "special"],
  ["move", "special"],
  ["set_field", "special"],
  ["CONTROLLER", ""],
]);
/** Flags among the arguments of an action. */
const FLAGS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["commit", "value"],
  ["force", "value"],
  ["pause", "value"],
  ["persistent", "value"],
  ["hash", "value"],
  ["random", "value"],
  ["send_flow_rem", "value"],
  ["delete_learned", "value"],
  ["ingress", "param"],
  ["egress", "param"],
  ["src", "param"],
  ["dst", "param"],
]);
/** Actions that hold actions. */
const NESTS: ReadonlySet<string> = new Set(["clone", "write_actions", "exec"]);
/** Actions whose arguments have no colour. */
const OPAQUE: ReadonlySet<string> = new Set(["output", "check_pkt_larger", "decap", "encap"]);
/** Keys of learn() whose comma has their colour. */
const WITH_COMMA: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["fin_hard_timeout", "param"],
  ["priority", "special"],
]);

/** Paints texts with one palette. */
export class Painter {
  readonly #palette: Palette;

  constructor(palette: Palette) {
    this.#palette = palette;
  }

  paint(kind: Kind, text: string): string {
    return `${this.#palette[kind]}${text}${END}`;
  }

  /** The text of a match. */
  match(text: string): string {
    return text.replace(/(?<=^|,)(\w+)(=|(?=,|$))/g, (all, name: string, equals: string) => {
      if (equals === "") {
        return PROTOCOLS.has(name) ? this.paint("value", name) : name;
      }
      if (name === "conj_id") {
        return `${this.paint("param", name)}=`;
      }
      const kind = name === "priority" ? "special" : "param";
      return PLAIN_FIELDS.test(name) ? all : this.paint(kind, all);
    });
  }

  /** What stands before the match in a line of dump-flows. */
  statistics(text: string): string {
    return text.replace(/\b(\w+)=/g, (all, name: string) =>
      this.paint(name === "table" ? "special" : "param", all),
    );
  }

  /** The text of actions. */
  actions(text: string): string {
    return new ActionScan(this, text).all();
  }
}

/** Walks through the text of actions. */
class ActionScan {
  readonly #painter: Painter;
  readonly #text: string;
  #pos = 0;

  constructor(painter: Painter, text: string) {
    this.#painter = painter;
    this.#text = text;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#pos;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#pos += found.length;
    return found;
  }

  all(): string {
    return this.list() + this.#text.slice(this.#pos);
  }

  /** Actions up to the end or to a closing parenthesis. */
  list(): string {
    let out = "";
    while (this.#pos < this.#text.length && this.#text[this.#pos] !== ")") {
      out += this.#action();
      out += this.#take(/,?/y);
    }
    return out;
  }

  #action(): string {
    const name = this.#take(/\w*/y);
    switch (this.#text[this.#pos]) {
      case ":": {
        this.#pos++;
        const kind = COLONS.get(name) ?? "param";
        const head = kind === "" ? `${name}:` : this.#paint(kind, `${name}:`);
        return head + this.#value();
      }
      case "(":
        this.#pos++;
        return this.#call(name);
      default: {
        const kind = WORDS.get(name);
        return (kind === undefined ? name : this.#paint(kind, name)) + this.#take(/[^,)]*/y);
      }
    }
  }

  /** What stands behind a colon, with its arrow if it has one. */
  #value(): string {
    const value = this.#take(/(?:\([^)]*\)|[^,()])*/y);
    return value.replace("->", this.#paint("special", "->"));
  }

  /** Arguments in parentheses, of which the opening one has been read. */
  #call(name: string): string {
    if (OPAQUE.has(name)) {
      return this.#opaque(name);
    }
    const kind = name === "learn" ? "learn" : "paren";
    const apart = WORDS.has(name);
    const head = apart
      ? this.#paint(kind, name) + this.#paint(kind, "(")
      : this.#paint(kind, `${name}(`);
    if (NESTS.has(name)) {
      const inner = this.list();
      this.#pos++;
      if (name === "exec") {
        // The comma behind it has a colour, and therefore stays even at the end.
        this.#take(/,?/y);
        return head + inner + this.#paint(kind, "),");
      }
      return head + inner + this.#paint(kind, ")");
    }
    let out = head;
    while (this.#pos < this.#text.length && this.#text[this.#pos] !== ")") {
      out += name === "learn" ? this.#learnArg() : this.#arg();
    }
    this.#pos++;
    return out + this.#paint(kind, ")");
  }

  #opaque(name: string): string {
    const inner = this.#take(/(?:\((?:\([^)]*\)|[^()])*\)|[^()])*/y);
    this.#pos++;
    switch (name) {
      case "output":
        return `${this.#paint("special", name)}(${inner})`;
      case "check_pkt_larger":
        return `${this.#paint("param", `${name}(`)}${inner})${this.#take(/[^,)]*/y)}`;
      default: {
        // Of encap(nsh(...)) the inner parentheses have a colour too.
        const [, type = "", props] = /^(\w+)\((.*)\)$/.exec(inner) ?? [];
        const shown =
          name === "encap" && props !== undefined
            ? `${type}${this.#paint("paren", "(")}${props}${this.#paint("paren", ")")}`
            : inner;
        return this.#paint("paren", `${name}(`) + shown + this.#paint("paren", ")");
      }
    }
  }

  #arg(): string {
    const gap = this.#take(/[, ]*/y);
    const name = this.#take(/\w*/y);
    switch (this.#text[this.#pos]) {
      case "=":
        this.#pos++;
        return gap + this.#key(name) + this.#take(/[^,)]*/y);
      case ":":
        if (name === "members") {
          this.#pos++;
          return gap + this.#paint("param", "members:") + this.#take(/[^)]*/y);
        }
        return gap + name + this.#take(/[^,)]*/y);
      case "(":
        this.#pos++;
        return gap + this.#call(name);
      default: {
        const kind = FLAGS.get(name) ?? WORDS.get(name);
        return gap + (kind === undefined ? name : this.#paint(kind, name)) + this.#take(/[^,()]*/y);
      }
    }
  }

  /** "name=", of which nat() paints the two halves apart. */
  #key(name: string): string {
    if (name === "src" || name === "dst") {
      return this.#paint("param", name) + this.#paint("param", "=");
    }
    return this.#paint(name === "table" ? "special" : "param", `${name}=`);
  }

  #learnArg(): string {
    const comma = this.#take(/,?/y);
    const name = this.#take(/\w+(?:\[[^\]]*\])?/y);
    const next = this.#text[this.#pos];
    if (next === ":") {
      this.#pos++;
      return comma + this.#paint("special", `${name}:`) + this.#value();
    }
    if (next !== "=") {
      const shown = name === "" ? "" : this.#paint(FLAGS.get(name) ?? "param", name);
      return comma + shown + this.#take(/[^,)]*/y);
    }
    this.#pos++;
    const value = this.#take(/[^,)]*/y);
    const joined = WITH_COMMA.get(name);
    if (joined !== undefined) {
      return this.#paint(joined, `${comma}${name}=`) + value;
    }
    return value.endsWith("]") && name.endsWith("]")
      ? comma + this.#paint("param", name) + this.#paint("param", "=") + value
      : comma + this.#key(name) + value;
  }

  #paint(kind: Kind, text: string): string {
    return this.#painter.paint(kind, text);
  }
}

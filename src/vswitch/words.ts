// The words of command lines, as a POSIX shell reads them: quotes, comments, continued lines, here
// documents, variables, outputs of commands, pipes. Scripts for real tools can be read as they are,
// as long as they need nothing more of a shell: what is not understood (loops, files to write to)
// is an error, never taken for plain text.

/** A piece of a word: text, or what takes its place once the command runs. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "variable"; readonly name: string; readonly quoted: boolean }
  | {
      readonly kind: "output";
      readonly statements: readonly Statement[];
      readonly quoted: boolean;
    };

export type Word = readonly Part[];

/** One command line. */
export interface Statement {
  readonly words: readonly Word[];
  /** Line of the first word, from 1. */
  readonly line: number;
  /** Text for standard input: a here document. */
  readonly stdin: Word | null;
  /** Name of a file for standard input. */
  readonly stdinFile: Word | null;
  /** Commands behind "|", through which the output goes. */
  readonly filters: readonly (readonly Word[])[];
  /** Ends in "> /dev/null": what comes out in the end is not shown. */
  readonly quiet: boolean;
  /** Ends in "&": the next one does not wait for it. */
  readonly background: boolean;
  /** Ends in "&&" or "||": the next one only happens if this one succeeds, or fails. */
  readonly guards: "&&" | "||" | null;
}

export type ReadStatements =
  | { readonly statements: readonly Statement[]; readonly next: number; readonly nextLine: number }
  /** The text ends within a quote, a here document or a continued line. */
  | { readonly more: true }
  | { readonly error: string; readonly line: number; readonly column: number };

interface HereDocument {
  readonly end: string;
  readonly stripTabs: boolean;
  /** Variables within stay as they are. */
  readonly literal: boolean;
  readonly owner: Draft;
}

interface Draft {
  words: Word[];
  line: number;
  stdin: Word | null;
  stdinFile: Word | null;
  filters: Word[][];
  quiet: boolean;
  background: boolean;
  guards: "&&" | "||" | null;
}

class Unfinished extends Error {}
class NotUnderstood extends Error {}

/** What a backslash takes the meaning from, within double quotes and within here documents. */
const ESCAPED_IN_QUOTES = '\\"$`';
const ESCAPED_IN_HERE = "\\$`";
/** The only file that outputs may go to: they are meant to be read. */
const NOWHERE = /^>[ \t]*\/dev\/null(?=[ \t\r\n;&|)]|$)/;
/** How deep outputs of commands may stand within each other. */
const OUTPUT_DEPTH_MAX = 8;

const NO_FILES = "is not understood here; put it in quotes if it is meant so";

/** Collects the parts of a word, joining neighbours that are text. */
class WordBuilder {
  readonly parts: Part[] = [];
  private text = "";
  /** Quotes make a word even if nothing is in them. */
  quoted = false;

  add(text: string): void {
    this.text += text;
  }

  put(part: Part): void {
    this.flush();
    this.parts.push(part);
  }

  done(): Word {
    this.flush();
    if (this.parts.length === 0 || this.quoted) {
      this.parts.push({ kind: "text", text: "" });
    }
    return this.parts;
  }

  private flush(): void {
    if (this.text !== "") {
      this.parts.push({ kind: "text", text: this.text });
    }
    this.text = "";
  }
}

class WordReader {
  readonly statements: Draft[] = [];
  pos: number;
  private readonly text: string;
  private readonly heres: HereDocument[] = [];
  private draft: Draft | null = null;

  private readonly start: number;
  private readonly startLine: number;
  /** How many outputs of commands stand around what is read here. */
  private readonly depth: number;

  constructor(text: string, pos: number, line: number, depth = 0) {
    this.text = text;
    this.pos = pos;
    this.start = pos;
    this.startLine = line;
    this.depth = depth;
  }

  /** The line in which the reader is. */
  line(): number {
    return this.startLine + this.text.slice(this.start, this.pos).split("\n").length - 1;
  }

  /** Reads all statements of a line, or up to the parenthesis that ends them. */
  read(): void {
    for (;;) {
      this.skipBlanks();
      const c = this.text[this.pos];
      if (this.depth > 0 && (c === undefined || c === ")")) {
        this.mustGoOn();
        this.pos++;
        this.finish();
        break;
      }
      if (this.depth > 0 && c === "\n") {
        this.pos++;
        this.finish();
        continue;
      }
      if (c === undefined || c === "\n") {
        this.pos += c === undefined ? 0 : 1;
        this.finish();
        break;
      }
      if (!this.readOperator(c)) {
        const word = this.readWord();
        const { words, filters } = this.current();
        (filters.at(-1) ?? words).push(word);
      }
    }
    for (const here of this.heres) {
      this.readHere(here);
    }
  }

  private current(): Draft {
    this.draft ??= {
      words: [],
      line: this.line(),
      stdin: null,
      stdinFile: null,
      filters: [],
      quiet: false,
      background: false,
      guards: null,
    };
    return this.draft;
  }

  private finish(): void {
    if (this.draft !== null) {
      const { words, filters } = this.draft;
      if ([words, ...filters].some((w) => w.length === 0)) {
        throw new NotUnderstood("a command is missing");
      }
      this.statements.push(this.draft);
    }
    this.draft = null;
  }

  private skipBlanks(): void {
    for (;;) {
      const c = this.text[this.pos];
      if (c === " " || c === "\t" || c === "\r") {
        this.pos++;
      } else if (this.text.startsWith("\\\n", this.pos)) {
        this.pos += 2;
        this.mustGoOn();
      } else if (c === "#") {
        while (this.pos < this.text.length && this.text[this.pos] !== "\n") {
          this.pos++;
        }
      } else {
        return;
      }
    }
  }

  private mustGoOn(): void {
    if (this.pos >= this.text.length) {
      throw new Unfinished();
    }
  }

  /** Reads ; & && | < <<; false if a word comes. */
  private readOperator(c: string): boolean {
    const after = this.text[this.pos + 1];
    if (c === ">") {
      const m = NOWHERE.exec(this.text.slice(this.pos, this.pos + 64));
      if (m === null) {
        throw new NotUnderstood(`">" ${NO_FILES}`);
      }
      this.current().quiet = true;
      this.pos += m[0].length;
      return true;
    }
    if (c === "|" && after !== "|") {
      this.current().filters.push([]);
      this.pos++;
      return true;
    }
    if (c === ";") {
      this.pos++;
      this.finish();
      return true;
    }
    if (c === "&" || c === "|") {
      const d = this.current();
      d.guards = after !== c ? null : c === "&" ? "&&" : "||";
      d.background = d.guards === null;
      this.pos += d.background ? 1 : 2;
      this.finish();
      return true;
    }
    if (c === "<") {
      this.readRedirection(after === "<");
      return true;
    }
    return false;
  }

  private readRedirection(isHere: boolean): void {
    const owner = this.current();
    this.pos += isHere ? 2 : 1;
    const stripTabs = isHere && this.text[this.pos] === "-";
    this.pos += stripTabs ? 1 : 0;
    this.skipBlanks();
    const from = this.pos;
    const word = this.readWord();
    if (!isHere) {
      owner.stdinFile = word;
      return;
    }
    if (this.depth > 0) {
      throw new NotUnderstood("a here document cannot stand here");
    }
    const end = plainText(word);
    if (end === null) {
      throw new NotUnderstood("a here document ends with a plain word");
    }
    const literal = this.text.slice(from, this.pos) !== end;
    this.heres.push({ end, stripTabs, literal, owner });
  }

  private readHere({ end, stripTabs, literal, owner }: HereDocument): void {
    let body = "";
    const first = this.line();
    for (;;) {
      if (this.pos >= this.text.length) {
        throw new Unfinished();
      }
      const lf = this.text.indexOf("\n", this.pos);
      const stop = lf < 0 ? this.text.length : lf;
      const raw = this.text.slice(this.pos, stop);
      const line = stripTabs ? raw.replace(/^\t+/, "") : raw;
      this.pos = Math.min(stop + 1, this.text.length);
      if (line === end) {
        break;
      }
      body += `${line}\n`;
    }
    owner.stdin = literal
      ? [{ kind: "text", text: body }]
      : new WordReader(body, 0, first).readHereBody();
  }

  /** Reads the whole text as what stands in a here document. */
  private readHereBody(): Word {
    const word = new WordBuilder();
    while (this.pos < this.text.length) {
      this.readQuotedPiece(word, ESCAPED_IN_HERE);
    }
    return word.done();
  }

  private readWord(): Word {
    const word = new WordBuilder();
    // Parentheses within a word belong to it: flows are full of them.
    let open = 0;
    for (;;) {
      const c = this.text[this.pos];
      if (c === undefined || " \t\r\n;&|<>".includes(c)) {
        return word.done();
      }
      if (c === ")" && this.depth > 0 && open === 0) {
        return word.done();
      }
      open += c === "(" ? 1 : c === ")" ? -1 : 0;
      if (c === "'") {
        word.add(this.readSingle());
      } else if (c === '"') {
        this.readDouble(word);
      } else if (c === "\\") {
        this.pos++;
        this.mustGoOn();
        const escaped = this.text[this.pos++] ?? "";
        word.add(escaped === "\n" ? "" : escaped);
      } else if (!this.readExpansion(word, false)) {
        word.add(c);
        this.pos++;
      }
    }
  }

  /** Reads $NAME, ${NAME} or $(COMMANDS); false if there is none. */
  private readExpansion(word: WordBuilder, quoted: boolean): boolean {
    const c = this.text[this.pos];
    const next = this.text[this.pos + 1] ?? "";
    if (c === "`" || (c === "$" && /[0-9@*#?!$-]/.test(next))) {
      throw new NotUnderstood("only $NAME and $(COMMAND) are understood here");
    }
    if (c !== "$" || !/[A-Za-z_({]/.test(next)) {
      return false;
    }
    if (next !== "(") {
      const name = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/.exec(this.text.slice(this.pos));
      if (name === null) {
        throw new NotUnderstood("only $NAME and $(COMMAND) are understood here");
      }
      this.pos += name[0].length;
      word.put({ kind: "variable", name: name[1] ?? name[2] ?? "", quoted });
      return true;
    }
    if (this.depth >= OUTPUT_DEPTH_MAX || this.text[this.pos + 2] === "(") {
      throw new NotUnderstood("only $NAME and $(COMMAND) are understood here");
    }
    const inner = new WordReader(this.text, this.pos + 2, this.line(), this.depth + 1);
    try {
      inner.read();
    } catch (e) {
      this.pos = inner.pos;
      throw e;
    }
    this.pos = inner.pos;
    word.put({ kind: "output", statements: inner.statements, quoted });
    return true;
  }

  private readSingle(): string {
    const end = this.text.indexOf("'", this.pos + 1);
    if (end < 0) {
      throw new Unfinished();
    }
    const inside = this.text.slice(this.pos + 1, end);
    this.pos = end + 1;
    return inside;
  }

  private readDouble(word: WordBuilder): void {
    this.pos++;
    for (;;) {
      this.mustGoOn();
      if (this.text[this.pos] === '"') {
        this.pos++;
        word.quoted = true;
        return;
      }
      this.readQuotedPiece(word, ESCAPED_IN_QUOTES);
    }
  }

  /** Reads one character, escape or expansion of what stands in double quotes. */
  private readQuotedPiece(word: WordBuilder, escapes: string): void {
    const c = this.text[this.pos] ?? "";
    const next = this.text[this.pos + 1];
    if (c === "\\" && next !== undefined && escapes.includes(next)) {
      word.add(next);
      this.pos += 2;
    } else if (c === "\\" && next === "\n") {
      this.pos += 2;
    } else if (!this.readExpansion(word, true)) {
      word.add(c);
      this.pos++;
    }
  }
}

/** The text of a word in which nothing takes another's place, else null. */
export function plainText(word: Word): string | null {
  return word.every((p) => p.kind === "text")
    ? word.map((p) => (p.kind === "text" ? p.text : "")).join("")
    : null;
}

/** Reads the statements of one line of a text, from a position on that is in line `line`. */
export function readStatements(text: string, pos = 0, line = 1): ReadStatements {
  const reader = new WordReader(text, pos, line);
  try {
    reader.read();
    return { statements: reader.statements, next: reader.pos, nextLine: reader.line() };
  } catch (e) {
    if (e instanceof Unfinished) {
      return { more: true };
    }
    if (e instanceof NotUnderstood) {
      const column = reader.pos - (text.lastIndexOf("\n", reader.pos - 1) + 1) + 1;
      return { error: e.message, line: reader.line(), column };
    }
    throw e;
  }
}

/** The words of one command line; throws what is wrong with it. */
export function splitWords(line: string): readonly string[] {
  const r = readStatements(line);
  if ("more" in r) {
    throw new Error(`${line}: it ends too early`);
  }
  if ("error" in r) {
    throw new Error(`${line}: column ${r.column}: ${r.error}`);
  }
  const [statement, ...others] = r.statements;
  if (others.length > 0 || r.next < line.length) {
    throw new Error(`${line}: more than one command`);
  }
  const { words = [], filters = [], quiet = false } = statement ?? {};
  return words.map((w) => {
    const plain = plainText(w);
    if (plain === null || filters.length > 0 || quiet) {
      throw new Error(`${line}: variables and pipes are for scripts`);
    }
    return plain;
  });
}

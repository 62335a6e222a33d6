// The words of command lines, as a POSIX shell reads them: quotes, comments, continued lines, here
// documents. Scripts for real tools can be read as they are, as long as they need nothing more of
// a shell: what is not understood (variables, pipes) is an error, never taken for plain text.

/** One command line. */
export interface Statement {
  readonly argv: readonly string[];
  /** Line of the first word, from 1. */
  readonly line: number;
  /** Text for standard input: a here document. */
  readonly stdin: string | null;
  /** Name of a file for standard input. */
  readonly stdinFile: string | null;
  /** Ends in "&": the next one does not wait for it. */
  readonly background: boolean;
  /** Ends in "&&": the next one only happens if this one succeeds. */
  readonly guards: boolean;
}

export type ReadStatements =
  | { readonly statements: readonly Statement[]; readonly next: number; readonly nextLine: number }
  /** The text ends within a quote, a here document or a continued line. */
  | { readonly more: true }
  | { readonly error: string; readonly line: number; readonly column: number };

interface HereDocument {
  readonly end: string;
  readonly stripTabs: boolean;
  readonly owner: Draft;
}

interface Draft {
  argv: string[];
  line: number;
  stdin: string | null;
  stdinFile: string | null;
  background: boolean;
  guards: boolean;
}

class Unfinished extends Error {}
class NotUnderstood extends Error {}

/** What a backslash takes the meaning from, within double quotes. */
const ESCAPED_IN_QUOTES = '\\"$`';

class WordReader {
  readonly statements: Draft[] = [];
  pos: number;
  private readonly text: string;
  private readonly heres: HereDocument[] = [];
  private draft: Draft | null = null;

  private readonly start: number;
  private readonly startLine: number;

  constructor(text: string, pos: number, line: number) {
    this.text = text;
    this.pos = pos;
    this.start = pos;
    this.startLine = line;
  }

  /** The line in which the reader is. */
  line(): number {
    return this.startLine + this.text.slice(this.start, this.pos).split("\n").length - 1;
  }

  /** Reads all statements of a line, and the here documents that follow it. */
  read(): void {
    for (;;) {
      this.skipBlanks();
      const c = this.text[this.pos];
      if (c === undefined || c === "\n") {
        this.pos += c === undefined ? 0 : 1;
        this.finish();
        break;
      }
      if (!this.readOperator(c)) {
        const word = this.readWord();
        this.current().argv.push(word);
      }
    }
    for (const here of this.heres) {
      this.readHere(here);
    }
  }

  private current(): Draft {
    this.draft ??= {
      argv: [],
      line: this.line(),
      stdin: null,
      stdinFile: null,
      background: false,
      guards: false,
    };
    return this.draft;
  }

  private finish(): void {
    if (this.draft !== null) {
      if (this.draft.argv.length === 0) {
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

  /** Reads ; & && < <<; false if a word comes. */
  private readOperator(c: string): boolean {
    const after = this.text[this.pos + 1];
    if (c === "|" || c === ">") {
      throw new NotUnderstood(`"${c}" is not understood here; put it in quotes if it is meant so`);
    }
    if (c === ";") {
      this.pos++;
      this.finish();
      return true;
    }
    if (c === "&") {
      const d = this.current();
      d.guards = after === "&";
      d.background = !d.guards;
      this.pos += d.guards ? 2 : 1;
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
    const word = this.readWord();
    if (isHere) {
      this.heres.push({ end: word, stripTabs, owner });
    } else {
      owner.stdinFile = word;
    }
  }

  private readHere({ end, stripTabs, owner }: HereDocument): void {
    let body = "";
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
        owner.stdin = body;
        return;
      }
      body += `${line}\n`;
    }
  }

  private readWord(): string {
    let word = "";
    for (;;) {
      const c = this.text[this.pos];
      if (c === undefined || " \t\r\n;&|<>".includes(c)) {
        return word;
      }
      if (c === "'") {
        word += this.readSingle();
      } else if (c === '"') {
        word += this.readDouble();
      } else if (c === "\\") {
        this.pos++;
        this.mustGoOn();
        const escaped = this.text[this.pos++] ?? "";
        word += escaped === "\n" ? "" : escaped;
      } else {
        this.refuseExpansion(c);
        word += c;
        this.pos++;
      }
    }
  }

  private refuseExpansion(c: string): void {
    const next = this.text[this.pos + 1] ?? "";
    if (c === "`" || (c === "$" && /[A-Za-z_0-9({@*#?!$-]/.test(next))) {
      throw new NotUnderstood("variables and the output of commands are not understood here");
    }
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

  private readDouble(): string {
    let inside = "";
    this.pos++;
    for (;;) {
      this.mustGoOn();
      const c = this.text[this.pos] ?? "";
      const next = this.text[this.pos + 1];
      if (c === '"') {
        this.pos++;
        return inside;
      }
      if (c === "\\" && next !== undefined && ESCAPED_IN_QUOTES.includes(next)) {
        inside += next;
        this.pos += 2;
      } else if (c === "\\" && next === "\n") {
        this.pos += 2;
      } else {
        this.refuseExpansion(c);
        inside += c;
        this.pos++;
      }
    }
  }
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
  return statement?.argv ?? [];
}

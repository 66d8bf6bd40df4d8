/**
 * The part of HCL 1 that configuration files of a Nomad agent consist of: blocks with labels, assignments, texts, heredocs, numbers,
 * booleans, lists, objects and comments (github.com/hashicorp/hcl, README). An agent evaluates no expressions in its files, so there are
 * none here either: "${…}" is text.
 */

/** A block or an assignment: `plugin "nspawn" { … }` has one label, `a = 1` none. */
export interface HclItem {
  readonly name: string;
  readonly labels: readonly string[];
  /** A text, number, boolean, list of values, or the items of a block or an object. */
  readonly value: HclValue;
}

export type HclValue = string | number | boolean | readonly HclValue[] | HclBody;

/** What is between braces, or a whole file. */
export interface HclBody {
  readonly items: readonly HclItem[];
}

/** A text that is not HCL; the message is a clause with the line. */
export class HclError extends Error {
  override readonly name = "HclError";
}

/** Parses a file. @throws HclError */
export function parseHcl(text: string): HclBody {
  const reader = new Reader(text.replace(/^\uFEFF/, ""));
  const items = readItems(reader, 0);
  if (!reader.atEnd) throw reader.error("it has a } too many");
  return { items };
}

/** Nothing in a real file is nested so deeply; a damaged one must not end the process. */
const DEEPEST = 50;

const SPACE = /(?:\s|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const NAME = /[\p{L}_][\p{L}\p{N}_.-]*/uy;
const QUOTED = /"((?:\$\{[^}\n]*\}|\\.|[^"\\\n])*)"/y;
const NUMBER = /-?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/y;
const HEREDOC = /<<(-?)(\w+)[ \t]*\r?\n/y;

class Reader {
  #at = 0;

  constructor(private readonly text: string) {
    this.take(SPACE);
  }

  get atEnd(): boolean {
    return this.#at >= this.text.length;
  }

  /** Takes what a sticky expression matches here, and the white space after it. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    const match = this.#match(pattern);
    if (match !== undefined && pattern !== SPACE) this.#match(SPACE);
    return match;
  }

  /** Takes a sign. */
  sign(sign: string): boolean {
    if (!this.text.startsWith(sign, this.#at)) return false;
    this.#at += sign.length;
    this.#match(SPACE);
    return true;
  }

  /** The lines up to one that has only a word; undefined if none has. */
  linesUntil(word: string): readonly string[] | undefined {
    const lines: string[] = [];
    while (this.#at < this.text.length) {
      const end = this.text.indexOf("\n", this.#at);
      const line = this.text.slice(this.#at, end < 0 ? undefined : end);
      this.#at = end < 0 ? this.text.length : end + 1;
      if (line.trim() === word) {
        this.#match(SPACE);
        return lines;
      }
      lines.push(line);
    }
    return undefined;
  }

  /** Takes the beginning of a heredoc, whose white space counts. */
  heredoc(): RegExpExecArray | undefined {
    return this.#match(HEREDOC);
  }

  error(problem: string): HclError {
    const line = this.text.slice(0, this.#at).split("\n").length;
    return new HclError(`${problem} (line ${line})`);
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.text) ?? undefined;
    if (match !== undefined) this.#at = pattern.lastIndex;
    return match;
  }
}

function readItems(reader: Reader, depth: number): readonly HclItem[] {
  const items: HclItem[] = [];
  for (let name = readName(reader); name !== undefined; name = readName(reader)) {
    items.push(readItem(reader, name, depth));
    reader.sign(",");
  }
  return items;
}

function readItem(reader: Reader, name: string, depth: number): HclItem {
  if (reader.sign("=") || reader.sign(":")) return { name, labels: [], value: readValue(reader, depth) };
  const labels: string[] = [];
  for (let label = readName(reader); label !== undefined; label = readName(reader)) labels.push(label);
  if (!reader.sign("{")) throw reader.error(`an = or a block is expected after ${JSON.stringify(name)}`);
  return { name, labels, value: readBody(reader, depth) };
}

function readName(reader: Reader): string | undefined {
  const plain = reader.take(NAME)?.[0];
  return plain ?? readQuoted(reader);
}

function readQuoted(reader: Reader): string | undefined {
  const [, inner] = reader.take(QUOTED) ?? [];
  return inner?.replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/g, (_, code: string) => unescaped(code));
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", a: "\x07", v: "\v" };

function unescaped(code: string): string {
  if (code.length > 1) {
    const point = Number.parseInt(code.slice(1), 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : "\uFFFD";
  }
  return ESCAPES[code] ?? code;
}

/** The items of a block whose { was taken. */
function readBody(reader: Reader, depth: number): HclBody {
  if (depth >= DEEPEST) throw reader.error("its blocks are nested too deeply");
  const items = readItems(reader, depth + 1);
  if (!reader.sign("}")) throw reader.error("a } is missing");
  return { items };
}

function readValue(reader: Reader, depth: number): HclValue {
  const text = readQuoted(reader);
  if (text !== undefined) return text;
  const number = reader.take(NUMBER);
  if (number !== undefined) return Number(number[0]);
  const begin = reader.heredoc();
  if (begin !== undefined) return readHeredoc(reader, begin[2] ?? "", begin[1] === "-");
  if (reader.sign("[")) return readList(reader, depth);
  if (reader.sign("{")) return readBody(reader, depth);
  const word = reader.take(NAME)?.[0];
  if (word === "true" || word === "false") return word === "true";
  throw reader.error(word === undefined ? "a value is expected" : `${JSON.stringify(word)} is not a value`);
}

function readList(reader: Reader, depth: number): readonly HclValue[] {
  if (depth >= DEEPEST) throw reader.error("its lists are nested too deeply");
  const list: HclValue[] = [];
  while (!reader.sign("]")) {
    list.push(readValue(reader, depth + 1));
    if (reader.sign(",")) continue;
    if (!reader.sign("]")) throw reader.error("a , or a ] is expected");
    break;
  }
  return list;
}

/** With "<<-" the indentation that all lines have is removed. */
function readHeredoc(reader: Reader, word: string, indented: boolean): string {
  const lines = reader.linesUntil(word);
  if (lines === undefined) throw reader.error(`the end ${word} of a text is missing`);
  const indents = lines.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length);
  const indent = indented ? Math.min(...indents, Number.MAX_SAFE_INTEGER) : 0;
  return lines.map((line) => `${line.slice(indent)}\n`).join("");
}

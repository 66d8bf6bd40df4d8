/**
 * HCL 2, as far as job files and an agent's configuration need it: tokens.ts divides a text into tokens, parse.ts makes *bodies* of them,
 * with the line of each attribute and block, and evaluate.ts gives the values of expressions without functions and operators. What such an
 * expression means only Nomad knows; its value is *open* here, and what depends on it is not judged.
 *
 * Source: the specification of HCL's native syntax (github.com/hashicorp/hcl, hclsyntax/spec.md).
 */

/** Thrown for a text that is not HCL; the message is a sentence with the line. */
export class HclError extends Error {
  override readonly name = "HclError";

  constructor(line: number, problem: string) {
    super(`Line ${line}: ${problem}.`);
  }
}

/** A part of a quoted text or heredoc: a text, or what is between "${" and "}". */
export type TemplatePart = { readonly text: string } | { readonly code: string };

/** A token, with the line of its first character; the first line is 1. */
export type Token =
  | { readonly kind: "name" | "number" | "mark"; readonly line: number; readonly text: string }
  | { readonly kind: "template"; readonly line: number; readonly parts: readonly TemplatePart[] }
  | { readonly kind: "newline" | "end"; readonly line: number };

/** Operators of two characters, and all others. */
const MARKS = ["=>", "==", "!=", "<=", ">=", "&&", "||", "...", "{", "}", "[", "]", "(", ")", "=", ",", ".", ":"];
const FURTHER_MARKS = ["?", "+", "-", "*", "/", "%", "!", "<", ">"];

/** Divides a text into tokens; comments are left out. @throws HclError */
export function tokensOf(text: string): Token[] {
  return new Scanner(text).all();
}

class Scanner {
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;

  constructor(private readonly text: string) {}

  all(): Token[] {
    while (this.#at < this.text.length) this.#next();
    this.#tokens.push({ kind: "end", line: this.#line });
    return this.#tokens;
  }

  #next(): void {
    const line = this.#line;
    const character = this.text.charAt(this.#at);
    if (character === "\n") {
      this.#skip(1);
      this.#tokens.push({ kind: "newline", line });
    } else if (this.#take(/[ \t\r\uFEFF]+|(?:#|\/\/)[^\n]*|\/\*[\s\S]*?\*\//y) !== undefined) {
      // White space and comments.
    } else if (character === '"') {
      this.#skip(1);
      this.#tokens.push({ kind: "template", line, parts: this.#quoted(line) });
    } else if (this.text.startsWith("<<", this.#at)) {
      this.#tokens.push({ kind: "template", line, parts: this.#heredoc(line) });
    } else {
      this.#tokens.push(this.#word(line));
    }
  }

  #word(line: number): Token {
    const number = this.#take(/\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y);
    if (number !== undefined) return { kind: "number", line, text: number };
    const name = this.#take(/[\p{ID_Start}_][\p{ID_Continue}-]*/uy);
    if (name !== undefined) return { kind: "name", line, text: name };
    const mark = [...MARKS, ...FURTHER_MARKS].find((known) => this.text.startsWith(known, this.#at));
    if (mark === undefined) throw new HclError(line, `unexpected ${JSON.stringify(this.text.charAt(this.#at))}`);
    this.#skip(mark.length);
    return { kind: "mark", line, text: mark };
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined || found === "") return undefined;
    this.#skip(found.length);
    return found;
  }

  #skip(length: number): void {
    for (let count = 0; count < length; count += 1) if (this.text.charAt(this.#at + count) === "\n") this.#line += 1;
    this.#at += length;
  }

  /** What follows a quote, up to the next one. */
  #quoted(line: number): TemplatePart[] {
    const parts = new Parts();
    for (;;) {
      const character = this.text.charAt(this.#at);
      if (character === "" || character === "\n") throw new HclError(line, "a quoted text is not closed");
      if (character === '"') {
        this.#skip(1);
        return parts.all();
      }
      if (character === "\\") parts.text(this.#escape(line));
      else if (!this.#template(parts, line)) {
        parts.text(character);
        this.#skip(1);
      }
    }
  }

  #escape(line: number): string {
    const found = this.#take(/\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/y);
    if (found === undefined) throw new HclError(line, "a backslash ends the file");
    const word = found.slice(1);
    if (word.length > 1) {
      const code = Number.parseInt(word.slice(1), 16);
      if (code > 0x10_ff_ff) throw new HclError(line, `${found} is no character`);
      return String.fromCodePoint(code);
    }
    const plain = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" }[word];
    if (plain === undefined) throw new HclError(line, `${JSON.stringify(found)} is no escape`);
    return plain;
  }

  /** Takes "${…}", "%{…}" or their escapes "$${" and "%%{"; false if none is here. */
  #template(parts: Parts, line: number): boolean {
    const escaped = this.#take(/(?:\$\$|%%)\{/y);
    if (escaped !== undefined) {
      parts.text(escaped.slice(1));
      return true;
    }
    const open = this.#take(/[$%]\{~?/y);
    if (open === undefined) return false;
    parts.code(`${open.startsWith("%") ? "%" : ""}${this.#code(line)}`);
    return true;
  }

  /** What is between "${" and its "}", which may contain quoted texts and braces. */
  #code(line: number): string {
    const from = this.#at;
    for (let depth = 1; ; ) {
      const character = this.text.charAt(this.#at);
      if (character === "") throw new HclError(line, 'a template "${" is not closed');
      this.#skip(1);
      if (character === '"') this.#quoted(line);
      else if (character === "{") depth += 1;
      else if (character === "}") depth -= 1;
      if (depth === 0)
        return this.text
          .slice(from, this.#at - 1)
          .replace(/~$/, "")
          .trim();
    }
  }

  #heredoc(line: number): TemplatePart[] {
    const head = /<<(-?)([\p{ID_Start}_][\p{ID_Continue}-]*)[ \t\r]*\n/uy;
    head.lastIndex = this.#at;
    const [whole, indented, word = ""] = head.exec(this.text) ?? [];
    if (whole === undefined) throw new HclError(line, '"<<" begins no heredoc');
    this.#skip(whole.length);
    const rest = this.text.slice(this.#at);
    const end = new RegExp(`^[ \\t]*${word}[ \\t\\r]*$`, "m").exec(rest);
    if (end === null) throw new HclError(line, `the heredoc ${word} is not closed`);
    const body = rest.slice(0, end.index);
    const inner = new Scanner(indented === "-" ? unindented(body) : body);
    const parts = inner.#body(line);
    this.#skip(end.index + end[0].length);
    return parts;
  }

  /** The whole text as a template without escapes by backslashes. */
  #body(line: number): TemplatePart[] {
    const parts = new Parts();
    while (this.#at < this.text.length) {
      if (this.#template(parts, line)) continue;
      parts.text(this.text.charAt(this.#at));
      this.#skip(1);
    }
    return parts.all();
  }
}

/** A text without the white space that all its lines begin with. */
function unindented(text: string): string {
  const lines = text.split("\n");
  const filled = lines.filter((line) => line.trim() !== "");
  const least = Math.min(...filled.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(Number.isFinite(least) ? least : 0)).join("\n");
}

/** Collects the parts of a template, with neighbouring texts as one. */
class Parts {
  readonly #parts: TemplatePart[] = [];
  #text = "";

  text(more: string): void {
    this.#text += more;
  }

  code(code: string): void {
    this.#flush();
    this.#parts.push({ code });
  }

  all(): TemplatePart[] {
    this.#flush();
    return this.#parts;
  }

  #flush(): void {
    if (this.#text !== "") this.#parts.push({ text: this.#text });
    this.#text = "";
  }
}

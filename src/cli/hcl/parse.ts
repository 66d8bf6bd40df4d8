import { HclError, type TemplatePart, type Token, tokensOf } from "./tokens";

/** An expression: what has a value without functions and operators, or `open`. */
export type Expression =
  | { readonly kind: "literal"; readonly value: number | boolean | null }
  | { readonly kind: "template"; readonly parts: readonly TemplatePart[] }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [key: Expression, value: Expression])[] }
  /** A name, such as var.image. */
  | { readonly kind: "name"; readonly text: string }
  | { readonly kind: "open" };

/** An attribute of a body. */
export interface Attribute {
  readonly name: string;
  readonly line: number;
  readonly value: Expression;
}

/** A block of a body. */
export interface Block {
  readonly type: string;
  readonly labels: readonly string[];
  readonly line: number;
  readonly body: Body;
}

/** The content of a file or block, in its order. */
export interface Body {
  readonly attributes: readonly Attribute[];
  readonly blocks: readonly Block[];
}

/** Deepest nesting of blocks and expressions. */
const MAX_DEPTH = 100;

/** Parses a file. @throws HclError */
export function parseHcl(text: string): Body {
  return new Parser(tokensOf(text)).file();
}

/** Parses one expression, such as a template's "${…}". @throws HclError */
export function parseExpression(text: string): Expression {
  return new Parser(tokensOf(text)).single();
}

class Parser {
  #at = 0;
  #depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  file(): Body {
    return this.#body("end");
  }

  single(): Expression {
    const value = this.#expression();
    return this.#peek().kind === "end" ? value : { kind: "open" };
  }

  #peek(): Token {
    return this.tokens[this.#at] ?? { kind: "end", line: 0 };
  }

  #take(): Token {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }

  #isMark(text: string): boolean {
    const token = this.#peek();
    return token.kind === "mark" && token.text === text;
  }

  #expect(mark: string): void {
    const token = this.#take();
    if (token.kind !== "mark" || token.text !== mark) {
      throw new HclError(token.line, `expected ${JSON.stringify(mark)}, not ${shown(token)}`);
    }
  }

  #newlines(): void {
    while (this.#peek().kind === "newline") this.#at += 1;
  }

  #nested<Result>(work: () => Result): Result {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new HclError(this.#peek().line, `more than ${MAX_DEPTH} nested blocks`);
    const result = work();
    this.#depth -= 1;
    return result;
  }

  #body(end: "end" | "}"): Body {
    const attributes: Attribute[] = [];
    const blocks: Block[] = [];
    for (;;) {
      this.#newlines();
      const token = this.#take();
      if (token.kind === "end" && end === "end") return { attributes, blocks };
      if (token.kind === "mark" && token.text === end) return { attributes, blocks };
      if (token.kind !== "name") throw new HclError(token.line, `expected a name, not ${shown(token)}`);
      const { text: name, line } = token;
      if (this.#isMark("=")) {
        this.#at += 1;
        attributes.push({ name, line, value: this.#expression() });
        this.#endOfAttribute(end);
      } else {
        blocks.push(this.#block(name, line));
      }
    }
  }

  /** A block on one line has no newline before its brace. */
  #endOfAttribute(end: "end" | "}"): void {
    const token = this.#peek();
    if (token.kind === "newline" || token.kind === "end" || (end === "}" && this.#isMark("}"))) return;
    throw new HclError(token.line, `expected the end of the line, not ${shown(token)}`);
  }

  #block(type: string, line: number): Block {
    const labels: string[] = [];
    for (;;) {
      const token = this.#take();
      if (token.kind === "mark" && token.text === "{") break;
      if (token.kind === "name") labels.push(token.text);
      else if (token.kind === "template") labels.push(plainText(token.parts));
      else throw new HclError(token.line, `expected "=" or "{" after ${JSON.stringify(type)}, not ${shown(token)}`);
    }
    return { type, labels, line, body: this.#nested(() => this.#body("}")) };
  }

  #expression(): Expression {
    return this.#nested(() => {
      const value = this.#primary();
      return this.#skipOperation() ? { kind: "open" } : value;
    });
  }

  #primary(): Expression {
    const token = this.#take();
    if (token.kind === "number") return { kind: "literal", value: Number(token.text) };
    if (token.kind === "template") return { kind: "template", parts: token.parts };
    if (token.kind === "name") return this.#named(token.text);
    if (token.kind === "mark" && token.text === "[") return this.#list();
    if (token.kind === "mark" && token.text === "{") return this.#map();
    if (token.kind === "mark" && token.text === "(") {
      this.#newlines();
      const value = this.#expression();
      this.#skipTo(")");
      return value;
    }
    if (token.kind === "mark" && token.text === "-") {
      const value = this.#primary();
      if (value.kind === "literal" && typeof value.value === "number") return { kind: "literal", value: -value.value };
      return { kind: "open" };
    }
    if (token.kind === "mark" && token.text === "!") {
      this.#primary();
      return { kind: "open" };
    }
    throw new HclError(token.line, `expected a value, not ${shown(token)}`);
  }

  #named(first: string): Expression {
    const literals = { true: true, false: false, null: null } as const;
    if (Object.hasOwn(literals, first)) {
      return { kind: "literal", value: first === "null" ? null : first === "true" };
    }
    let text = first;
    while (this.#isMark(".")) {
      this.#at += 1;
      const token = this.#take();
      if (token.kind !== "name" && token.kind !== "number") return { kind: "open" };
      text += `.${token.text}`;
    }
    return { kind: "name", text };
  }

  #list(): Expression {
    const items: Expression[] = [];
    for (;;) {
      this.#newlines();
      if (this.#isMark("]")) break;
      if (this.#isFor()) return this.#skipped("]");
      items.push(this.#expression());
      this.#newlines();
      if (!this.#isMark("]")) this.#expect(",");
    }
    this.#at += 1;
    return { kind: "list", items };
  }

  #map(): Expression {
    const entries: [Expression, Expression][] = [];
    for (;;) {
      this.#newlines();
      if (this.#isMark("}")) break;
      if (this.#isFor()) return this.#skipped("}");
      const key = this.#key();
      if (!this.#isMark("=") && !this.#isMark(":")) this.#expect("=");
      this.#at += 1;
      this.#newlines();
      entries.push([key, this.#expression()]);
      if (this.#isMark(",")) this.#at += 1;
    }
    this.#at += 1;
    return { kind: "map", entries };
  }

  /** A name alone is a key, not a variable. */
  #key(): Expression {
    const value = this.#primary();
    return value.kind === "name" && !value.text.includes(".")
      ? { kind: "template", parts: [{ text: value.text }] }
      : value;
  }

  #isFor(): boolean {
    const token = this.#peek();
    return token.kind === "name" && token.text === "for";
  }

  #skipped(close: string): Expression {
    this.#skipTo(close);
    return { kind: "open" };
  }

  /** Skips what follows a value and makes it an operation: operators, calls, indexes. @returns whether there was any */
  #skipOperation(): boolean {
    let found = false;
    for (;;) {
      const token = this.#peek();
      if (token.kind !== "mark" || [",", "]", "}", ")", "=", ":", "=>", "{"].includes(token.text)) return found;
      found = true;
      this.#at += 1;
      if (token.text === "(") this.#skipTo(")");
      else if (token.text === "[") this.#skipTo("]");
      else if (token.text === "." || token.text === "...") this.#at += token.text === "." ? 1 : 0;
      else {
        this.#newlines();
        this.#expression();
        if (token.text === "?") {
          this.#newlines();
          this.#expect(":");
          this.#newlines();
          this.#expression();
        }
      }
    }
  }

  /** Skips to a closing bracket, over those of nested ones. */
  #skipTo(close: string): void {
    const opening: readonly string[] = ["(", "[", "{"];
    const closing: readonly string[] = [")", "]", "}"];
    for (let depth = 0; ; ) {
      const token = this.#take();
      if (token.kind === "end") throw new HclError(token.line, `${JSON.stringify(close)} is missing`);
      if (token.kind !== "mark") continue;
      if (depth === 0 && token.text === close) return;
      if (opening.includes(token.text)) depth += 1;
      else if (closing.includes(token.text)) depth -= 1;
    }
  }
}

/** A label's text; templates are not allowed in it. */
function plainText(parts: readonly TemplatePart[]): string {
  return parts.map((part) => ("text" in part ? part.text : `\${${part.code}}`)).join("");
}

function shown(token: Token): string {
  if (token.kind === "end") return "the end of the file";
  if (token.kind === "newline") return "the end of the line";
  return "text" in token ? JSON.stringify(token.text) : "a quoted text";
}

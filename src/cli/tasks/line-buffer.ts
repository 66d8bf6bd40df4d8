/** Longest line that is kept before it is complete, in characters; a longer one is printed in parts. */
const LONGEST = 64 * 1024;

/** Divides bytes into lines, which keep their ends. */
export class LineBuffer {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** The lines that these bytes complete. */
  push(bytes: Uint8Array): string[] {
    const parts = `${this.#rest}${this.#decoder.decode(bytes, { stream: true })}`.split("\n");
    const last = parts.pop() ?? "";
    const lines = parts.map((part) => `${part}\n`);
    this.#rest = last.length > LONGEST ? "" : last;
    return this.#rest === last ? lines : [...lines, last];
  }

  /** What is left without an end of a line. */
  rest(): string {
    const rest = this.#rest;
    this.#rest = "";
    return rest;
  }
}

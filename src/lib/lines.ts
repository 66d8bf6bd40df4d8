/** A line of a stream; `text` is undefined if the line was longer than allowed. */
export interface Line {
  readonly text: string | undefined;
}

const NEWLINE = 0x0a;

/** Splits a stream of bytes into lines, and keeps at most `longest` bytes of one that is not complete. */
export class LineSplitter {
  #parts: Uint8Array[] = [];
  #size = 0;

  /** @param longest bytes of a line; a longer one is left out */
  constructor(private readonly longest: number) {}

  /** The lines that these bytes complete, without their newlines. The bytes are copied if they are kept. */
  push(bytes: Uint8Array): Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      this.#keep(bytes.subarray(from, end));
      lines.push({ text: this.#size > this.longest ? undefined : Buffer.concat(this.#parts).toString("utf8") });
      this.#parts = [];
      this.#size = 0;
      from = end + 1;
    }
    this.#keep(bytes.subarray(from));
    return lines;
  }

  #keep(part: Uint8Array): void {
    this.#size += part.length;
    if (this.#size > this.longest) this.#parts = [];
    else if (part.length > 0) this.#parts.push(new Uint8Array(part));
  }
}

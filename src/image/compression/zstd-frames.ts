/** Sizes, by flag, of the optional parts of a frame's header (RFC 8878, 3.1.1.1). */
const DICTIONARY_SIZES = [0, 1, 2, 4] as const;
const CONTENT_SIZES = [0, 2, 4, 8] as const;
const RLE = 1;

/**
 * Follows the frames of zstd content without decompressing it, to detect whether it ends at the end of a frame: zstd of bun 1.4.5
 * accepts truncated content as complete.
 */
export class ZstdFrames {
  /** The bytes of the next header received so far. */
  #header: Buffer = Buffer.of();
  #expected: "magic" | "skippable" | "descriptor" | "block" = "magic";
  /** Bytes to skip. */
  #skip = 0;
  /** State within a frame: its header after the descriptor has been skipped. */
  #checksum = false;

  /** Whether the content so far ends at the end of a frame. */
  get complete(): boolean {
    return this.#expected === "magic" && this.#skip === 0 && this.#header.length === 0;
  }

  /** Takes the next bytes. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at);
        this.#skip -= passed;
        at += passed;
        continue;
      }
      const wanted = this.#headerSize() - this.#header.length;
      const part = bytes.subarray(at, at + wanted);
      this.#header = Buffer.concat([this.#header, part]);
      at += part.length;
      if (part.length === wanted) this.#take();
    }
  }

  #headerSize(): number {
    switch (this.#expected) {
      case "magic":
      case "skippable":
        return 4;
      case "descriptor":
        return 1;
      case "block":
        return 3;
    }
  }

  #take(): void {
    const header = this.#header;
    this.#header = Buffer.of();
    switch (this.#expected) {
      case "magic":
        this.#expected = header.readUInt32LE() >>> 4 === 0x184d_2a5 ? "skippable" : "descriptor";
        return;
      case "skippable":
        this.#skip = header.readUInt32LE();
        this.#expected = "magic";
        return;
      case "descriptor":
        this.#skip = frameHeaderRest(header.readUInt8());
        this.#checksum = (header.readUInt8() & 4) !== 0;
        this.#expected = "block";
        return;
      case "block": {
        const word = header.readUIntLE(0, 3);
        const size = word >>> 3;
        this.#skip = ((word >>> 1) & 3) === RLE ? 1 : size;
        if ((word & 1) === 0) return;
        if (this.#checksum) this.#skip += 4;
        this.#expected = "magic";
      }
    }
  }
}

/** Size of a frame's header between its descriptor and its first block. */
function frameHeaderRest(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0;
  const window = single ? 0 : 1;
  const dictionary = DICTIONARY_SIZES[descriptor & 3] ?? 0;
  const flag = descriptor >>> 6;
  const content = flag === 0 && single ? 1 : (CONTENT_SIZES[flag] ?? 0);
  return window + dictionary + content;
}

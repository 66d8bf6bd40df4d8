import { open } from "node:fs/promises";
import { gcThrottle } from "../../lib/buffers";

/** The unit of checks: a block of only zeros becomes a hole. Usually a file system's smallest block. */
const BLOCK = 4096;
const ZEROS = Buffer.alloc(BLOCK);
/** Bytes written between two checks of the disk's free space. */
const LOOK_BYTES = 8 * 1024 * 1024;
/** MiB between two garbage collections; see gcThrottle(). */
const COLLECT_MIB = 2;

/**
 * Writes a new file, with holes for blocks of zeros, and syncs it to the disk.
 *
 * @param check is called before the first bytes, and repeatedly while they are written; it cancels the write by throwing
 * @returns bytes
 * @throws what the content and `check` throw, and errors of the file system
 */
export async function writeSparse(
  path: string,
  content: AsyncIterable<Uint8Array>,
  check: () => Promise<void> = async () => {},
): Promise<number> {
  const file = await open(path, "wx", 0o600);
  try {
    let position = 0;
    let rest: Buffer = Buffer.of();
    let unseen = LOOK_BYTES;
    const put = async (bytes: Buffer) => {
      for (const [from, to] of filledRanges(bytes)) {
        unseen += to - from;
        if (unseen >= LOOK_BYTES) {
          unseen = 0;
          await check();
        }
        for (let at = from; at < to; ) {
          const { bytesWritten } = await file.write(bytes, at, to - at, position + at);
          at += bytesWritten;
        }
      }
      position += bytes.length;
    };
    const passed = gcThrottle(COLLECT_MIB);
    for await (const chunk of content) {
      passed(chunk.length);
      const bytes =
        rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]);
      const whole = bytes.length - (bytes.length % BLOCK);
      await put(bytes.subarray(0, whole));
      rest = Buffer.from(bytes.subarray(whole));
    }
    await put(rest);
    await file.truncate(position);
    await file.sync();
    return position;
  } finally {
    await file.close();
  }
}

/** The blocks (the last may be shorter) that are not all zeros, adjacent ones joined. */
function filledRanges(bytes: Buffer): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  for (let from = 0; from < bytes.length; from += BLOCK) {
    const to = Math.min(from + BLOCK, bytes.length);
    if (bytes.compare(ZEROS, 0, to - from, from, to) === 0) continue;
    const last = ranges.at(-1);
    if (last?.[1] === from) last[1] = to;
    else ranges.push([from, to]);
  }
  return ranges;
}

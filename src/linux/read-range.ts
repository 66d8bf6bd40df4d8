import { read } from "node:fs";

/** Reads parts of files at given positions: several readers may share a descriptor, whose own position is not used. */

/** A part of a file; both in bytes. */
export interface FileRange {
  readonly offset: number;
  readonly size: number;
}

const CHUNK = 256 * 1024;

/**
 * The content of a range, in pieces that own their memory; shorter if the file ends before.
 *
 * @throws the error of the system, and what `signal` aborts with
 */
export async function* readRange(
  fd: number,
  { offset, size }: FileRange,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let done = 0; done < size; ) {
    signal?.throwIfAborted();
    const piece = await readAt(fd, offset + done, Math.min(CHUNK, size - done));
    if (piece.length === 0) return;
    done += piece.length;
    yield piece;
  }
}

/** Bytes at a position (pread(2)); fewer than asked for at the end of the file. @throws the error of the system */
export async function readAt(fd: number, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const got = await readOnce(fd, buffer.subarray(filled), position + filled);
    if (got === 0) break;
    filled += got;
  }
  return buffer.subarray(0, filled);
}

function readOnce(fd: number, into: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, into, 0, into.length, position, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
  });
}

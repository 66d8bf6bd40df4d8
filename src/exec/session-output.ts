import type { FdReader } from "../linux/fd-stream";
import type { Session } from "./session";

/** A piece of a command's output; without bytes, the end of that stream. */
export interface OutputPiece {
  readonly stream: "stdout" | "stderr";
  readonly bytes?: Uint8Array;
}

/**
 * How long to wait, twice, for output after the command's own end, in milliseconds: what it wrote has arrived already, and
 * background processes it started may hold the streams open forever.
 */
const drainMs = 50;

/**
 * After this many bytes their garbage is collected at once. Otherwise the runtime lets it grow to 75 MiB during 1 GB of output;
 * with this it is 30 MiB, at the same speed (measured with bun 1.4.5).
 */
const collectEvery = 4 * 1024 * 1024;

/**
 * A command's output, as fast as the consumer takes it: only one piece of each stream is read ahead. A piece's bytes are
 * valid until the next piece is requested.
 */
export async function* sessionOutput(session: Session): AsyncGenerator<OutputPiece> {
  const ready: OutputPiece[] = [];
  let wake = () => {};
  let over = false;
  let open = 0;
  let passed = 0;
  let silences = 0;
  const read = (stream: OutputPiece["stream"], reader: FdReader) => {
    const got = (bytes: Uint8Array | undefined) => {
      ready.push(bytes === undefined ? { stream } : { stream, bytes });
      wake();
    };
    // A stream that cannot be read any more has ended.
    reader.next().then(got, () => got(undefined));
  };
  const readers = { stdout: session.stdout, stderr: session.stderr };
  for (const [stream, reader] of [
    ["stdout", readers.stdout],
    ["stderr", readers.stderr],
  ] as const) {
    if (reader === undefined) continue;
    open += 1;
    read(stream, reader);
  }
  const ended = () => {
    over = true;
    wake();
  };
  session.ended.then(ended, ended);
  while (open > 0) {
    const piece = ready.shift();
    if (piece === undefined) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silent = await new Promise<boolean>((resolve) => {
        wake = () => resolve(false);
        if (over) timer = setTimeout(() => resolve(true), drainMs);
      });
      clearTimeout(timer);
      // A busy driver may be late, so available data may not have been read yet.
      const waiting = ready.length > 0 || session.stdout.unread() > 0 || (session.stderr?.unread() ?? 0) > 0;
      silences = silent && !waiting ? silences + 1 : 0;
      if (silences === 2) return;
      continue;
    }
    yield piece;
    passed += piece.bytes?.length ?? 0;
    if (piece.bytes !== undefined) release(piece.bytes);
    if (passed > collectEvery) {
      passed = 0;
      Bun.gc(true);
    }
    const reader = readers[piece.stream];
    if (piece.bytes === undefined || reader === undefined) open -= 1;
    else read(piece.stream, reader);
  }
}

/** Frees the memory of bytes that are no longer needed without waiting for the garbage collector. */
function release(bytes: Uint8Array): void {
  if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length) bytes.buffer.transfer(0);
}

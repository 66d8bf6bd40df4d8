import type { FdReader } from "./fd-streams";
import type { Session } from "./session";

/** A piece of what a command wrote; without bytes, the end of that stream. */
export interface OutputPiece {
  readonly stream: "stdout" | "stderr";
  readonly bytes?: Uint8Array;
}

/**
 * How long output is waited for after the command's own end, in milliseconds and twice: what it wrote is there already, and what it
 * left running in the background may hold the streams open for ever.
 */
const silenceMs = 50;

/**
 * After so many bytes their garbage is collected at once. Left alone, the runtime lets it grow to 75 MiB during 1 GB of output;
 * so it is 30 MiB, at the same speed (measured with bun 1.4.5).
 */
const collectEvery = 4 * 1024 * 1024;

/**
 * What a command writes, as fast as it is taken: nothing is read ahead but one piece of each stream. A piece's bytes are
 * valid until the next piece is asked for.
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
    // A stream that cannot be read any more has ended, too.
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
        if (over) timer = setTimeout(() => resolve(true), silenceMs);
      });
      clearTimeout(timer);
      // A busy driver may be late, so that what is there has not been read yet.
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

/** Frees the memory of bytes that nobody needs any more without waiting for the garbage collector. */
function release(bytes: Uint8Array): void {
  if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length) bytes.buffer.transfer(0);
}

import { AsyncQueue } from "../lib/async-queue";
import { freeBuffer, gcThrottle } from "../lib/buffers";
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
const DRAIN_MS = 50;

/**
 * After this many MiB their garbage is collected at once. Otherwise the runtime lets it grow to 75 MiB during 1 GB of output;
 * with this it is 30 MiB, at the same speed (measured with bun 1.4.5).
 */
const COLLECT_EVERY = 4;

/**
 * A command's output, as fast as the consumer takes it: only one piece of each stream is read ahead. A piece's bytes are
 * valid until the next piece is requested.
 */
export async function* sessionOutput({
  stdout,
  stderr,
  ended,
}: Pick<Session, "stdout" | "stderr" | "ended">): AsyncGenerator<OutputPiece> {
  const ready = new AsyncQueue<OutputPiece | "ended">();
  const collect = gcThrottle(COLLECT_EVERY);
  const readers = { stdout, stderr };
  const open = new Set<OutputPiece["stream"]>(stderr === undefined ? ["stdout"] : ["stdout", "stderr"]);
  const read = (stream: OutputPiece["stream"]) => {
    const got = (bytes: Uint8Array | undefined) => ready.push(bytes === undefined ? { stream } : { stream, bytes });
    // A stream that cannot be read any more has ended.
    readers[stream]?.next().then(got, () => got(undefined));
  };
  for (const stream of open) read(stream);
  const end = () => ready.push("ended");
  ended.then(end, end);
  let over = false;
  let silences = 0;
  while (open.size > 0) {
    const piece = ready.shift();
    if (piece === undefined) {
      const silent = !(await ready.changed(over ? DRAIN_MS : undefined));
      // A busy driver may be late, so available data may not have been read yet.
      const waiting = stdout.unread() > 0 || (stderr?.unread() ?? 0) > 0;
      silences = silent && !waiting ? silences + 1 : 0;
      if (silences === 2) return;
    } else if (piece === "ended") {
      over = true;
    } else {
      yield piece;
      if (piece.bytes === undefined) open.delete(piece.stream);
      else {
        const { length } = piece.bytes;
        freeBuffer(piece.bytes);
        collect(length);
        read(piece.stream);
      }
    }
  }
}

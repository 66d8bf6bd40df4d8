import { Patience, TIMING, type Timing } from "./patience";
import { Received } from "./received";
import { abortError, contentError, networkError, type Subject, silenceError } from "./transfer-error";

/** What is downloaded, and what is known of it before. */
export interface DownloadRequest {
  /** What it is, in errors. */
  readonly name: string;
  /** Host and port that are asked. */
  readonly host: string;
  /** Asks for the content with these headers besides; called again for each try. */
  readonly open: (headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Response>;
  readonly signal: AbortSignal;
  /** Bytes, where they are known. */
  readonly size?: number;
  /** "sha256:…" or "sha512:…", where it is known. */
  readonly digest?: string;
  /** Called with the bytes received so far, and all there will be where that is known. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
  readonly timing?: Timing;
}

/** A try that brings less counts as failed like one that brings nothing: otherwise a trickle would be tried for ever. */
const REWARDING_BYTES = 64 * 1024;

/**
 * Downloads in order and no faster than it is taken. After a broken connection it goes on where it was; nothing is given
 * twice. Where the server does not go on but begins anew, what was given already is read again, compared by hash and
 * dropped.
 *
 * @throws TransferError in the middle, or after the last byte where size or digest are wrong
 */
export async function* download(request: DownloadRequest): AsyncGenerator<Uint8Array> {
  const { size, digest, signal, timing = TIMING } = request;
  const [algorithm = "sha256", expected] = digest?.split(":") ?? [];
  const received = new Received(request.name, algorithm, size);
  const patience = new Patience(timing);
  for (;;) {
    let brought = 0;
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    const subject: Subject = { name: request.name, host: request.host };
    const within = <T>(work: Promise<T>) =>
      inTime(work, timing.silenceMs, () => ending.abort(silenceError(subject, timing.silenceMs)));
    try {
      const response = await within(request.open(received.headers(), both));
      const total = await received.begin(response);
      request.onProgress?.(received.bytes, total);
      if (response.body !== null) {
        const reader = response.body.getReader();
        for (;;) {
          const { done, value } = await within(reader.read());
          if (done) break;
          const fresh = received.take(value);
          if (fresh === undefined) continue;
          brought += fresh.length;
          if (brought >= REWARDING_BYTES) patience.rewarded();
          request.onProgress?.(received.bytes, total);
          yield fresh;
        }
      }
      received.end(total);
      break;
    } catch (error) {
      const failure = both.aborted ? abortError(subject, both) : networkError(subject, error);
      await patience.after(failure, subject, signal);
    } finally {
      ending.abort();
    }
  }
  const found = received.digest();
  if (expected !== undefined && found !== expected) {
    throw contentError(request, `its digest is ${algorithm}:${found}, but should be ${digest}`);
  }
}

/** Settles like `work`; calls `late` where that takes longer, which has to end it. */
async function inTime<T>(work: Promise<T>, ms: number, late: () => void): Promise<T> {
  const timer = setTimeout(late, ms);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * HTTP downloads that continue after failures. A *try* is one connection. If it breaks, the next one requests the rest with a Range
 * header, provided that the server says the content is still the same; a server that starts over has its repeated bytes compared and
 * dropped (resume.ts). Tries follow each other with a *backoff*, and end after several in a row without progress (retry.ts).
 *
 * Every failure becomes a TransferError with a sentence that names image and host, and says whether Nomad may retry the task (errors.ts).
 * client.ts sends requests: proxies, certificates, redirects without credentials for other hosts.
 */

import { withTimeout } from "../../lib/deadline";
import { abortError, contentError, networkError, type Subject, silenceError } from "./errors";
import { Received } from "./resume";
import { Backoff, RETRY_OPTIONS, type RetryOptions } from "./retry";

/** A download, and what is known about it beforehand. */
export interface DownloadRequest {
  /** The subject of errors. */
  readonly name: string;
  /** Host and port of the server. */
  readonly host: string;
  /** Requests the content with these additional headers; called again for each try. */
  readonly open: (headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Response>;
  readonly signal: AbortSignal;
  /** Bytes, if known. */
  readonly size?: number;
  /** "sha256:…" or "sha512:…", if known. */
  readonly digest?: string;
  /** Called with the bytes received so far, and the total if known. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
  readonly timing?: RetryOptions;
}

/** A try that receives less counts as failed like one that receives nothing: otherwise a trickle would be retried forever. */
const PROGRESS_THRESHOLD_BYTES = 64 * 1024;

/**
 * Downloads in order and no faster than the consumer reads. After a broken connection it resumes; nothing is delivered
 * twice. If the server does not resume but starts over, the data delivered already is read again, compared by hash and
 * dropped.
 *
 * @throws TransferError in the middle, or after the last byte if size or digest are wrong
 */
export async function* download(request: DownloadRequest): AsyncGenerator<Uint8Array> {
  const { size, digest, signal, timing = RETRY_OPTIONS } = request;
  const [algorithm = "sha256", expected] = digest?.split(":") ?? [];
  const received = new Received(request.name, algorithm, size);
  const backoff = new Backoff(timing);
  for (;;) {
    let progress = 0;
    const attempt = new AbortController();
    const both = AbortSignal.any([signal, attempt.signal]);
    const subject: Subject = { name: request.name, host: request.host };
    const within = <T>(work: Promise<T>) =>
      withTimeout(work, timing.silenceMs, () => attempt.abort(silenceError(subject, timing.silenceMs)));
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
          progress += fresh.length;
          if (progress >= PROGRESS_THRESHOLD_BYTES) backoff.reset();
          request.onProgress?.(received.bytes, total);
          yield fresh;
        }
      }
      received.end(total);
      break;
    } catch (error) {
      const failure = both.aborted ? abortError(subject, both) : networkError(subject, error);
      await backoff.after(failure, subject, signal);
    } finally {
      attempt.abort();
    }
  }
  const found = received.digest();
  if (expected !== undefined && found !== expected) {
    throw contentError(request, `its digest is ${algorithm}:${found}, but should be ${digest}`);
  }
}

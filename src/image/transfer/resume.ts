import { createHash, type Hash } from "node:crypto";
import { hostOf, refusal } from "./client";
import { capital, contentError, type Subject, TransferError } from "./errors";

/** The state of a download: what its reader has received, and how the next answer continues. */
export class Received {
  /** Bytes delivered so far. */
  bytes = 0;
  readonly #name: string;
  readonly #algorithm: string;
  readonly #size: number | undefined;
  readonly #hash: Hash;
  #subject: Subject;
  /** The validator of the content: a strong ETag, or its date. */
  #validator: string | undefined;
  #resumable = true;
  /** If an answer starts over: the bytes still to skip, and the hash of those skipped. */
  #repeated: { left: number; readonly hash: Hash } | undefined;

  /** @param size expected size in bytes, if known */
  constructor(name: string, algorithm: string, size: number | undefined) {
    this.#name = name;
    this.#algorithm = algorithm;
    this.#size = size;
    this.#hash = createHash(algorithm);
    this.#subject = { name, host: "the server" };
  }

  /** Headers that request the rest (RFC 9110, 13.1.5 and 14.2); none at first. */
  headers(): Record<string, string> {
    if (this.bytes === 0 || !this.#resumable) return {};
    const range = { range: `bytes=${this.bytes}-` };
    return this.#validator === undefined ? range : { ...range, "if-range": this.#validator };
  }

  /**
   * Accepts an answer.
   *
   * @returns the total size, if known
   * @throws TransferError if it has no content, or other content than requested
   */
  async begin(response: Response): Promise<number | undefined> {
    const { status, headers } = response;
    // Whatever range it objects to: everything can be requested.
    if (status === 416 && this.#resumable) this.#resumable = false;
    if (status !== 200 && status !== 206) throw await refusal(this.#name, response);
    this.#subject = { name: this.#name, host: hostOf(response) };
    this.#repeated = undefined;
    const total = status === 206 ? this.#resume(headers) : this.#restart(headers);
    if (this.#size !== undefined && total !== undefined && total !== this.#size) {
      throw contentError(this.#subject, `size is ${total} bytes, expected ${this.#size}`);
    }
    return total ?? this.#size;
  }

  #resume(headers: Headers): number | undefined {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
    if (Number(start) !== this.bytes) throw contentError(this.#subject, "the server sent another range than requested");
    return total === undefined || total === "*" ? undefined : Number(total);
  }

  #restart(headers: Headers): number | undefined {
    const tag = headers.get("etag");
    if (this.bytes > 0) this.#repeated = { left: this.bytes, hash: createHash(this.#algorithm) };
    this.#validator = tag?.startsWith('"') === true ? tag : (headers.get("last-modified") ?? undefined);
    const length = headers.get("content-length") ?? "";
    return /^\d+$/.test(length) ? Number(length) : undefined;
  }

  /** The part of a chunk that was not delivered before; undefined if none. */
  take(chunk: Uint8Array): Uint8Array | undefined {
    const fresh = this.#repeated === undefined ? chunk : this.#drop(chunk, this.#repeated);
    if (fresh.length === 0) return undefined;
    this.bytes += fresh.length;
    if (this.#size !== undefined && this.bytes > this.#size) {
      throw contentError(this.#subject, `it exceeds the expected size of ${this.#size} bytes`);
    }
    this.#hash.update(fresh);
    return fresh;
  }

  #drop(chunk: Uint8Array, repeated: { left: number; readonly hash: Hash }): Uint8Array {
    const old = chunk.subarray(0, repeated.left);
    repeated.hash.update(old);
    repeated.left -= old.length;
    if (repeated.left > 0) return chunk.subarray(old.length);
    this.#repeated = undefined;
    if (repeated.hash.digest("hex") !== this.#hash.copy().digest("hex")) {
      throw contentError(this.#subject, "it changed while it was being downloaded");
    }
    return chunk.subarray(old.length);
  }

  /** Ends an answer. @throws TransferError if data is missing */
  end(total: number | undefined): void {
    if (this.#repeated === undefined && (total === undefined || this.bytes >= total)) return;
    throw new TransferError(
      `${capital(this.#name)} could not be fetched: ${this.#subject.host} ended the transfer after ${this.bytes} of ${total} bytes.`,
      { problem: "connection", recoverable: true, retryable: true },
    );
  }

  /** The digest of all delivered data, in hexadecimal. */
  digest(): string {
    return this.#hash.digest("hex");
  }
}

import { createHash } from "node:crypto";
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { contentError, type Subject } from "./errors";

type Decode = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** The codings of HTTP (RFC 9110, 8.4.1, and IANA's registry). */
const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** What is known about a small document. */
interface EncodedSubject extends Subject {
  /** Maximum size in bytes. */
  readonly most: number;
  /** Its digest, if known. */
  readonly digest?: string | undefined;
}

/**
 * Removes a content coding that was not asked for. Some proxies and storage services compress documents all the same; others only name
 * the compression that a stored file has itself, and that must not be removed: the digest shows which, or that the bytes are JSON.
 *
 * @returns the answer itself if it has no coding, or is not a success
 * @throws TransferError if it is larger than allowed
 */
export async function decoded(response: Response, subject: EncodedSubject): Promise<Response> {
  const decode = DECODERS[response.headers.get("content-encoding")?.trim().toLowerCase() ?? ""];
  if (decode === undefined || response.status !== 200) return response;
  const bytes = await bounded(response, subject);
  const plain = isWanted(bytes, subject.digest) ? bytes : (decodedBytes(decode, bytes, subject.most) ?? bytes);
  const headers = new Headers(response.headers);
  for (const name of ["content-encoding", "content-length"]) headers.delete(name);
  return new Response(Buffer.from(plain), { status: response.status, headers });
}

async function bounded(response: Response, subject: EncodedSubject): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > subject.most) throw contentError(subject, `it exceeds the limit of ${subject.most} bytes`, false);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function isWanted(bytes: Buffer, digest: string | undefined): boolean {
  if (digest === undefined) return /^\s*\{/.test(bytes.toString("latin1", 0, 100));
  const [algorithm = ""] = digest.split(":");
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` === digest;
}

/** Undefined if it is not encoded in this way. */
function decodedBytes(decode: Decode, bytes: Buffer, most: number): Uint8Array | undefined {
  try {
    return decode(bytes, { maxOutputLength: most });
  } catch {
    return undefined;
  }
}

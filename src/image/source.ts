/**
 * Images: where they come from, and how they are stored on this client. There are two kinds. *Container (OCI) images* come from a
 * registry (registry/) or from a layout in a directory (oci-layout.ts), are unpacked layer by layer (archive/) and kept in the image
 * store (store/). *Machine images* are directories and disk images in /var/lib/machines; machine/ downloads them. transfer/ has the HTTP
 * downloads of both, compression/ the formats. What a container's root is made of is decided above, in rootfs/.
 *
 * A *source* is the origin of one container image. It resolves a reference to a *manifest*, the list of an image's config and layers, and
 * reads content by its *descriptor*: type, digest and size. This file is the interface between sources and the store: neither knows the
 * other.
 */

import { RecoverableError, StoreError } from "../lib/errors";
import type { ImageSignature } from "./signature/payload";

/** A piece of content by its digest (OCI image spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  /** "sha256:" and 64, or "sha512:" and 128 hexadecimal digits. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** An image for this machine's platform, from its manifest. */
export interface ImageManifest {
  /** Digest of the manifest itself: the image's identity. */
  readonly digest: string;
  /** The digest of the list that the reference refers to, if that is a list: it determines the image as well. */
  readonly list?: string;
  readonly config: Descriptor;
  /** From the lowest up. */
  readonly layers: readonly Descriptor[];
}

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Called with the bytes received so far; the number decreases if something is read again. */
  readonly onProgress?: (received: number) => void;
}

/** One image at its origin. All errors are of class SourceError. */
export interface ImageSource {
  /** Resolves the reference. */
  manifest(options: ReadOptions): Promise<ImageManifest>;
  /**
   * The content as stored there, in order, no faster than the consumer reads. Each piece is owned by the consumer, and may be empty
   * afterwards (freeBuffer()). Broken connections are resumed. Size and digest are checked: the iteration throws if they
   * are wrong, after the last byte at the latest.
   */
  read(content: Descriptor, options: ReadOptions): AsyncIterable<Uint8Array>;
  /** The signatures of a manifest, in groups; not verified. Absent if the origin has none for any image. */
  signatures?(digest: string, options: ReadOptions): AsyncIterable<readonly ImageSignature[]>;
}

/** Why something could not be fetched. */
export type SourceProblem =
  | "unauthorized"
  | "not found"
  | "rate limited"
  | "server"
  | "name"
  | "connection"
  | "certificate"
  | "timeout"
  | "content"
  | "unsupported"
  | "cancelled";

/** Something that could not be fetched; the message is a sentence that names the image, and never contains credentials. */
export class SourceError extends RecoverableError {
  override readonly name = "SourceError";
  readonly problem: SourceProblem;

  constructor(
    message: string,
    options: { readonly problem: SourceProblem; readonly recoverable: boolean; readonly cause?: unknown },
  ) {
    super(message, options);
    this.problem = options.problem;
  }
}

/** Reads a small piece of content. @throws StoreError if it exceeds the limit, and what reading it throws */
export async function readAll(
  source: Pick<ImageSource, "read">,
  content: Descriptor,
  most: number,
  options: ReadOptions,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source.read(content, options)) {
    length += chunk.length;
    if (length > most) {
      throw new StoreError(`The image's config ${content.digest} exceeds the limit of ${most} bytes.`, {
        recoverable: false,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export interface Progress {
  /** Bytes; undefined for a transfer that reports only a percentage. */
  readonly received?: number;
  readonly total?: number | undefined;
  /** Used if bytes are not known. */
  readonly percent?: number;
}

/** The progress of a task's image download. */
export interface ImageProgress extends Progress {
  /** The name as in the job. */
  readonly image: string;
}

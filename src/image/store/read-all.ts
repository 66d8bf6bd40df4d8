import type { Descriptor, ImageSource, ReadOptions } from "../source";
import { StoreError } from "./store-error";

/**
 * Reads a small piece of content.
 *
 * @throws StoreError if it exceeds the limit, and what reading it throws
 */
export async function readAll(
  source: ImageSource,
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

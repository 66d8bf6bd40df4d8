import { contentError, networkError, type Subject } from "./transfer-error";

/**
 * Reads a small body completely.
 *
 * @param most maximum size in bytes
 * @throws TransferError
 */
export async function readBytes(
  content: AsyncIterable<Uint8Array> | Response,
  most: number,
  subject: Subject,
): Promise<Buffer> {
  const stream = content instanceof Response ? content.body : content;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of stream ?? []) {
      bytes += part.length;
      if (bytes > most) throw contentError(subject, `it exceeds the limit of ${most} bytes`, false);
      parts.push(part);
    }
  } catch (error) {
    throw networkError(subject, error);
  }
  return Buffer.concat(parts);
}

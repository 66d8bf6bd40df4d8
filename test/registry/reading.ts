/** Reads images from test registries, as the store does. */

import { expect } from "bun:test";
import { createHash } from "node:crypto";
import { type RegistryOptions, registrySource } from "../../src/image/registry/registry-source";
import { type Descriptor, type ImageSource, SourceError } from "../../src/image/source";
import type { RetryOptions } from "../../src/image/transfer/retry";
import { parseReference } from "../../src/values/image-reference";

/** Fast enough for tests. */
export const quick: RetryOptions = {
  attempts: 5,
  firstPauseMs: 10,
  longestPauseMs: 100,
  longestAskedMs: 3000,
  silenceMs: 1000,
};

/** The source of an image. */
export function sourceOf(reference: string, options: RegistryOptions = {}): ImageSource {
  return registrySource(parseReference(reference), { timing: quick, ...options });
}

/** All content of an image; the digests of its layers are computed again here. */
export async function readImage(source: ImageSource, signal = AbortSignal.timeout(30_000)) {
  const manifest = await source.manifest({ signal });
  const all = [manifest.config, ...manifest.layers];
  const contents = await Promise.all(all.map((content) => readContent(source, content, signal)));
  for (const [index, { digest, size }] of all.entries()) {
    const content = contents[index] ?? Buffer.of();
    expect(`sha256:${createHash("sha256").update(content).digest("hex")}`).toBe(digest);
    expect(content.length).toBe(size);
  }
  return { manifest, contents };
}

/** One content's bytes. */
export async function readContent(source: ImageSource, content: Descriptor, signal: AbortSignal): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source.read(content, { signal })) parts.push(part);
  return Buffer.concat(parts);
}

/** The error with which reading fails. */
export async function problemOf(reading: Promise<unknown>) {
  try {
    await reading;
  } catch (error) {
    if (error instanceof SourceError) {
      return { problem: error.problem, recoverable: error.recoverable, message: error.message, error };
    }
    throw error;
  }
  throw new Error("It did not fail.");
}

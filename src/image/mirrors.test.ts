import { expect, test } from "bun:test";
import { mirroredSource } from "./mirrors";
import { type ImageManifest, type ImageSource, SourceError } from "./source";

const options = { signal: AbortSignal.timeout(10_000) };
const content = { mediaType: "", digest: "sha256:x", size: 3 };
const manifest = (digest: string): ImageManifest => ({ digest, config: content, layers: [] });
const failure = (name: string) => new SourceError(`${name} failed.`, { problem: "connection", recoverable: true });

/** A source whose content is its name; `fails` says when it does not work. */
function source(
  name: string,
  fails: "never" | "manifest" | "read" | "in the middle" | "always" = "never",
): ImageSource {
  return {
    manifest: async () => {
      if (fails === "manifest" || fails === "always") throw failure(name);
      return manifest(name);
    },
    async *read() {
      if (fails === "read" || fails === "always") throw failure(name);
      yield Buffer.from(name);
      if (fails === "in the middle") throw failure(name);
    },
  };
}

async function used(...sources: readonly [ImageSource, ...ImageSource[]]) {
  const failed: string[] = [];
  const image = mirroredSource({ sources, onFailure: ({ message }) => failed.push(message) });
  const text = async () => {
    const parts: Uint8Array[] = [];
    for await (const part of image.read(content, options)) parts.push(part);
    return Buffer.concat(parts).toString();
  };
  return { digest: (await image.manifest(options)).digest, text, failed };
}

test("the first one that works has everything", async () => {
  const { digest, text, failed } = await used(source("a"), source("b"));
  expect([digest, await text(), failed]).toEqual(["a", "a", []]);
});

test("one that is down is passed over, and not asked first again", async () => {
  const { digest, text, failed } = await used(source("a", "always"), source("b"), source("c"));
  expect([digest, await text(), failed]).toEqual(["b", "b", ["a failed."]]);
});

test("content that a mirror lacks comes from the next one", async () => {
  const { digest, text, failed } = await used(source("a", "read"), source("b", "always"), source("c"));
  expect([digest, await text(), failed]).toEqual(["a", "c", ["a failed.", "b failed."]]);
});

test("content that began is not continued by another source", async () => {
  const { text } = await used(source("a", "in the middle"), source("b"));
  await expect(text()).rejects.toThrow("a failed.");
});

test("the error of the registry itself counts", async () => {
  await expect(used(source("a", "always"), source("b", "manifest"))).rejects.toThrow("b failed.");
});

test("other errors, and a cancelled pull, end it", async () => {
  const broken: ImageSource = { ...source("a"), manifest: () => Promise.reject(new TypeError("a fault")) };
  await expect(used(broken, source("b"))).rejects.toThrow("a fault");
  const stopped = { signal: AbortSignal.abort() };
  const image = mirroredSource({ sources: [source("a", "always"), source("b")], onFailure: () => {} });
  await expect(image.manifest(stopped)).rejects.toThrow("a failed.");
});

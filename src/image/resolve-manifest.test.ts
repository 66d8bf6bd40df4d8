import { describe, expect, test } from "bun:test";
import { type IndexEntry, type ManifestDocument, ManifestError } from "./manifest";
import { type DocumentReader, resolveManifest } from "./resolve-manifest";

const host = { os: "linux", architecture: "amd64", variants: ["v2", "v1", ""] };

const descriptor = (digest: string) => ({ mediaType: "", digest, size: 1 });
const image = (name: string): ManifestDocument => ({
  kind: "image",
  config: descriptor(`config of ${name}`),
  layers: [],
});

/** An entry for a platform such as "linux/arm64/v8", or for an unknown one. */
function entry(digest: string, platform?: string): IndexEntry {
  const [os = "", architecture = "", variant = ""] = platform?.split("/") ?? [];
  const its = platform === undefined ? {} : { platform: { os, architecture, variant } };
  return { ...descriptor(digest), ...its, annotations: {} };
}
const list = (...entries: readonly IndexEntry[]): ManifestDocument => ({ kind: "index", entries });

/** An origin of some documents; every other digest is an image, whose config has the given platform. */
function origin(
  documents: Readonly<Record<string, ManifestDocument>> = {},
  platforms: Readonly<Record<string, string>> = {},
) {
  const read: string[] = [];
  const reader: DocumentReader = {
    document: async ({ digest }) => {
      read.push(digest);
      return documents[digest] ?? image(digest);
    },
    config: async ({ digest }) => {
      read.push(digest);
      const [os, architecture, variant] = (platforms[digest.replace("config of ", "")] ?? "").split("/");
      return JSON.stringify({ os, architecture, variant, rootfs: { diff_ids: [] } });
    },
  };
  return { reader, read };
}

describe("the image of a list", () => {
  test.each<[string, readonly IndexEntry[], string]>([
    ["the right CPU", [entry("a", "linux/arm64/v8"), entry("b", "linux/amd64")], "b"],
    ["not for a newer CPU", [entry("a", "linux/amd64/v3"), entry("b", "linux/amd64")], "b"],
    [
      "the best that this CPU runs",
      [entry("a", "linux/amd64"), entry("b", "linux/amd64/v2"), entry("c", "linux/amd64/v3")],
      "b",
    ],
    ["v1 before one without a variant", [entry("a", "linux/amd64"), entry("b", "linux/amd64/v1")], "b"],
    ["the first of two equal ones", [entry("a", "linux/amd64"), entry("b", "linux/amd64")], "a"],
    ["not another system", [entry("a", "windows/amd64"), entry("b", "linux/amd64")], "b"],
    ["not an attestation", [entry("a", "unknown/unknown"), entry("b", "linux/amd64")], "b"],
    ["a single one without a platform", [entry("a")], "a"],
    ["a known platform before an unknown one", [entry("a"), entry("b", "linux/amd64")], "b"],
  ])("%s", async (_, entries, expected) => {
    const { reader, read } = origin();
    const found = await resolveManifest({ digest: "root", parsed: list(...entries) }, reader, host);
    expect(found).toEqual({ digest: expected, config: descriptor(`config of ${expected}`), layers: [] });
    expect(read).toEqual([expected]);
  });

  test("of entries without a platform the first whose config has this machine's", async () => {
    const { reader, read } = origin({}, { a: "linux/arm64", b: "linux/amd64", c: "linux/amd64" });
    const root = { digest: "root", parsed: list(entry("a"), entry("b"), entry("c")) };
    expect(await resolveManifest(root, reader, host)).toMatchObject({ digest: "b" });
    expect(read).toEqual(["a", "config of a", "b", "config of b"]);
  });

  test("in a list of lists", async () => {
    const { reader } = origin({
      arm: list(entry("a", "linux/arm64")),
      both: list(entry("b", "linux/arm64"), entry("c", "linux/amd64")),
    });
    const root = { digest: "root", parsed: list(entry("arm"), entry("both")) };
    expect(await resolveManifest(root, reader, host)).toMatchObject({ digest: "c" });
  });
});

test("an image itself is taken without a look at its platform", async () => {
  const { reader, read } = origin();
  expect(await resolveManifest({ digest: "a", parsed: image("a") }, reader, host)).toMatchObject({ digest: "a" });
  expect(read).toEqual([]);
});

test.each<[string, readonly IndexEntry[], string]>([
  [
    "platforms that do not fit",
    [entry("a", "linux/arm/v7"), entry("b", "unknown/unknown"), entry("c", "linux/amd64/v4")],
    "it has no image for linux/amd64 up to v2; available: linux/arm/v7, unknown/unknown, linux/amd64/v4",
  ],
  ["an empty list", [], "it has no image for linux/amd64 up to v2; available: none"],
  [
    "unknown platforms",
    [entry("d"), entry("e")],
    "it has no image for linux/amd64 up to v2; available: linux/riscv64, an image for an unknown platform",
  ],
])("refused: %s", async (_, entries, message) => {
  const { reader } = origin({}, { d: "linux/riscv64" });
  const root = { digest: "root", parsed: list(...entries) };
  await expect(resolveManifest(root, reader, host)).rejects.toThrow(new ManifestError(message));
});

test("refused: lists that never end", async () => {
  const { reader } = origin({ again: list(entry("again")) });
  const root = { digest: "root", parsed: list(entry("again")) };
  await expect(resolveManifest(root, reader, host)).rejects.toThrow("its lists of images are nested too deeply");
});

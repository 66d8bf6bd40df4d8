import { expect, test } from "bun:test";
import { fuzz, jsonLike } from "../../test/support/fuzz";
import { ManifestError, parseManifest } from "./manifest";
import { resolveManifest } from "./resolve-manifest";

const descriptor = (mediaType: string) => ({ mediaType, size: 7, digest: `sha256:${"a".repeat(64)}` });
const image = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: descriptor("application/vnd.oci.image.config.v1+json"),
  layers: [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
};
const index = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.index.v1+json",
  manifests: [{ ...descriptor(image.mediaType), platform: { os: "linux", architecture: "amd64", variant: "v2" } }],
};

test("the fuzzer's seeds are valid", () => {
  expect(parseManifest(JSON.stringify(image)).kind).toBe("image");
  expect(parseManifest(JSON.stringify(index)).kind).toBe("index");
});

test("manifests and indexes are parsed or rejected, whatever they contain", () => {
  fuzz(jsonLike(image, index), (text) => void parseManifest(text), [ManifestError]);
});

test("a list that contains itself ends", async () => {
  const parsed = parseManifest(JSON.stringify(index));
  const reader = { document: async () => parsed, config: async () => "" };
  await expect(resolveManifest({ digest: "", parsed }, reader)).rejects.toThrow(/nested too deeply|has no image for/);
});

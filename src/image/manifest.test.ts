import { describe, expect, test } from "bun:test";
import { type IndexEntry, parseManifest, selectPlatform } from "./manifest";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: digest("c"), size: 10 };
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: digest("1"), size: 20 };
const image = { schemaVersion: 2, config, layers: [layer] };

describe("parseManifest", () => {
  test("an image, ignoring unknown fields", () => {
    const text = JSON.stringify({ ...image, annotations: { a: "b" }, layers: [{ ...layer, urls: [] }] });
    expect(parseManifest(text)).toEqual({ kind: "image", config, layers: [layer] });
  });

  test("a list", () => {
    const entry = { mediaType: "x", digest: digest("2"), size: 3, platform: { os: "linux", architecture: "amd64" } };
    expect(parseManifest(JSON.stringify({ schemaVersion: 2, manifests: [entry] }))).toEqual({
      kind: "index",
      entries: [entry],
    });
  });

  test.each([
    ["no JSON", "{", /not JSON/],
    ["no object", "3", /not JSON/],
    ["schema 1", JSON.stringify({ schemaVersion: 1, fsLayers: [] }), /old format \(schema 1\)/],
    ["both", JSON.stringify({ ...image, manifests: [] }), /both an image and a list/],
    [
      "an artifact",
      JSON.stringify({ ...image, config: { ...config, mediaType: "application/vnd.cncf.helm.config.v1+json" } }),
      /type "application\/vnd\.cncf\.helm/,
    ],
    [
      "a digest that is a path",
      JSON.stringify({ ...image, layers: [{ ...layer, digest: "sha256:../../x" }] }),
      /not valid at layers\.0\.digest/,
    ],
    ["a negative size", JSON.stringify({ ...image, layers: [{ ...layer, size: -1 }] }), /not valid at layers\.0\.size/],
    [
      "a size that is not an integer",
      JSON.stringify({ ...image, config: { ...config, size: 0.5 } }),
      /not valid at config\.size/,
    ],
    ["no layers", JSON.stringify({ schemaVersion: 2, config }), /not valid at layers/],
    ["too many layers", JSON.stringify({ ...image, layers: Array.from({ length: 1001 }, () => layer) }), /1001 layers/],
  ] as const)("refuses %s", (_, text, message) => expect(() => parseManifest(text)).toThrow(message));
});

describe("selectPlatform", () => {
  const entry = (name: string, os: string, architecture: string, variant?: string): IndexEntry => ({
    mediaType: "",
    digest: name,
    size: 1,
    platform: { os, architecture, variant },
  });
  const amd64 = { os: "linux", architecture: "amd64" };
  test.each([
    ["the right one", [entry("a", "linux", "arm64", "v8"), entry("b", "linux", "amd64")], "b"],
    ["not one that wants a newer CPU", [entry("a", "linux", "amd64", "v3"), entry("b", "linux", "amd64")], "b"],
    [
      "not even if the oldest is called v1",
      [entry("a", "linux", "amd64", "v2"), entry("b", "linux", "amd64", "v1")],
      "b",
    ],
    ["the only available one", [entry("a", "linux", "amd64", "v2")], "a"],
    ["not another system", [entry("a", "windows", "amd64"), entry("b", "linux", "amd64")], "b"],
    ["a single one without a platform", [{ mediaType: "", digest: "a", size: 1 }], "a"],
  ] as const)("selects %s", (_, entries, expected) => expect(selectPlatform(entries, amd64).digest).toBe(expected));

  test("lists the available platforms", () => {
    expect(() => selectPlatform([entry("a", "linux", "arm", "v7"), entry("b", "unknown", "unknown")], amd64)).toThrow(
      "it has no image for linux/amd64; available: linux/arm/v7, unknown/unknown",
    );
    expect(() => selectPlatform([], amd64)).toThrow("available: none");
  });
});

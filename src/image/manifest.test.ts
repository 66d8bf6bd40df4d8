import { describe, expect, test } from "bun:test";
import { parseManifest } from "./manifest";

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
    const entry = { mediaType: "x", digest: digest("2"), size: 3 };
    const manifests = [
      { ...entry, platform: { os: "linux", architecture: "amd64" } },
      {
        ...entry,
        platform: { os: "linux", architecture: "arm64", variant: "v8", features: ["x"] },
        annotations: { a: "b" },
      },
      { ...entry, platform: {} },
      { ...entry, platform: null, annotations: null },
      { ...entry, artifactType: "application/vnd.dev.cosign.artifact.sig.v1+json" },
    ];
    expect(parseManifest(JSON.stringify({ schemaVersion: 2, manifests }))).toEqual({
      kind: "index",
      entries: [
        { ...entry, platform: { os: "linux", architecture: "amd64", variant: "" }, annotations: {} },
        { ...entry, platform: { os: "linux", architecture: "arm64", variant: "v8" }, annotations: { a: "b" } },
        { ...entry, annotations: {} },
        { ...entry, annotations: {} },
      ],
    });
  });

  test.each<[string, object]>([
    ["no version", { config, layers: [layer] }],
    ["another type of its own", { ...image, mediaType: "application/json" }],
    ["no type of its config", { ...image, config: { ...config, mediaType: undefined } }],
    ["an odd type of its config", { ...image, config: { ...config, mediaType: "application/octet-stream" } }],
    ["null as the type of a layer", { ...image, layers: [{ ...layer, mediaType: null }] }],
    ["addresses of a common layer", { ...image, layers: [{ ...layer, urls: ["https://example.com/x"] }] }],
  ])("an image is known by its content: %s", (_, document) => {
    expect(parseManifest(JSON.stringify(document))).toMatchObject({
      kind: "image",
      config: { digest: config.digest },
      layers: [{ digest: layer.digest }],
    });
  });

  test.each([
    ["no JSON", "{", /not JSON/],
    ["no object", "3", /not JSON/],
    ["schema 1", JSON.stringify({ schemaVersion: 1, fsLayers: [] }), /old format \(schema 1\)/],
    ["both", JSON.stringify({ ...image, manifests: [] }), /both an image and a list/],
    [
      "a foreign layer",
      JSON.stringify({
        ...image,
        layers: [
          {
            ...layer,
            mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            urls: ["https://example.com/x"],
          },
        ],
      }),
      /its layer sha256:1+ is a foreign one/,
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

import { expect, test } from "bun:test";
import type { ListedImage } from "../image/store/inventory";
import { findImage } from "./export-image";

const image = (digest: string, ...names: readonly string[]): ListedImage => ({
  ...{
    digest: `sha256:${digest.padEnd(64, "0")}`,
    names,
    resolved: {},
    bytes: 0,
    ownBytes: 0,
    layers: 1,
    machines: [],
  },
  lastUse: 0,
});
const IMAGES = [
  image("aabbcc1", "docker.io/library/alpine:3", "docker.io/library/alpine:latest"),
  image("aabbcc2", "oci:/srv/app:1"),
];

test.each([
  ["alpine:3", 0],
  ["alpine", 0],
  ["docker.io/library/alpine:3", 0],
  ["oci:/srv/app:1", 1],
  ["aabbcc2", 1],
  ["sha256:aabbcc1", 0],
])("%s", (name, index) =>
  expect(findImage(IMAGES, name, "docker.io")).toEqual(expect.objectContaining(IMAGES[index] ?? {})),
);

test.each([
  ["alpine:4", 'has no image "alpine:4"'],
  ["aabbcc", '"aabbcc" means 2 images'],
  ["aab", 'has no image "aab"'],
])("%s is refused", (name, sentence) => expect(() => findImage(IMAGES, name, "docker.io")).toThrow(sentence));

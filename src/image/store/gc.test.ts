import { expect, test } from "bun:test";
import { type StoreFacts, unusedImages, unusedLayers } from "./gc";

const facts: StoreFacts = {
  images: [
    { digest: "a", diffIds: ["1", "2"], lastUse: 300 },
    { digest: "b", diffIds: ["1", "3"], lastUse: 100 },
    { digest: "c", diffIds: ["4"], lastUse: 50 },
  ],
  layers: new Map([
    ["1", 1],
    ["2", 1],
    ["3", 1],
    ["4", 1],
    ["lost", 200],
  ]),
  used: new Set(["c"]),
};

test("images: only unused ones, the least recently used first", () => {
  const digests = (since: number) => unusedImages(facts, since).map(({ digest }) => digest);
  expect(digests(99)).toEqual([]);
  expect(digests(100)).toEqual(["b"]);
  expect(digests(1000)).toEqual(["b", "a"]);
});

test("layers: those of no image, if they are old enough", () => {
  expect(unusedLayers(facts, 199)).toEqual([]);
  expect(unusedLayers(facts, 200)).toEqual(["lost"]);
  expect(unusedLayers({ ...facts, images: facts.images.slice(1) }, 100)).toEqual(["2"]);
});

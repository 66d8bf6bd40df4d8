import { expect, test } from "bun:test";
import { chooseImage } from "./docker-archive";

const image = (Config: string, ...RepoTags: string[]) => ({ Config, RepoTags, Layers: [] });
const LIST = [
  image("a", "docker.io/library/app:1"),
  image("b", "r.lan:5000/app:2", "r.lan:5000/app:latest"),
  image("c"),
];

test.each([
  ["a complete name", "docker.io/library/app:1", "a"],
  ["a short name", "app:1", "a"],
  ["a tag alone", "2", "b"],
  ["a name without a tag", "r.lan:5000/app", "b"],
  ["an index", "@2", "c"],
])("%s", (_, asked, config) => expect(chooseImage(LIST, asked, "the archive x").Config).toBe(config));

test("the only one needs no name", () =>
  expect(chooseImage([image("a")], undefined, "the archive x").Config).toBe("a"));

test.each([
  [undefined, "The archive x has 3 images, so the image's name has to end with one of their names; available: "],
  ["other:1", 'The archive x has no image "other:1"; available: docker.io/library/app:1, r.lan:5000/app:2'],
  ["@3", 'The archive x has no image "@3"'],
])("refused: %p", (asked, text) => expect(() => chooseImage(LIST, asked, "the archive x")).toThrow(text));

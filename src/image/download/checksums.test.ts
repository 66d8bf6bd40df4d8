import { describe, expect, test } from "bun:test";
import { checksumPlaces, fileNameOf, findChecksum } from "./checksums";

const one = "a".repeat(64);
const two = "b".repeat(64);

test("places are beside the image, with what its URL has besides", () => {
  const places = checksumPlaces(new URL("https://u:p@example.com/a/b/image.tar.xz?token=t"));
  expect(places.map(({ sums }) => sums.href)).toEqual([
    "https://u:p@example.com/a/b/SHA256SUMS?token=t",
    "https://u:p@example.com/a/b/image.tar.xz.sha256?token=t",
  ]);
  expect(places[0]?.signatures.map(({ pathname }) => pathname)).toEqual(["/a/b/SHA256SUMS.gpg", "/a/b/SHA256SUMS.asc"]);
});

describe("findChecksum", () => {
  test.each([
    ["text mode", `${one}  image.tar\n${two}  other.tar\n`, one],
    ["binary mode", `${two} *other.tar\n${one} *image.tar\n`, one],
    ["capitals", `${one.toUpperCase()}  image.tar`, one],
    ["with a path", `${one}  ./dir/image.tar\r\n`, one],
    ["the digest alone, in a list of several", `${one}\n`, undefined],
    ["a digest alone before the right one", `${two}\n${one}  image.tar\n`, one],
    ["another file's", `${two}  image.tar.xz\n`, undefined],
    ["a name that only ends alike", `${two}  myimage.tar\n`, undefined],
    ["too short", `${one.slice(1)}  image.tar\n`, undefined],
    ["nothing", "", undefined],
  ] as const)("%s", (_, list, expected) => expect(findChecksum(list, "image.tar", false)).toBe(expected));

  test.each([
    ["the digest alone", `${one}\n`, one],
    ["with blanks and lines without anything", `\n${one} \t\r\n\n`, one],
    ["the digest alone, twice", `${one}\n${one}\n`, undefined],
    ["the digest alone, and another file's", `${one}\n${two}  other.tar\n`, undefined],
    ["with its name", `${one}  image.tar\n`, one],
    ["another file's", `${two}  other.tar\n`, undefined],
  ] as const)("of the image alone: %s", (_, list, expected) =>
    expect(findChecksum(list, "image.tar", true)).toBe(expected),
  );
});

test.each([
  ["https://example.com/a/image%20one.tar?x=/y", "image one.tar"],
  ["https://example.com/a/%zz", "%zz"],
  ["https://example.com/", ""],
] as const)("%s is called %p", (url, name) => expect(fileNameOf(new URL(url))).toBe(name));

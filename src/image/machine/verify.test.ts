import { describe, expect, test } from "bun:test";
import { checksumPlaces, fileNameOf, findChecksum } from "./verify";

const one = "a".repeat(64);
const two = "b".repeat(64);

test("checksum URLs are beside the image, with its query", () => {
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
    ["only the digest, in a list of several", `${one}\n`, undefined],
    ["a lone digest before the right one", `${two}\n${one}  image.tar\n`, one],
    ["another file's", `${two}  image.tar.xz\n`, undefined],
    ["a name with the same ending", `${two}  myimage.tar\n`, undefined],
    ["too short", `${one.slice(1)}  image.tar\n`, undefined],
    ["nothing", "", undefined],
  ] as const)("%s", (_, list, expected) => expect(findChecksum(list, "image.tar", false)).toBe(expected));

  test.each([
    ["only the digest", `${one}\n`, one],
    ["with blanks and empty lines", `\n${one} \t\r\n\n`, one],
    ["only the digest, twice", `${one}\n${one}\n`, undefined],
    ["only the digest, and another file's", `${one}\n${two}  other.tar\n`, undefined],
    ["with its name", `${one}  image.tar\n`, one],
    ["another file's", `${two}  other.tar\n`, undefined],
  ] as const)("of the image's own list: %s", (_, list, expected) =>
    expect(findChecksum(list, "image.tar", true)).toBe(expected),
  );
});

test.each([
  ["https://example.com/a/image%20one.tar?x=/y", "image one.tar"],
  ["https://example.com/a/%zz", "%zz"],
  ["https://example.com/", ""],
] as const)("%s has the file name %p", (url, name) => expect(fileNameOf(new URL(url))).toBe(name));

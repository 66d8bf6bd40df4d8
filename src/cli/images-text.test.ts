import { expect, test } from "bun:test";
import type { ListedImage } from "../image/store/inventory";
import { ageText, listText, usage, usageText } from "./images-text";

const HOUR = 3_600_000;

test.each([
  [-5, "0 s"],
  [59_999, "59 s"],
  [60_000, "1 min"],
  [2 * HOUR, "2 h"],
  [50 * HOUR, "2 d"],
])("an age of %d ms", (ms, text) => expect(ageText(ms)).toBe(text));

const image: ListedImage = {
  digest: "sha256:aa",
  names: ["r.lan/a:1"],
  resolved: { "r.lan/a:1": 0 },
  bytes: 3_000_000,
  ownBytes: 1_000_000,
  layers: 2,
  machines: [],
  lastUse: 0,
};

test("a list", () => {
  const unused = "3.0 MB in 2 layers, unused since 1970-01-01T00:00:00.000Z";
  expect(listText([], 0)).toBe("");
  expect(listText([image], 3 * HOUR)).toBe(`r.lan/a:1\n    sha256:aa\n    ${unused}\n    resolved 3 h ago\n`);
  expect(listText([{ ...image, names: ["a:1", "b:1"], resolved: { "a:1": HOUR, "b:1": 0 } }], 3 * HOUR)).toContain(
    "    resolved a:1 2 h ago, b:1 3 h ago\n",
  );
  expect(listText([{ ...image, names: [], resolved: {} }], 0)).toBe(`(untagged)\n    sha256:aa\n    ${unused}\n`);
});

test("sizes", () => {
  expect(usage([image], { total: 3_000_000 })).toEqual({
    images: [
      {
        ...{ digest: "sha256:aa", names: ["r.lan/a:1"], resolved: { "r.lan/a:1": 0 } },
        ...{ bytes: 3_000_000, ownBytes: 1_000_000, sharedBytes: 2_000_000 },
      },
    ],
    totalBytes: 3_000_000,
  });
  expect(
    usageText([image], { total: 3_000_000 }, 3 * HOUR)
      .split("\n")[1]
      ?.trim(),
  ).toMatch(/^3\.0 MB +1\.0 MB +2\.0 MB +3 h {2}r\.lan\/a:1$/);
  expect(usageText([{ ...image, names: [], resolved: {} }], { total: 0 }, 0)).toContain(" -  sha256:aa\n");
  const limited = { total: 3_000_000, limit: 5_000_000 };
  expect(usage([], limited)).toEqual({ images: [], totalBytes: 3_000_000, limitBytes: 5_000_000 });
  expect(usageText([], limited, 0)).toEndWith("counted once; at most 5.0 MB (gc.image_max_size)\n");
});

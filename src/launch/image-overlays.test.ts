import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { decodeTaskConfig } from "../config/task/decode";
import { imageOverlays } from "./image-overlays";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "image-overlays-"));
  mkdirSync(join(root, "data/var"), { recursive: true });
  symlinkSync("/data/var", join(root, "var"));
  symlinkSync("../../../../../../data", join(root, "up"));
  mkdirSync(join(root, "a:b"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const lowerOf = (overlay: string, kind: "directory" | "image" = "directory") => {
  const options = decodeTaskConfig(encode({ image: "/i", overlay: [overlay] }));
  return imageOverlays({ image: { kind, path: root }, options })[0]?.lower;
};

test.each([
  ["+/data::/data", ["+/data"]],
  ["+/var::/var", ["+/data/var"]],
  ["+/up/var:/srv/x::/var", ["+/data/var", "/srv/x"]],
])("%p", (overlay, lower) => {
  expect(lowerOf(overlay)).toEqual(lower);
});

test.each([
  ["+/nowhere::/var", "which the image does not have"],
  ["+var::/var", "must be an absolute path"],
  ["+/a/../b::/var", 'without ".."'],
  [String.raw`+/a\:b::/var`, "must not contain a colon"],
  ["/a:+/b:/var", "the source must be on the host"],
])("%p is refused", (overlay, sentence) => {
  expect(() => lowerOf(overlay)).toThrow(sentence);
});

test("of a disk image no directory can be named", () => {
  expect(() => lowerOf("+/var::/var", "image")).toThrow("which is a disk image");
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRegistryReference, resolveImage } from "./resolve-image";

let top = "";
beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "resolve-image-")));
  for (const directory of ["plugins/tree", "plugins/both", "etc", "machines/debian", "machines/both", "secret/tree"]) {
    mkdirSync(join(top, directory), { recursive: true });
  }
  writeFileSync(join(top, "plugins/disk.img"), "");
  writeFileSync(join(top, "machines/fedora.raw"), "");
  mkdirSync(join(top, "machines/odd.raw"));
  symlinkSync(join(top, "secret/tree"), join(top, "etc/linked"));
  symlinkSync(join(top, "secret/tree"), join(top, "plugins/escape"));
  symlinkSync("nowhere", join(top, "plugins/dangling"));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

const resolved = (image: string, imagePaths: readonly string[] = []) =>
  resolveImage(image.replace("TOP", top), {
    pluginDir: join(top, "plugins"),
    imagePaths: imagePaths.map((path) => path.replace("TOP", top)),
    machineDirectories: [join(top, "etc"), join(top, "machines")],
  });

describe("resolveImage finds", () => {
  test.each([
    ["an absolute directory", "TOP/plugins/tree", "directory", "plugins/tree"],
    ["one relative to the plugin directory", "tree", "directory", "plugins/tree"],
    ["one above the plugin directory", "../secret/tree", "directory", "secret/tree"],
    ["a disk image", "disk.img", "image", "plugins/disk.img"],
    ["a machine", "debian", "directory", "machines/debian"],
    ["a machine's disk image", "fedora", "image", "machines/fedora.raw"],
    ["a link to a machine", "linked", "directory", "secret/tree"],
    ["the path if a machine has the same name", "both", "directory", "plugins/both"],
  ] as const)("%s", async (_, image, kind, path) =>
    expect(await resolved(image)).toEqual({ kind, path: join(top, path) }),
  );

  test("what image_paths allows", async () => {
    expect((await resolved("tree", ["TOP/machines", "TOP/plugins"])).path).toBe(join(top, "plugins/tree"));
    expect((await resolved("tree", ["/"])).path).toBe(join(top, "plugins/tree"));
  });
});

describe("resolveImage refuses", () => {
  test.each([
    ["nothing", "", /option image is empty/],
    ["a NUL", "a\0b", /contains a NUL character/],
    [
      "an unknown name",
      "nope",
      /image "nope" not found: neither .*\/plugins\/nope exists nor nope or nope.raw in .*\/etc, .*\/machines\./,
    ],
    ["a missing path", "/nowhere/tree", /image "\/nowhere\/tree" not found\./],
    ["a dangling link", "dangling", /not found: neither/],
    ["a directory called .raw", "odd", /not found: neither/],
    ["something below a file", "./disk.img/x", /not found\./],
    ["a device that is not a disk", "/dev/null", /neither a directory nor a disk image file nor a block device/],
  ] as const)("%s", async (_, image, message) => expect(resolved(image)).rejects.toThrow(message));

  test("paths that leave image_paths by a link, or share only the beginning of its name", async () => {
    await expect(resolved("escape", ["TOP/plugins"])).rejects.toThrow(
      /is .*\/secret\/tree, which .* image_paths does not allow/,
    );
    await expect(resolved("tree", ["TOP/plug"])).rejects.toThrow(/image_paths does not allow/);
  });
});

test.each([
  ["alpine:3.20", true],
  ["ghcr.io/a/b", true],
  ["localhost/a", true],
  ["localhost:5000/a", true],
  [`alpine@sha256:${"a".repeat(64)}`, true],
  [`alpine@sha512:${"a".repeat(128)}`, true],
  ["docker://alpine", true],
  ["[::1]:5000/a", true],
  ["https://example.com/a.tar", false],
  ["Debian/a:B/c", false],
  ["a..b/c", false],
  ["alpine", false],
  ["images/alpine", false],
  ["/srv/a:b", false],
  ["../a:b", false],
] as const)("isRegistryReference %p: %p", (image, expected) => expect(isRegistryReference(image)).toBe(expected));

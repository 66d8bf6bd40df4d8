import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { archive, directory, file } from "../../test/support/tar-archive";
import { archiveFiles, parseArchiveReference } from "./image-archive";

const digest = `sha256:${"a".repeat(64)}`;

test.each([
  ["oci-archive:/srv/a.tar", { format: "oci", path: "/srv/a.tar" }],
  ["oci-archive:///srv/a.tar", { format: "oci", path: "/srv/a.tar" }],
  ["oci-archive:/srv/a.tar:v1", { format: "oci", path: "/srv/a.tar", asked: "v1" }],
  [
    "oci-archive:/srv/a.tar:docker.io/library/busybox:1",
    { format: "oci", path: "/srv/a.tar", asked: "docker.io/library/busybox:1" },
  ],
  [`oci-archive:local/a.tar@${digest}`, { format: "oci", path: "local/a.tar", asked: `@${digest}` }],
  ["docker-archive:/srv/a.tar:app:1", { format: "docker", path: "/srv/a.tar", asked: "app:1" }],
  ["docker-archive:/srv/a.tar:@1", { format: "docker", path: "/srv/a.tar", asked: "@1" }],
  ["docker-archive:/srv/a.tar:r.lan:5000/app:1", { format: "docker", path: "/srv/a.tar", asked: "r.lan:5000/app:1" }],
  ["docker-archive:", undefined],
  ["oci:/srv/a", undefined],
  ["/srv/a.tar", undefined],
  ["oci-archive:/srv/a\0b", undefined],
] as const)("%s", (image, expected) => expect(parseArchiveReference(image)).toEqual(expected));

describe("the files of an archive", () => {
  let top = "";
  const plain = archive([directory("d/"), file("d/one", "1"), file("large", "x".repeat(400_000))]);
  beforeAll(() => {
    top = mkdtempSync(join(tmpdir(), "image-archive-"));
  });
  afterAll(() => rmSync(top, { recursive: true }));

  function open(content: Uint8Array, keepFree = 0, signal = AbortSignal.timeout(10_000)) {
    writeFileSync(join(top, "a.tar"), content);
    return archiveFiles({ path: join(top, "a.tar"), temporary: top, keepFree, signal });
  }

  test.each([
    ["plain", plain],
    ["gzip", gzipSync(plain)],
    ["zstd", zstdCompressSync(plain)],
  ])("%s, and nothing is left", async (_, content) => {
    using files = await open(content);
    using one = files.open("d/one");
    expect(one?.size).toBe(1);
    using large = files.open("./large");
    expect(large?.size).toBe(400_000);
    expect(files.open("d")).toBeUndefined();
    expect(files.open("none")).toBeUndefined();
    expect(readdirSync(top)).toEqual(["a.tar"]);
  });

  test.each([
    ["no archive", Buffer.from("x".repeat(600)), 0, "it is not a tar archive"],
    ["cut off", plain.subarray(0, 3000), 0, "it is truncated"],
    ["damaged", gzipSync(plain).subarray(0, 100), 0, "its gzip data is damaged"],
    ["a full disk", gzipSync(plain), Number.MAX_SAFE_INTEGER, "a.tar is not expanded"],
  ])("refused: %s", async (_, content, keepFree, text) => {
    await expect(open(content, keepFree)).rejects.toThrow(text);
    expect(readdirSync(top)).toEqual(["a.tar"]);
  });

  test("a cancelled start", async () => {
    await expect(open(gzipSync(plain), 0, AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
    expect(readdirSync(top)).toEqual(["a.tar"]);
  });
});

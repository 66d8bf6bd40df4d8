/** Untrusted layers, unpacked by the real process that sees only their directory. */

import { ptr } from "bun:ffi";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { parseReport, type UnpackReport } from "../../src/image/archive/report";
import { cString, libc } from "../../src/linux/ffi";
import { run } from "../../tools/command";
import { compressed } from "../support/oci-image";
import { type ArchiveEntry, archive, directory, file, symlink } from "../support/tar-archive";

const main = resolve(import.meta.dir, "../../src/main.ts");
let scratch = "";
beforeAll(async () => {
  // On a disk, because a tmpfs keeps no user attributes.
  scratch = await mkdtemp("/var/tmp/unpack-");
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

interface Went {
  readonly report: UnpackReport | undefined;
  readonly tree: string;
  readonly list: string;
}

async function unpack(stored: Uint8Array, free = 0): Promise<Went> {
  const top = await mkdtemp(join(scratch, "case-"));
  const [tree, list, input] = [join(top, "tree"), join(top, "list"), join(top, "input")];
  await mkdir(tree);
  await writeFile(input, stored);
  const descriptors = [openSync(input, "r"), openSync(list, "w")] as const;
  try {
    const argv = [process.execPath, main, "unpack", tree, "sha256", String(free)];
    const child = Bun.spawn(argv, { cwd: "/", env: {}, stdio: [descriptors[0], "pipe", "inherit", descriptors[1]] });
    const said = await new Response(child.stdout).text();
    const report = parseReport(said.trim());
    expect(await child.exited).toBe(report?.kind === "unpacked" ? 0 : 1);
    return { report, tree, list: await readFile(list, "utf8") };
  } finally {
    for (const fd of descriptors) closeSync(fd);
  }
}

async function good(entries: readonly ArchiveEntry[]): Promise<string> {
  const { report, tree } = await unpack(archive(entries));
  expect(report).toMatchObject({ kind: "unpacked" });
  return tree;
}

/** The error with which a layer is refused. */
async function refused(stored: Uint8Array): Promise<string> {
  const { report } = await unpack(stored);
  return report?.kind === "failed" ? `${report.why}: ${report.message}` : `${report?.kind}`;
}

describe("refused", () => {
  test.each([
    ["upwards", [file("a/../../x")], /leads out of the image/],
    ["absolute", [file("/x")], /absolute path/],
    ["a hard link upwards", [{ name: "x", type: "1", link: "../../../../etc/passwd" }], /leads out of the image/],
    ["an absolute hard link", [{ name: "x", type: "1", link: "/etc/passwd" }], /absolute path "\/etc\/passwd"/],
    ["a hard link to nothing", [{ name: "x", type: "1", link: "y" }], /not a file of the same layer/],
    [
      "a hard link to a directory",
      [directory("d/"), { name: "x", type: "1", link: "d" }],
      /not a file of the same layer/,
    ],
    ["a character device", [{ name: "null", type: "3", device: [1, 3] }], /is a character device/],
    [
      "a device that only has a usual one's name",
      [{ name: "dev/null", type: "3", device: [1, 1] }],
      /is a character device/,
    ],
    ["a usual device as a block device", [{ name: "dev/null", type: "4", device: [1, 3] }], /is a block device/],
    ["a whiteout as a device", [{ name: "x", type: "3", device: [0, 0] }], /is a character device/],
    ["below a file", [file("x"), file("x/y")], /is below "\/x", which is not a directory/],
    ["the root as a file", [file("./")], /its root is not a directory|unpacked/],
    ["a whiteout of what is above", [file(".wh...")], /which is not a valid name/],
    ["a whiteout of nothing", [file("a/.wh.")], /which is not a valid name/],
    [
      "an attribute of overlayfs",
      [file("x", "", { pax: { "SCHILY.xattr.trusted.overlay.redirect": "/etc" } })],
      /reserved for overlayfs/,
    ],
    ["a broken capability", [file("x", "", { pax: { "SCHILY.xattr.security.capability": "x" } })], /cannot set/],
    ["an unknown type", [{ name: "x", type: "Z" }], /unknown type "Z"/],
    ["a wrong checksum", [file("x", "", { checksum: 1 })], /checksum is wrong/],
    ["a huge file that does not come", [file("x", "abc", { size: 0o7777_7777_777 })], /is truncated/],
    [
      "a size that no file has",
      [file("x", "", { size: Buffer.alloc(12, 0xff).fill(0x80, 0, 1) })],
      /a number out of range/,
    ],
    ["an owner that means none", [file("x", "", { pax: { uid: "4294967295" } })], /the owner 4294967295/],
    ["a group that no system has", [file("x", "", { pax: { gid: "4294967296" } })], /the owner 4294967296/],
    ["a time that no file has", [file("x", "", { pax: { mtime: "9000000000000000" } })], /a time out of range/],
    ["a negative size", [file("x", "", { size: Buffer.alloc(12, 0xff) })], /a number out of range/],
    ["an endless extended header", [{ name: "x", type: "x", size: 0o7_7777_777 }], /extended header is too long/],
    ["a broken extended header", [{ name: "x", type: "x", data: "99 path=y\n" }], /extended header is damaged/],
    ["a name of 300 bytes", [file("x", "", { pax: { path: "n".repeat(300) } })], /a name of 300 bytes/],
    ["a NUL in a name", [file("x", "", { pax: { path: "a\0b" } })], /a NUL in its name/],
  ] as const)("%s", async (_, entries, why) => expect(await refused(archive(entries))).toMatch(why));

  test("truncated or damaged layers, and files that are not archives", async () => {
    const whole = archive([file("a", "x".repeat(5000)), file("b")]);
    expect(await refused(whole.subarray(0, 3000))).toMatch(/is truncated/);
    expect(await refused(whole.subarray(0, 300))).toMatch(/is truncated/);
    expect(await refused(gzipSync(whole).subarray(0, 60))).toMatch(/compressed data is damaged/);
    // bun's zstd does not report a truncated stream, but the digest does.
    const { report } = await unpack(compressed(whole, "zstd").subarray(0, 60));
    expect(report).not.toMatchObject({ diffId: `sha256:${createHash("sha256").update(whole).digest("hex")}` });
    expect(await refused(Buffer.from("This is no archive. ".repeat(100)))).toMatch(/checksum is wrong/);
    expect(await refused(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0]))).toMatch(/compressed with xz/);
    const spoiled = Buffer.from(gzipSync(whole));
    spoiled.fill(0x55, 40, 60);
    expect(await refused(spoiled)).toMatch(/compressed data is damaged|checksum is wrong|truncated/);
  });

  test("a sparse file's map without an end", async () => {
    const source = await mkdtemp(join(scratch, "endless-"));
    const holes = join(source, "holes");
    await run(["truncate", "--size=40M", holes]);
    for (const seek of [1, 100, 200, 300, 400, 500]) {
      const where = [`of=${holes}`, `seek=${seek}`, "bs=4096", "count=1", "conv=notrunc", "status=none"];
      await run(["dd", "if=/dev/urandom", ...where]);
    }
    const tar = join(source, "holes.tar");
    await run(["tar", "--create", "--file", tar, "--format=gnu", "--sparse", "--directory", source, "holes"]);
    const header = (await readFile(tar)).subarray(0, 512);
    // Twenty-one pieces, and the flag that more follow.
    const piece = "00000000001\x0000000000001\x00";
    const block = Buffer.concat([Buffer.from(piece.repeat(21), "latin1"), Buffer.of(1), Buffer.alloc(7)]);
    expect([header.toString("latin1", 156, 157), header[482], block.length]).toEqual(["S", 1, 512]);
    const endless = Buffer.concat([header, ...Array.from({ length: 10_000 }, () => block)]);
    expect(await refused(endless)).toMatch(/map is too long/);
  });

  test("layers that leave too little free space", async () => {
    const large = Buffer.alloc(40 * 1024 * 1024);
    const { report } = await unpack(gzipSync(archive([file("zeros", "", { data: large })]), { level: 1 }), 2 ** 60);
    expect(report).toMatchObject({ kind: "failed", why: "disk full" });
  });
});

describe("symlinks in the path stay inside", () => {
  test.each([
    ["upwards", "../../../../../../../.."],
    ["absolute", "/"],
    ["to what is nowhere", "/var/tmp"],
  ])("%s", async (_, link) => {
    const mark = `unpack-mark-${crypto.randomUUID()}`;
    const tree = await good([
      directory("var/tmp/"),
      symlink("out", link),
      file(`out/${mark}`, "x"),
      // The previous file of that name is removed: nothing is written through it.
      symlink("target", `/etc/${mark}`),
      file("target", "mine"),
    ]);
    for (const outside of [`/${mark}`, `/var/tmp/${mark}`, `/etc/${mark}`, join(scratch, mark)]) {
      expect(await stat(outside).catch(() => undefined)).toBeUndefined();
    }
    expect(await readFile(join(tree, "target"), "utf8")).toBe("mine");
    const inside = [mark, `var/tmp/${mark}`].map((path) => join(tree, path));
    expect(
      (
        await Promise.all(
          inside.map((path) =>
            stat(path).then(
              () => 1,
              () => 0,
            ),
          ),
        )
      ).reduce((a: number, b) => a + b, 0),
    ).toBe(1);
  });

  test("owner, mode and time are the link's own", async () => {
    const before = await lstat("/etc/passwd");
    const tree = await good([{ ...symlink("p", "/etc/passwd"), uid: 7, gid: 8 }]);
    expect(await readlink(join(tree, "p"))).toBe("/etc/passwd");
    expect(await lstat(join(tree, "p"))).toMatchObject({ uid: 7, gid: 8 });
    expect(await lstat("/etc/passwd")).toEqual(before);
  });
});

describe("as overlayfs stacks it", () => {
  const OPAQUE = "trusted.overlay.opaque";
  const opaque = (path: string) => {
    const value = Buffer.alloc(64);
    const length = Number(libc().lgetxattr(cString(path), cString(OPAQUE), ptr(value), value.length));
    return value.toString("utf8", 0, Math.max(length, 0));
  };

  test("whiteouts, with other entries of the same name, in either order", async () => {
    const tree = await good([
      file(".wh.gone"),
      directory("hidden/"),
      file("hidden/.wh..wh..opq"),
      file("kept"),
      file(".wh.kept"),
      file(".wh.back"),
      file("back", "again"),
      file(".wh.dir"),
      directory("dir/"),
      directory("other/"),
      file(".wh.other"),
      file("made/for/.wh.it"),
      file(".wh..wh.plnk"),
    ]);
    const gone = await stat(join(tree, "gone"));
    expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    expect(opaque(join(tree, "hidden"))).toBe("y");
    expect((await stat(join(tree, "kept"))).isFile()).toBe(true);
    expect(await readFile(join(tree, "back"), "utf8")).toBe("again");
    expect(opaque(join(tree, "dir"))).toBe("y");
    expect(opaque(join(tree, "other"))).toBe("y");
    expect((await stat(join(tree, "made/for/it"))).isCharacterDevice()).toBe(true);
    expect(await stat(join(tree, ".wh..wh.plnk")).catch(() => undefined)).toBeUndefined();
  });
});

test("common devices of distributions are left out: no container sees an image's /dev", async () => {
  const tree = await good([
    directory("dev/"),
    { name: "dev/null", type: "3", device: [1, 3] },
    { name: "./dev/console", type: "3", device: [5, 1] },
    symlink("dev/fd", "/proc/self/fd"),
  ]);
  expect(await readdir(join(tree, "dev"))).toEqual(["fd"]);
});

test("a later entry replaces an earlier one of any type", async () => {
  const tree = await good([
    directory("d/"),
    file("d/x", "x"),
    file("d", "file"),
    file("f", "file"),
    directory("f/"),
    file("f/y", "y"),
    symlink("f/y", "elsewhere"),
    directory("again/", { mode: 0o700 }),
    file("again/kept", "kept"),
    directory("again/", { mode: 0o1777, mtime: 1000 }),
    file("twice", "1"),
    { name: "other", type: "1", link: "twice" },
    file("twice", "2"),
    { name: "self", type: "1", link: "twice" },
    { name: "self", type: "1", link: "self" },
  ]);
  expect(await readFile(join(tree, "d"), "utf8")).toBe("file");
  expect(await readlink(join(tree, "f/y"))).toBe("elsewhere");
  const again = await stat(join(tree, "again"));
  expect([again.mode & 0o7777, again.mtimeMs]).toEqual([0o1777, 1_000_000]);
  expect(await readFile(join(tree, "again/kept"), "utf8")).toBe("kept");
  expect(await readFile(join(tree, "other"), "utf8")).toBe("1");
  expect((await stat(join(tree, "self"))).nlink).toBe(2);
});

test("long names, other alphabets, bytes that are not text, times before 1970", async () => {
  const long = `${"d".repeat(200)}/${"n".repeat(200)}`;
  const tree = await good([
    file("short", "long", { pax: { path: long, mtime: "1700000000.25" } }),
    file("x", "umlaut", { pax: { path: "größe/日本", mtime: "-1.5" } }),
    file("\xff\xfe", "bytes"),
  ]);
  expect(await readFile(join(tree, long), "utf8")).toBe("long");
  expect((await stat(join(tree, long))).mtimeMs).toBe(1_700_000_000_250);
  expect(await readFile(join(tree, "größe/日本"), "utf8")).toBe("umlaut");
  expect((await stat(join(tree, "größe/日本"))).mtimeMs).toBe(-1500);
  expect(await readFile(Buffer.concat([Buffer.from(`${tree}/`), Buffer.of(0xff, 0xfe)]), "utf8")).toBe("bytes");
});

test.each(["gnu", "posix", "oldgnu"])("sparse files as GNU tar writes them: %s", async (format) => {
  const source = await mkdtemp(join(scratch, "sparse-"));
  const path = join(source, "sparse");
  const handle = openSync(path, "w");
  closeSync(handle);
  await run(["truncate", "--size=40M", path]);
  // More pieces than a header holds.
  for (let piece = 0; piece < 60; piece += 1) {
    await run([
      "dd",
      "if=/dev/urandom",
      `of=${path}`,
      "bs=4096",
      "count=1",
      `seek=${piece * 100 + 3}`,
      "conv=notrunc",
      "status=none",
    ]);
  }
  const tar = join(scratch, `${format}.tar`);
  await run(["tar", "--create", "--file", tar, `--format=${format}`, "--sparse", "--directory", source, "."]);
  const stored = await Bun.file(tar).bytes();
  expect(stored.length).toBeLessThan(1024 * 1024);
  const { report, tree } = await unpack(compressed(stored, "zstd"));
  expect(report).toMatchObject({
    kind: "unpacked",
    diffId: `sha256:${createHash("sha256").update(stored).digest("hex")}`,
  });
  const copy = join(tree, "sparse");
  expect(Buffer.compare(await readFile(copy), await readFile(path))).toBe(0);
  expect((await stat(copy)).blocks).toBeLessThan(2000);
});

test.each([1, 7, 511, 513, 4096])("input in pieces of any size: gzip members of %d bytes each", async (size) => {
  const whole = archive([file("a", "x".repeat(1500)), directory("b/"), file("b/c", "y")]);
  const members: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += size) members.push(gzipSync(whole.subarray(at, at + size)));
  const { report, tree, list } = await unpack(Buffer.concat(members));
  expect(report).toMatchObject({ kind: "unpacked", bytes: whole.length, entries: 3 });
  expect(await readFile(join(tree, "a"), "utf8")).toBe("x".repeat(1500));
  expect(list.trim().split("\n")).toHaveLength(3);
});

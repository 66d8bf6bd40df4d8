/** Untrusted layers, unpacked by the real process that sees only their directory. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { parseReport, type UnpackReport } from "../../src/image/archive/report";
import { unpackLayer } from "../../src/image/store/workers";
import { getAttribute } from "../../src/linux/files";
import { fileLock } from "../../src/linux/flock";
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

const tar = archive([file("a", "text")]);

/** Unpacks as the image store does, with the host's programs for what the unpacking process cannot decompress. */
async function unpackedInStore(stored: Uint8Array) {
  const top = await mkdtemp(join(scratch, "store-"));
  const [tree, list] = [join(top, "tree"), join(top, "list")];
  await mkdir(tree);
  using lock = await fileLock(join(top, "lock"), "exclusive");
  async function* content() {
    for (let at = 0; at < stored.length; at += 10) yield Uint8Array.from(stored.subarray(at, at + 10));
  }
  const signal = AbortSignal.timeout(60_000);
  const rest = { algorithm: "sha256", keepFree: 0, lock, content, signal };
  return { made: await unpackLayer({ directory: tree, list, ...rest }), tree };
}

function compressedBy(program: string, bytes: Uint8Array): Buffer {
  return Bun.spawnSync([program, "--stdout"], { stdin: bytes }).stdout;
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
    ["a hard link upwards", [{ name: "x", type: "1", link: "../../../../etc/passwd" }], /leads out of the image/],
    [
      "a hard link to a file of the host",
      [{ name: "x", type: "1", link: "/etc/passwd" }],
      /"\/x" is a hard link to "\/etc\/passwd", which is not a file of the same layer/,
    ],
    ["a hard link to nothing", [{ name: "x", type: "1", link: "y" }], /not a file of the same layer/],
    [
      "a hard link to a directory",
      [directory("d/"), { name: "x", type: "1", link: "d" }],
      /not a file of the same layer/,
    ],
    ["below a file", [file("x"), file("x/y")], /"x\/y" is below "\/x", which is not a directory/],
    ["a whiteout below a file", [file("x"), file("x/.wh.y")], /"x\/.wh.y" is below "\/x", which is not a directory/],
    ["an opaque file", [file("x"), file("x/.wh..wh..opq")], /"x\/.wh..wh..opq" is below "\/x"/],
    [
      "below symlinks in a circle",
      [symlink("a", "b"), symlink("b", "a"), file("a/x")],
      /"a\/x" is below too many symlinks/,
    ],
    ["a symlink to nothing", [symlink("x", "")], /"\/x" is a symlink without a target/],
    [
      "a symlink that no file system holds",
      [{ ...symlink("x", "y"), pax: { linkpath: "y".repeat(5000) } }],
      /the entry "x" cannot be written: ENAMETOOLONG/,
    ],
    ["the root as a file", [file("./")], /its root is not a directory|unpacked/],
    ["a whiteout of what is above", [file(".wh...")], /which is not a valid name/],
    ["a whiteout of nothing", [file("a/.wh.")], /which is not a valid name/],
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
    ["relative", "var/tmp"],
    ["with dots", "./x/../var//tmp/."],
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
  const opaque = (path: string) => Buffer.from(getAttribute(path, OPAQUE) ?? []).toString();

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

test("device nodes are left out, wherever they are: the driver decides which devices a container has", async () => {
  const { report, tree } = await unpack(
    archive([
      directory("dev/"),
      { name: "dev/null", type: "3", device: [1, 3] },
      { name: "./dev/ram0", type: "4", device: [1, 0] },
      { name: "etc/whiteout", type: "3", device: [0, 0] },
      symlink("dev/fd", "/proc/self/fd"),
    ]),
  );
  expect(report).toMatchObject({ kind: "unpacked", devices: 3, implied: [] });
  expect(await readdir(join(tree, "dev"))).toEqual(["fd"]);
  expect(await readdir(tree)).toEqual(["dev"]);
});

describe("what other tools write", () => {
  test("absolute names and hard links, and the root itself", async () => {
    const tree = await good([
      directory("/", { mode: 0o711 }),
      directory("/nix/store/"),
      file("/nix/store/a", "a"),
      { name: "/nix/store/b", type: "1", link: "/nix/store/a" },
      { name: "bin/../c", type: "1", link: "./nix//store/../store/a" },
    ]);
    expect((await stat(tree)).mode & 0o7777).toBe(0o711);
    expect((await stat(join(tree, "nix/store/b"))).nlink).toBe(3);
    expect(await readFile(join(tree, "c"), "utf8")).toBe("a");
  });

  test("attributes of overlayfs are dropped, others kept", async () => {
    const names = ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.origin", "user.kept"];
    const pax = Object.fromEntries(names.map((name) => [`SCHILY.xattr.${name}`, "y"]));
    const tree = await good([directory("d/", { pax }), file("f", "", { pax })]);
    for (const path of [join(tree, "d"), join(tree, "f")]) {
      expect(names.filter((name) => getAttribute(path, name) !== undefined)).toEqual(["user.kept"]);
    }
  });

  test("entries below a symlink to what does not exist yet", async () => {
    const { report, tree } = await unpack(
      archive([
        symlink("lib", "usr/lib"),
        file("lib/x/y", "y"),
        file("lib/.wh.z"),
        directory("usr/lib/", { mode: 0o711 }),
      ]),
    );
    expect(report).toMatchObject({ kind: "unpacked", implied: ["/usr", "/usr/lib/x"] });
    expect(await readFile(join(tree, "usr/lib/x/y"), "utf8")).toBe("y");
    expect((await stat(join(tree, "usr/lib/z"))).rdev).toBe(0);
    expect((await stat(join(tree, "usr/lib"))).mode & 0o777).toBe(0o711);
  });

  test.each<[string, readonly ArchiveEntry[], string]>([
    ["twice", [file("d/.wh.x"), file("d/.wh.x")], "whiteout"],
    ["of a missing parent", [file("no/such/.wh.x")], "whiteout"],
    ["before its target", [file("d/.wh.x"), file("d/x", "new")], "file"],
    ["after its target", [file("d/x", "new"), file("d/.wh.x")], "file"],
    ["below what was a whiteout", [file(".wh.d"), file("d/.wh.x")], "whiteout"],
    ["below an opaque directory", [file("d/.wh..wh..opq"), file("d/.wh.x"), file("d/.wh..wh..opq")], "whiteout"],
  ])("a whiteout %s", async (_, entries, kind) => {
    const tree = await good(entries);
    const [first] = entries;
    const path = join(tree, first?.name.startsWith("no/") === true ? "no/such/x" : "d/x");
    const stats = await stat(path);
    expect(stats.isCharacterDevice() && stats.rdev === 0 ? "whiteout" : "file").toBe(kind);
  });

  test.each(["xz", "bzip2"])("%s is decompressed by the host's program", async (program) => {
    const { made, tree } = await unpackedInStore(compressedBy(program, archive([file("a", "text")])));
    expect(made).toMatchObject({ kind: "unpacked", entries: 1 });
    expect(await readFile(join(tree, "a"), "utf8")).toBe("text");
  });

  test("garbage after gzip data is ignored, as gzip does", async () => {
    const half = 700;
    const members = [gzipSync(tar.subarray(0, half)), gzipSync(tar.subarray(half)), Buffer.from("garbage")];
    const { made, tree } = await unpackedInStore(Buffer.concat(members));
    expect(made).toMatchObject({ kind: "unpacked", entries: 1 });
    expect(await readFile(join(tree, "a"), "utf8")).toBe("text");
  });

  test("damaged xz data is an error that a retry does not help", async () => {
    const damaged = compressedBy("xz", archive([file("a", "text")])).fill(0x55, 20, 40);
    await expect(unpackedInStore(damaged)).rejects.toThrow(
      /A layer of the image cannot be unpacked: its xz data is damaged/,
    );
  });

  test.each([
    ["several gzip members", () => Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))])],
    ["zeros after gzip data", () => Buffer.concat([gzipSync(tar), Buffer.alloc(1000)])],
    ["garbage after the archive", () => Buffer.concat([tar, Buffer.alloc(1024), Buffer.from("garbage")])],
    ["an archive without the padding of its last entry", () => tar.subarray(0, 512 + 4)],
    ["an archive without its final blocks", () => tar.subarray(0, 1024)],
    [
      "several zstd frames",
      () => Buffer.concat([compressed(tar.subarray(0, 700), "zstd"), compressed(tar.subarray(700), "zstd")]),
    ],
  ])("%s", async (_, stored) => {
    const { report, tree } = await unpack(stored());
    expect(report).toMatchObject({ kind: "unpacked" });
    expect(await readFile(join(tree, "a"), "utf8")).toBe("text");
  });

  test.each([
    ["no bytes at all", Buffer.alloc(0)],
    ["an empty archive", Buffer.alloc(1024)],
    ["an empty gzip file", gzipSync("")],
  ])("%s", async (_, stored) => {
    expect((await unpack(stored)).report).toMatchObject({ kind: "unpacked", entries: 0 });
  });
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

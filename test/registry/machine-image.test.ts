import { dlopen, FFIType, ptr } from "bun:ffi";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchNatively, provideMachineImage } from "../../src/image/machine/provide";
import type { DownloadContext, MachineImage } from "../../src/image/machine/request";
import { SourceError } from "../../src/image/source";
import { StoreError } from "../../src/lib/errors";
import { run } from "../../tools/command";
import {
  type DownloadSite,
  makeSigner,
  pack,
  packTree,
  type Signer,
  startDownloadSite,
} from "../support/download-site";
import { quick } from "./reading";

const stack = new AsyncDisposableStack();
let site: DownloadSite;
let top: string;
let signer: Signer;
let context: DownloadContext;
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "machine-image-"));
  stack.defer(() => rm(top, { recursive: true, force: true }));
  site = stack.use(await startDownloadSite());
  const tree = join(top, "tree");
  await mkdir(join(tree, "usr/bin"), { recursive: true });
  await writeFile(join(tree, "usr/bin/app"), "program");
  await mkdir(join(tree, "dev"));
  await run(["mknod", join(tree, "dev/null"), "c", "1", "3"]);
  await writeFile(join(tree, ".wh.file"), "not removed");
  await run(["chown", "1000:1000", join(tree, "usr/bin/app")]);
  await run(["chmod", "4755", join(tree, "usr/bin/app")]);
  await packTree(tree, site.directory, "app");
  const raw = Buffer.alloc(3_000_000);
  raw.write("begin");
  raw.write("the end", 2_999_990);
  await writeFile(join(site.directory, "disk.raw"), raw);
  await pack(join(site.directory, "disk.raw"));
  await writeFile(join(site.directory, "disk.qcow2"), "QFI\xfb then more", "latin1");
  await writeFile(
    join(site.directory, "broken.tar.gz"),
    (await readFile(join(site.directory, "app.tar.gz"))).subarray(0, 100),
  );
  await writeFile(
    join(site.directory, "broken.raw.xz"),
    (await readFile(join(site.directory, "disk.raw.xz"))).subarray(0, 100),
  );
  for (const end of ["gz", "zst", "bz2"]) {
    const whole = await readFile(join(site.directory, `disk.raw.${end}`));
    await writeFile(join(site.directory, `broken.raw.${end}`), whole.subarray(0, whole.length - 5));
  }
  await site.writeSums();
  signer = await makeSigner(top, "signer");
}, 60_000);
afterAll(() => stack.disposeAsync());

/** A lock of an open file description, as systemd-nspawn holds one of its image (fcntl(2), F_OFD_SETLK). */
function lockLikeNspawn(fd: number): void {
  const lock = new DataView(new ArrayBuffer(32));
  lock.setInt16(0, 1, true);
  const libc = dlopen("libc.so.6", { fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 } });
  expect(libc.symbols.fcntl(fd, 37, ptr(lock))).toBe(0);
  libc.close();
}

/** Polls for a condition that no event reports to a test. */
async function until(condition: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 10_000; !condition(); await Bun.sleep(10)) {
    if (performance.now() > deadline) throw new Error("It did not happen.");
  }
}

let counter = 0;
beforeEach(() => {
  counter += 1;
  context = {
    directory: join(top, `machines-${counter}`),
    locks: join(top, `run-${counter}/locks`),
    keyring: signer.keyring,
    keepFree: 0,
    timing: quick,
    signal: AbortSignal.timeout(20_000),
  };
  site.requests.length = 0;
  site.delay = 0;
});
afterEach(async () => {
  // In every case: only images remain, and no locks.
  const left = (await readdir(context.directory).catch(() => [])).filter((name) => name.startsWith("."));
  expect(left).toEqual([]);
  expect(existsSync(join(top, `run-${counter}`))).toBe(false);
});

const provide = (file: string, more: Partial<MachineImage> = {}, its: DownloadContext = context) => {
  const image: MachineImage = {
    name: "image",
    url: URL.canParse(file) ? new URL(file) : new URL(`${site.url}/${file}`),
    type: /raw|qcow2/.test(file) ? "raw" : "tar",
    verify: "no",
    force: false,
    ...more,
  };
  return provideMachineImage(image, its, fetchNatively(its));
};
const failure = async (work: Promise<unknown>) => {
  try {
    await work;
  } catch (error) {
    if (error instanceof SourceError)
      return { problem: error.problem, recoverable: error.recoverable, message: error.message };
    if (error instanceof StoreError)
      return { problem: "store", recoverable: error.recoverable, message: error.message };
    throw error;
  }
  throw new Error("It did not fail.");
};

describe("a tree", () => {
  test.each(["app.tar", "app.tar.gz", "app.tar.xz", "app.tar.zst", "app.tar.bz2"])("%s", async (file) => {
    const seen: number[] = [];
    expect(await provide(file, {}, { ...context, onProgress: (received) => seen.push(received) })).toBe(true);
    const root = join(context.directory, "image");
    expect(await readFile(join(root, "usr/bin/app"), "utf8")).toBe("program");
    const { uid, gid, mode } = await stat(join(root, "usr/bin/app"));
    expect([uid, gid, mode & 0o7777]).toEqual([1000, 1000, 0o4755]);
    expect(await readdir(join(root, "dev"))).toEqual([]);
    expect(await readFile(join(root, ".wh.file"), "utf8")).toBe("not removed");
    expect(seen.at(-1)).toBe((await stat(join(site.directory, file))).size);
  });

  test("of this host", async () => {
    expect(await provide(`file://${site.directory}/app.tar.xz`, { verify: "checksum" })).toBe(true);
    expect(existsSync(join(context.directory, "image/usr/bin/app"))).toBe(true);
    expect(await failure(provide("file:///nowhere.tar", { name: "other" }))).toMatchObject({ problem: "not found" });
    expect(await failure(provide("file:///dev/null", { name: "other" }))).toMatchObject({
      message: expect.stringContaining("it is not a regular file"),
    });
  });
});

describe("a disk image", () => {
  test.each(["disk.raw", "disk.raw.gz", "disk.raw.xz", "disk.raw.zst", "disk.raw.bz2"])("%s", async (file) => {
    expect(await provide(file)).toBe(true);
    const path = join(context.directory, "image.raw");
    expect(await readFile(path)).toEqual(await readFile(join(site.directory, "disk.raw")));
    const { blocks, mode } = await stat(path);
    // Of three megabytes two blocks have data.
    expect(blocks * 512).toBeLessThan(100_000);
    expect(mode & 0o777).toBe(0o600);
  });

  test.each([
    ["disk.qcow2", "it is a qcow2 image, which only systemd-importd can convert"],
    ["broken.raw.xz", "its xz data is damaged"],
    ["broken.raw.gz", "its gzip data is damaged"],
    ["broken.raw.zst", "its zstd data is damaged"],
    ["broken.raw.bz2", "its bzip2 data is damaged"],
  ] as const)("not %s", async (file, words) => {
    expect(await failure(provide(file))).toMatchObject({ problem: "content", message: expect.stringContaining(words) });
  });
});

describe("verify", () => {
  const sums = () => join(site.directory, "SHA256SUMS");

  test("a checksum", async () => {
    await provide("app.tar.xz", { verify: "checksum" });
    await copyFile(sums(), join(top, "sums"));
    await writeFile(sums(), (await readFile(sums(), "utf8")).replaceAll(/^[0-9a-f]{8}/gm, "00000000"));
    try {
      expect(await failure(provide("app.tar.xz", { verify: "checksum", name: "other" }))).toMatchObject({
        problem: "content",
        recoverable: true,
        message: expect.stringContaining("but should be sha256:00000000"),
      });
      expect(await readdir(context.directory)).toEqual(["image"]);
    } finally {
      await copyFile(join(top, "sums"), sums());
    }
  });

  test("a checksum in a separate file, or none", async () => {
    await copyFile(join(site.directory, "app.tar.gz"), join(site.directory, "own.tar.gz"));
    expect(await failure(provide("own.tar.gz", { verify: "checksum" }))).toMatchObject({
      problem: "content",
      recoverable: false,
      message: expect.stringContaining(
        'no checksum of "own.tar.gz" was found beside it (looked for SHA256SUMS and own.tar.gz.sha256)',
      ),
    });
    const { stdout } = await run(["sha256sum", "own.tar.gz"], { cwd: site.directory });
    await writeFile(join(site.directory, "own.tar.gz.sha256"), stdout);
    expect(await provide("own.tar.gz", { verify: "checksum" })).toBe(true);
  });

  test("a signature, binary or in ASCII", async () => {
    expect(await failure(provide("app.tar.xz", { verify: "signature" }))).toMatchObject({
      message: expect.stringContaining("its checksums are not signed (looked for SHA256SUMS.gpg and SHA256SUMS.asc)"),
    });
    await signer.sign(sums(), { armor: true });
    expect(await provide("app.tar.xz", { verify: "signature" })).toBe(true);
    await signer.sign(sums());
    expect(await provide("app.tar.xz", { verify: "signature", name: "second" })).toBe(true);
  });

  test("a signature of the list with a disk image, also compressed", async () => {
    await signer.sign(sums());
    for (const file of ["disk.raw", "disk.raw.xz", "disk.raw.zst"]) {
      expect(await provide(file, { verify: "signature", name: file.replaceAll(".", "-") })).toBe(true);
      const made = await readFile(join(context.directory, `${file.replaceAll(".", "-")}.raw`));
      expect(made.equals(await readFile(join(site.directory, "disk.raw")))).toBe(true);
    }
    await writeFile(join(site.directory, "other.raw"), "not in the list");
    expect((await failure(provide("other.raw", { verify: "signature" }))).message).toContain(
      'no checksum of "other.raw"',
    );
    await rm(join(site.directory, "other.raw"));
  });

  test("a signature that is not good", async () => {
    const cases: [string, Partial<DownloadContext>][] = [];
    const stranger = await makeSigner(top, "stranger");
    cases.push(["which is not in the keyring", { keyring: stranger.keyring }]);
    await signer.sign(sums());
    for (const [words, more] of cases) {
      const found = await failure(provide("app.tar.xz", { verify: "signature" }, { ...context, ...more }));
      expect(found).toMatchObject({ problem: "content", recoverable: false, message: expect.stringContaining(words) });
    }
    await writeFile(sums(), `${await readFile(sums(), "utf8")}\n`);
    expect((await failure(provide("app.tar.xz", { verify: "signature" }))).message).toContain(
      "the content was changed after it was signed with key",
    );
    await writeFile(`${sums()}.gpg`, "no signature");
    expect((await failure(provide("app.tar.xz", { verify: "signature" }))).message).toContain("it is not a signature");
    const old = await makeSigner(top, "old", { expire: "1d", time: "20200101T000000" });
    await old.sign(sums());
    expect(
      (await failure(provide("app.tar.xz", { verify: "signature" }, { ...context, keyring: old.keyring }))).message,
    ).toContain("has expired");
  });
});

describe("once", () => {
  test("the existing image is used, until force replaces it", async () => {
    expect(await provide("app.tar")).toBe(true);
    await writeFile(join(context.directory, "image/changed"), "");
    site.requests.length = 0;
    expect(await provide("app.tar")).toBe(false);
    expect(site.requests).toEqual([]);
    expect(await provide("disk.raw", { force: true })).toBe(true);
    expect(await readdir(context.directory)).toEqual(["image.raw"]);
  });

  test("the old image exists until the new one replaces it", async () => {
    await provide("app.tar");
    const path = join(context.directory, "image");
    let looking = true;
    let missing = 0;
    const looks = (async () => {
      while (looking) {
        if (!existsSync(path)) missing += 1;
        await Bun.sleep(0);
      }
    })();
    await provide("app.tar.xz", { force: true });
    looking = false;
    await looks;
    expect(missing).toBe(0);
  });

  test("many tasks that ask at once download it once, also with force", async () => {
    site.delay = 300;
    const all = await Promise.all(Array.from({ length: 6 }, () => provide("app.tar", { force: true })));
    expect(all.filter(Boolean)).toHaveLength(1);
    expect(site.requests).toEqual(["/app.tar"]);
  });

  test.each(["app.tar", "app.tar.xz", "disk.raw", "disk.raw.gz"])(
    "%s is not requested if the disk has less free space than image_min_free",
    async (file) => {
      context = { ...context, keepFree: 2 ** 60 };
      site.requests.length = 0;
      const type = file.startsWith("disk") ? ("raw" as const) : ("tar" as const);
      expect(await failure(provide(file, { type }))).toMatchObject({
        recoverable: true,
        message: expect.stringContaining("gc.image_min_free"),
      });
      expect(site.requests).toEqual([]);
      expect(await readdir(context.directory)).toEqual([]);
    },
  );

  test.each(["large.raw", "large.tar"])(
    "%s is cancelled when the free space falls below image_min_free",
    async (file) => {
      const tree = join(top, "large");
      await mkdir(tree, { recursive: true });
      for (const part of ["one", "two", "three"]) await writeFile(join(tree, part), randomBytes(12 << 20));
      await writeFile(join(site.directory, "large.raw"), randomBytes(36 << 20));
      await run(["tar", "--create", `--file=${join(site.directory, "large.tar")}`, `--directory=${tree}`, "."]);
      await mkdir(context.directory, { recursive: true });
      await run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", context.directory]);
      try {
        const type = file.endsWith("raw") ? ("raw" as const) : ("tar" as const);
        context = { ...context, keepFree: 24 << 20 };
        expect(await failure(provide(file, { type }))).toMatchObject({
          recoverable: true,
          message: expect.stringMatching(/image_min_free/),
        });
        expect(await readdir(context.directory)).toEqual([]);
        context = { ...context, keepFree: 4 << 20 };
        expect(await provide(file, { type })).toBe(true);
      } finally {
        await run(["umount", context.directory]);
        for (const name of ["large.raw", "large.tar"]) await rm(join(site.directory, name));
      }
    },
  );

  test("an image in use is not replaced", async () => {
    await provide("app.tar");
    const path = join(context.directory, "image");
    const lockFile = join(context.directory, ".#image.lck");
    const fd = openSync(lockFile, "w");
    lockLikeNspawn(fd);
    try {
      expect(await failure(provide("app.tar", { force: true }))).toMatchObject({
        problem: "store",
        recoverable: true,
        message: expect.stringContaining(`${path} is in use by a container`),
      });
    } finally {
      closeSync(fd);
      await rm(lockFile);
    }
  });

  test("nor is an image that a container starts on during the download", async () => {
    await provide("app.tar");
    const path = join(context.directory, "image");
    await writeFile(join(path, "kept"), "");
    const go = site.hold("/app.tar.xz");
    const replacing = failure(provide("app.tar.xz", { force: true }));
    await until(() => site.requests.includes("/app.tar.xz"));
    const lockFile = join(context.directory, ".#image.lck");
    const fd = openSync(lockFile, "w");
    lockLikeNspawn(fd);
    try {
      go();
      expect(await replacing).toMatchObject({
        problem: "store",
        recoverable: true,
        message: expect.stringContaining(`${path} is in use by a container`),
      });
      expect(existsSync(join(path, "kept"))).toBe(true);
    } finally {
      closeSync(fd);
      await rm(lockFile);
    }
  });

  test("what a killed process left is removed", async () => {
    await provide("app.tar", { name: "first" });
    const scratch = join(context.directory, ".#nomad-driver-nspawn-0123456789abcdef01234567");
    await cp(join(context.directory, "first"), scratch, { recursive: true });
    // Files that systemd-importd created for it, and files that only have a similar name.
    const name = "nomad-driver-nspawn-0123456789abcdef01234567";
    for (const file of [`${name}-0123456789ab.raw`, `${name}-0123456789ab.nspawn`, `${name}-mine`]) {
      await writeFile(join(context.directory, file), "");
    }
    await provide("app.tar");
    expect((await readdir(context.directory)).toSorted()).toEqual(["first", "image", `${name}-mine`]);
  });
});

describe("errors", () => {
  test.each([
    ["nowhere.tar", {}, "not found", false, "does not have it"],
    ["http://127.0.0.1:1/app.tar", {}, "connection", true, "refused the connection"],
    ["broken.tar.gz", {}, "store", false, "cannot be unpacked"],
    ["disk.raw", { type: "tar" }, "store", false, "cannot be unpacked"],
  ] as const)(
    "%s",
    async (file, more, problem, recoverable, words) => {
      const found = await failure(provide(file, more));
      expect(found).toMatchObject({ problem, recoverable });
      expect(found.message).toContain(words);
    },
    30_000,
  );

  test("the disk is full", async () => {
    await writeFile(join(site.directory, "large.raw"), randomBytes(3_000_000));
    await run(["tar", "--create", `--file=${site.directory}/large.tar`, `--directory=${site.directory}`, "large.raw"]);
    await mkdir(context.directory);
    await run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", context.directory]);
    try {
      for (const file of ["large.raw", "large.tar"]) {
        const found = await failure(provide(file));
        expect(found).toMatchObject({ problem: "store", recoverable: true });
        expect(found.message).toMatch(/disk.* is full/);
        expect(await readdir(context.directory)).toEqual([]);
      }
    } finally {
      await run(["umount", context.directory]);
    }
  });

  test("a password in the URL is used and never shown", async () => {
    const { port } = new URL(site.url);
    expect(await provide(`http://me:geheim%20word@127.0.0.1:${port}/private/app.tar`)).toBe(true);
    const { message, problem } = await failure(
      provide(`http://me:falsches@127.0.0.1:${port}/private/app.tar?key=geheim`, { name: "other" }),
    );
    expect(problem).toBe("unauthorized");
    expect(message).not.toMatch(/falsches|geheim/);
  });

  test("a timeout, during a download and while another process downloads", async () => {
    site.delay = 400;
    const short = { ...context, signal: AbortSignal.timeout(150) };
    const [one, other] = await Promise.all([
      failure(provide("app.tar", {}, short)),
      failure(provide("app.tar", {}, short)),
    ]);
    for (const each of [one, other]) expect(each).toMatchObject({ problem: "timeout", recoverable: true });
  });
});

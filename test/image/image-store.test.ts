/** The store itself: what it keeps, which faults it survives, and what it removes. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import {
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join, resolve } from "node:path";
import { layoutDirectorySource } from "../../src/image/files-source";
import type { ImageSource } from "../../src/image/source";
import { type AcquiredImage, ImageStore, releaseRoot } from "../../src/image/store/image-store";
import { unsyncedLayers } from "../../src/image/store/layers";
import { type StoredImage, storePaths } from "../../src/image/store/store-format";
import { readMounts } from "../../src/linux/mount";
import { createLogger } from "../../src/plugin/logger";
import { type Layer, writeImage } from "../support/oci-image";
import { archive, directory, file } from "../support/tar-archive";

const main = resolve(import.meta.dir, "../../src/main.ts");
const entry = resolve(import.meta.dir, "pull-entry.ts");
let scratch = "";
let layout = "";
let top = "";
const onDisk = (image: StoredImage) => ({ base: { kind: "image", image }, writes: "disk" }) as const;

beforeAll(async () => {
  scratch = await mkdtemp("/var/tmp/image-store-");
  layout = join(scratch, "layout");
  await writeImage(layout, "one", [layer("base", 40), layer("one", 40), layer("more", 40)]);
  await writeImage(layout, "two", [layer("base", 40), layer("two", 3)]);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  top = await mkdtemp(join(scratch, "store-"));
});

/** A layer of some number of incompressible files. */
function layer(name: string, files: number): Layer {
  const content = (index: number) => Buffer.from(Bun.hash(`${name}-${index}`).toString(16).repeat(8000));
  const entries = Array.from({ length: files }, (_, index) => file(`${name}/${index}`, "", { data: content(index) }));
  return { archive: archive([directory(`${name}/`), ...entries]), kind: "gzip" };
}

function openStore(isOwned: (machine: string) => boolean = () => true): ImageStore {
  return new ImageStore({
    directory: top,
    log: createLogger("store", () => {}),
    isOwned,
  });
}

function acquire(store: ImageStore, tag: string, source: ImageSource = layoutDirectorySource(layout, { tag })) {
  const signal = AbortSignal.timeout(60_000);
  return store.acquire({ name: `oci:${layout}:${tag}`, source, reuse: false, keepFree: 0, verity: false, signal });
}

function startPull(tag = "one") {
  return Bun.spawn([process.execPath, entry, top, layout, tag], { env: {}, stdout: "pipe", stderr: "pipe" });
}

const temporary = () => readdir(join(top, "tmp"));

/** Waits until a layer is recorded as synced: the disk is shared, and may be busy. */
async function untilSynced(record: string): Promise<void> {
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; await Bun.sleep(50)) {
    if ((await Bun.file(record).json()).synced === true) return;
  }
  throw new Error(`${record} does not say that its layer is on the disk.`);
}

test("images share layers, and only root can access them", async () => {
  const store = openStore();
  using one = await acquire(store, "one");
  using two = await acquire(store, "two");
  expect([one.fetched, two.fetched]).toEqual([true, true]);
  expect(one.image.diffIds[0]).toBe(two.image.diffIds[0] ?? "");
  expect(await readdir(join(top, "layers"))).toHaveLength(4);
  expect((await stat(top)).mode & 0o777).toBe(0o700);
  using again = await acquire(store, "one");
  expect(again.fetched).toBe(false);
  expect(await temporary()).toEqual([]);
});

test("a process killed at any moment leaves layers that the next one continues from", async () => {
  const whole = startPull();
  const start = performance.now();
  await whole.exited;
  const length = performance.now() - start;
  for (let moment = 0; moment < 24; moment += 1) {
    await rm(top, { recursive: true, force: true });
    const child = startPull();
    await Bun.sleep((length * moment) / 22);
    child.kill("SIGKILL");
    await child.exited;
    const store = openStore();
    using acquired = await acquire(store, "one");
    for (const diffId of acquired.image.diffIds) {
      expect(await readdir(join(top, "layers", diffId.replace(":", "-"), "fs"))).toHaveLength(1);
    }
    expect(await temporary()).toEqual([]);
    const list = await readdir(join(top, "layers"));
    expect(list).toHaveLength(3);
  }
}, 120_000);

test("layers that were not synced before a power failure are fetched again", async () => {
  {
    using _ = await acquire(openStore(), "two");
  }
  const [name = ""] = await readdir(join(top, "layers"));
  const record = join(top, "layers", name, "layer.json");
  for (const content of [
    "",
    JSON.stringify({ ...(await Bun.file(record).json()), synced: false, bootId: "another" }),
  ]) {
    await writeFile(record, content);
    using again = await acquire(openStore(), "two");
    expect(again.fetched).toBe(true);
    expect(await Bun.file(record).json()).toMatchObject({ bootId: expect.not.stringMatching("another") });
  }
  // The background sync completes.
  const store = openStore();
  using _ = await acquire(store, "two");
  await untilSynced(record);
});

test("a layer that is fetched again while the disk is synchronized does not count as written", async () => {
  {
    using _ = await acquire(openStore(), "two");
  }
  const paths = storePaths(top);
  const record = (name: string) => join(top, "layers", name, "layer.json");
  const [first = "", second = ""] = await readdir(paths.layers);
  for (const name of [first, second]) {
    // The background work has finished then.
    await untilSynced(record(name));
    await writeFile(record(name), JSON.stringify({ ...(await Bun.file(record(name)).json()), synced: false }));
  }
  const opened = await unsyncedLayers(paths);
  expect(opened).toHaveLength(2);
  // A layer is removed, and the same one is fetched again in its place.
  await cp(join(paths.layers, first), join(top, "copy"), { recursive: true });
  await rm(join(paths.layers, first), { recursive: true });
  await rename(join(top, "copy"), join(paths.layers, first));
  for (const layer of opened) {
    await layer.markSynced();
    layer[Symbol.dispose]();
  }
  expect(await Bun.file(record(first)).json()).toMatchObject({ synced: false });
  expect(await Bun.file(record(second)).json()).toMatchObject({ synced: true });
  expect((await readdir(join(paths.layers, first))).toSorted()).toEqual(["fs", "layer.json", "list.jsonl"]);
});

test("only one of several processes fetches", async () => {
  const children = Array.from({ length: 4 }, () => startPull());
  const outputs = await Promise.all(children.map((child) => new Response(child.stdout).text()));
  expect(outputs.every((text) => text.includes('"image":"sha256:'))).toBe(true);
  const fetched = await Promise.all(children.map((child) => new Response(child.stderr).text()));
  const layers = fetched.flatMap((text) => [...text.matchAll(/"layers":(\d+)/g)].map((match) => Number(match[1])));
  expect(await temporary()).toEqual([]);
  // Each layer is fetched by exactly one of them.
  expect(layers.reduce((sum, each) => sum + each, 0)).toBe(3);
  expect(await readdir(join(top, "layers"))).toHaveLength(3);
});

test("two layers are fetched at once, and unpacked during the download", async () => {
  using own = layoutDirectorySource(layout, { tag: "one" });
  const { layers } = await own.manifest({ signal: AbortSignal.timeout(5000) });
  const begun = new Set<string>();
  const filesOf = async (name: string) =>
    (await readdir(join(top, "tmp", name, "layer/fs"), { recursive: true }).catch(() => [])).length;
  /** Two layers are partly unpacked before the second half of either has arrived. */
  const half = async () => {
    for (const deadline = performance.now() + 30_000; performance.now() < deadline; await Bun.sleep(10)) {
      const names = (await temporary().catch(() => [])).filter((name) => !name.endsWith(".lock"));
      const counts = await Promise.all(names.map(filesOf));
      if (begun.size === 2 && counts.filter((count) => count > 1).length === 2) return;
    }
    throw new Error("They were not unpacked while they came.");
  };
  let halves: Promise<void> | undefined;
  const source: ImageSource = {
    ...own,
    read: async function* (content, options) {
      const parts: Uint8Array[] = [];
      for await (const part of own.read(content, options)) parts.push(part);
      const whole = Buffer.concat(parts);
      if (!layers.some(({ digest }) => digest === content.digest) || begun.size === 2) return yield whole;
      begun.add(content.digest);
      yield whole.subarray(0, whole.length / 2);
      halves ??= half();
      await halves;
      yield whole.subarray(whole.length / 2);
    },
  };
  using acquired = await acquire(openStore(), "one", source);
  expect(acquired.image.layers).toHaveLength(3);
});

test("an image without layers is refused", async () => {
  await writeImage(layout, "empty", []);
  await expect(acquire(openStore(), "empty")).rejects.toThrow(
    /cannot be used: it has no layers, so there is nothing to run/,
  );
});

test("a cancelled start does not cancel others that wait for the same image; a timeout is reported as an error", async () => {
  const store = openStore();
  const give = new AbortController();
  using own = layoutDirectorySource(layout, { tag: "one" });
  const slow: ImageSource = {
    ...own,
    read: async function* (content, options) {
      await Bun.sleep(100);
      yield* own.read(content, options);
    },
  };
  const name = `oci:${layout}:one`;
  const first = store.acquire({ name, source: slow, reuse: false, keepFree: 0, verity: false, signal: give.signal });
  await Bun.sleep(50);
  const second = acquire(store, "one");
  give.abort(new Error("given up"));
  await expect(first).rejects.toThrow("given up");
  using acquired = await second;
  expect(acquired.image.layers).toHaveLength(3);
  await rm(join(top, "images"), { recursive: true });
  await rm(join(top, "layers"), { recursive: true });
  await mkdir(join(top, "images"));
  await mkdir(join(top, "layers"));
  const late = store.acquire({
    name,
    source: slow,
    reuse: false,
    keepFree: 0,
    verity: false,
    signal: AbortSignal.timeout(150),
  });
  await expect(late).rejects.toThrow(/timed out \(option image_pull_timeout, or the plugin option pull_timeout\)/);
  expect(await temporary()).toEqual([]);
});

test("a store of another format is not changed", async () => {
  await writeFile(join(top, "format"), "something else\n");
  await expect(acquire(openStore(), "one")).rejects.toThrow(
    /has the format "something else", which this driver version/,
  );
  await rm(top, { recursive: true });
  await writeFile(top, "a file");
  await expect(acquire(openStore(), "one")).rejects.toThrow(/is unusable: (EEXIST|ENOTDIR)/);
  await rm(top);
  await mkdir(top);
});

describe("garbage collection", () => {
  const images = async () => (await readdir(join(top, "images"))).length;
  const layers = async () => (await readdir(join(top, "layers"))).length;

  async function both(store: ImageStore): Promise<readonly [AcquiredImage, AcquiredImage]> {
    return [await acquire(store, "one"), await acquire(store, "two")];
  }

  test("keeps what is about to be used", async () => {
    const store = openStore();
    const [one, two] = await both(store);
    expect(await store.collect(Date.now() + 1000, 0)).toBeUndefined();
    one[Symbol.dispose]();
    expect(await openStore().collect(Date.now() + 1000, 0)).toBeUndefined();
    two[Symbol.dispose]();
    expect(await store.collect(Date.now() + 1000, 0)).toMatchObject({ left: 0 });
    expect([await images(), await layers()]).toEqual([0, 0]);
    expect(await readdir(join(top, "references"))).toEqual([]);
    expect(await temporary()).toEqual([]);
  });

  test("removes files that a killed process was writing", async () => {
    const store = openStore();
    (await acquire(store, "one"))[Symbol.dispose]();
    for (const directory of ["images", "references"]) {
      await writeFile(join(top, directory, `x.json.${crypto.randomUUID()}.new`), "{");
    }
    await store.collect(0, 0);
    expect(await images()).toBe(1);
    expect(await readdir(join(top, "references"))).toHaveLength(1);
  });

  test("keeps what other processes' stores begin to use at the same time", async () => {
    const rounds = 20;
    let starting = true;
    let collected = 0;
    const collector = (async () => {
      const store = openStore(() => starting);
      while (starting) {
        const gone = await store.collect(Date.now() + 1000, 0);
        collected += gone?.images.length ?? 0;
        await Bun.sleep(1);
      }
    })();
    const starter = async (store: ImageStore, name: string) => {
      // The garbage collection has to have removed something.
      for (let round = 0; round < rounds || collected === 0; round += 1) {
        const tag = round % 2 === 0 ? "two" : "one";
        const acquired = await acquire(store, tag);
        const root = await store.prepareSnapshot({ machine: `${name}-${round}`, ...onDisk(acquired.image) });
        acquired[Symbol.dispose]();
        expect(await readdir(join(root, "base"))).toHaveLength(40);
        await releaseRoot(store.containerDirectory(`${name}-${round}`));
      }
    };
    try {
      await Promise.all([starter(openStore(), "a"), starter(openStore(), "b")]);
    } finally {
      starting = false;
      await collector;
    }
    expect(await readdir(join(top, "containers"))).toEqual([]);
    expect(await temporary()).toEqual([]);
  }, 120_000);

  test("removes images that were unused for long enough, and those of their layers that no other image has", async () => {
    const store = openStore();
    const [one, two] = await both(store);
    one[Symbol.dispose]();
    two[Symbol.dispose]();
    const old = new Date(Date.now() - 60_000);
    const age = async (name: string) => utimes(join(top, "images", `sha256-${name.slice(7)}.json`), old, old);
    await age(one.image.digest);
    for (const name of await readdir(join(top, "layers"))) await utimes(join(top, "layers", name), old, old);
    expect(await store.collect(Date.now() - 30_000, 0)).toMatchObject({ images: [one.image.digest], left: 1 });
    expect([await images(), await layers()]).toEqual([1, 2]);
  });

  test("keeps what a container uses, whatever its age, even without free space", async () => {
    const store = openStore();
    const [one, two] = await both(store);
    const machine = "machine";
    const root = await store.prepareSnapshot({ machine, ...onDisk(one.image) });
    one[Symbol.dispose]();
    two[Symbol.dispose]();
    const collected = await store.collect(0, Number.MAX_SAFE_INTEGER);
    expect(collected).toMatchObject({ images: [two.image.digest] });
    expect(await readdir(join(root, "one"))).toHaveLength(40);
    // Another process sees it too, and removes it when it has no owner any more.
    expect(await openStore().collect(Date.now() + 1000, 0)).toMatchObject({ images: [] });
    await openStore(() => false).open();
    expect(existsSync(store.containerDirectory(machine))).toBe(false);
    expect(readMounts().some(({ path }) => path.startsWith(top))).toBe(false);
    expect(await store.collect(Date.now() + 1000, 0)).toMatchObject({ images: [one.image.digest] });
    expect(await layers()).toBe(0);
  });
});

describe("images", () => {
  async function command(...args: readonly string[]) {
    const child = Bun.spawn([process.execPath, main, "images", ...args, "--store", top], {
      env: {},
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { out, err, code };
  }

  test("lists, verifies and prunes", async () => {
    expect(await command("list")).toMatchObject({ code: 0, err: expect.stringContaining("No image store exists") });
    const store = openStore();
    const one = await acquire(store, "one");
    const two = await acquire(store, "two");
    expect(await command("prune")).toMatchObject({ code: 1, err: expect.stringContaining("nothing was removed") });
    await store.prepareSnapshot({ machine: "machine", ...onDisk(one.image) });
    one[Symbol.dispose]();
    two[Symbol.dispose]();
    const { out } = await command();
    expect(out).toContain(`oci:${layout}:one\n    ${one.image.digest}\n`);
    expect(out).toMatch(/in 3 layers, used by machine/);
    expect(out).toMatch(/in 2 layers, unused since 20/);
    expect(JSON.parse((await command("list", "--json")).out).images).toHaveLength(2);
    expect(await command("verify")).toMatchObject({ code: 0, out: "All 4 layers are intact.\n" });
    // The container's directory has no owner: it has no files.
    expect(await command("prune")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Removed 2 images and 4 layers;/),
    });
    expect(await command("list")).toMatchObject({ code: 0, out: "No images.\n" });
    expect(await command("nothing")).toMatchObject({ code: 2 });
  });

  test("verify reports every kind of change", async () => {
    using acquired = await acquire(openStore(), "one");
    const tops = acquired.image.diffIds.map((diffId) => join(top, "layers", diffId.replace(":", "-")));
    const [base = "", one = "", more = ""] = tops;
    const [file0, file1, file2, file3] = [0, 1, 2, 3].map((index) => join(base, "fs/base", String(index)));
    const { atime, mtime } = await stat(file0 ?? "");
    // The same size and time: a bit that flipped on the disk.
    const content = await readFile(file0 ?? "");
    content[5000] = (content[5000] ?? 0) ^ 1;
    await writeFile(file0 ?? "", content);
    await utimes(file0 ?? "", atime, mtime);
    await rm(file1 ?? "");
    await chmod(file2 ?? "", 0o4755);
    await chown(file3 ?? "", 1, 0);
    await writeFile(join(one, "fs/stranger"), "");
    await rm(join(more, "list.jsonl"));
    const { out, code } = await command("verify");
    expect(code).toBe(1);
    for (const text of [
      "/base/0 has other content.",
      "/base/1 is missing.",
      "/base/2 has mode",
      "/base/3 has owner 1, expected 0.",
      "/stranger is not part of it.",
      "list.jsonl is missing or damaged.",
    ]) {
      expect(out).toContain(text);
    }
    await rm(one, { recursive: true });
    expect((await command("verify")).out).toContain("it will be fetched when needed");
  });
});

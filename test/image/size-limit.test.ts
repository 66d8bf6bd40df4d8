/** The largest size of a store: what makes room, and what is refused. */

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { layoutDirectorySource } from "../../src/image/files-source";
import { ImageStore } from "../../src/image/store/image-store";
import { SizeLimitError, storedBytes } from "../../src/image/store/size-limit";
import { storePaths } from "../../src/image/store/store-format";
import { createLogger } from "../../src/plugin/logger";
import { withinSize } from "../../src/rootfs/within-size";
import { writeImage } from "../support/oci-image";
import { archive, file } from "../support/tar-archive";

const MB = 1_000_000;
let scratch = "";
let layout = "";
let top = "";
let store: ImageStore;
beforeAll(async () => {
  scratch = await mkdtemp("/var/tmp/size-limit-");
  layout = join(scratch, "layout");
  const noise = (name: string) => ({
    archive: archive([file(name, "", { data: randomBytes(2 * MB) })]),
    kind: "gzip" as const,
  });
  const zeros = { archive: archive([file("zeros", "", { data: Buffer.alloc(80 * MB) })]), kind: "gzip" as const };
  for (const name of ["one", "two", "three"]) await writeImage(layout, name, [noise(name)]);
  await writeImage(layout, "bomb", [noise("small"), zeros]);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  top = await mkdtemp(join(scratch, "store-"));
  store = new ImageStore({ directory: top, log: createLogger("store", () => {}), isOwned: () => true });
});

function acquire(tag: string, most: number | undefined) {
  const source = layoutDirectorySource(layout, { tag });
  const limits = { keepFree: 0, verity: false, mostBytes: most, signal: AbortSignal.timeout(60_000) };
  return withinSize(store, most, () => store.acquire({ name: tag, source, reuse: false, ...limits }));
}
const pull = async (tag: string, most?: number) => (await acquire(tag, most))[Symbol.dispose]();
const images = async () => (await readdir(join(top, "images"))).length;
const refusal = async (work: Promise<unknown>) => {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof SizeLimitError)) throw error;
  return { message: error.message, recoverable: error.recoverable };
};

test("a pull that does not fit removes the image that was used least recently", async () => {
  await pull("one", 5 * MB);
  await pull("two", 5 * MB);
  expect(await images()).toBe(2);
  await pull("one", 5 * MB);
  await pull("three", 5 * MB);
  // By the estimate of three times the compressed size both others may be too much.
  expect(await images()).toBeLessThanOrEqual(2);
  expect(await storedBytes(storePaths(top))).toBeLessThanOrEqual(5 * MB);
});

test("images in use are kept, and the pull is refused and can be repeated", async () => {
  {
    using _used = await acquire("one", 3 * MB);
    const { message, recoverable } = await refusal(acquire("two", 3 * MB));
    expect(message).toMatch(
      /^The image two needs at least 2 MiB in the image store, which has 1\.9 MiB and may have 2\.9 MiB /,
    );
    expect(recoverable).toBe(true);
  }
  await pull("two", 3 * MB);
  expect(await images()).toBe(1);
});

test("an image that unpacks to more than the limit is stopped, and leaves nothing", async () => {
  const { recoverable, message } = await refusal(acquire("bomb", 50 * MB));
  expect(recoverable).toBe(false);
  expect(message).toContain("may have 47.7 MiB (plugin option gc.image_max_size)");
  expect(await images()).toBe(0);
  expect(await storedBytes(storePaths(top))).toBeLessThanOrEqual(50 * MB);
  expect(await readdir(join(top, "tmp"))).toEqual([]);
  expect((await refusal(acquire("one", MB))).recoverable).toBe(false);
});

test("a limit that was lowered is kept by the next collection", async () => {
  for (const tag of ["one", "two", "three"]) await pull(tag);
  await store.collect(0, 0);
  expect(await images()).toBe(3);
  await store.collect(0, 0, 5 * MB);
  expect(await images()).toBe(2);
  await store.collect(0, 0, 0);
  expect(await images()).toBe(0);
});

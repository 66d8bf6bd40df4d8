/** An image of the store as an archive, and back. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { archiveSource, layoutDirectorySource } from "../../src/image/files-source";
import type { ImageSource } from "../../src/image/source";
import { ContentVerifier } from "../../src/image/store/content-verify";
import { exportImage } from "../../src/image/store/export";
import { ImageStore } from "../../src/image/store/image-store";
import { verifyLayer } from "../../src/image/store/layer-verify";
import { layerDirectory } from "../../src/image/store/layers";
import { type StoredImage, storePaths } from "../../src/image/store/store-format";
import { createLogger } from "../../src/plugin/logger";
import { writeImage } from "../support/oci-image";
import { archive, directory, file, symlink } from "../support/tar-archive";

let scratch = "";
beforeAll(async () => {
  scratch = await mkdtemp("/var/tmp/export-");
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const CAPABILITY = Buffer.from("0100000200040000000000000000000000000000", "hex");

const LAYERS = [
  archive([
    directory("./", { mode: 0o711 }),
    directory("etc/", { mode: 0o750, gid: 5 }),
    file("etc/old", "old"),
    file("bin/ping", "x", { mode: 0o4755, pax: { "SCHILY.xattr.security.capability": CAPABILITY } }),
    file("big", "z".repeat(70_000), { uid: 3_000_000, pax: { uid: "3000000" } }),
    symlink("link", "/etc/old"),
    { name: "hard", type: "1", link: "big" },
    { name: "pipe", type: "6" },
    file("name \xe9", "not ASCII"),
    directory("var/"),
    directory("var/lib/"),
    file("var/lib/data"),
  ]),
  archive([file("etc/.wh.old"), file("usr/implied/new", "1"), directory("var/lib/"), file("var/lib/.wh..wh..opq")]),
  archive([file("etc/.wh.old"), file("usr/implied/new", "1"), directory("var/lib/"), file("var/lib/.wh..wh..opq")]),
];

async function stored(name: string, source: ImageSource) {
  const top = join(scratch, name);
  const store = new ImageStore({ directory: top, log: createLogger("store", () => {}), isOwned: () => true });
  const wanted = { name, source, reuse: false, keepFree: 0, verity: false, signal: AbortSignal.timeout(60_000) };
  using acquired = await store.acquire(wanted);
  return { paths: storePaths(top), image: acquired.image };
}

async function exported({ paths, image }: Awaited<ReturnType<typeof stored>>) {
  const made = await exportImage(paths, image, { name: "r.lan/team/app:1", tag: "1" });
  const bytes = Buffer.concat([...made.read()]);
  expect(bytes.length).toBe(made.size);
  return { bytes, digest: made.digest };
}

/** The records of what was unpacked, in the order of their names; names that an archive only implies are among them. */
async function records({
  paths,
  image,
}: {
  readonly paths: ReturnType<typeof storePaths>;
  readonly image: StoredImage;
}) {
  const lists = image.diffIds.map((diffId) => readFile(join(layerDirectory(paths, diffId), "list.jsonl"), "utf8"));
  return (await Promise.all(lists)).map((list) => list.trim().split("\n").toSorted());
}

test("has the same content when it is read again, and then gives the same bytes", async () => {
  await writeImage(
    join(scratch, "layout"),
    "1",
    LAYERS.map((one) => ({ archive: one, kind: "gzip" as const })),
    {
      Entrypoint: ["/bin/ping"],
    },
  );
  const first = await stored("one", layoutDirectorySource(join(scratch, "layout"), { tag: "1" }));
  const { bytes, digest } = await exported(first);
  const path = join(scratch, "app.tar");
  await writeFile(path, bytes);
  const temporary = async () => scratch;
  using source = archiveSource({ path, format: "oci", asked: "1", temporary, keepFree: 0 });
  const second = await stored("two", source);
  expect(second.image.digest).toBe(digest);
  const [before, after] = [await records(first), await records(second)];
  for (const [index, list] of before.entries()) {
    // The two names of one file may be written in another order.
    const others = (lines: readonly string[] = []) => lines.filter((line) => !/"\/(?:big|hard)"/.test(line));
    expect(others(after[index])).toEqual(others(list));
  }
  for (const diffId of second.image.diffIds)
    expect([...verifyLayer(layerDirectory(second.paths, diffId), new ContentVerifier(true))]).toEqual([]);
  expect(JSON.parse(second.image.configText).config).toEqual(JSON.parse(first.image.configText).config);
  expect(second.image.implied).toEqual(first.image.implied);
  expect((await exported(second)).bytes.equals(bytes)).toBe(true);
});

test("is refused if a layer is missing", async () => {
  const { paths, image } = await stored("three", layoutDirectorySource(join(scratch, "layout"), { tag: "1" }));
  await rm(layerDirectory(paths, image.diffIds[0] ?? ""), { recursive: true });
  expect(exportImage(paths, image, {})).rejects.toThrow(/cannot be exported: its layer sha256:.* is missing/);
});

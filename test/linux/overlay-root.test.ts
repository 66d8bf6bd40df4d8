/** Overlay roots on this kernel; the vm level has another kernel, whose overlayfs requires mounted layers. */

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { detachMount, readMounts } from "../../src/linux/mount";
import { MAX_LAYERS, mountOverlay } from "../../src/linux/overlay";
import { openUserNamespace } from "../../src/linux/user-namespace";

let scratch = "";
let top = "";
beforeAll(async () => {
  scratch = await mkdtemp("/var/tmp/overlay-root-");
});
afterAll(() => rm(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  top = await mkdtemp(join(scratch, "case-"));
});

test.each(["if needed", "always"] as const)(
  "owners are mapped below an overlay, temporary mounts: %s",
  async (attach) => {
    const paths = ["lower", "upper", "work", "root", "scratch"].map((name) => join(top, name));
    const [lower = "", upper = "", work = "", target = "", places = ""] = paths;
    for (const path of paths) await mkdir(path);
    await writeFile(join(lower, "file"), "content");
    const owners = await openUserNamespace(1_000_013_824, 65_536);
    try {
      const before = readMounts().length;
      await mountOverlay({ layers: [lower], upper, work, target, owners, scratch: places }, attach);
      expect(readMounts()).toHaveLength(before + 1);
      expect(await lstat(join(target, "file"))).toMatchObject({ uid: 1_000_013_824, gid: 1_000_013_824 });
      expect(await readFile(join(target, "file"), "utf8")).toBe("content");
      expect(await readdir(places)).toEqual([]);
      await writeFile(join(target, "new"), "x");
      expect(await readdir(upper)).toEqual(["new"]);
    } finally {
      if (owners !== undefined) closeSync(owners);
      detachMount(target);
    }
  },
);

test("the maximum number of layers, and one more", async () => {
  const [upper, work, target, places] = ["upper", "work", "root", "scratch"].map((name) => join(top, name));
  const layers = Array.from({ length: MAX_LAYERS + 1 }, (_, index) => join(top, `layer-${index}`));
  for (const path of [upper, work, target, places, ...layers]) if (path !== undefined) await mkdir(path);
  for (const [index, layer] of layers.entries()) await writeFile(join(layer, `file-${index}`), "");
  const root = { upper: upper ?? "", work: work ?? "", target: target ?? "", scratch: places ?? "" };
  try {
    await mountOverlay({ ...root, layers: layers.slice(1) });
    expect((await readdir(root.target)).length).toBe(MAX_LAYERS);
  } finally {
    detachMount(root.target);
  }
  await expect(mountOverlay({ ...root, layers })).rejects.toThrow(/it has 201 layers, and at most 200/);
});

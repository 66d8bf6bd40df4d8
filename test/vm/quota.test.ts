/** storage_limit by project quotas: this machine's kernel has them for ext4 and XFS, that of the others does not. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { enforcesProjectQuotas, projectOf, projectUsage } from "../../src/linux/project-quota";
import { isOwnProject } from "../../src/values/project-ids";
import { run } from "../../tools/command";
import { type Fixture, openFixture, shell } from "../protocol/fixture";
import { archiveOf, writeImage } from "../support/oci-image";
import type { PreparedTask } from "../support/task";

const LIMIT = "4MiB";
const LIMIT_BYTES = 4 * 1024 * 1024;

const fill = (megabytes: number, name: string) => `dd if=/dev/zero of=/${name} bs=1M count=${megabytes} 2>&1; sync`;

/** File systems with project quotas; mkfs.xfs makes none below 300 MB. */
const kinds = [
  { kind: "ext4", size: "128M", make: ["mkfs.ext4", "-q", "-O", "project,quota"], option: "prjquota" },
  { kind: "XFS", size: "300M", make: ["mkfs.xfs", "-q"], option: "pquota" },
] as const;

describe.each(kinds)("on $kind", ({ kind, size, make, option }) => {
  let bench: Fixture;
  let directory = "";
  let store = "";
  let stored = "";
  beforeAll(async () => {
    directory = await mkdtemp("/var/tmp/quota-");
    const [image, mountPoint] = [join(directory, "disk.raw"), join(directory, "disk")];
    await mkdir(mountPoint);
    await run(["truncate", `--size=${size}`, image]);
    await run([...make, image]);
    await run(["mount", "-o", `loop,${option}`, image, mountPoint]);
    store = join(mountPoint, "images");
    bench = await openFixture({ image_store: store, gc: { image_delay: "1h", image_min_free: "1MB" } });
    stored = await writeImage(directory, "image", [{ archive: await archiveOf(bench.busybox) }]);
  }, 120_000);
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    expect(await readdir(join(store, "containers"))).toEqual([]);
    await run(["umount", join(directory, "disk")]);
    await rm(directory, { recursive: true });
  }, 120_000);

  const onImage = () => ({ image: stored, volatile: undefined, storage_limit: LIMIT });
  const onDirectory = () => ({ ephemeral: true, volatile: "no", storage_limit: LIMIT });

  /** The upper directory of a task's root, and its project. */
  async function projectOfTask(task: PreparedTask) {
    const { driver } = await bench.client().inspectTask(task.id);
    const upper = join(store, "containers", driver?.attributes["machine"] ?? "", "upper");
    return { upper, project: projectOf(upper) };
  }

  test("the file system is as the tests need it", () => {
    expect(enforcesProjectQuotas(directory)).toBe(false);
    expect(enforcesProjectQuotas(join(directory, "disk"))).toBe(true);
  });

  test.each([
    ["a stored image", onImage],
    ["a directory", onDirectory],
  ])(
    "a write beyond the limit fails at once on %s, the task keeps running, and its project is free afterwards",
    async (_, more) => {
      const script = `${fill(6, "much")}; rm /much; ${fill(2, "less")}; du -k /less; echo kept; exec sleep 1000`;
      const task = await bench.started(shell(bench.busybox, script, more()));
      const stdout = await task.stdout.waitFor("kept\n");
      expect(stdout).toMatch(/Disk quota exceeded|No space left on device/);
      expect(stdout).toMatch(/\n2\d{3}\t\/less\nkept\n$/);
      const { upper, project } = await projectOfTask(task);
      expect(isOwnProject(project)).toBe(true);
      const { bytes, limit } = projectUsage(upper, project);
      expect(limit).toBe(LIMIT_BYTES);
      expect(bytes).toBeGreaterThanOrEqual(LIMIT_BYTES / 2);
      expect(bytes).toBeLessThanOrEqual(LIMIT_BYTES);
      await bench.client().destroyTask(task.id, true);
      expect(projectUsage(store, project)).toEqual({ bytes: 0, limit: 0 });
    },
    120_000,
  );

  // Nothing of it depends on the file system beyond what the tests above look at.
  if (kind !== "ext4") return;
  test("two tasks do not disturb each other, the kernel limits a recovered one, and its project is free afterwards", async () => {
    const script = `${fill(6, "full")}; echo up; until test -e /local/go; do sleep 0.2; done; ${fill(6, "full")}; echo end`;
    const task = await bench.task(shell(bench.busybox, script, onImage()));
    const handle = await bench.start(task);
    await task.stdout.waitFor("up\n");
    const other = await bench.finished(shell(bench.busybox, `${fill(3, "half")}; echo kept`, onImage()));
    expect(other.stdout).toMatch(/kept\n$/);
    expect(other.stdout).not.toMatch(/quota|space left/);

    const { upper, project } = await projectOfTask(task);
    expect(isOwnProject(project)).toBe(true);
    const { bytes, limit } = projectUsage(upper, project);
    expect(limit).toBe(LIMIT_BYTES);
    expect(bytes).toBeGreaterThan(LIMIT_BYTES / 2);
    expect(bytes).toBeLessThanOrEqual(LIMIT_BYTES);

    await bench.replacePlugin();
    await bench.client().recoverTask(handle);
    await bench.client().execTask(task.id, ["/bin/touch", "/local/go"]);
    const { result } = await bench.client().waitTask(task.id);
    expect(result).toMatchObject({ exitCode: 0, signal: 0 });
    await bench.client().destroyTask(task.id);
    expect(projectUsage(store, project)).toEqual({ bytes: 0, limit: 0 });
  }, 240_000);
});

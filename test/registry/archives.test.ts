/** Images in archives, as skopeo writes them, through the plugin: absolute ones, and those in the task's directory. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { run } from "../../tools/command";
import { type Fixture, useFixture } from "../protocol/fixture";
import { sentence } from "../protocol/inside";
import { archiveOf, writeImage } from "../support/oci-image";

const store = `/var/tmp/archives-${process.pid}`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: store, gc: { image_delay: "1h" } },
);

let top = "";
let layout = "";
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "archives-"));
  layout = join(top, "layout");
  const base = await archiveOf(bench.busybox);
  for (const tag of ["one", "two"]) {
    await writeImage(layout, tag, [{ archive: base }], { Entrypoint: ["/bin/echo"], Cmd: [tag] });
  }
  await skopeo("oci-archive:one.tar:one", "one");
  await skopeo("docker-archive:docker.tar:team/app:one", "one");
  for (const name of ["one.tar", "docker.tar"]) {
    for (const program of ["gzip", "xz", "zstd"]) await run([program, "--keep", "--quiet", join(top, name)]);
  }
});
afterAll(async () => {
  expect(await readdir(join(store, "tmp"))).toEqual([]);
  await rm(top, { recursive: true, force: true });
  await rm(store, { recursive: true, force: true });
});

async function skopeo(to: string, tag: string): Promise<void> {
  await run(["skopeo", "copy", "--quiet", `oci:${layout}:${tag}`, to], { cwd: top });
}

async function output(image: string): Promise<string> {
  const end = await bench.finished({ config: { image, network_veth: false } });
  if (end.code !== 0) throw new Error(`code ${end.code} signal ${end.signal}: ${end.err}\n${end.stderr}`);
  return end.stdout;
}

describe("absolute paths", () => {
  test.each([
    "oci-archive:TOP/one.tar:one",
    "oci-archive:TOP/one.tar",
    "oci-archive:TOP/one.tar.gz:one",
    "oci-archive:TOP/one.tar.xz:one",
    "docker-archive:TOP/docker.tar:team/app:one",
    "docker-archive:TOP/docker.tar:one",
    "docker-archive:TOP/docker.tar.zst",
    "docker-archive:TOP/docker.tar.gz:@0",
  ])("%s", async (name) => expect(await output(name.replace("TOP", top))).toBe("one\n"));

  test("an archive that has changed is read again, one that has not is not", async () => {
    await run(["cp", join(top, "one.tar"), join(top, "changed.tar")]);
    const image = `oci-archive:${top}/changed.tar`;
    expect(await output(image)).toBe("one\n");
    await rm(join(top, "changed.tar"));
    await skopeo("oci-archive:changed.tar:two", "two");
    expect(await output(image)).toBe("two\n");
    const { stdout } = await run([driverBinary(), "images", "--store", store]);
    expect(stdout).toContain(`oci-archive:${top}/changed.tar (`);
  });

  test.each([
    ["oci-archive:TOP/one.tar:three", 'has no image "three": available tags: one'],
    ["docker-archive:TOP/docker.tar:three", 'has no image "three"; available: docker.io/team/app:one'],
    ["docker-archive:TOP/one.tar", "is not an archive of docker save, or is incomplete"],
    ["oci-archive:TOP/docker.tar", "is not an OCI image layout, or is incomplete"],
    ["oci-archive:TOP/none.tar", "none.tar does not exist"],
    ["oci-archive:TOP/layout", "is not a regular file"],
    ["oci-archive:TOP/layout/oci-layout", "is not a tar archive"],
  ])("refused: %s", async (name, text) => {
    const task = await bench.task({ config: { image: name.replace("TOP", top), network_veth: false } });
    expect(await sentence(bench.start(task))).toContain(text);
  });
});

describe("in the task's directory", () => {
  /** What a task says whose directory was filled by `prepare`; it may be started again. */
  async function said(image: string, prepare: (local: string) => Promise<unknown>, more: object = {}): Promise<string> {
    const task = await bench.task({ config: { image, network_veth: false, ...more } });
    await prepare(task.dirs.local);
    await bench.start(task);
    const { result, err } = await bench.client().waitTask(task.id);
    await bench.client().destroyTask(task.id);
    if (result?.exitCode !== 0) throw new Error(`code ${result?.exitCode}: ${err} ${await task.stderr.ended()}`);
    return await task.stdout.ended();
  }
  const copy = (from: string, to: string) => (local: string) =>
    cp(join(top, from), join(local, to), { recursive: true });

  test.each([
    ["oci-archive:local/image:one", copy("one.tar.gz", "image")],
    ["docker-archive:local/image", copy("docker.tar", "image")],
    ["local/image", copy("one.tar", "image")],
    ["/local/image.tar.xz", copy("docker.tar.xz", "image.tar.xz")],
    ["oci:local/image:two", copy("layout", "image")],
  ])("%s", async (image, prepare) => {
    expect(await said(image, prepare)).toBe(image.includes("two") ? "two\n" : "one\n");
  });

  test("a root directory", async () => {
    const prepare = (local: string) => run(["cp", "-a", bench.busybox, join(local, "root")]);
    const options = { boot: false, command: ["/bin/echo", "a directory"] };
    expect(await said("local/root", prepare, options)).toBe("a directory\n");
  });

  test("refused: an archive of something else, and a symlink that leads out", async () => {
    for (const [name, text] of [
      ["local/tree.tar", "has no container image: neither oci-layout nor manifest.json is in it"],
      ["local/out", "which is outside of the task's directory local"],
      ["oci-archive:local/none", 'a relative path is in the task\'s directory local, as in "local/none"'],
    ] as const) {
      const task = await bench.task({ config: { image: name, network_veth: false } });
      await run(["tar", "--create", `--file=${join(task.dirs.local, "tree.tar")}`, "-C", layout, "index.json"]);
      await symlink(join(top, "one.tar"), join(task.dirs.local, "out"));
      expect(await sentence(bench.start(task))).toContain(text);
    }
  });
});

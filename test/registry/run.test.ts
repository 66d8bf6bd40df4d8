/** `run` and `images` of the executable, with the store in its default directory. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";

const store = "/var/lib/nomad-driver-nspawn";
const fresh = !existsSync(store);
let layouts = "";
let image = "";
beforeAll(async () => {
  layouts = await mkdtemp(join(tmpdir(), "run-layouts-"));
  const says = { Entrypoint: ["/bin/echo", "the image says"], Cmd: ["hello"], User: "app" };
  image = await writeImage(layouts, "one", [{ archive: await archiveOf(await busyboxImage()) }], says);
});
afterAll(async () => {
  await rm(layouts, { recursive: true, force: true });
  if (fresh) await rm(store, { recursive: true, force: true });
});

const driver = (...args: readonly string[]) => attempt([driverBinary(), ...args]);

test("run runs the image's command, or another one; images lists and removes the image", async () => {
  expect(await driver("run", image)).toMatchObject({ code: 0, stdout: "the image says hello\n" });
  expect(await driver("run", image, "--", "id", "-u")).toMatchObject({ code: 0, stdout: "1000\n" });
  expect((await driver("images")).stdout).toContain(`${image}\n    sha256:`);
  expect(await driver("images", "verify")).toMatchObject({ code: 0 });
  expect(await driver("images", "prune")).toMatchObject({ code: 0 });
  expect((await driver("images")).stdout).not.toContain(image);
});

test("images export writes an archive that skopeo and the driver read; with the agent's config", async () => {
  const archive = join(layouts, "export.tar");
  const config = join(layouts, "agent.hcl");
  const own = join(layouts, "store");
  await writeFile(config, `plugin "nspawn" { config { image_store = ${JSON.stringify(own)} } }`);
  const images = (...args: readonly string[]) => driver("images", ...args, "--config", config);
  expect(await images("pull", image)).toMatchObject({ code: 0 });
  expect(await images("export", image, "-o", archive)).toMatchObject({ code: 0, stdout: "" });
  const inspected = await run(["skopeo", "inspect", "--config", `oci-archive:${archive}`]);
  expect(JSON.parse(inspected.stdout)).toMatchObject({
    config: { User: "app", Entrypoint: ["/bin/echo", "the image says"] },
  });
  await run(["skopeo", "copy", "--quiet", `oci-archive:${archive}`, `docker-archive:${join(layouts, "copy.tar")}:a:1`]);
  const names = [`oci-archive:${archive}`, `docker-archive:${join(layouts, "copy.tar")}:a:1`];
  for (const name of names) {
    expect(await driver("run", name)).toMatchObject({ code: 0, stdout: "the image says hello\n" });
  }
  expect(await images("export", "none:1")).toMatchObject({ code: 2 });
  expect((await images("df")).stdout).toMatch(/ \d+ s {2}oci:/);
  expect(await driver("images", "pull", "alpine:3", "--config", "/none")).toMatchObject({ code: 2 });
  expect(await driver("images", "prune")).toMatchObject({ code: 0 });
});

test("images pull fetches an image; list and df show it", async () => {
  const pulled = await driver("images", "pull", image, "--json");
  expect(JSON.parse(pulled.stdout)).toMatchObject({ images: [{ name: image, fetched: true }] });
  expect((await driver("images", "pull", image)).stdout).toContain(", was in the store\n");
  expect((await driver("images")).stdout).toMatch(/ {4}resolved \d+ s ago\n/);
  const sizes: unknown = JSON.parse((await driver("images", "df", "--json")).stdout);
  expect(sizes).toMatchObject({ images: [{ names: [image], sharedBytes: 0 }] });
  expect((await driver("images", "df")).stdout).toContain(image);
  expect(await driver("images", "pull")).toMatchObject({ code: 2 });
  expect((await driver("images", "pull", "debian")).stderr).toContain("is not the name of a container image");
  expect((await driver("images", "pull", `oci:${layouts}:none`)).stderr).toContain('has no image "none"');
  expect(await driver("images", "prune")).toMatchObject({ code: 0 });
});

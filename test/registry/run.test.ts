/** `run` and `images` of the executable, with the store in its default directory. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { attempt } from "../../tools/command";
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

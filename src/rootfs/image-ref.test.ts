import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageRef } from "./image-ref";

let top = "";
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), "origin-"));
  for (const path of ["plugins/my.images/debian", "plugins/odd:1", "machines/debian:12"]) {
    mkdirSync(join(top, path), { recursive: true });
  }
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

test.each([
  ["debian", "host"],
  ["/var/lib/machines/debian", "host"],
  ["images/debian", "host"],
  ["my.images/debian", "host"],
  ["odd:1", "host"],
  ["debian:12", "host"],
  ["debian:13", "registry"],
  ["docker://debian", "registry"],
  ["docker://debian:12", "registry"],
  ["oci://registry.lan/debian", "registry"],
  ["registry.lan/debian", "registry"],
  ["oci:/srv/images:debian", "layout"],
  ["a\0:b", "host"],
] as const)("%p has the origin %s", (image, kind) =>
  expect(imageRef(image, { pluginDir: join(top, "plugins"), machineDirectories: [join(top, "machines")] }).kind).toBe(
    kind,
  ),
);

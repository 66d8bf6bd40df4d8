import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { imageRef } from "./image-ref";

let top = "";
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), "origin-"));
  const directories = ["plugins/my.images/debian", "plugins/odd:1", "machines/debian:12", "plugins/local/shared"];
  for (const path of [...directories, "task/local/root/usr", "task/local/layout", "task/local/r.lan", "task/secrets"]) {
    mkdirSync(join(top, path), { recursive: true });
  }
  const header = Buffer.alloc(512);
  header.write("oci-layout");
  header.write("0000000", 124);
  const sum = header.reduce((total, byte) => total + byte, 8 * 32);
  header.write(sum.toString(8).padStart(6, "0"), 148);
  const files = { "layout/oci-layout": "{}", "a.tar": header, "a.tgz": gzipSync("x"), "disk.raw": Buffer.alloc(4096) };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(top, "task/local", name), content);
  symlinkSync("a.tar", join(top, "task/local/link"));
  symlinkSync("/etc/passwd", join(top, "task/local/out"));
  symlinkSync("../secrets", join(top, "task/local/near"));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

const where = () => ({
  pluginDir: join(top, "plugins"),
  local: join(top, "task/local"),
  machineDirectories: [join(top, "machines")],
});

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
  ["oci-archive:/srv/a.tar:1", "archive"],
  ["docker-archive:/srv/a.tar", "archive"],
] as const)("%p has the origin %s", (image, kind) => expect(imageRef(image, where())).toMatchObject({ kind }));

test.each([
  ["local/root", { kind: "host", inTask: "root" }],
  ["./local/root", { kind: "host", inTask: "root" }],
  ["/local/root", { kind: "host", inTask: "root" }],
  ["local/r.lan", { kind: "host", inTask: "r.lan" }],
  ["local/layout", { kind: "layout", inTask: "layout" }],
  ["local/a.tar", { kind: "archive", inTask: "a.tar", reference: { format: "any" } }],
  ["local/link", { kind: "archive", inTask: "a.tar" }],
  ["local/a.tgz", { kind: "archive", inTask: "a.tgz" }],
  ["local/disk.raw", { kind: "host", inTask: "disk.raw" }],
  ["oci-archive:local/a.tar:x", { kind: "archive", inTask: "a.tar", reference: { format: "oci", asked: "x" } }],
  ["docker-archive:/local/a.tar", { kind: "archive", inTask: "a.tar", reference: { format: "docker" } }],
  ["oci:local/layout:1", { kind: "layout", inTask: "layout", reference: { tag: "1" } }],
  ["local/../local/root", { kind: "host", inTask: "root" }],
] as const)("%p is in the task's directory", (image, { inTask, ...expected }) => {
  const found = imageRef(image, where());
  expect(found).toMatchObject(expected);
  expect("inTask" in found ? found.inTask : "").toBe(join(top, "task/local", inTask));
});

test.each(["local/out", "local/near", "oci:local/near/x", "local/../secrets"])("%p leads out of it", (image) => {
  if (image.endsWith("/x")) mkdirSync(join(top, "task/secrets/x"), { recursive: true });
  expect(() => imageRef(image, where())).toThrow(/outside of the task's directory local/);
});

test("a path that is not there is one of the plugin directory", () => {
  expect(imageRef("local/shared", where())).toEqual({ kind: "host" });
  expect(imageRef("oci:local/shared", where())).toEqual({
    kind: "layout",
    reference: { directory: "local/shared" },
  });
});

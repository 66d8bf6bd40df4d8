import { afterAll, beforeAll, expect, test } from "bun:test";
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { taskCredentials } from "./credentials";

let allocDir: string;
const name = "main";
const read = async (credential_files: Readonly<Record<string, string>>, credentials = {}) =>
  [...(await taskCredentials({ allocDir, name }, { credentials, credential_files }))].map(([key, bytes]) => [
    key,
    Buffer.from(bytes).toString(),
  ]);

beforeAll(async () => {
  allocDir = await mkdtemp(join(tmpdir(), "credentials-"));
  const secrets = join(allocDir, name, "secrets");
  await mkdir(secrets, { recursive: true });
  await writeFile(join(secrets, "word"), "from a file\n");
  await writeFile(join(secrets, "large"), Buffer.alloc(1024 * 1024 + 1));
  await symlink("/etc/passwd", join(secrets, "link"));
  await symlink("/etc", join(secrets, "etc"));
  await link(join(secrets, "large"), join(secrets, "second"));
});
afterAll(() => rm(allocDir, { recursive: true, force: true }));

test("credentials are texts, and files of the task directory", async () => {
  expect(await read({ b: "secrets/word" }, { a: "text" })).toEqual([
    ["a", "text"],
    ["b", "from a file\n"],
  ]);
});

test.each(["secrets/link", "secrets/etc/passwd", "secrets/none", "secrets", "secrets/large", "secrets/second"])(
  "%s is refused",
  async (path) => {
    await expect(read({ a: path })).rejects.toThrow(`Option credential_files.a = "${path}" cannot be read: `);
  },
);

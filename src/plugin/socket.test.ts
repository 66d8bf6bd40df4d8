import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createSocketDirectory, socketDirectoryPid } from "./socket";

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "socket-test-"));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

test.each([
  ["nomad-driver-nspawn-12-abc", 12],
  ["nomad-driver-nspawn-x-abc", undefined],
  ["plugin123", undefined],
  ["nomad-driver-nspawn-12", undefined],
])("the pid of %p is %p", (name, pid) => {
  expect(socketDirectoryPid(name)).toBe(pid);
});

test("the directory is private and goes away again", async () => {
  const directory = await createSocketDirectory(parent, () => true);
  expect((await stat(dirname(directory.socketPath))).mode & 0o777).toBe(0o700);
  await directory.remove();
  expect(await readdir(parent)).toEqual([]);
});

test("directories of dead plugins are removed, those of living ones and of others are kept", async () => {
  for (const name of ["nomad-driver-nspawn-1-dead", "nomad-driver-nspawn-2-live", "other"]) {
    await mkdir(join(parent, name));
  }
  const directory = await createSocketDirectory(parent, (pid) => pid === 2);
  await directory.remove();
  expect((await readdir(parent)).sort()).toEqual(["nomad-driver-nspawn-2-live", "other"]);
});

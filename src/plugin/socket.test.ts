import { afterEach, beforeEach, expect, test } from "bun:test";
import { chown, mkdir, mkdtemp, readdir, rm, stat, symlink } from "node:fs/promises";
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

test("the directory is private and is removed again", async () => {
  const directory = await createSocketDirectory(parent, () => true);
  expect((await stat(dirname(directory.socketPath))).mode & 0o777).toBe(0o700);
  await directory.remove();
  expect(await readdir(parent)).toEqual([]);
});

test("directories of dead plugins are removed, those of running ones and of other programs are kept", async () => {
  for (const name of ["nomad-driver-nspawn-1-dead", "nomad-driver-nspawn-2-live", "other"]) {
    await mkdir(join(parent, name), { mode: 0o700 });
  }
  const directory = await createSocketDirectory(parent, (pid) => pid === 2);
  await directory.remove();
  expect((await readdir(parent)).sort()).toEqual(["nomad-driver-nspawn-2-live", "other"]);
});

test("what other users put in their place is kept, because it may change during the removal", async () => {
  const names = ["nomad-driver-nspawn-1-link", "nomad-driver-nspawn-1-open", "nomad-driver-nspawn-1-theirs"] as const;
  const [link, open, theirs] = names.map((name) => join(parent, name));
  await symlink("/nowhere", link ?? "");
  await mkdir(open ?? "", { mode: 0o755 });
  await mkdir(theirs ?? "", { mode: 0o700 });
  await chown(theirs ?? "", 1000, 1000);
  const directory = await createSocketDirectory(parent, () => false);
  await directory.remove();
  expect((await readdir(parent)).sort()).toEqual([...names]);
});

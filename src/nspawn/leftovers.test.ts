import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyOfLocks, hasLeftovers, mountsOfMachine, removeLeftovers } from "./leftovers";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "remains-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("copyOfLocks", () => {
  test.each([
    ["a copy", ["/dev/null", "/img/.#.#machine.tree0123456789abcdef.lck"], "/img/.#machine.tree0123456789abcdef"],
    ["a copy of a mount point", ["/img/.#.#machine.0123456789abcdef.lck"], "/img/.#machine.0123456789abcdef"],
    ["a copy of 262's", ["/img/.#.#snapshot.tree0123456789abcdef.lck"], "/img/.#snapshot.tree0123456789abcdef"],
    ["another copy", ["/img/.#.#other.tree0123456789abcdef.lck"], undefined],
    ["an image's own lock", ["/img/.#tree.lck", "/run/systemd/nspawn/locks/inode-1:2"], undefined],
    ["another program's temporary file", ["/img/.#machine.tree0123456789abcdef"], undefined],
    ["nothing", [], undefined],
  ] as const)("%s", (_, files, expected) => expect(copyOfLocks(files)).toBe(expected));
});

test("mountsOfMachine lists only this machine's mounts, deepest first", () => {
  const names = ["unix-export/web", "unix-export/web/deep", "unix-export/web2", "propagate/web", "locks/web"];
  const points = [...names, "web/unix-export", "web2/unix-export"].map((path) => `/run/systemd/nspawn/${path}`);
  expect(mountsOfMachine(points, "web")).toEqual([
    "/run/systemd/nspawn/unix-export/web/deep",
    "/run/systemd/nspawn/unix-export/web",
    "/run/systemd/nspawn/web/unix-export",
    "/run/systemd/nspawn/propagate/web",
  ]);
});

describe("removeLeftovers", () => {
  const shared = (name: string) => join(directory, name);

  test("removes directories of the machine, keeps others, and can be repeated", async () => {
    for (const name of ["propagate/web", "propagate/web2", "unix-export/web"])
      mkdirSync(shared(name), { recursive: true });
    const first = await removeLeftovers("web", { runDirectory: directory });
    expect(first.problems).toEqual([]);
    expect(first.removed.toSorted()).toEqual([shared("propagate/web"), shared("unix-export/web")]);
    expect(existsSync(shared("propagate/web2"))).toBe(true);
    expect(await removeLeftovers("web", { runDirectory: directory })).toEqual({ removed: [], problems: [] });
  });

  test("the machine's own directory is removed last, and others are kept", async () => {
    for (const name of ["web/unix-export", "web2/unix-export"]) mkdirSync(shared(name), { recursive: true });
    const { removed, problems } = await removeLeftovers("web", { runDirectory: directory });
    expect({ removed, problems }).toEqual({ removed: [shared("web/unix-export"), shared("web")], problems: [] });
    expect(existsSync(shared("web2/unix-export"))).toBe(true);
  });

  test.each(["propagate/web", "unix-export/web", "web/unix-export"])("has leftovers: %s", (name) => {
    mkdirSync(shared("propagate/web2"), { recursive: true });
    expect(hasLeftovers("web", directory)).toBe(false);
    mkdirSync(shared(name), { recursive: true });
    expect(hasLeftovers("web", directory)).toBe(true);
  });

  test("a mount is detached first", async () => {
    const path = shared("unix-export/web");
    mkdirSync(path, { recursive: true });
    const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path]);
    try {
      expect(mounted.exitCode).toBe(0);
      expect(await removeLeftovers("web", { runDirectory: directory })).toEqual({ removed: [path], problems: [] });
      expect(existsSync(path)).toBe(false);
    } finally {
      if (existsSync(path)) Bun.spawnSync(["umount", "-l", path]);
    }
  });

  test("a copy is removed with its lock; other files are kept", async () => {
    const copy = join(directory, ".#machine.tree0123456789abcdef");
    const lock = join(directory, ".#.#machine.tree0123456789abcdef.lck");
    mkdirSync(join(copy, "usr/bin"), { recursive: true });
    writeFileSync(lock, "");
    const tree = join(directory, "tree");
    writeFileSync(tree, "");
    const options = { runDirectory: directory, locks: [tree, lock] };
    expect(await removeLeftovers("web", options)).toEqual({ removed: [copy, lock], problems: [] });
    expect(existsSync(tree)).toBe(true);
  });

  test("a lock that another process holds is kept", async () => {
    const locks = [join(directory, ".#held.lck"), join(directory, ".#free.lck")];
    for (const lock of locks) writeFileSync(lock, "");
    const holder = Bun.spawn(["flock", "--shared", locks[0] ?? "", "sh", "-c", "echo held; read line"], {
      stdin: "pipe",
      stdout: "pipe",
    });
    try {
      await holder.stdout.getReader().read();
      await removeLeftovers("web", { runDirectory: directory, locks });
      expect(locks.map((lock) => existsSync(lock))).toEqual([true, false]);
    } finally {
      holder.kill();
      await holder.exited;
    }
  });

  test.each(["", ".", "..", "a/b", "a\0b"])("rejects the name %p", async (name) => {
    await expect(removeLeftovers(name, { runDirectory: directory })).rejects.toThrow(/is not a valid machine name/);
  });
});

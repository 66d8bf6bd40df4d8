import { describe, expect, test } from "bun:test";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";
import { runTask } from "./host-paths";
import { sentence } from "./inside";

/** Symlinks in a task's directory, of an artifact or of the task itself, cannot lead a mount out of it. */

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

describe("symlinks in the task directory", () => {
  /** Creates a link, and returns the source that a job names. */
  const ways: readonly (readonly [string, (task: PreparedTask) => Promise<string>])[] = [
    ["local/a -> /etc", ({ dirs }) => link(dirs.local, "a", "/etc", "local/a")],
    ["local/a/ssl with local/a -> /etc", ({ dirs }) => link(dirs.local, "a", "/etc", "local/a/ssl/..")],
    ["a link above: local/a -> ../../..", ({ dirs }) => link(dirs.local, "a", "../../..", "local/a")],
    [
      "a link to a link",
      ({ dirs }) => link(dirs.local, "a", "b", "local/a").then(() => link(dirs.local, "b", "/etc", "local/a")),
    ],
    ["through /proc", ({ dirs }) => link(dirs.local, "a", "/proc/self/root/etc", "local/a")],
    [
      "to what begins alike",
      async ({ dirs }) => {
        await mkdir(`${dirs.task}-evil`);
        return link(dirs.local, "a", `${dirs.task}-evil`, "local/a");
      },
    ],
    ["to a directory of the allocation", ({ dirs }) => link(dirs.local, "a", dirs.alloc, "local/a")],
    [
      "local/a/b/../../../.. without a link",
      async ({ dirs }) => {
        await mkdir(join(dirs.local, "a/b"), { recursive: true });
        return "local/a/b/../../../..";
      },
    ],
    [
      "local itself",
      async ({ dirs }) => {
        await rm(dirs.local, { recursive: true });
        return link(dirname(dirs.local), "local", "/", "local/etc");
      },
    ],
  ];

  async function link(directory: string, name: string, target: string, source: string): Promise<string> {
    await symlink(target, join(directory, name));
    return source;
  }

  test.each(ways)("cannot lead a mount out: %s", async (_name, make) => {
    for (const more of [
      (source: string) => ({ bind: { [source]: "/mnt" } }),
      (source: string) => ({ bind_read_only: { [source]: "/mnt" } }),
      (source: string) => ({ overlay: [`${source}::/mnt`] }),
      (source: string) => ({ overlay: [`alloc:${source}:/mnt`] }),
    ]) {
      const probe = await bench.task(shell(bench.busybox, "true"));
      const source = await make(probe);
      await mkdir(join(probe.dirs.task, "alloc"), { recursive: true });
      const spec = shell(bench.busybox, "ls /mnt", more(source));
      const { msgpackDriverConfig } = (await bench.task(spec)).config;
      expect(await sentence(bench.client().startTask({ ...probe.config, msgpackDriverConfig }))).toMatch(
        /is outside the task directory \(it resolves to \//,
      );
    }
  });

  test("that stay within it are followed", async () => {
    const { stdout } = await runTask(
      bench,
      shell(bench.busybox, "cat /mnt/f", { bind: { "local/current": "/mnt" } }),
      async ({ dirs }) => {
        await mkdir(join(dirs.local, "v1"));
        await writeFile(join(dirs.local, "v1/f"), "v1\n");
        await symlink("v1", join(dirs.local, "current"));
      },
    );
    expect(stdout).toBe("v1\n");
  });

  test("created by the task cannot redirect its next start", async () => {
    const more = { bind: { ".": "/task" }, user_namespacing: false };
    for (const name of ["local", "secrets"]) {
      const script = `mv /task/${name} /task/was && ln -s /etc /task/${name} && ls -l /task/${name}`;
      const { task, code, stdout } = await runTask(bench, shell(bench.busybox, script, more));
      expect({ code, linked: stdout.includes("-> /etc") }).toEqual({ code: 0, linked: true });
      const { msgpackDriverConfig } = (await bench.task(shell(bench.busybox, `ls /${name}`))).config;
      expect(await sentence(bench.client().startTask({ ...task.config, msgpackDriverConfig }))).toBe(
        `The task's directory ${task.dirs[name === "local" ? "local" : "secrets"]} was replaced by a symlink (to /etc): it is not mounted.`,
      );
    }
  });

  test("that replaced a source since the last start are seen at the next", async () => {
    const spec = shell(bench.busybox, "cat /mnt/f", { bind: { "local/data": "/mnt" } });
    const { task, stdout } = await runTask(bench, spec, async ({ dirs }) => {
      await mkdir(join(dirs.local, "data"));
      await writeFile(join(dirs.local, "data/f"), "first\n");
    });
    expect(stdout).toBe("first\n");
    await rename(join(task.dirs.local, "data"), join(task.dirs.local, "gone"));
    await symlink("/etc", join(task.dirs.local, "data"));
    expect(await sentence(bench.client().startTask(task.config))).toContain(
      "is outside the task directory (it resolves to /etc)",
    );
  });
});

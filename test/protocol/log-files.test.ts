import { describe, expect, test } from "bun:test";
import { link, mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { run } from "../../tools/command";
import type { PreparedTask } from "../support/task";
import { copyTree, type Fixture, shell, useFixture } from "./fixture";
import { runTask } from "./host-paths";
import { inside, sentence } from "./inside";

/** A replacement of a task's log is never opened; only the FIFO that Nomad created there, or the null device, is. */

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

/** A file of the host that must not change. */
async function victim(): Promise<string> {
  const path = join(bench.scratch, crypto.randomUUID());
  await writeFile(path, "of the host\n");
  return path;
}

/** Replaces a log by something else; returns the expected error. */
const replacements: readonly (readonly [string, (log: string, file: string, task: PreparedTask) => Promise<RegExp>])[] =
  [
    ["a symlink", async (log, file) => symlink(file, log).then(() => /: it is a symlink/)],
    ["a symlink to nothing", async (log, file) => symlink(`${file}.no`, log).then(() => /: it is a symlink/)],
    ["a symlink to a FIFO", async (log) => run(["mkfifo", `${log}2`]).then(() => symlinked(`${log}2`, log))],
    ["a symlink to /dev/null", async (log) => symlinked("/dev/null", log)],
    ["a hard link to a file", async (log, file) => link(file, log).then(() => /: it is a regular file/)],
    [
      "a hard link to another FIFO",
      async (log) => run(["mkfifo", `${log}2`]).then(() => link(`${log}2`, log).then(() => /is a FIFO with 2 links/)),
    ],
    ["a regular file", async (log) => writeFile(log, "").then(() => /: it is a regular file/)],
    ["a directory", async (log) => mkdir(log).then(() => /: it is a directory/)],
    ["a socket", async (log) => socketAt(log).then(() => /: it is a socket/)],
    ["a terminal's device", async (log) => run(["mknod", log, "c", "5", "2"]).then(() => /: it is a device/)],
    ["the memory's device", async (log) => run(["mknod", log, "c", "1", "1"]).then(() => /: it is a device/)],
    ["a disk", async (log) => run(["mknod", log, "b", "7", "0"]).then(() => /: it is a device/)],
    ["another user's FIFO", async (log) => run(["mkfifo", log]).then(() => owned(log))],
    ["nothing", async () => /Cannot open the task's log \S+fifo: \S+fifo does not exist/],
    [
      "a symlink in place of logs",
      async (_log, _file, { dirs }) => {
        await rename(join(dirs.alloc, "logs"), join(dirs.alloc, "moved"));
        await symlink("moved", join(dirs.alloc, "logs"));
        return /logs (is a symlink|was replaced by a symlink)/;
      },
    ],
  ];

const symlinked = (target: string, path: string) => symlink(target, path).then(() => /: it is a symlink/);
const owned = (path: string) => run(["chown", "1000", path]).then(() => /is a FIFO of user 1000/);

function socketAt(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // A path that is short enough for a socket's name, and remains when its server has exited.
    const short = `/tmp/${crypto.randomUUID().slice(0, 8)}`;
    const server = createServer().once("error", reject);
    server.listen(short, () => {
      rename(short, path)
        .then(() => server.close())
        .then(() => resolve(), reject);
    });
  });
}

describe("in place of a log", () => {
  for (const stream of ["stdout", "stderr"] as const) {
    test.each(replacements)(`%s is not opened as ${stream}`, async (_name, replace) => {
      const file = await victim();
      const task = await bench.task(shell(bench.busybox, "echo overwritten; echo overwritten >&2"));
      await task[stream].stop();
      const log = task[stream].path;
      await rm(log);
      const expected = await replace(log, file, task);
      expect(await sentence(bench.start(task))).toMatch(expected);
      expect(await readFile(file, "utf8")).toBe("of the host\n");
    });
  }

  test("the null device is accepted, and the output is discarded", async () => {
    const task = await bench.task(shell(bench.busybox, "echo lost; echo lost >&2; echo again > /dev/stdout; exit 3"));
    task.config.stdoutPath = "/dev/null";
    task.config.stderrPath = "/dev/null";
    await bench.start(task);
    expect((await bench.client().waitTask(task.id)).result?.exitCode).toBe(3);
    expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
  });

  test("a symlink above the allocation is followed, because it is the operator's", async () => {
    const task = await bench.task(shell(bench.busybox, "echo through"));
    const linked = join(bench.scratch, "linked");
    await symlink(join(task.config.allocDir, ".."), linked);
    const moved = (path: string) => path.replace(join(task.config.allocDir, ".."), linked);
    task.config.allocDir = moved(task.config.allocDir);
    task.config.stdoutPath = moved(task.config.stdoutPath);
    task.config.stderrPath = moved(task.config.stderrPath);
    await bench.start(task);
    await task.stdout.waitFor(/through/);
  });
});

describe("the directory of the logs", () => {
  test.each([
    ["with user namespaces", {}],
    ["without", { user_namespacing: false }],
  ] as const)("can be read and not be changed in the container: %s", async (_name, more) => {
    const attempts = [
      "rm /alloc/logs/.task.stdout.fifo",
      "ln -s /etc/passwd /alloc/logs/x",
      "mv /alloc/logs /alloc/moved",
      "rmdir /alloc/logs",
      "mkfifo /alloc/logs/y",
      "echo > /alloc/logs/task.stdout.0",
      "chmod 600 /alloc/logs/.task.stdout.fifo",
    ];
    const script = `${attempts.map((line) => `(${line}) 2>/dev/null && echo "done: ${line}"`).join("; ")}; ls -A /alloc/logs | sort; echo ok > /alloc/data/f`;
    expect(await inside(bench, script, more)).toBe(".task.stderr.fifo\n.task.stdout.fifo\n");
  });

  test("is protected by the kernel from root in a user namespace", async () => {
    const script =
      "umount /alloc/logs 2>/dev/null && echo gone; mount -o remount,bind,rw /alloc/logs 2>/dev/null && echo open; :";
    expect(await inside(bench, script)).toBe("");
  });

  test("leaves standard output usable under every name", async () => {
    const script = "echo 1; echo 2 > /dev/stdout; echo 3 > /alloc/logs/.task.stdout.fifo";
    expect(await inside(bench, script, { user_namespacing: false })).toBe("1\n2\n3\n");
    // In a user namespace the container may open the FIFO again only if its root owns it; see chownLogPipes().
    expect(await inside(bench, "echo 1; echo 2 > /dev/stdout")).toBe("1\n2\n");
  });

  test("is the job's if it mounts something there", async () => {
    const { stdout, code } = await runTask(
      bench,
      shell(bench.busybox, "cat /alloc/logs/f; echo x > /alloc/logs/g", { bind: { "local/mine": "/alloc/logs" } }),
      async ({ dirs }) => {
        await mkdir(join(dirs.local, "mine"));
        await writeFile(join(dirs.local, "mine/f"), "mine\n");
      },
    );
    expect({ stdout, code }).toEqual({ stdout: "mine\n", code: 0 });
  });

  test("needs no mount point in a read-only image", async () => {
    const image = await copyTree(bench.busybox, join(bench.scratch, "fixed"));
    for (const name of ["alloc", "local", "secrets"]) await mkdir(join(image, name), { recursive: true });
    const more = { image, volatile: "no", read_only: true, private_users_ownership: "off" };
    expect(await inside(bench, "touch /alloc/logs/x 2>/dev/null || echo fixed", more)).toBe("fixed\n");
  });

  test("a second start after a task's attempt works like the first", async () => {
    const script = "ln -sf /etc/passwd /alloc/logs/.task.stdout.fifo; echo started";
    const { task } = await runTask(bench, shell(bench.busybox, script));
    task.stdout.resume();
    await bench.start(task);
    await task.stdout.waitFor(/started\nstarted\n/);
  });
});

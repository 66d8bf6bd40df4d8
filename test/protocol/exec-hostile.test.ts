import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Label, ProgramBuilder } from "../../src/linux/syscall-program/builder";
import { run } from "../../tools/command";
import { timeoutScale } from "../../tools/timeout-scale";
import { exec, startExec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { copyTree, type Fixture, shell, useFixture } from "./fixture";
import { sentence } from "./inside";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const forever = "while :; do sleep 1; done";

/** A task whose script has run before the first command enters its container. */
async function up(script: string, more: Readonly<Record<string, unknown>> = {}): Promise<PreparedTask> {
  const task = await bench.started(shell(bench.busybox, `${script}\necho up; ${forever}`, more));
  await task.stdout.waitFor("up");
  return task;
}

const hang = "exec 7<>/dev/fuse; mount -t fuse -o fd=7,rootmode=40000,user_id=0,group_id=0 none";
/** In a user namespace the kernel denies other processes access to such a file system, so the driver does not wait for it. */
const withFuse = { devices: ["/dev/fuse"], user_namespacing: false };

/** Queries another task as a client does; returns the milliseconds of the slowest answer. */
async function othersAnswer(other: PreparedTask): Promise<number> {
  const begin = performance.now();
  expect((await exec(bench.client(), other.id, "echo here")).stdout).toBe("here\n");
  expect((await bench.client().inspectTask(other.id)).task?.id).toBe(other.id);
  return performance.now() - begin;
}

describe("replaced files in a container block neither exec nor the driver", () => {
  test.each([
    ["a FIFO at /etc/passwd", "rm /etc/passwd; mkfifo /etc/passwd"],
    ["a FIFO at /etc/group", "rm /etc/group; mkfifo /etc/group"],
    ["a symlink to a FIFO", "mkfifo /fifo; ln -sf /fifo /etc/passwd"],
    ["a symlink to a FIFO that lies on the way", "mkfifo /fifo; ln -sf /fifo/x /etc/passwd"],
    ["a directory", "rm /etc/passwd; mkdir /etc/passwd"],
    ["a symlink loop", "ln -sf /etc/group /etc/passwd; ln -sf /etc/passwd /etc/group"],
    ["a file of a gigabyte", "truncate -s 1G /etc/passwd"],
    ["a device", "rm /etc/passwd; ln -s /dev/zero /etc/passwd"],
    ["a magic link", "ln -sf /proc/self/root/etc/group /etc/passwd"],
    ["nothing", "rm -rf /etc"],
  ])("%s", async (_, script) => {
    const task = await up(script);
    const begin = performance.now();
    expect(await exec(bench.client(), task.id, "echo $USER")).toMatchObject({ code: 0, stdout: "root\n" });
    expect(performance.now() - begin).toBeLessThan(2_000 * timeoutScale);
  });

  test("a user that the container does not know afterwards is refused", async () => {
    const task = await up("echo x >/etc/passwd.new; rm /etc/passwd; mkfifo /etc/passwd", { user: "" });
    expect(await exec(bench.client(), task.id, "echo $USER")).toMatchObject({ stdout: "root\n" });
  });

  test.each([
    ["a FIFO", "mkfifo /dev/pts/ptmx"],
    ["a file", "echo >/dev/pts/ptmx"],
    ["another device", "ln -s /dev/zero /dev/pts/ptmx"],
  ])("a terminal is refused if the container replaced it by: %s", async (_, script) => {
    const task = await up(`mount -t tmpfs none /dev/pts; ${script}`);
    const { ended } = await startExec(bench.client(), task.id, ["/bin/true"], true);
    expect(await sentence(ended)).toContain("Cannot open a terminal");
    expect((await exec(bench.client(), task.id, "echo on")).stdout).toBe("on\n");
  });
});

describe("a file system of a container that never answers", () => {
  // A test host does not have one.
  const made = !existsSync("/dev/fuse");
  beforeAll(() => (made ? run(["mknod", "/dev/fuse", "c", "10", "229"]) : undefined));
  afterAll(() => (made ? rm("/dev/fuse") : undefined));

  test.each([
    ["/etc", ["/bin/true"], false],
    ["/dev/pts", ["/bin/true"], true],
  ] as const)("at %s stops nothing but exec in that container", async (place, command, terminal) => {
    const [task, other] = await Promise.all([up(`${hang} ${place}`, withFuse), up("true")]);
    const begin = performance.now();
    const first = sentence((await startExec(bench.client(), task.id, command, terminal)).ended);
    expect(await othersAnswer(other)).toBeLessThan(3_000 * timeoutScale);
    expect(await first).toContain("one of its file systems hangs");
    expect(performance.now() - begin).toBeLessThan(8_000 * timeoutScale);
    expect(await othersAnswer(other)).toBeLessThan(3_000 * timeoutScale);
    expect((await bench.client().inspectTask(task.id)).task?.id).toBe(task.id);
    await bench.client().destroyTask(task.id, true);
  });
});

describe("a task whose system call filters cannot be installed", () => {
  const [seccomp, ptrace, clone, execve, prctl, pause] = [317, 101, 56, 59, 157, 34];

  /** A task that runs a program of system calls. */
  async function program(name: string, build: (program: ProgramBuilder, run: () => void) => void) {
    const image = await copyTree(bench.busybox, join(bench.scratch, name));
    const builder = new ProgramBuilder();
    build(builder, () => {
      const argv = builder.words([
        ..."sh|-c|echo up; while :; do sleep 1; done".split("|").map((text) => builder.text(text)),
        0,
      ]);
      builder.call(execve, [builder.text("/bin/sh"), argv, builder.words([0])]);
      builder.exit(1);
    });
    await writeFile(join(image, "first"), builder.build(), { mode: 0o755 });
    const task = await bench.started(shell(image, "", { command: ["/first"] }));
    await task.stdout.waitFor("up");
    return task;
  }

  test.each([
    ["64 at most", 200, false],
    ["some", 20, true],
  ] as const)("many of them: %s", async (_, count, taken) => {
    const task = await program(`filters-${count}`, (builder, run) => {
      const allow = builder.bytes(Uint8Array.of(6, 0, 0, 0, 0, 0, 0xff, 0x7f));
      const filter = builder.words([1, allow]);
      builder.call(prctl, [38, 1, 0, 0, 0]);
      for (let index = 0; index < count; index += 1) builder.call(seccomp, [1, 0, filter]);
      run();
    });
    const said = exec(bench.client(), task.id, "echo ran");
    if (taken) expect((await said).stdout).toBe("ran\n");
    else expect(await sentence(said)).toContain("at most 64 can be installed");
  });

  test("its first process is traced by another", async () => {
    const task = await program("traced", (builder, run) => {
      const parent = new Label();
      const forked = new Label();
      builder.call(clone, [17, 0, 0, 0, 0], { positive: parent, zero: forked, error: parent });
      builder.place(forked);
      builder.call(ptrace, [0x4206, 1, 0, 0]);
      const again = new Label();
      builder.place(again);
      builder.call(pause, [], { error: again, positive: again, zero: again });
      builder.place(parent);
      run();
    });
    expect(await sentence(exec(bench.client(), task.id, "echo ran"))).toContain("cannot read its seccomp filters");
  });
});

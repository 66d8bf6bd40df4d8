import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ProgramBuilder } from "../../src/linux/syscall-program/builder";
import { timeoutScale } from "../../tools/timeout-scale";
import { exec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { copyTree, type Fixture, failure, shell, useFixture } from "./fixture";

/** What root in a container with the default options can do to the driver and to others. */

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const wait = "while :; do sleep 1; done";

async function up(script: string, more: object = {}): Promise<PreparedTask> {
  const task = await bench.started(shell(bench.busybox, `${script}\necho up; ${wait}`, { ...more }));
  await task.stdout.waitFor("up\n");
  return task;
}

/** Where a container may make cgroups, in v2 and in v1; `$n` is a long name. */
const inCgroups = (script: string) =>
  `n=${"n".repeat(200)}; for t in /sys/fs/cgroup /sys/fs/cgroup/systemd; do cd $t && ${script}; cd /; done 2>/dev/null`;

/** Each is run in its own container; none of them may have an effect outside. */
const attacks: readonly (readonly [what: string, script: string, more?: object])[] = [
  ["forks without end below its limit", "f() { while :; do sleep 100 & done; }; f 2>/dev/null &", { pids_limit: 200 }],
  ["leaves hundreds of zombies", "sh -c 'for i in $(seq 300); do true & done; exec sleep 1000' &"],
  ["makes cgroups nested deeper than a path is long", inCgroups("for i in $(seq 30); do mkdir $n && cd -P $n; done")],
  ["makes a thousand cgroups", inCgroups("for i in $(seq 1000); do mkdir g$i; done")],
  [
    "gives cgroups odd names",
    inCgroups(
      `for n in '$(touch x)' '; rm' ' ' '..x' '-rf' 'a\nb' nomad-exec-00000000 payload supervisor; do mkdir "$n"; done`,
    ),
  ],
  [
    "writes to what the host shows it",
    "for f in $(find /run/host /run/systemd 2>/dev/null); do (echo x >$f) & rm -rf $f; done 2>/dev/null",
  ],
  [
    "mounts over its own places",
    "for d in /proc /sys /dev/shm /run /tmp /etc /alloc /local; do mount -t tmpfs none $d; done 2>/dev/null",
  ],
  ["moves its root away", "mount --bind / /mnt; mount --move /mnt /media; umount -l /proc; umount -l /dev/pts; true"],
  [
    "puts symlinks and FIFOs where the driver writes",
    "for d in /alloc /alloc/logs /alloc/data /local /secrets /tmp; do ln -s /etc/passwd $d/x; mkfifo $d/f; ln -s /proc/1/root $d/root; done 2>/dev/null",
  ],
  ["takes its shell and users away", "rm -rf /etc; mkfifo /etc; true"],
  ["blocks every signal", "trap '' HUP INT TERM USR1 USR2 QUIT"],
  ["closes and fills its output", "yes | head -c 3000000 >&2; true"],
  [
    "names links and addresses oddly",
    "ip link set host0 name host1; ip link add host0 type dummy; ip link set host0 up; ip addr add 127.0.0.1/8 dev host0; ip addr add 10.0.0.1/0 dev host0; ip link set host0 name '$x'; true",
    { network_veth: true },
  ],
  [
    "takes its network away",
    "for l in $(ls /sys/class/net); do ip addr flush dev $l; ip link set $l down; ip link del $l; done 2>/dev/null",
    { network_veth: true },
  ],
];

describe("a container whose root", () => {
  test.each(attacks)("%s affects only itself", async (_, script, more = {}) => {
    const other = await up("true");
    const task = await up(script, more);
    const answers = performance.now();
    expect((await exec(bench.client(), other.id, "echo here")).stdout).toBe("here\n");
    expect((await bench.client().inspectTask(task.id)).task?.id).toBe(task.id);
    expect(performance.now() - answers).toBeLessThan(3_000 * timeoutScale);
    // Commands may be impossible in it afterwards, but each attempt gets an answer.
    const tried = performance.now();
    await failure(exec(bench.client(), task.id, "true"));
    expect(performance.now() - tried).toBeLessThan(8_000 * timeoutScale);
    const host = await exec(bench.client(), other.id, "true");
    expect(host.code).toBe(0);
    await bench.client().destroyTask(task.id, true);
    expect((await exec(bench.client(), other.id, "echo on")).stdout).toBe("on\n");
    await bench.client().destroyTask(other.id, true);
  });
});

test("all of it at once, and nothing is left when the tasks are destroyed", async () => {
  const other = await up("true");
  const tasks = await Promise.all(attacks.slice(0, 8).map(([, script, more = {}]) => up(script, more)));
  expect((await exec(bench.client(), other.id, "echo here")).stdout).toBe("here\n");
  await Promise.all(tasks.map((task) => bench.client().destroyTask(task.id, true)));
  expect((await exec(bench.client(), other.id, "echo here")).stdout).toBe("here\n");
});

test("its messages to systemd-nspawn's notify socket do not affect its task", async () => {
  const [socket, connect, dup2, write, execve] = [41, 42, 33, 1, 59];
  const program = new ProgramBuilder();
  const made = program.argumentAhead(1);
  program.call(socket, [1, 2, 0], {}, made);
  program.call(dup2, [0, 9]);
  const address = Buffer.alloc(110);
  address.writeUInt16LE(1);
  address.write("/run/host/notify", 2);
  const connected = program.space(8);
  program.call(connect, [9, program.bytes(address), address.length], {}, connected);
  for (const said of [
    "READY=1",
    "STOPPING=1",
    "MAINPID=1",
    "X_NSPAWN_LEADER_PID=1",
    "EXIT_STATUS=0",
    "ERRNO=5",
    "WATCHDOG=trigger",
    "RELOADING=1",
    "STATUS=\n\u001b[2J",
  ]) {
    program.call(write, [9, program.text(said), said.length]);
  }
  // The exit code shows whether the message was received at all.
  program.call(write, [1, connected, 8]);
  const argv = ["sh", "-c", "echo up; sleep 2; exit 7"].map((text) => program.text(text));
  program.call(execve, [program.text("/bin/sh"), program.words([...argv, 0]), program.words([0])]);
  program.exit(1);
  const image = await copyTree(bench.busybox, join(bench.scratch, "notify"));
  await writeFile(join(image, "first"), program.build(), { mode: 0o755 });
  const task = await bench.started(shell(image, "", { command: ["/first"] }));
  await task.stdout.waitFor("up\n");
  // Zero is the result of connect(2): the socket existed.
  expect(task.stdout.text()).toStartWith("\u0000".repeat(8));
  expect((await exec(bench.client(), task.id, "echo on")).stdout).toBe("on\n");
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 7, signal: 0 });
});

import { beforeAll, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { driverBinary } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import { exec, startExec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const forever = "echo up; while :; do sleep 1; done";

/** A running task; `more` are options of its config. */
async function up(more: Readonly<Record<string, unknown>> = {}, spec: object = {}): Promise<PreparedTask> {
  const task = await bench.started({ ...shell(bench.busybox, forever, more), ...spec });
  await task.stdout.waitFor("up");
  return task;
}

const run = (task: PreparedTask, script: string) => exec(bench.client(), task.id, script);

/** The fields of /proc/PID/status that decide what a process may do. */
const rights = "grep -E '^(Uid|Gid|CapInh|CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/$1/status";

describe("a command", () => {
  let task: PreparedTask;
  beforeAll(async () => {
    task = await up({ environment: { FROM_CONFIG: "a b" } }, { env: { FROM_TASK: "c\nd" } });
  });

  test("has separate streams, and its exit code", async () => {
    expect(await run(task, "echo out; echo err >&2; exit 7")).toEqual({
      code: 7,
      signal: 0,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test("that a signal kills exits with 128 plus the signal's number", async () => {
    expect(await run(task, "kill -TERM $$")).toMatchObject({ code: 143, signal: 15 });
    expect(await run(task, "kill -KILL $$")).toMatchObject({ code: 137, signal: 9 });
  });

  test("reads its input until the end", async () => {
    const running = await startExec(bench.client(), task.id, ["/bin/cat"]);
    await running.type("one\n");
    await running.stdout.waitFor("one\n");
    await running.type("two\n");
    await running.endInput();
    expect(await running.ended).toEqual({ code: 0, signal: 0, stdout: "one\ntwo\n", stderr: "" });
  });

  test("that cannot be found exits with 127 and an error message", async () => {
    for (const command of ["no-such-program", "/no/such/program"]) {
      const { ended } = await startExec(bench.client(), task.id, [command]);
      expect(await ended).toEqual({
        code: 127,
        signal: 0,
        stdout: "",
        stderr: `"${command}" cannot be run: no such file in the container.\n`,
      });
    }
    const { ended } = await startExec(bench.client(), task.id, ["/etc/passwd"]);
    expect(await ended).toMatchObject({ code: 126, stderr: '"/etc/passwd" cannot be run: permission denied.\n' });
    expect(await failure((await startExec(bench.client(), task.id, [])).ended)).toContain("is empty");
  });

  test("is found in the PATH of the task", async () => {
    const { ended } = await startExec(bench.client(), task.id, ["id", "-u"]);
    expect(await ended).toMatchObject({ code: 0, stdout: "0\n" });
  });

  test("has the task's variables and what systemd-nspawn sets", async () => {
    const { stdout } = await run(task, 'echo "$FROM_CONFIG|$FROM_TASK|$NOMAD_TASK_DIR|$HOME|$USER|$container"; pwd');
    expect(stdout).toBe("a b|c\nd|/local|/root|root|systemd-nspawn\n/root\n");
  });

  test("is in the container's namespaces and cgroup, and no child of a host process", async () => {
    const script =
      "for ns in user mnt pid net uts ipc cgroup; do for pid in $$ 1; do readlink /proc/$pid/ns/$ns; done; done";
    const lines = (await run(task, script)).stdout.trim().split("\n");
    expect(lines).toHaveLength(14);
    for (let index = 0; index < lines.length; index += 2) expect(lines[index]).toBe(lines[index + 1] ?? "");
    const tty = await run(task, "cat /proc/self/cgroup; cat /proc/1/cgroup");
    expect(tty.stdout).toMatch(/^0::\/nomad-exec-[0-9a-f]{8}$/m);
    expect((await run(task, "ls /proc/self/fd | wc -l")).stdout).toBe("4\n");
    expect((await run(task, "cut -d' ' -f4 /proc/$$/stat")).stdout).toBe("0\n");
  });

  test("has exactly the privileges of the task", async () => {
    for (const more of [
      {},
      { user_namespacing: false },
      { drop_capability: ["CAP_SYS_ADMIN", "CAP_MKNOD"], capability: ["CAP_NET_ADMIN"] },
      { no_new_privileges: true, drop_capability: ["CAP_SYS_ADMIN"] },
      { user_namespacing: false, drop_capability: ["CAP_SYS_ADMIN"], process_two: true },
    ]) {
      const other = await up(more);
      const own = await run(other, `set -- $$; ${rights}`);
      expect(own.stderr).toBe("");
      expect(own.stdout).toBe((await run(other, `set -- 1; ${rights}`)).stdout);
    }
  });

  test.each([{}, { user_namespacing: false }])("has the task's system call filters (%j)", async (more) => {
    const other = await up({ ...more, system_call_filter: ["~unshare"] });
    const said = await run(other, "unshare -m true; echo $?; grep Seccomp_filters /proc/1/status /proc/self/status");
    const [code, first, own] = said.stdout.trim().split("\n");
    expect(code).toBe("1");
    expect(own?.split(":")[2]?.trim()).toBe(first?.split(":")[2]?.trim() ?? "");
  });

  test("runs as the task's user, in its groups and directory", async () => {
    const other = await up({ user: "app", working_directory: "/etc", volatile: "overlay" });
    const { stdout, stderr } = await run(other, "id; pwd; echo $HOME; grep CapEff /proc/self/status; touch /x");
    expect(stdout).toBe("uid=1000(app) gid=1000(app) groups=1000(app)\n/etc\n/home/app\nCapEff:\t0000000000000000\n");
    expect(stderr).toContain("ermission denied");
  });

  test("leaves no cgroup behind, and its background processes keep running", async () => {
    const { stdout } = await run(task, "sleep 1000 & echo $!");
    expect((await run(task, `cat /proc/${stdout.trim()}/comm`)).stdout).toBe("sleep\n");
    await run(task, `kill -9 ${stdout.trim()}`);
  });

  test("can be run by script checks: ExecTask", async () => {
    const { result, stdout, stderr } = await bench
      .client()
      .execTask(task.id, ["/bin/sh", "-c", "echo o; echo e >&2; exit 3"]);
    expect({
      code: result?.exitCode,
      stdout: Buffer.from(stdout).toString(),
      stderr: Buffer.from(stderr).toString(),
    }).toEqual({
      code: 3,
      stdout: "o\n",
      stderr: "e\n",
    });
    expect(await failure(bench.client().execTask(task.id, ["/bin/sleep", "1000"], 300))).toContain(
      "took longer than 0.3 s",
    );
    expect((await run(task, "ps | grep -c '[s]leep 1000'")).stdout).toBe("0\n");
  });
});

describe("a terminal", () => {
  let task: PreparedTask;
  beforeAll(async () => {
    task = await up();
  });
  const open = () => startExec(bench.client(), task.id, ["/bin/sh"], true);

  test("is a terminal of the container, with a size that follows the window", async () => {
    const running = await open();
    await running.resize(31, 97);
    await running.type("tty; stty size\n");
    await running.stdout.waitFor("31 97");
    expect(running.stdout.text()).toMatch(/\/dev\/pts\/\d+\r\n/);
    await running.type("exit 5\n");
    expect((await running.ended).code).toBe(5);
    const script = "trap 'stty size; exit' WINCH; echo set; while :; do sleep 0.1; done";
    const watching = await startExec(bench.client(), task.id, ["/bin/sh", "-c", script], true);
    await watching.stdout.waitFor("set");
    await watching.resize(40, 120);
    expect((await watching.ended).stdout).toContain("40 120");
  });

  test("forwards Ctrl-C as a signal, and the end of input as Ctrl-D", async () => {
    const running = await open();
    await running.type("sleep 1000\n");
    await running.stdout.waitFor("sleep 1000\r\n");
    // Before the shell has started it, Ctrl-C would reach the shell alone.
    const look = `for file in /proc/[0-9]*/cmdline; do [ "$(tr '\\0' ' ' 2>/dev/null <$file)" = "sleep 1000 " ] && exit; done`;
    await bench.client().execTask(task.id, ["/bin/sh", "-c", `while :; do ${look}; sleep 0.01; done`], 30_000);
    await running.type("\u0003");
    await running.type("echo still $((1 + 1))\n");
    // Before its prompt appears, the shell would not read the end of input itself.
    await running.stdout.waitFor(/still 2\r\n[^\n]*# /);
    await Bun.sleep(100);
    await running.endInput();
    expect((await running.ended).signal).toBe(0);
  });

  test("belongs to the user who runs in it", async () => {
    const other = await up({ user: "app" });
    const running = await startExec(bench.client(), other.id, ["/bin/sh", "-c", "ls -l $(tty); echo x > $(tty)"], true);
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^crw------- +1 app +app /);
  });
});

describe("a client that disconnects", () => {
  test.each([false, true])("ends all processes of the command (terminal: %p)", async (tty) => {
    const task = await up();
    const script = "trap '' HUP TERM; (trap '' HUP TERM; sleep 1001 & sleep 1002) & echo go; sleep 1003";
    const running = await startExec(bench.client(), task.id, ["/bin/sh", "-c", script], tty);
    await running.stdout.waitFor("go");
    const count = async () => Number((await run(task, "ps | grep -c '[s]leep 100[123]'")).stdout);
    expect(await count()).toBe(3);
    running.disconnect();
    for (const deadline = performance.now() + 5_000; (await count()) > 0 && performance.now() < deadline; )
      await Bun.sleep(20);
    expect(await count()).toBe(0);
  });
});

test("fifty commands at once, each with its own output and exit code", async () => {
  const task = await up();
  const ends = await Promise.all(
    Array.from({ length: 50 }, (_, index) => run(task, `sleep 0.2; echo ${index}; exit ${index}`)),
  );
  expect(ends.map(({ code, stdout }) => [code, stdout])).toEqual(ends.map((_, index) => [index, `${index}\n`]));
});

test("commands are refused for a task that has exited, and for an unknown one", async () => {
  const task = await bench.started(shell(bench.busybox, "exit 0"));
  await bench.client().waitTask(task.id);
  expect(await failure(run(task, "true"))).toContain("no longer running");
  const never = { ...task, id: "never" };
  expect(await failure(run(never, "true"))).toContain("task not found for given id");
});

test("commands find a task that a later plugin recovered, with its variables", async () => {
  const task = await bench.task(shell(bench.busybox, forever, { environment: { KEPT: "yes" }, user: "app" }));
  const handle = await bench.start(task);
  await task.stdout.waitFor("up");
  await bench.replacePlugin();
  await bench.client().recoverTask(handle);
  expect(await run(task, "echo $KEPT; id -un")).toMatchObject({ code: 0, stdout: "yes\napp\n" });
});

describe("the command line's exec", () => {
  const own = (machine: string, ...args: readonly string[]) => [driverBinary(), "exec", ...args, machine];
  const machineOf = async (task: PreparedTask) =>
    (await bench.client().inspectTask(task.id)).driver?.attributes["machine"] ?? "";

  test("runs a command without the plugin, as root or as another user", async () => {
    const task = await up({ environment: { FROM_CONFIG: "seen" } });
    const machine = await machineOf(task);
    const script = "echo $FROM_CONFIG; id -u; cat; echo err >&2; exit 6";
    const ran = await attempt([...own(machine), "/bin/sh", "-c", script], { stdin: "typed\n" });
    expect(ran).toEqual({ code: 6, stdout: "seen\n0\ntyped\n", stderr: "err\n" });
    expect((await attempt([...own(machine, "--user", "app"), "--", "id", "-un"])).stdout).toBe("app\n");
    expect(await attempt([...own(machine), "no-such"])).toMatchObject({
      code: 127,
      stderr: expect.stringContaining("no-such"),
    });
    expect((await attempt([...own(machine), "/bin/sh", "-c", "kill -9 $$"])).code).toBe(137);
  });

  test("has the task's variables under systemd-nspawn's init too, and does not wait", async () => {
    const task = await up({ process_two: true, environment: { FROM_CONFIG: "seen" } });
    const start = performance.now();
    const ran = await attempt([...own(await machineOf(task)), "/bin/sh", "-c", "echo $FROM_CONFIG $NOMAD_TASK_DIR"]);
    expect(ran).toEqual({ code: 0, stdout: "seen /local\n", stderr: "" });
    expect(performance.now() - start).toBeLessThan(8_000);
  });

  test("provides a terminal if it has one", async () => {
    const machine = await machineOf(await up());
    const line = [...own(machine), "/bin/sh", "-c", "tty; stty size; exit 3"].map((word) => `'${word}'`).join(" ");
    const ran = await attempt([
      "script",
      "--quiet",
      "--return",
      "--command",
      `stty rows 33 cols 99; ${line}`,
      "/dev/null",
    ]);
    expect(ran.stdout).toMatch(/\/dev\/pts\/\d+\s+33 99/);
    expect(ran.code).toBe(3);
  });

  test("reports a machine that does not exist", async () => {
    const { code, stderr } = await attempt([...own("does-not-exist"), "true"]);
    expect(code).toBe(1);
    expect(stderr).toContain('No task "does-not-exist" of this driver exists on this host');
  });
});

describe("a large stream", () => {
  const size = 400_000_000;
  const resident = async () => {
    const status = await readFile(`/proc/${bench.plugin().pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };

  test("arrives complete, and the plugin's memory does not grow", async () => {
    const task = await up();
    await run(task, "head -c 50000000 /dev/zero");
    const start = await resident();
    let highest = start;
    let received = 0;
    const call = bench.client().execTaskStreaming();
    await call.send({ setup: { taskId: task.id, command: ["head", "-c", String(size), "/dev/zero"], tty: false } });
    let looked = 0;
    for await (const { stdout } of call.responses) {
      received += stdout?.data.length ?? 0;
      if (received - looked > 20_000_000) {
        looked = received;
        highest = Math.max(highest, await resident());
      }
    }
    expect(received).toBe(size);
    console.log(`the plugin had ${start.toFixed(1)} MiB, at most ${highest.toFixed(1)} MiB`);
    expect(highest - start).toBeLessThan(32);
  }, 120_000);

  test("waits for a slow reader instead of being buffered", async () => {
    const task = await up();
    const call = bench.client().execTaskStreaming();
    await call.send({
      setup: { taskId: task.id, command: ["sh", "-c", "head -c 300000000 /dev/zero; echo done >&2"], tty: false },
    });
    const start = await resident();
    let received = 0;
    for await (const { stdout } of call.responses) {
      received += stdout?.data.length ?? 0;
      await Bun.sleep(1000);
      expect((await resident()) - start).toBeLessThan(32);
      break;
    }
    expect(received).toBeGreaterThan(0);
  });
});

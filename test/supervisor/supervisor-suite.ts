import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { readMounts } from "../../src/linux/mount";
import { bootId, identify, isAlive, type ProcessIdentity } from "../../src/linux/proc";
import { findNspawn } from "../../src/nspawn/installation";
import type { PayloadMode } from "../../src/nspawn/payload";
import { findLeader, waitForProcess } from "../../src/nspawn/processes";
import { StartNotice } from "../../src/nspawn/start-notice";
import { type Container, type LaunchSpec, NotSupervisedError, type Supervisor } from "../../src/supervisor/supervisor";
import { timeoutScale } from "../../tools/timeout-scale";
import { type BusyboxTree, makeBusyboxTree } from "./busybox-tree";
import { createFifo, type LogFifo } from "./log-fifo";

const SIGKILL = 9;
const SIGTERM = 15;
const SIGUSR1 = 10;
const MIB = 1 << 20;
const TEST_MS = 60_000 * timeoutScale;
const LOOP = "while :; do sleep 0.05; done";

/** Features of a host and a backend; tests of missing features are skipped. */
export interface SuiteOptions {
  /** The host enforces memory limits for this backend. */
  readonly memoryLimits: boolean;
  /** A signal that kills PID 2 under a stub init is reported as a signal, not as code 255. */
  readonly exactSignalOfPid2: boolean;
  /** What a release of this backend must not leave behind, in addition to the common checks: paths and other names, for a message. */
  readonly leftovers?: (machine: string) => Promise<readonly string[]> | readonly string[];
  /** Removes what this backend has on disk about a container, as an operator could, but not the container. */
  readonly forget?: (machine: string) => Promise<void>;
}

/** PIDFD_INFO_EXIT, which reports how PID 2 exited, exists since Linux 6.15. */
export function kernelTellsExits(): boolean {
  const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(/[.-]/).map(Number);
  return major > 6 || (major === 6 && minor >= 15);
}

interface StartedContainer {
  readonly container: Container;
  readonly stdout: LogFifo;
  readonly stderr: LogFifo;
  readonly spec: LaunchSpec;
}

interface Start {
  readonly mode?: PayloadMode;
  readonly limits?: LaunchSpec["limits"];
  readonly extra?: readonly string[];
  readonly directory?: string;
  /** Whether the log is read from before the start; otherwise the reader opens when a test reads. */
  readonly read?: boolean;
  readonly notifySocket?: string;
}

/**
 * The tests every supervisor must pass, with real containers.
 *
 * @param make creates a supervisor, as a newly started plugin does; all of them find the same containers
 */
export function supervisorSuite(name: string, make: () => Promise<Supervisor>, options: SuiteOptions): void {
  describe(`supervisor ${name}`, () => {
    let tree: BusyboxTree;
    let fifos = "";
    let supervisor: Supervisor;
    let count = 0;
    const started = new Set<Container>();

    beforeAll(async () => {
      tree = makeBusyboxTree();
      fifos = mkdtempSync(join(tmpdir(), "supervisor-suite-"));
      supervisor = await make();
    });
    afterAll(async () => {
      for (const container of started) await container.release();
      await supervisor.close();
      tree.remove();
      rmSync(fifos, { recursive: true, force: true });
    });

    const specOf = (script: string, start: Start = {}): LaunchSpec => {
      count += 1;
      const machine = `suite-${name}-${process.pid}-${count}`;
      const { mode = "pid1", limits = {}, extra = [], directory = tree.path, notifySocket } = start;
      const nspawn = findNspawn();
      if (nspawn === undefined) throw new Error("These tests need systemd-nspawn: apt-get install systemd-container");
      const argv = [
        nspawn,
        "--quiet",
        "--keep-unit",
        "--register=no",
        `--machine=${machine}`,
        `--directory=${directory}`,
        "--private-users=no",
        "--timezone=off",
        "--resolv-conf=off",
        "--link-journal=no",
        "--console=pipe",
        ...(extra.includes("--ephemeral") ? [] : ["--read-only"]),
        ...(mode === "pid2" ? ["--as-pid2"] : []),
        ...extra,
        "--",
        "/bin/sh",
        "-c",
        script,
      ];
      const paths = { stdoutPath: join(fifos, `${machine}.out`), stderrPath: join(fifos, `${machine}.err`) };
      const notify = notifySocket === undefined ? {} : { notifySocket };
      return { machine, mode, argv, ...paths, limits, devices: [], properties: {}, ...notify };
    };
    const launch = async (script: string, start?: Start, notice?: StartNotice): Promise<StartedContainer> => {
      const spec = specOf(script, start);
      const stdout = createFifo(spec.stdoutPath);
      const stderr = createFifo(spec.stderrPath);
      if (start?.read === true) for (const fifo of [stdout, stderr]) fifo.open();
      const container = await supervisor.launch(spec, notice);
      started.add(container);
      return { container, stdout, stderr, spec };
    };
    const finish = async ({ container, stdout, stderr, spec }: StartedContainer): Promise<void> => {
      await container.release();
      started.delete(container);
      stdout.close();
      stderr.close();
      expect(await leftovers(spec.machine, options)).toEqual([]);
    };
    const run = async (script: string, start?: Start) => {
      // A container may exit before the launch has completed; a FIFO without a reader is then empty again.
      const container = await launch(script, { ...start, read: true });
      const reading = Promise.all([container.stdout.readUntil(), container.stderr.readUntil()]);
      const exit = await container.container.exit;
      // A supervisor may keep the FIFOs open, as their last writer, until then.
      await container.container.release();
      const [out, err] = await reading;
      await finish(container);
      return { out, err, exit };
    };
    const outcome = ({ code, signal, oomKilled }: { code: number; signal: number; oomKilled: boolean }) =>
      `code ${code} signal ${signal}${oomKilled ? " oom" : ""}`;

    describe("exits", () => {
      for (const mode of ["pid1", "pid2"] as const) {
        test.each([
          ["exit 0", "code 0 signal 0"],
          ["exit 7", "code 7 signal 0"],
          // systemd-nspawn's own code for a container that reboots: only the kernel's record distinguishes it.
          // The record exists only for a payload that was seen while it ran.
          ["sleep 1; exit 133", options.exactSignalOfPid2 ? "code 133 signal 0" : "code 1 signal 0"],
          ["exit 255", "code 255 signal 0"],
          ["sleep 1; exit 1", "code 1 signal 0"],
        ])(
          `${mode}: %s`,
          async (script, expected) => expect(outcome((await run(script, { mode })).exit)).toBe(expected),
          TEST_MS,
        );

        test(
          `${mode}: SIGKILL of the payload`,
          async () => {
            const container = await launch(`echo ready; ${LOOP}`, { mode });
            await container.stdout.readUntil(/ready/);
            await container.container.signal(SIGKILL);
            expect(outcome(await container.container.exit)).toBe(
              mode === "pid1" || options.exactSignalOfPid2 ? "code 0 signal 9" : "code 255 signal 0",
            );
            expect(container.container.mainPid()).toBeUndefined();
            await container.container.signal(SIGTERM);
            await finish(container);
          },
          TEST_MS,
        );

        test(
          `${mode}: a signal the payload handles, sent again and again, and right after the launch`,
          async () => {
            const script = `trap 'echo usr' USR1; trap 'echo bye; exit 3' TERM; echo ready; ${LOOP}`;
            const container = await launch(script, { mode });
            await container.stdout.readUntil(/ready/);
            await container.container.signal(SIGUSR1);
            await container.stdout.readUntil(/usr/);
            await container.container.signal(SIGTERM);
            await container.stdout.readUntil(/bye/);
            expect(outcome(await container.container.exit)).toBe("code 3 signal 0");
            await finish(container);
          },
          TEST_MS,
        );
      }

      test.skipIf(!options.exactSignalOfPid2)(
        "pid2: a signal the payload does not handle",
        async () => {
          const container = await launch("echo ready; exec sleep 60", { mode: "pid2" });
          await container.stdout.readUntil(/ready/);
          await container.container.signal(SIGTERM);
          expect(outcome(await container.container.exit)).toBe("code 0 signal 15");
          await finish(container);
        },
        TEST_MS,
      );

      test(
        "a start that fails reports systemd-nspawn's own message",
        async () => {
          const { exit } = await run("true", { directory: join(tmpdir(), "no-such-tree") });
          expect(exit.code).toBe(1);
          expect(exit.message).toContain("no-such-tree");
        },
        TEST_MS,
      );

      test.skipIf(!options.memoryLimits)(
        "a payload above its memory limit is reported as killed for memory",
        async () => {
          const eat = "dd if=/dev/zero of=/dev/null bs=256M count=1";
          const { exit } = await run(`exec ${eat}`, { limits: { memoryMax: 32 * MIB } });
          expect(exit).toMatchObject({ signal: SIGKILL, oomKilled: true });
          const within = await run(`exec ${eat.replace("256M", "1M")}`, { limits: { memoryMax: 64 * MIB } });
          expect(outcome(within.exit)).toBe("code 0 signal 0");
        },
        TEST_MS,
      );
    });

    describe("logs", () => {
      test(
        "standard output and error are separate, complete, and can be opened again",
        async () => {
          const { out, err } = await run(
            "echo one; echo two >&2; echo three > /dev/stdout; echo four > /dev/stderr; seq 1 50000; seq 1 50000 >&2",
          );
          const numbers = Array.from({ length: 50_000 }, (_, index) => `${index + 1}\n`).join("");
          expect(out).toBe(`one\nthree\n${numbers}`);
          expect(err).toStartWith(`two\nfour\n${numbers}`);
        },
        TEST_MS,
      );

      test(
        "the container's descriptors block: no O_NONBLOCK that programs do not expect",
        async () => {
          const { out } = await run("cat /proc/self/fdinfo/1 /proc/self/fdinfo/2");
          const flags = [...out.matchAll(/^flags:\s+([0-7]+)$/gm)].map(([, octal = ""]) => Number.parseInt(octal, 8));
          expect(flags.map((flag) => flag & 0o4000)).toEqual([0, 0]);
        },
        TEST_MS,
      );

      test(
        "a start without a reader does not wait, and no output is lost",
        async () => {
          const container = await launch(`echo early; echo complaint >&2; touch /tmp/x; ${LOOP}`);
          await startedLeader(container.container);
          await Bun.sleep(300);
          expect(await container.stdout.readUntil(/early/)).toBe("early\n");
          expect(await container.stderr.readUntil(/complaint/)).toContain("complaint\n");
          await finish(container);
        },
        TEST_MS,
      );

      test(
        "a reader that dies and comes back loses no line and kills no task",
        async () => {
          const container = await launch("for i in $(seq 1 40); do echo line $i; echo error $i >&2; sleep 0.03; done");
          const first = await container.stdout.readUntil(/line 3\n/);
          const firstError = await container.stderr.readUntil(/error 3\n/);
          container.stdout.close();
          container.stderr.close();
          await Bun.sleep(300);
          const out = first + (await container.stdout.readUntil(/line 40\n/));
          const err = firstError + (await container.stderr.readUntil(/error 40\n/));
          const lines = (word: string) => Array.from({ length: 40 }, (_, index) => `${word} ${index + 1}\n`).join("");
          expect(out).toBe(lines("line"));
          expect(err).toStartWith(lines("error"));
          expect(outcome(await container.container.exit)).toBe("code 0 signal 0");
          await finish(container);
        },
        TEST_MS,
      );
    });

    describe("recovery", () => {
      test(
        "a later plugin finds a running container: same PID, same exit",
        async () => {
          const container = await launch(`trap 'exit 4' TERM; echo ready; ${LOOP}`);
          await container.stdout.readUntil(/ready/);
          const later = await make();
          try {
            const found = await later.attach(container.container.ref);
            expect(found.mainPid()).toBe(container.container.mainPid());
            expect(found.mainPid()).toBeGreaterThan(1);
            expect(Math.abs(found.startedAt - container.container.startedAt)).toBeLessThan(2_000);
            await found.signal(SIGTERM);
            const [exit, same] = await Promise.all([found.exit, container.container.exit]);
            expect(outcome(exit)).toBe("code 4 signal 0");
            expect(same).toEqual(exit);
          } finally {
            await later.close();
          }
          await finish(container);
        },
        TEST_MS,
      );

      test(
        "a later plugin finds a container that exited in the meantime, until it is released",
        async () => {
          const container = await launch("exit 9");
          const exit = await container.container.exit;
          const later = await make();
          try {
            const found = await later.attach(container.container.ref);
            expect(await found.exit).toEqual(exit);
            expect(found.mainPid()).toBeUndefined();
            await found.release();
            await expect(later.attach(container.container.ref)).rejects.toBeInstanceOf(NotSupervisedError);
          } finally {
            await later.close();
          }
          await finish(container);
        },
        TEST_MS,
      );

      test(
        "a container that never existed, or existed before a reboot, is not found",
        async () => {
          const ref = { supervisor: supervisor.name, machine: "suite-nobody", mode: "pid1", bootId: bootId() } as const;
          await expect(supervisor.attach(ref)).rejects.toBeInstanceOf(NotSupervisedError);
          const container = await launch(LOOP);
          const before = { ...container.container.ref, bootId: "00000000-0000-0000-0000-000000000000" };
          await expect(supervisor.attach(before)).rejects.toBeInstanceOf(NotSupervisedError);
          await finish(container);
        },
        TEST_MS,
      );
    });

    test(
      "systemd-nspawn announces the container at its NOTIFY_SOCKET",
      async () => {
        const notifySocket = join(fifos, "notify");
        using notice = StartNotice.open(notifySocket);
        const container = await launch(LOOP, { notifySocket });
        await container.container.started;
        // The message may come after the program runs: it is sent by another process.
        const pace = { firstMs: 1, longestMs: 20, timeoutMs: 10_000 };
        expect(await becomesTrue(() => notice?.arrived() === true, pace)).toBe(true);
        await finish(container);
      },
      TEST_MS,
    );

    test(
      "a search that waits for the announcement finds the container's program",
      async () => {
        const notifySocket = join(fifos, "notify-search");
        using notice = StartNotice.open(notifySocket);
        const container = await launch(LOOP, { notifySocket }, notice);
        await container.container.started;
        const main = container.container.mainPid() ?? 0;
        expect(findLeader(main)).toBeDefined();
        await finish(container);
      },
      TEST_MS,
    );

    describe("ends", () => {
      test(
        "kill, more than once, and release of a running container",
        async () => {
          const container = await launch(`trap '' TERM INT; echo ready; ${LOOP}`, { mode: "pid2" });
          await container.stdout.readUntil(/ready/);
          const leader = leaderOf(container.container);
          await Promise.all([container.container.kill(), container.container.kill()]);
          expect((await container.container.exit).signal).toBe(SIGKILL);
          expect(isAlive(leader)).toBe(false);
          await container.container.kill();
          await Promise.all([container.container.release(), container.container.release()]);
          await finish(container);

          const running = await launch(`echo ready; ${LOOP}`);
          await running.stdout.readUntil(/ready/);
          const other = leaderOf(running.container);
          await finish(running);
          expect(isAlive(other)).toBe(false);
          expect((await running.container.exit).signal).toBe(SIGKILL);
        },
        TEST_MS,
      );

      test(
        "kill in the middle of a start, at several moments",
        async () => {
          for (const delay of [0, 10, 20, 40, 60]) {
            const container = await launch(LOOP);
            await Bun.sleep(delay);
            await container.container.kill();
            expect(await container.container.exit).toMatchObject({ code: 0, signal: SIGKILL });
            await finish(container);
          }
        },
        TEST_MS,
      );

      test(
        "an --ephemeral copy is removed with its container, killed or not",
        async () => {
          const before = copies(tree);
          const ended = await run("exit 0", { extra: ["--ephemeral"] });
          expect(outcome(ended.exit)).toBe("code 0 signal 0");
          const container = await launch(`echo ready; ${LOOP}`, { extra: ["--ephemeral"] });
          await container.stdout.readUntil(/ready/);
          expect(copies(tree).length).toBeGreaterThan(before.length);
          await finish(container);
          expect(copies(tree)).toEqual(before);
        },
        TEST_MS,
      );

      test(
        "a SIGKILLed systemd-nspawn is reported as an exit, its container is killed, and nothing of it remains",
        async () => {
          const before = copies(tree);
          const container = await launch(`echo ready; ${LOOP}`, { extra: ["--ephemeral"] });
          await container.stdout.readUntil(/ready/);
          await Bun.sleep(200);
          const leader = leaderOf(container.container);
          process.kill(container.container.mainPid() ?? 0, SIGKILL);
          expect(outcome(await container.container.exit)).toBe("code 0 signal 9");
          await container.container.release();
          expect(isAlive(leader)).toBe(false);
          await finish(container);
          expect(copies(tree)).toEqual(before);
        },
        TEST_MS,
      );

      test.each(options.forget === undefined ? ["kept"] : ["kept", "lost"])(
        "a launch replaces a container of the same machine whose records are %s",
        async (records) => {
          const first = await launch(`echo ready; ${LOOP}`);
          await first.stdout.readUntil(/ready/);
          const leader = leaderOf(first.container);
          if (records === "lost") await options.forget?.(first.spec.machine);
          const later = await make();
          let second: Container | undefined;
          try {
            second = await later.launch(first.spec);
            const replacement = await startedLeader(second);
            expect(isAlive(leader)).toBe(false);
            expect(isAlive(replacement)).toBe(true);
          } finally {
            await second?.release();
            await later.close();
          }
          await finish(first);
        },
        TEST_MS,
      );

      test(
        "ten at once, each with its own exit and logs",
        async () => {
          const runs = Array.from({ length: 10 }, (_, index) => run(`echo hello ${index}; sleep 0.2; exit ${index}`));
          const results = await Promise.all(runs);
          expect(results.map(({ out, exit }) => `${out}${outcome(exit)}`)).toEqual(
            results.map((_, index) => `hello ${index}\ncode ${index} signal 0`),
          );
        },
        TEST_MS,
      );
    });

    /** The leader, once it is there. While systemd-nspawn still starts it, a second look may miss it: its parent ends meanwhile. */
    const startedLeader = async (container: Container): Promise<ProcessIdentity> => {
      const pid = container.mainPid() ?? 0;
      const leader = await waitForProcess(pid, () => findLeader(pid));
      if (leader === undefined) throw new Error("The container has no PID 1.");
      return leader;
    };
    const leaderOf = (container: Container): ProcessIdentity => {
      const leader = findLeader(container.mainPid() ?? 0);
      if (leader === undefined) throw new Error("The container has no PID 1.");
      return leader;
    };
  });
}

function copies(tree: BusyboxTree): readonly string[] {
  return readdirSync(join(tree.path, "..")).filter((entry) => /#(machine|snapshot)\.busybox-tree-/.test(entry));
}

/** Leftovers of a machine: processes, mounts, shared directories, cgroups. */
async function leftovers(machine: string, options: SuiteOptions): Promise<readonly string[]> {
  const processes = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && runsMachine(Number(pid), machine));
  const mounts = readMounts().flatMap(({ path }) => (path.split("/").includes(machine) ? [path] : []));
  const shared = [`unix-export/${machine}`, `propagate/${machine}`, machine].map(
    (name) => `/run/systemd/nspawn/${name}`,
  );
  return [
    ...processes.map((pid) => `process ${pid}`),
    ...mounts.map((path) => `mount ${path}`),
    ...shared.filter((path) => existsSync(path)),
    ...((await options.leftovers?.(machine)) ?? []),
  ];
}

function runsMachine(pid: number, machine: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return words.includes(`--machine=${machine}\0`) && identify(pid) !== undefined;
  } catch {
    return false;
  }
}

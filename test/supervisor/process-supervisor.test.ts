import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { readIfThere } from "../../src/lib/files";
import { readCgroupLayout } from "../../src/linux/cgroup/layout";
import { cgroupDirectories, SUPERVISORS_CGROUP } from "../../src/linux/cgroup/manager";
import { bootId, identify, isAlive } from "../../src/linux/proc";
import { readNspawn } from "../../src/nspawn/installation";
import { findLeader } from "../../src/nspawn/processes";
import { ProcessSupervisor } from "../../src/supervisor/process/process-supervisor";
import { readRunning, stateFiles } from "../../src/supervisor/process/state";
import { type Container, LaunchError, type LaunchSpec, type Supervisor } from "../../src/supervisor/supervisor";
import { processorScale, timeoutScale } from "../../tools/timeout-scale";
import { type BusyboxTree, makeBusyboxTree } from "./busybox-tree";
import { createFifo, type LogFifo } from "./log-fifo";
import { kernelTellsExits, supervisorSuite } from "./supervisor-suite";

const SIGKILL = 9;
const TEST_MS = 60_000 * timeoutScale;
const LOOP = "while :; do sleep 0.05; done";
const ENTRY = join(import.meta.dir, "supervise-entry.ts");

const layout = readCgroupLayout();
const suiteDir = join(tmpdir(), `process-suite-${process.pid}`);
const DISTURB = `--preload=${join(import.meta.dir, "disturb.ts")}`;
const supervisorIn = (stateDir: string, warnings: string[] = [], disturbance?: string): Supervisor =>
  new ProcessSupervisor({
    stateDir,
    shim: [process.execPath, ...(disturbance === undefined ? [ENTRY] : [DISTURB, ENTRY, disturbance])],
    log: { warn: (text) => void warnings.push(text) },
  });
const cgroups = (machine: string) =>
  [...cgroupDirectories(layout, machine).values()].filter((path) => existsSync(path));

supervisorSuite("process", async () => supervisorIn(suiteDir), {
  memoryLimits: layout.legacy.has("memory") || layout.unified?.controllers.includes("memory") === true,
  exactSignalOfPid2: kernelTellsExits(),
  leftovers: (machine) => [...cgroups(machine), ...[join(suiteDir, machine)].filter((path) => existsSync(path))],
});

describe("process supervisor", () => {
  let tree: BusyboxTree;
  let nspawn = "";
  let directory = "";
  let stateDir = "";
  let stdout: LogFifo;
  let stderr: LogFifo;
  let supervisor: Supervisor;
  let warnings: string[] = [];
  let machines: string[] = [];
  let count = 0;

  beforeAll(async () => {
    tree = makeBusyboxTree();
    nspawn = (await readNspawn())?.path ?? "";
  });
  afterAll(() => tree.remove());
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "process-supervisor-"));
    stateDir = join(directory, "state");
    stdout = createFifo(join(directory, "out"));
    stderr = createFifo(join(directory, "err"));
    warnings = [];
    supervisor = supervisorIn(stateDir, warnings);
  });
  afterEach(async () => {
    await supervisor.close();
    const last = supervisorIn(stateDir);
    const left = machines.filter((machine) => existsSync(join(stateDir, machine)));
    for (const machine of left) {
      const found = await last.attach({ supervisor: "process", machine, mode: "pid1", bootId: bootId() });
      await found.release();
    }
    await last.close();
    stdout.close();
    stderr.close();
    const state = existsSync(stateDir);
    rmSync(directory, { recursive: true, force: true });
    expect(state).toBe(false);
    expect(machines.flatMap(cgroups)).toEqual([]);
    machines = [];
  });

  const spec = (script: string, change: Partial<LaunchSpec> = {}, extra: readonly string[] = []): LaunchSpec => {
    count += 1;
    const machine = `process-${process.pid}-${count}`;
    machines.push(machine);
    const argv = [
      nspawn,
      "--quiet",
      "--keep-unit",
      "--register=no",
      `--machine=${machine}`,
      `--directory=${tree.path}`,
      "--private-users=no",
      "--read-only",
      "--timezone=off",
      "--resolv-conf=off",
      "--link-journal=no",
      "--console=pipe",
      ...extra,
      "--",
      "/bin/sh",
      "-c",
      script,
    ];
    return {
      machine,
      mode: "pid1",
      argv,
      stdoutPath: stdout.path,
      stderrPath: stderr.path,
      limits: {},
      devices: [],
      properties: {},
      ...change,
    };
  };
  const launch = (...of: Parameters<typeof spec>): Promise<Container> => supervisor.launch(spec(...of));
  const runningOf = (machine: string) => {
    const running = readRunning(stateFiles(stateDir, machine));
    if (running === undefined) throw new Error(`${machine} has no state.`);
    return running;
  };

  test("constructing, and attaching to an unknown container, change nothing", async () => {
    const ref = { supervisor: "process", machine: "nobody", mode: "pid1", bootId: "x" } as const;
    await expect(supervisor.attach(ref)).rejects.toThrow(/Container nobody does not exist/);
    expect(existsSync(stateDir)).toBe(false);
  });

  test(
    "state is readable by root only, and the shim has its own session and cgroup",
    async () => {
      const container = await launch(`echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      const { supervisor: process1, main } = runningOf(container.ref.machine);
      const files = stateFiles(stateDir, container.ref.machine);
      const stat = await Promise.all([stateDir, files.directory, files.order, files.running, files.socket].map(modeOf));
      expect(stat).toEqual([0o700, 0o700, 0o600, 0o600, 0o600]);
      const session = readFileSync(`/proc/${process1.pid}/stat`, "utf8").split(") ")[1]?.split(" ")[3];
      expect(Number(session)).toBe(process1.pid);
      const cgroup = readFileSync(`/proc/${process1.pid}/cgroup`, "utf8");
      expect(cgroup).toContain("/nomad-driver-nspawn/.supervisors\n");
      expect(cgroup).not.toContain(container.ref.machine);
      for (const pid of [main.pid, findLeader(main.pid)?.pid]) {
        expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`/nomad-driver-nspawn/${container.ref.machine}`);
      }
    },
    TEST_MS,
  );

  test(
    "the shim ignores SIGINT, SIGHUP and SIGTERM",
    async () => {
      const container = await launch(`trap 'exit 6' USR1; echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      const own = runningOf(container.ref.machine).supervisor;
      for (const signal of ["SIGINT", "SIGHUP", "SIGTERM"] as const) process.kill(own.pid, signal);
      await Bun.sleep(100);
      expect(isAlive(own)).toBe(true);
      await container.signal(10);
      expect((await container.exit).code).toBe(6);
    },
    TEST_MS,
  );

  test(
    "a shim killed with -9 is reported as an exit with a reason, and its container is killed",
    async () => {
      const container = await launch(`echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      const { supervisor: own, main } = runningOf(container.ref.machine);
      const leader = findLeader(main.pid);
      process.kill(own.pid, SIGKILL);
      const exit = await container.exit;
      expect(exit).toMatchObject({ signal: SIGKILL, oomKilled: false });
      expect(exit.message).toMatch(/shim of container .* was killed, so the driver killed the container/);
      expect(isAlive(main)).toBe(false);
      expect(leader !== undefined && isAlive(leader)).toBe(false);
      const later = supervisorIn(stateDir);
      expect(await (await later.attach(container.ref)).exit).toEqual(exit);
      await later.close();
    },
    TEST_MS,
  );

  test(
    "the same, found by a later plugin",
    async () => {
      const container = await launch(`echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      await supervisor.close();
      const { supervisor: own, main } = runningOf(container.ref.machine);
      process.kill(own.pid, SIGKILL);
      while (isAlive(own)) await Bun.sleep(1);
      expect(isAlive(main)).toBe(true);
      const later = supervisorIn(stateDir);
      const found = await later.attach(container.ref);
      expect((await found.exit).signal).toBe(SIGKILL);
      expect(isAlive(main)).toBe(false);
      await later.close();
    },
    TEST_MS,
  );

  test(
    "a plugin killed with -9 does not affect container and logs",
    async () => {
      const order = spec(`trap 'exit 8' USR1; i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.02; done`);
      const script = join(directory, "plugin.ts");
      writeFileSync(
        script,
        `import { ProcessSupervisor } from ${JSON.stringify(join(import.meta.dir, "../../src/supervisor/process/process-supervisor.ts"))};
const supervisor = new ProcessSupervisor({ stateDir: ${JSON.stringify(stateDir)}, shim: ${JSON.stringify([process.execPath, ENTRY])}, log: { warn() {} } });
supervisor.launch(${JSON.stringify(order)}).then((supervised) => console.log(JSON.stringify(supervised.ref)));`,
      );
      const plugin = Bun.spawn([process.execPath, script], { stdout: "pipe" });
      const first = await stdout.readUntil(/tick 5\n/);
      const { main } = runningOf(order.machine);
      const printed = await plugin.stdout.getReader().read();
      plugin.kill(SIGKILL);
      await plugin.exited;
      const second = await stdout.readUntil(/tick 40\n/);
      expect(isAlive(main)).toBe(true);
      const found = await supervisor.attach(JSON.parse(new TextDecoder().decode(printed.value)));
      expect(found.mainPid()).toBe(main.pid);
      await found.signal(10);
      const rest = await stdout.readUntil();
      expect((await found.exit).code).toBe(8);
      const lines = (first + second + rest).trim().split("\n");
      expect(lines).toEqual(lines.map((_, index) => `tick ${index}`));
    },
    TEST_MS,
  );

  test(
    "the last output of a container waits for a reader, even after its exit",
    async () => {
      const container = await launch("echo last; echo complaint >&2; exit 2");
      expect((await container.exit).code).toBe(2);
      await Bun.sleep(300);
      const { supervisor: own } = runningOf(container.ref.machine);
      expect(isAlive(own)).toBe(true);
      expect(await stdout.readUntil(/last\n/)).toBe("last\n");
      expect(await stderr.readUntil(/complaint\n/)).toContain("complaint\n");
      await stdout.readUntil();
      await stderr.readUntil();
      for (let round = 0; isAlive(own) && round < 100; round += 1) await Bun.sleep(10);
      expect(isAlive(own)).toBe(false);
    },
    TEST_MS,
  );

  test(
    "a container that blocks on a full standard error without a reader can be killed",
    async () => {
      const container = await launch("echo ready; seq 1 1000000 >&2");
      await stdout.readUntil(/ready/);
      await Bun.sleep(300);
      await container.kill();
      expect((await container.exit).signal).toBe(SIGKILL);
    },
    TEST_MS,
  );

  test(
    "a container that reboots is started again by the same process, in the same cgroup",
    async () => {
      const marks = join(directory, "marks");
      mkdirSync(marks);
      const script = `if test -e /tmp/once; then trap 'exit 5' USR1; echo again; ${LOOP}; fi; echo once; echo > /tmp/once; reboot -f; sleep 60`;
      const container = await launch(script, { mode: "boot" }, [`--bind=${marks}:/tmp`]);
      expect(await stdout.readUntil(/again\n/)).toBe("once\nagain\n");
      const { main } = runningOf(container.ref.machine);
      const groups = readFileSync(`/proc/${findLeader(main.pid)?.pid}/cgroup`, "utf8");
      expect(groups).toContain(`/nomad-driver-nspawn/${container.ref.machine}`);
      expect(groups).not.toContain("/.supervisors");
      await container.signal(10);
      expect((await container.exit).code).toBe(5);
    },
    TEST_MS,
  );

  test(
    "systemd-nspawn's environment: the minimum, and the file's, which wins",
    async () => {
      const environmentFile = join(directory, "environment");
      writeFileSync(environmentFile, "SECRET='a b\"$c'\nPLAIN='file'\n", { mode: 0o600 });
      const change = { environmentFile };
      const container = await launch(`echo ready; ${LOOP}`, change);
      await stdout.readUntil(/ready/);
      const environment = readFileSync(`/proc/${container.mainPid()}/environ`, "utf8").split("\0").filter(Boolean);
      expect(environment.toSorted()).toEqual([
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PLAIN=file",
        `SECRET=a b"$c`,
        "SYSTEMD_LOG_LEVEL=err",
      ]);
    },
    TEST_MS,
  );

  test.each([
    ["a log in the journal", { output: "journal" }, /log_driver = "journal" needs systemd as PID 1/],
    ["unit properties", { properties: { IOWeight: "10" } }, /Unit properties \(IOWeight\) need systemd as PID 1/],
    ["a name that is a path", { machine: "../x" }, /"\.\.\/x" is not a valid machine name/],
    ["a relative program", { argv: ["systemd-nspawn"] }, /path must be absolute/],
    ["a program that is not there", { argv: ["/nowhere/systemd-nspawn"] }, /nowhere\/systemd-nspawn/],
    ["a FIFO that is not there", { stdoutPath: "/nowhere/out" }, /\/nowhere\/out/],
    ["an environment file that is not there", { environmentFile: "/nowhere/env" }, /\/nowhere\/env/],
  ] as const)("a launch is refused for %s, and nothing is left", async (_, change, message) => {
    const refused = spec("true", change);
    const failure = supervisor.launch(refused);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(LaunchError);
    expect(cgroups(refused.machine)).toEqual([]);
  });

  test.each(["killed", "full"])(
    "a shim that cannot record what it started leaves nothing running: %s",
    async (how) => {
      const unrecorded = supervisorIn(stateDir, warnings, how);
      const order = spec(`echo ready; ${LOOP}`);
      const failure = unrecorded.launch(order);
      await expect(failure).rejects.toBeInstanceOf(LaunchError);
      await unrecorded.close();
      expect(existsSync(join(stateDir, order.machine))).toBe(false);
      expect(cgroups(order.machine)).toEqual([]);
      expect(nspawnsOf(order.machine)).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "a container that is killed between its exit and its next start is not started again",
    async () => {
      const busy = supervisorIn(stateDir, warnings, "busy");
      // A second start would take longer than the test.
      const script = `echo ready; read line < /tmp/go; reboot -f; sleep 60`;
      const marks = join(directory, "marks");
      mkdirSync(marks);
      const go = createFifo(join(marks, "go"));
      const container = await busy.launch(spec(script, { mode: "boot" }, [`--bind=${marks}:/tmp`]));
      await stdout.readUntil(/ready/);
      const { main } = runningOf(container.ref.machine);
      writeFileSync(go.path, "now\n");
      go.close();
      while (isAlive(main)) await Bun.sleep(1);
      await container.kill();
      expect(await container.exit).toMatchObject({ code: 0, signal: SIGKILL });
      await container.release();
      await busy.close();
      expect(nspawnsOf(container.ref.machine)).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "a shim that does not respond cannot prevent its container from being killed and removed",
    async () => {
      const container = await launch(`echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      const { supervisor: own, main } = runningOf(container.ref.machine);
      process.kill(own.pid, "SIGSTOP");
      await container.release();
      expect((await container.exit).signal).toBe(SIGKILL);
      expect([own, main].map((each) => isAlive(each))).toEqual([false, false]);
    },
    TEST_MS,
  );

  test(
    "the parent of all cgroups is removed with the last one, although a shim exits late",
    async () => {
      const container = await launch("exit 0");
      await container.exit;
      const late = Bun.spawn(["/bin/sleep", "1"], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
      for (const own of cgroups(SUPERVISORS_CGROUP)) writeFileSync(join(own, "cgroup.procs"), String(late.pid));
      const parents = cgroups(SUPERVISORS_CGROUP).map((own) => dirname(own));
      expect(parents).not.toEqual([]);
      // Containers of other programs on this machine use it as well.
      const mine = [basename(SUPERVISORS_CGROUP), container.ref.machine];
      const others = (parent: string) =>
        readdirSync(parent, { withFileTypes: true }).some((entry) => entry.isDirectory() && !mine.includes(entry.name));
      const kept = parents.filter(others);
      await container.release();
      await late.exited;
      expect(parents.filter((parent) => existsSync(parent))).toEqual(kept);
    },
    TEST_MS,
  );

  test(
    "a release that failed can be retried",
    async () => {
      const container = await launch(`echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      const { running } = stateFiles(stateDir, container.ref.machine);
      const record = readFileSync(running);
      writeFileSync(running, "{");
      await expect(container.release()).rejects.toThrow(/running.json is damaged/);
      writeFileSync(running, record);
      await container.release();
      expect((await container.exit).signal).toBe(SIGKILL);
    },
    TEST_MS,
  );

  test(
    "a second launch of a name replaces the first container, running or ended",
    async () => {
      const first = await launch(`echo ready; ${LOOP}`);
      await stdout.readUntil(/ready/);
      const { machine } = first.ref;
      const again = { ...spec("exit 3"), machine };
      const argv = again.argv.map((word) => (word.startsWith("--machine=") ? `--machine=${machine}` : word));
      for (let round = 0; round < 2; round += 1) {
        await supervisor.close();
        supervisor = supervisorIn(stateDir);
        const second = await supervisor.launch({ ...again, argv });
        expect((await second.exit).code).toBe(3);
      }
    },
    TEST_MS,
  );

  test(
    "a limit that the host cannot enforce is reported once, and the container runs",
    async () => {
      const limits = { cpus: "4000" };
      for (let round = 0; round < 2; round += 1) {
        const container = await launch("exit 0", { limits });
        expect((await container.exit).code).toBe(0);
        await container.release();
      }
      expect(warnings.filter((text) => text.includes("limit of cores"))).toHaveLength(1);
    },
    TEST_MS,
  );

  test(
    "costs little while it waits",
    async () => {
      const container = await launch(`echo ready; exec sleep 60`);
      await stdout.readUntil(/ready/);
      await Bun.sleep(500);
      const { supervisor: own } = runningOf(container.ref.machine);
      const before = identify(own.pid) && ticksOf(own.pid);
      await Bun.sleep(1_000);
      expect(ticksOf(own.pid) - (before ?? 0)).toBeLessThanOrEqual(processorScale);
      const rss = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${own.pid}/status`, "utf8"))?.[1]);
      const anon = Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${own.pid}/status`, "utf8"))?.[1]);
      console.log(
        `supervising process: ${(rss / 1024).toFixed(1)} MiB resident, ${(anon / 1024).toFixed(1)} MiB of its own`,
      );
      expect(anon).toBeLessThan(24 << 10);
    },
    TEST_MS,
  );
});

async function modeOf(path: string): Promise<number> {
  return (await Bun.file(path).stat()).mode & 0o777;
}

/** Processor time used so far, in clock ticks of 10 ms. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

/** The processes of a machine's systemd-nspawn. */
function nspawnsOf(machine: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => readIfThere(`/proc/${pid}/cmdline`)?.includes(`--machine=${machine}\0`) && identify(pid));
}

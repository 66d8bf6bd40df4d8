import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FingerprintResponse_HealthState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { becomesTrue } from "../../src/lib/deadline";
import { driverBinary, projectRoot } from "../../tools/build/project";
import { attempt, run } from "../../tools/command";
import { type Fixture, failure, shell, useFixture } from "../protocol/fixture";
import { removeDefaultStore } from "../support/default-store";

const pluginConfig = { allow_properties: ["IOWeight", "LimitNOFILE"], stop_timeout: "2s" };

removeDefaultStore();
let bench: Fixture;
useFixture((opened) => {
  bench = opened;
}, pluginConfig);

const PACE = { firstMs: 20, longestMs: 100, timeoutMs: 20_000 };

const running = "trap 'exit 5' USR1; echo up; while :; do sleep 0.1; done";

async function up(more: Readonly<Record<string, unknown>> = {}, spec: object = {}) {
  const task = await bench.started({ ...shell(bench.busybox, running, more), ...spec });
  await task.stdout.waitFor("up");
  const { driver } = await bench.client().inspectTask(task.id);
  const machine = driver?.attributes["machine"] ?? "";
  return { task, machine, unit: `nomad-nspawn-${machine}.service`, pid: Number(driver?.attributes["pid"]) };
}

async function property(unit: string, name: string): Promise<string> {
  const { stdout } = await run(["systemctl", "show", "--value", `--property=${name}`, unit]);
  return stdout.trim();
}

test("every switch of this systemd-nspawn has a row in docs/parity.md", async () => {
  const { stdout } = await run(["systemd-nspawn", "--help"]);
  const switches = [...new Set(Array.from(stdout.matchAll(/--[a-z][a-z0-9-]+/g), ([name]) => name))];
  expect(switches.length).toBeGreaterThan(50);
  const page = await Bun.file(join(projectRoot, "docs/parity.md")).text();
  const group = /^--forward-journal-/;
  expect(switches.filter((name) => !group.test(name) && !page.includes(`\`${name}`))).toEqual([]);
});

describe("the task's unit", () => {
  test("has the limits, and the properties that the operator allows", async () => {
    const resources = {
      allocatedResources: { memory: { memoryMb: 64n, memoryMaxMb: 128n } },
      linuxResources: { cpuShares: 1024n, cpusetCpus: "0" },
    };
    const { unit } = await up({ properties: { LimitNOFILE: "4321" } }, { resources });
    expect(await property(unit, "MemoryMax")).toBe(String(128 * 1024 * 1024));
    expect(await property(unit, "MemoryLow")).toBe(String(64 * 1024 * 1024));
    expect(await property(unit, "CPUWeight")).toBe("39");
    expect(await property(unit, "AllowedCPUs")).toBe("0");
    expect(await property(unit, "LimitNOFILE")).toBe("4321");
    expect(await property(unit, "Slice")).toBe("machine.slice");
    expect(await property(unit, "DevicePolicy")).toBe("closed");
  });

  test("moves to other cores while it runs, and systemd keeps that through a reload", async () => {
    const cpuset = await mkdtemp(join(tmpdir(), "cpuset-"));
    await writeFile(join(cpuset, "cpuset.cpus"), "0\n");
    const { unit, task } = await up({}, { resources: { linuxResources: { cpusetCgroup: cpuset } } });
    expect(await property(unit, "AllowedCPUs")).toBe("0");
    await writeFile(join(cpuset, "cpuset.cpus"), "1\n");
    expect(await becomesTrue(async () => (await property(unit, "AllowedCPUs")) === "1", PACE)).toBe(true);
    await run(["systemctl", "daemon-reload"]);
    expect(await property(unit, "AllowedCPUs")).toBe("1");
    await bench.client().destroyTask(task.id, true);
    expect(readdirSync("/run/systemd/transient").filter((name) => name.startsWith(unit))).toEqual([]);
    await rm(cpuset, { recursive: true });
  });

  test("is in the operator's slice", async () => {
    const config = { image_store: join(bench.scratch, "images"), ...pluginConfig };
    await bench.client().setConfig({ ...config, slice: "nomad-tasks.slice" });
    const { unit, task } = await up();
    await bench.client().setConfig(config);
    expect(await property(unit, "Slice")).toBe("nomad-tasks.slice");
    expect(await property(unit, "ControlGroup")).toBe(`/nomad.slice/nomad-tasks.slice/${unit}`);
    await bench.client().destroyTask(task.id, true);
    await run(["systemctl", "stop", "nomad.slice"]);
  });

  test("has the operator's time for a stop", async () => {
    const { unit } = await up();
    expect(await property(unit, "TimeoutStopUSec")).toBe("2s");
  });

  test("is a machine for machinectl", async () => {
    const { machine } = await up();
    const { stdout } = await run(["machinectl", "list", "--no-legend"]);
    expect(stdout).toContain(machine);
  });

  test("does not show the task's environment", async () => {
    const secret = "s3cret-of-the-task";
    const config = { ...shell(bench.busybox, "echo $TOKEN; sleep 1000").config, environment: { OTHER: `${secret}-2` } };
    const task = await bench.started({ config, env: { TOKEN: secret, SEVERAL: `${secret}\nsecond` } });
    await task.stdout.waitFor(secret);
    const { driver } = await bench.client().inspectTask(task.id);
    const unit = `nomad-nspawn-${driver?.attributes["machine"]}.service`;
    expect((await run(["systemctl", "show", unit])).stdout).not.toContain(secret);
    const { stdout } = await run(["ps", "axww", "-o", "args"]);
    expect(stdout).toContain("systemd-nspawn");
    expect(stdout).not.toContain(secret);
    expect(JSON.stringify(bench.plugin().logs)).not.toContain(secret);
  });
});

test("the unit stops after the agent's own, which is named after the service that the plugin runs in", async () => {
  const agent = "agent-of-a-test.service";
  const program = [driverBinary(), "run", bench.busybox, "--set", "volatile=overlay", "--", "/bin/sleep", "1000"];
  // An agent that is still starting, as its unit sees it, must be able to start tasks.
  await run(["systemd-run", `--unit=${agent}`, "--collect", "--no-block", "--property=Type=notify", ...program]);
  try {
    const dependants = async () =>
      (await property(agent, "After")).split(" ").filter((unit) => /^nomad-nspawn-/.test(unit));
    const started = async () => (await dependants()).length > 0;
    expect(await becomesTrue(started, PACE)).toBe(true);
    const [unit = ""] = await dependants();
    expect(await becomesTrue(async () => (await property(unit, "SubState")) === "running", PACE)).toBe(true);
    expect(await property(agent, "SubState")).toBe("start");
    expect(await property(unit, "Before")).toContain(agent);
  } finally {
    await run(["systemctl", "stop", agent]);
  }
});

describe("what other programs do to a task", () => {
  const ended = async (task: { id: string }) => (await bench.client().waitTask(task.id, { timeout: 20_000 })).result;

  const polite = "trap 'echo bye; exit 0' TERM INT; echo up; while :; do sleep 0.1; done";

  test.each([
    ["PID 1", {}],
    ["PID 2", { process_two: true }],
    ["PID 1 with a user", { user: "app" }],
    ["PID 2 with a user", { process_two: true, user: "app" }],
  ])("systemctl stop of a program that is %s lets it end itself, and its exit is its own", async (_name, more) => {
    const { task, unit } = await up({ ...more, command: ["/bin/sh", "-c", polite] });
    await run(["systemctl", "stop", unit]);
    expect(await ended(task)).toMatchObject({ exitCode: 0, signal: 0 });
    expect(await task.stdout.ended()).toContain("bye");
    await bench.client().destroyTask(task.id);
  });

  test.each([{}, { process_two: true }])("systemctl stop kills what ignores the signal (%j)", async (more) => {
    const { task, unit } = await up({ ...more, command: ["/bin/sh", "-c", `trap '' TERM INT; ${running}`] });
    await run(["systemctl", "stop", unit]);
    expect(await ended(task)).toMatchObject({ signal: 9 });
    await bench.client().destroyTask(task.id);
  });

  test("machinectl terminate ends it", async () => {
    // Newer machined stops the unit, and so waits for a program that ignores the stop signal.
    const { task, machine } = await up({ command: ["/bin/sh", "-c", polite] });
    await run(["machinectl", "terminate", machine]);
    expect(await ended(task)).toBeDefined();
    await bench.client().destroyTask(task.id);
  });

  test("a container that cannot be registered ends with exit code 1 and the reason, not as killed", async () => {
    await run(["systemctl", "mask", "--runtime", "--now", "systemd-machined.service"]);
    try {
      const end = await bench.finished(shell(bench.busybox, "echo never"));
      expect(end).toMatchObject({ code: 1, signal: 0, stdout: "" });
      expect(end.err).toMatch(/^Failed to (register machine|allocate scope|.*bus)/);
    } finally {
      await run(["systemctl", "unmask", "--runtime", "systemd-machined.service"]);
    }
  });

  test("a systemd-nspawn that is killed with -9 leaves nothing behind", async () => {
    const { task, pid } = await up();
    process.kill(pid, "SIGKILL");
    expect(await ended(task)).toMatchObject({ signal: 9 });
    await bench.client().destroyTask(task.id);
  });

  test.each([
    ["systemd re-executes itself", ["systemctl", "daemon-reexec"]],
    ["systemd reloads its units", ["systemctl", "daemon-reload"]],
    ["the D-Bus daemon restarts", ["systemctl", "restart", "dbus.service"]],
  ])("it keeps running when %s", async (_name, command) => {
    const { task, pid } = await up();
    // systemctl itself may lose its connection on the way.
    await attempt(command);
    const after = await bench.client().inspectTask(task.id);
    expect(after.driver?.attributes["pid"]).toBe(String(pid));
    await bench.client().signalTask(task.id, "SIGUSR1");
    expect(await ended(task)).toMatchObject({ exitCode: 5, signal: 0 });
    await bench.client().destroyTask(task.id);
    expect(await bench.finished(shell(bench.busybox, "exit 3"))).toMatchObject({ code: 3 });
    // Without its bus machined is stopped (262), and keeps files of machines that end meanwhile; started again it removes them.
    await run(["systemctl", "restart", "systemd-machined.service"]);
  });
});

test("the removal and installation of systemd-nspawn is noticed without a restart", async () => {
  const program = "/usr/bin/systemd-nspawn";
  const away = `${program}.away`;
  // All later tests need it.
  await using back = new AsyncDisposableStack();
  back.defer(async () => {
    if (existsSync(away)) await rename(away, program);
  });
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const { health, healthDescription, attributes } of bench.client().fingerprint({ signal: stop.signal })) {
    seen.push(healthDescription);
    if (seen.length === 1) {
      expect(health).toBe(FingerprintResponse_HealthState.HEALTHY);
      expect(attributes["driver.nspawn.supervisor"]?.value.value).toBe("systemd");
      await rename(program, away);
    } else if (seen.length === 2) {
      expect(health).toBe(FingerprintResponse_HealthState.UNHEALTHY);
      expect(healthDescription).toContain("not installed");
      expect(
        await failure(bench.client().startTask((await bench.task(shell(bench.busybox, "true"))).config)),
      ).toContain("not installed");
      await rename(away, program);
    } else {
      expect(health).toBe(FingerprintResponse_HealthState.HEALTHY);
      break;
    }
  }
  expect(seen).toHaveLength(3);
});

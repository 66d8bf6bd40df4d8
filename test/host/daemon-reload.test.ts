import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attempt, run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { copyTree, type Fixture, shell, useFixture } from "../protocol/fixture";
import { megabytes } from "../support/task";
import { unitSettings } from "./unit-view";

/** systemd reloads its units at every package upgrade, and re-executes itself at its own: no task may be affected. */

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { allow_properties: ["IOWeight", "SyslogIdentifier"] },
);

/** Text with a special meaning for systemd (systemd.unit(5), systemd.service(5)) or a shell. */
const odd = [
  "$HOME",
  ["$", "{HOME}"].join(""),
  "$$",
  "$$$$",
  "%n",
  "%%",
  "100%",
  "a b  c",
  " ",
  "",
  "\t",
  "'single'",
  '"double"',
  "\\",
  "\\\\n",
  "\\x41",
  "line\nline\n",
  "\r",
  ";",
  "\\;",
  "#",
  "-",
  ":",
  "@",
  "ü\u2028😀",
  "[Service]",
] as const;

/** Values of variables that systemd-nspawn accepts unchanged. */
const variables = Object.fromEntries(odd.map((value, index) => [`ODD_${index}`, value]));

/** Prints its arguments, its variables, a line "up", and exits with code 5 on USR1. */
const telling = `trap 'exit 5' USR1; trap 'reboot -f' USR2
for word in "$@"; do printf '<%s>' "$word"; done
for name in ${Object.keys(variables).join(" ")}; do eval "printf '<%s>' \\"\\$$name\\""; done
printf '\\nup\\n'; while :; do sleep 0.1; done`;
const printed = `${[...odd, ...odd].map((word) => `<${word}>`).join("")}\nup\n`;

async function nspawnOf(id: string): Promise<{ pid: number; unit: string }> {
  const { driver } = await bench.client().inspectTask(id);
  return { pid: Number(driver?.attributes["pid"]), unit: `nomad-nspawn-${driver?.attributes["machine"]}.service` };
}

/** systemctl itself may lose its connection; a query of the manager waits until it is back. */
async function reloadAndReexec(): Promise<void> {
  await run(["systemctl", "daemon-reload"]);
  await attempt(["systemctl", "daemon-reexec"]);
  await run(["systemctl", "show", "--property=Version"]);
}

async function nothingLeft(unit: string): Promise<void> {
  const { stdout } = await run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "nomad-nspawn-*"]);
  expect(stdout).not.toContain(unit);
  for (const directory of ["transient", "system"]) {
    for (const name of [unit, `${unit}.d`]) expect(existsSync(join("/run/systemd", directory, name))).toBe(false);
  }
}

describe("after daemon-reload, daemon-reexec and a kill -9 of the plugin", () => {
  const namespace = `reload-${process.pid}`;
  beforeAll(() => run(["ip", "netns", "add", namespace]));
  afterAll(() => run(["ip", "netns", "delete", namespace]));
  const group = { network_veth: true };

  test.each([
    [{}, {}],
    [{ process_two: true }, {}],
    [{ oom_score_adjust: 200, cpu_hard_limit: true, pids_limit: 100, devices: ["/dev/null:/dev/other:rw"] }, {}],
    [{ ...group, user_namespacing: false }, { network: { path: `/run/netns/${namespace}` } }],
    [group, { network: { path: `/run/netns/${namespace}` } }],
  ])("a task keeps its PID, its arguments, its limits and its exit code (%j)", async (more, spec) => {
    const command = ["/bin/sh", "-c", telling, "sh", ...odd];
    const properties = { IOWeight: "50", SyslogIdentifier: "x%n $HOME" };
    const task = await bench.task({
      ...shell(bench.busybox, "", { command, environment: variables, properties, ...more }),
      resources: {
        allocatedResources: { memory: { memoryMb: 64n, memoryMaxMb: 128n } },
        linuxResources: { cpuShares: 1024n, cpusetCpus: "0", percentTicks: 0.25 },
      },
      ...spec,
    });
    const handle = await bench.start(task);
    await task.stdout.waitFor("up\n");
    const { pid, unit } = await nspawnOf(task.id);
    const before = await unitSettings(unit);
    await reloadAndReexec();
    expect(await unitSettings(unit)).toEqual(before);
    await bench.replacePlugin();
    await bench.client().recoverTask(handle);
    expect((await nspawnOf(task.id)).pid).toBe(pid);
    await bench.client().signalTask(task.id, "SIGUSR1");
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 5, signal: 0 });
    await bench.client().destroyTask(task.id);
    expect(await task.stdout.ended()).toBe(printed);
    await nothingLeft(unit);
  });

  test("a task that exited before is found with its exit code", async () => {
    const task = await bench.task(shell(bench.busybox, "exit 6"));
    const handle = await bench.start(task);
    const { unit } = await nspawnOf(task.id);
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 6 });
    await reloadAndReexec();
    await bench.replacePlugin();
    await bench.client().recoverTask(handle);
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 6, signal: 0 });
    await bench.client().destroyTask(task.id);
    await nothingLeft(unit);
  });

  test("a container that reboots starts again with the same arguments, as the same task", async () => {
    const image = await copyTree(bench.busybox, join(bench.scratch, "rebooting"));
    const init = join(image, "usr/bin/init");
    await rm(init);
    await writeFile(init, `#!/bin/sh\n${telling}\n`);
    await chmod(init, 0o755);
    const config = {
      image,
      boot: true,
      network_veth: false,
      volatile: "overlay",
      command: odd,
      environment: variables,
    };
    const task = await bench.task({ config: { ...config, console: "pipe" } });
    const handle = await bench.start(task);
    await task.stdout.waitFor("up\n");
    const { unit } = await nspawnOf(task.id);
    for (const times of [2, 3]) {
      await reloadAndReexec();
      await bench.replacePlugin();
      await bench.client().recoverTask(handle);
      await bench.client().signalTask(task.id, "SIGUSR2");
      await task.stdout.waitFor(printed.repeat(times));
    }
    await bench.client().signalTask(task.id, "SIGUSR1");
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 5, signal: 0 });
    await bench.client().destroyTask(task.id);
    expect(await task.stdout.ended()).toBe(printed.repeat(3));
    await nothingLeft(unit);
  });

  test("systemctl reboot in a container reboots it, and it still shuts down cleanly", async () => {
    const config = { image: await debianImage(), network_veth: false, volatile: "overlay" };
    const task = await bench.task({ config, resources: megabytes(512) });
    const handle = await bench.start(task);
    await task.stdout.waitFor("Multi-User", 60_000);
    const { unit } = await nspawnOf(task.id);
    await reloadAndReexec();
    await bench.replacePlugin();
    await bench.client().recoverTask(handle);
    await bench.client().execTask(task.id, ["systemctl", "--no-block", "reboot"]);
    await task.stdout.waitFor(/Reached target[^\n]*Multi-User[\s\S]*Reached target[^\n]*Multi-User/, 60_000);
    await bench.client().stopTask(task.id, { timeout: 60_000 });
    expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
    await bench.client().destroyTask(task.id);
    await nothingLeft(unit);
  }, 200_000);
});

test("systemd logs no complaint about a task's unit", async () => {
  const { stdout } = await run(["journalctl", "--no-pager", "--output=cat", "_PID=1", "--grep=nomad-nspawn-"]);
  expect(stdout).not.toMatch(/Unknown key|bad-setting|refusing|50-nomad\.conf/i);
  expect(await readFile("/proc/1/comm", "utf8")).toBe("systemd\n");
});

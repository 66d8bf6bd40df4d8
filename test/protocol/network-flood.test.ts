import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";
import { processorScale, timeoutScale } from "../../tools/timeout-scale";
import { exec } from "../support/exec";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";

let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});

const forever = "echo up; while :; do sleep 1; done";

/** Seconds of processor time that a process has used (proc_pid_stat(5)). */
async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The first process of a task's container, on the host. */
async function leaderOf(task: PreparedTask): Promise<string> {
  const { driver } = await bench.client().inspectTask(task.id);
  const nspawn = driver?.attributes["pid"] ?? "";
  return (await readFile(`/proc/${nspawn}/task/${nspawn}/children`, "utf8")).trim().split(" ")[0] ?? "";
}

const address = (number: number) => `10.99.${number >> 8}.${number & 0xff}/32`;

test.each(["host0", "lo"])(
  "five thousand added and removed addresses at %s do not keep the driver busy",
  async (link) => {
    const [task, other] = await Promise.all([
      bench.started({ ...shell(bench.busybox, forever, { network_veth: true }) }),
      bench.started(shell(bench.busybox, forever)),
    ]);
    await Promise.all([task.stdout.waitFor("up"), other.stdout.waitFor("up")]);
    const before = (await bench.client().inspectTask(task.id)).networkOverride;
    const batch = async (verb: "add" | "del") => {
      const path = join(bench.scratch, `${verb}-${link}`);
      const lines = Array.from({ length: 5_000 }, (_, number) => `address ${verb} ${address(number)} dev ${link}\n`);
      await writeFile(path, lines.join(""));
      return path;
    };
    const [add, del] = [await batch("add"), await batch("del")];
    const inside = ["nsenter", "--net", `--target=${await leaderOf(task)}`, "ip", "-batch"];
    const plugin = bench.plugin().pid;
    const [cpu, begin] = [await cpuSeconds(plugin), performance.now()];
    const flap = (async () => {
      for (let round = 0; round < 3; round += 1) for (const file of [add, del]) await run([...inside, file]);
    })();
    const slowest: number[] = [];
    let over = false;
    flap.finally(() => {
      over = true;
    });
    while (!over) {
      const asked = performance.now();
      expect((await exec(bench.client(), other.id, "echo here")).stdout).toBe("here\n");
      slowest.push(performance.now() - asked);
      await Bun.sleep(100);
    }
    await flap;
    const seconds = (performance.now() - begin) / 1000;
    const used = (await cpuSeconds(plugin)) - cpu;
    expect(used).toBeLessThan((0.2 * seconds + 0.4) * processorScale);
    expect(Math.max(...slowest)).toBeLessThan(1_000 * timeoutScale);
    // The final addresses are noticed, possibly later.
    for (
      const deadline = performance.now() + 15_000 * timeoutScale;
      performance.now() < deadline;
      await Bun.sleep(200)
    ) {
      if ((await bench.client().inspectTask(task.id)).networkOverride?.addr === before?.addr) break;
    }
    expect((await bench.client().inspectTask(task.id)).networkOverride?.addr).toBe(before?.addr ?? "none");
  },
);

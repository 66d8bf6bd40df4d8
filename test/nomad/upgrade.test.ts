/** An upgrade as docs/operations.md describes it, and the way back, under an agent: tasks keep running. And metrics under an agent. */

import { expect, test } from "bun:test";
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { previousDriver } from "../../tools/build/previous";
import { driverBinary } from "../../tools/build/project";
import { busyboxImage } from "../../tools/images/images";
import { allocExec } from "./harness/alloc-exec";
import { restartAgent } from "./harness/disturbances";
import { lastExit, runJob, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

const counter = "trap 'echo signalled; exit 5' USR1; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done";

/** Puts another executable in the driver's place by a rename, and restarts the agent. */
async function replaceDriver(nomad: Nomad, binary: string): Promise<void> {
  const beside = join(nomad.pluginDir, ".nspawn.new");
  await copyFile(binary, beside);
  await rename(beside, join(nomad.pluginDir, "nspawn"));
  await restartAgent(nomad, "SIGINT");
}

test("a task of 0.2.0 goes on with this version, and again with 0.2.0", async () => {
  const old = await previousDriver("0.2.0");
  const busybox = await busyboxImage();
  await using nomad = await startNomad({ driver: old });
  const config = shell(busybox, counter, { user: "1234" });
  const { allocId } = await runJob(nomad.api, jobFile({ id: "upgraded", config, task: 'kill_timeout = "20s"' }));
  await untilRunning(nomad.api, allocId, "main");
  await nomad.api.logsUntil(allocId, "main", "line 10\n");
  for (const binary of [driverBinary(), old]) {
    await replaceDriver(nomad, binary);
    const seen = /line (\d+)\n$/.exec(await nomad.api.logs(allocId, "main"))?.[1] ?? "0";
    await nomad.api.logsUntil(allocId, "main", `line ${Number(seen) + 10}\n`);
    expect(await allocExec(nomad.api, allocId, "main", ["id", "-u"])).toBe("1234\n");
  }
  await nomad.api.signalTask(allocId, "main", "SIGUSR1");
  const state = await untilDead(nomad.api, allocId, "main");
  expect(lastExit(state)).toMatchObject({ ExitCode: 5, Signal: 0 });
  expect(state.Restarts).toBe(0);
  const numbers = [...(await nomad.api.logs(allocId, "main")).matchAll(/^line (\d+)$/gm)].map(([, line]) =>
    Number(line),
  );
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
}, 180_000);

test("metrics under an agent are those of the process that runs the tasks, also after a restart of the agent", async () => {
  const top = await mkdtemp("/var/tmp/agent-metrics-");
  const unix = join(top, "metrics.sock");
  const busybox = await busyboxImage();
  const scrape = async () => (await fetch("http://x/metrics", { unix })).text();
  {
    await using nomad = await startNomad({ pluginConfig: { telemetry: [{ address: `unix:${unix}` }] } });
    const { allocId } = await runJob(nomad.api, jobFile({ id: "measured", config: shell(busybox, counter) }));
    await untilRunning(nomad.api, allocId, "main");
    expect(await scrape()).toContain('nomad_nspawn_tasks{state="running"} 1\n');
    // The next plugin process takes over the address, and has the task.
    await restartAgent(nomad, "SIGINT");
    const recovered = async () => {
      const text = await scrape().catch(() => "");
      return ['nomad_nspawn_tasks{state="running"} 1\n', 'nomad_nspawn_recoveries_total{result="success"} 1\n'].every(
        (line) => text.includes(line),
      );
    };
    expect(await becomesTrue(recovered, { firstMs: 50, longestMs: 500, timeoutMs: 30_000 })).toBe(true);
  }
  await rm(top, { recursive: true });
}, 180_000);

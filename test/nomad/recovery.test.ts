import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { busyboxImage } from "../../tools/images/images";
import { killPlugin, restartAgent } from "./harness/disturbances";
import { lastExit, runJob, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

let nomad: Nomad;
let busybox: string;
beforeAll(async () => {
  nomad = await startNomad();
  busybox = await busyboxImage();
}, 120_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

/** Counts in the log, prints an ID of its start, and exits with code 5 on a signal. */
const counter =
  "cat /proc/sys/kernel/random/uuid; trap 'echo told; exit 5' USR1; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done";

/** Checks the counter's lines: none lost, none twice, and a single start. */
function expectWholeLog(log: string): void {
  const numbers = [...log.matchAll(/^line (\d+)$/gm)].map(([, number]) => Number(number));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(log.match(/^[0-9a-f-]{36}$/gm)).toHaveLength(1);
}

async function lastLine(allocId: string): Promise<number> {
  const log = await nomad.api.logs(allocId, "main");
  return Number(/line (\d+)\n$/.exec(log)?.[1] ?? 0);
}

const disturbances: readonly (readonly [string, () => Promise<void>])[] = [
  ["the plugin is killed with -9", () => killPlugin(nomad)],
  ["the agent is restarted as planned", () => restartAgent(nomad, "SIGINT")],
  ["the agent is killed with -9", () => restartAgent(nomad, "SIGKILL")],
];

test.each(disturbances)(
  "a task keeps running when %s",
  async (name, disturb) => {
    const id = `goes-on-${name.replaceAll(/[^a-z0-9]+/g, "-")}`;
    const job = await runJob(nomad.api, jobFile({ id, config: shell(busybox, counter), task: 'kill_timeout = "20s"' }));
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "line 10\n");
    const before = await lastLine(job.allocId);
    await disturb();
    await nomad.api.logsUntil(job.allocId, "main", `line ${before + 20}\n`);
    await nomad.api.signalTask(job.allocId, "main", "SIGUSR1");
    const state = await untilDead(nomad.api, job.allocId, "main");
    expect(lastExit(state)).toMatchObject({ ExitCode: 5, Signal: 0 });
    expect(state.Restarts).toBe(0);
    expectWholeLog(await nomad.api.logs(job.allocId, "main"));
  },
  150_000,
);

test("the exit code of a task that exited while no agent ran is correct", async () => {
  const script = "echo up; while [ ! -e $NOMAD_ALLOC_DIR/end ]; do sleep 0.1; done; exit 6";
  const job = await runJob(nomad.api, jobFile({ id: "ended-meanwhile", config: shell(busybox, script) }));
  await untilRunning(nomad.api, job.allocId, "main");
  await nomad.api.logsUntil(job.allocId, "main", "up");
  await nomad.stopClient("SIGINT");
  await Bun.write(join(nomad.allocDir, job.allocId, "alloc/end"), "");
  // This waits for the task's exit, which its unit shows.
  const unit = `nomad-nspawn-main-${job.allocId}.service`;
  const failed = () => Bun.spawnSync(["systemctl", "is-failed", "--quiet", unit]).exitCode === 0;
  while (!failed()) await Bun.sleep(100);
  await nomad.startClient();
  const state = await untilDead(nomad.api, job.allocId, "main");
  expect(lastExit(state)).toMatchObject({ ExitCode: 6, Signal: 0 });
}, 120_000);

/** The cores of tasks under an agent: this machine has the cpuset controller of cgroup v2 and an agent that divides the CPUs with it. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { becomesTrue } from "../../src/lib/deadline";
import { busyboxImage } from "../../tools/images/images";
import { timeoutScale } from "../../tools/timeout-scale";
import { runJob, untilRunning } from "../nomad/harness/jobs";
import { type Nomad, startNomad } from "../nomad/harness/nomad";
import { jobFile, shell } from "../nomad/job-file";

const SLICE = "tasks.slice";
const ALL = "0-1";
const STEP_MS = 30_000 * timeoutScale;

let nomad: Nomad;
let busybox: string;
beforeAll(async () => {
  nomad = await startNomad({ pluginConfig: { slice: SLICE }, client: { cpu_total_compute: 4000 } });
  busybox = await busyboxImage();
}, 600_000);
afterAll(() => nomad[Symbol.asyncDispose](), 300_000);

/** Runs a job of one task that stays; returns its unit's directory below /sys/fs/cgroup. */
async function running(id: string, resources: string): Promise<string> {
  const config = shell(busybox, "while :; do sleep 1; done");
  const task = `kill_timeout = "1s"\n resources {\n ${resources}\n memory = 20\n }`;
  const { allocId } = await runJob(nomad.api, jobFile({ id, config, task, type: "service" }));
  await untilRunning(nomad.api, allocId, "main", STEP_MS);
  return `/sys/fs/cgroup/${SLICE}/nomad-nspawn-main-${allocId}.service`;
}

const cpusOf = async (unit: string) => (await readFile(`${unit}/cpuset.cpus.effective`, "utf8")).trim();

/** Waits until a unit has these CPUs. */
async function expectCpus(unit: string, cpus: string): Promise<void> {
  const pace = { firstMs: 100, longestMs: 500, timeoutMs: STEP_MS };
  await becomesTrue(async () => (await cpusOf(unit)) === cpus, pace);
  expect(await cpusOf(unit)).toBe(cpus);
}

test("a task without cores leaves the core of another one to it, and has it again when that one has ended; both are in the slice", async () => {
  const shared = await running("shared", "cpu = 100");
  await expectCpus(shared, ALL);
  const pinned = await running("pinned", "cores = 1");
  const core = await cpusOf(pinned);
  expect(["0", "1"]).toContain(core);
  await expectCpus(shared, core === "0" ? "1" : "0");
  await nomad.api.stopJob("pinned");
  await expectCpus(shared, ALL);
}, 600_000);

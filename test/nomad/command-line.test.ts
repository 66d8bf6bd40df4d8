/** The command line beside a running agent. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { driverBinary } from "../../tools/build/project";
import { attempt } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { runJob, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

let nomad: Nomad;
beforeAll(async () => {
  nomad = await startNomad();
}, 120_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

const run = (...args: string[]) => attempt([driverBinary(), ...args]);

test("validate says the same of a job in HCL and of the JSON that Nomad makes of it", async () => {
  const directory = await mkdtemp(join(tmpdir(), "validate-"));
  const config = {
    image: "debian",
    console: "loud",
    ports: ["http"],
    environment: { A: "b" },
    capability: ["CAP_KILL"],
  };
  const hcl = jobFile({ id: "wrong", config, group: 'network {\n port "http" {}\n }' });
  await writeFile(join(directory, "job.hcl"), hcl);
  await writeFile(join(directory, "job.json"), JSON.stringify({ Job: await nomad.api.parseJob(hcl) }));
  for (const name of ["job.hcl", "job.json"]) {
    const { code, stdout } = await run("validate", join(directory, name), "--json");
    const [task] = JSON.parse(stdout).tasks;
    expect({ code, problems: task.problems.map(({ message }: { message: string }) => message) }).toEqual({
      code: 1,
      problems: ['Option console = "loud" is not valid: it must be "interactive", "read-only", "passive" or "pipe".'],
    });
  }
  await rm(directory, { recursive: true });
});

test("ps, inspect, logs and events show a task of the agent", async () => {
  const config = shell(await busyboxImage(), "echo out; echo err >&2; while :; do sleep 1; done");
  const { allocId } = await runJob(nomad.api, jobFile({ id: "shown-job", type: "service", config }));
  await untilRunning(nomad.api, allocId, "main", 60_000);
  await nomad.api.logsUntil(allocId, "main", "out", "stdout", 30_000);
  await nomad.api.logsUntil(allocId, "main", "err", "stderr", 30_000);
  const { tasks } = JSON.parse((await run("ps", "--json")).stdout);
  expect(tasks).toEqual([
    expect.objectContaining({ job: "shown-job", group: "g", task: "main", alloc_id: allocId, state: "running" }),
  ]);
  expect(await run("logs", allocId.slice(0, 8))).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
  expect(JSON.parse((await run("inspect", "main")).stdout)).toMatchObject({ namespace: "default", alloc_id: allocId });
  expect((await run("events", "main")).stdout).toContain(`Started machine main-${allocId}`);
  expect(await run("exec", "main", "echo", "inside")).toEqual({ code: 0, stdout: "inside\n", stderr: "" });
}, 120_000);

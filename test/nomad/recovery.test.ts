import { afterAll, beforeAll, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { startDownloadSite } from "../support/download-site";
import { archiveOf, writeImage } from "../support/oci-image";
import { allocExec } from "./harness/alloc-exec";
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
  "cat /proc/sys/kernel/random/uuid; trap 'echo signalled; exit 5' USR1; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done";

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
    const job = await runJob(
      nomad.api,
      jobFile({ id, config: shell(busybox, counter, { user: "1234" }), task: 'kill_timeout = "20s"' }),
    );
    await untilRunning(nomad.api, job.allocId, "main");
    await nomad.api.logsUntil(job.allocId, "main", "line 10\n");
    const before = await lastLine(job.allocId);
    await disturb();
    await nomad.api.logsUntil(job.allocId, "main", `line ${before + 20}\n`);
    // The agent does not store the job's config block with the task.
    expect(await allocExec(nomad.api, job.allocId, "main", ["id", "-u"])).toBe("1234\n");
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

test("tasks on images of artifacts keep running, even if the image's file is gone", async () => {
  await using site = await startDownloadSite();
  const layout = join(site.directory, "layout");
  const config = { User: "app", Cmd: ["/bin/sh", "-c", counter] };
  const image = await writeImage(layout, "1", [{ archive: await archiveOf(busybox) }], config);
  await run(["skopeo", "copy", "--quiet", image, `oci-archive:${join(site.directory, "app.tar")}`]);
  await run(["gzip", "--keep", join(site.directory, "app.tar")]);
  const packed = 'mode = "file"\n options {\n archive = "false"\n }';
  const jobs = await Promise.all(
    [
      { id: "packed", source: "app.tar.gz", more: packed },
      { id: "unpacked", source: "app.tar", more: "" },
    ].map(async ({ id, source, more }) => {
      const artifact = `artifact {\n source = "${site.url}/${source}"\n destination = "local/image"\n ${more}\n }`;
      const file = jobFile({ id, config: { image: "local/image", network_veth: false }, task: artifact });
      return await runJob(nomad.api, file);
    }),
  );
  for (const { allocId } of jobs) {
    await untilRunning(nomad.api, allocId, "main");
    await nomad.api.logsUntil(allocId, "main", "line 10\n");
  }
  for (const { allocId } of jobs) await rm(join(nomad.allocDir, allocId, "main/local/image"), { recursive: true });
  await killPlugin(nomad);
  await restartAgent(nomad, "SIGKILL");
  for (const { allocId } of jobs) {
    await nomad.api.logsUntil(allocId, "main", `line ${(await lastLine(allocId)) + 10}\n`);
    // The image's user is a default of the image's config, which recovery reads again.
    expect(await allocExec(nomad.api, allocId, "main", ["id", "-u"])).toBe("1000\n");
    await nomad.api.signalTask(allocId, "main", "SIGUSR1");
    const state = await untilDead(nomad.api, allocId, "main");
    expect(lastExit(state)).toMatchObject({ ExitCode: 5, Signal: 0 });
    expectWholeLog(await nomad.api.logs(allocId, "main"));
  }
}, 150_000);

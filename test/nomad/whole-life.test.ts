/** What an agent does with a task from its download to its end: interrupted downloads, many tasks of one image, systemctl stop, CSI, removal of images. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { driverBinary } from "../../tools/build/project";
import { run } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { type DownloadSite, packTree, startDownloadSite } from "../support/download-site";
import { archiveOf, writeImage } from "../support/oci-image";
import { eventTexts, lastExit, runJob, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

const MACHINES = "/var/lib/machines";
const SMALL = "resources {\n cpu = 20\n memory = 20\n }";
const stack = new AsyncDisposableStack();
let nomad: Nomad;
let site: DownloadSite;
let busybox: string;
let stored: string;
beforeAll(async () => {
  busybox = await busyboxImage();
  site = stack.use(await startDownloadSite());
  const scratch = await mkdtemp(join(tmpdir(), "whole-life-"));
  stack.defer(() => rm(scratch, { recursive: true }));
  await chmod(scratch, 0o755);
  const tree = join(scratch, "tree");
  await cp(busybox, tree, { recursive: true, verbatimSymlinks: true });
  await packTree(tree, site.directory, "app");
  stored = await writeImage(join(scratch, "oci"), "1", [{ archive: await archiveOf(busybox) }]);
  nomad = stack.use(await startNomad({ pluginConfig: { gc: [{ image_delay: "1s" }] } }));
}, 120_000);
afterAll(() => stack.disposeAsync(), 120_000);

const within = (ms: number) => ({ firstMs: 50, longestMs: 500, timeoutMs: ms });

/** A task whose image the driver downloads itself: the URL has a user. */
function downloads(image: string, script: string, more: object) {
  const url = `${site.url.replace("://", "://me:geheim%20word@")}/private/app.tar.zst`;
  const { volatile: _, ...config } = shell(image, script);
  return { ...config, ...more, image_download: { url, type: "tar", verify: "no" } };
}

/** Its job: `image_download` is a block, which a map cannot express. */
function downloadJob(id: string, image: string, script: string, more: object = {}): string {
  const { image_download, ...config } = downloads(image, script, more);
  const block = Object.entries(image_download).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  return jobFile({ id, config, type: "batch", task: SMALL }).replace(
    "config {",
    `config {\n image_download {\n ${block.join("\n ")}\n }`,
  );
}

/** A reference to a variable of Nomad in a job file. */
const variable = (name: string) => `\${${name}}`;

const asked = (count: number) =>
  becomesTrue(() => site.requests.filter((path) => path.endsWith("app.tar.zst")).length >= count, within(30_000));

describe("a download that is interrupted", () => {
  test("a job that is stopped meanwhile ends with its download, and leaves nothing", async () => {
    const before = site.requests.length;
    const release = site.hold("/private/app.tar.zst");
    const { id, allocId } = await runJob(
      nomad.api,
      downloadJob("stopped-pull", "stopped-pull", "exec sleep 600", { ephemeral: true }),
    );
    expect(await asked(before + 1)).toBe(true);
    await nomad.api.stopJob(id);
    release();
    const state = await untilDead(nomad.api, allocId, "main", 60_000);
    expect(eventTexts(state).join("\n")).toContain("Killed");
    expect(await becomesTrue(() => !existsSync(join(MACHINES, "stopped-pull")), within(40_000))).toBe(true);
  }, 120_000);

  test("an agent that is killed meanwhile ends the download, and starts it again afterwards", async () => {
    const before = site.requests.filter((path) => path.endsWith("app.tar.zst")).length;
    const release = site.hold("/private/app.tar.zst");
    const { id, allocId } = await runJob(
      nomad.api,
      downloadJob("killed-agent", "killed-agent", "echo up; exec sleep 600"),
    );
    expect(await asked(before + 1)).toBe(true);
    const dropped = site.dropped.length;
    await nomad.stopClient("SIGKILL");
    expect(await becomesTrue(() => site.dropped.length > dropped, within(30_000))).toBe(true);
    release();
    await nomad.startClient();
    await untilRunning(nomad.api, allocId, "main", 60_000);
    await nomad.api.logsUntil(allocId, "main", "up");
    expect((await readdir(MACHINES)).filter((name) => name.startsWith(".#nomad-driver-nspawn"))).toEqual([]);
    await nomad.api.stopJob(id);
    await untilDead(nomad.api, allocId, "main", 30_000);
  }, 180_000);
});

test("an image that was downloaded for one allocation, and written, is removed when Nomad has removed the allocation", async () => {
  const name = `${variable("NOMAD_TASK_NAME")}-${variable("NOMAD_ALLOC_ID")}`;
  const { id, allocId } = await runJob(nomad.api, downloadJob("own-image", name, "echo x > /written; echo up"));
  await untilDead(nomad.api, allocId, "main", 60_000);
  const image = join(MACHINES, `main-${allocId}`);
  expect(await Bun.file(join(image, "written")).text()).toBe("x\n");
  const store = join(dirname(nomad.allocDir), "images");
  const { stdout: list } = await run([driverBinary(), "images", "list", "--store", store]);
  expect(list).toMatch(
    new RegExp(`^main-${allocId}\n +${image}\n +unused since .*, kept because a task could write`, "m"),
  );
  await nomad.api.stopJob(id);
  await nomad.api.collectGarbage();
  expect(await becomesTrue(() => !existsSync(join(nomad.allocDir, allocId)), within(30_000))).toBe(true);
  // The next start or end of a task lets the driver look for unused images.
  const other = await runJob(nomad.api, jobFile({ id: "other", config: shell(busybox, "true"), task: SMALL }));
  await untilDead(nomad.api, other.allocId, "main", 30_000);
  expect(await becomesTrue(() => !existsSync(image), within(40_000))).toBe(true);
}, 180_000);

test("forty tasks of one image run at once, and the image is fetched once", async () => {
  const config = { image: stored, network_veth: false, command: ["/bin/sh", "-c", "echo up; exec sleep 600"] };
  const job = jobFile({ id: "forty", config, group: "count = 40", task: SMALL, type: "service" });
  const { id } = await runJob(nomad.api, job);
  const all = await nomad.api.allocations(
    id,
    (found) => found.length === 40 && found.every(({ ClientStatus }) => ClientStatus === "running"),
    150_000,
  );
  const store = join(dirname(nomad.allocDir), "images");
  expect(await readdir(join(store, "images"))).toHaveLength(1);
  expect(await readdir(join(store, "containers"))).toHaveLength(40);
  for (const { ID } of all.slice(0, 3)) await nomad.api.logsUntil(ID, "main", "up");
  await nomad.api.stopJob(id);
  const over = (found: readonly { readonly ClientStatus: string }[]) =>
    found.every(({ ClientStatus }) => ClientStatus === "complete");
  await nomad.api.allocations(id, over, 150_000);
  expect(await becomesTrue(async () => (await readdir(join(store, "containers"))).length === 0, within(60_000))).toBe(
    true,
  );
}, 360_000);

test("systemctl stop lets the program end by its stop signal, and Nomad gets its exit code", async () => {
  const config = shell(busybox, "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done");
  const { allocId } = await runJob(nomad.api, jobFile({ id: "unit-stop", config, task: SMALL }));
  await untilRunning(nomad.api, allocId, "main");
  await nomad.api.logsUntil(allocId, "main", "up");
  await run(["systemctl", "stop", `nomad-nspawn-main-${allocId}.service`]);
  const state = await untilDead(nomad.api, allocId, "main", 30_000);
  expect(lastExit(state)).toMatchObject({ ExitCode: 5, Signal: 0 });
  expect(await nomad.api.logs(allocId, "main")).toBe("up\nbye\n");
}, 90_000);

test("a CSI controller plugin has its socket directory of the host, and its own /dev", async () => {
  const script = "touch /csi/made && test -d /dev/pts && echo up; exec sleep 600";
  const task = `${SMALL}\n csi_plugin {\n id = "csi"\n type = "controller"\n mount_dir = "/csi"\n }`;
  const { id, allocId } = await runJob(
    nomad.api,
    jobFile({ id: "csi", config: shell(busybox, script), task, type: "service" }),
  );
  await untilRunning(nomad.api, allocId, "main");
  await nomad.api.logsUntil(allocId, "main", "up");
  expect(existsSync(join(dirname(nomad.allocDir), "client/csi/plugins", allocId, "made"))).toBe(true);
  await nomad.api.stopJob(id);
  await untilDead(nomad.api, allocId, "main", 30_000);
}, 90_000);

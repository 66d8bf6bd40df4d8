import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { run } from "../../tools/command";
import { busyboxImage, debianImage, diskImage } from "../../tools/images/images";
import { keepMachines, startDownloadSite } from "../support/download-site";
import { archiveOf, writeImage } from "../support/oci-image";
import { startRegistry } from "../support/registry";
import type { Allocation } from "./harness/api";
import { lastExit, runJob, taskState, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { publishedPage, publishedPort } from "./harness/pages";
import { jobFile } from "./job-file";

const directory = resolve(import.meta.dir, "../../examples");

let nomad: Nomad;
let images: string;
let busybox: string;
let debian: string;
beforeAll(async () => {
  nomad = await startNomad();
  // Copies, because ephemeral = true creates its own copy beside the image, and the cache must not be written.
  images = await mkdtemp("/var/tmp/example-images-");
  busybox = join(images, "busybox");
  debian = join(images, "debian");
  await run(["cp", "-a", "--reflink=auto", await busyboxImage(), busybox]);
  await run(["cp", "-a", "--reflink=auto", await debianImage(), debian]);
  await mkdir("/usr/share/zoneinfo", { recursive: true });
}, 180_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(images, { recursive: true, force: true });
}, 180_000);

const job = (name: string) => readFile(join(directory, name), "utf8");

async function stopped(id: string, allocId: string, task: string) {
  await nomad.api.stopJob(id);
  return lastExit(await untilDead(nomad.api, allocId, task, 60_000));
}

test("every example job is run by a test, and listed in the directory's README", async () => {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".hcl") && name !== "agent.hcl");
  const own = ["examples", "images", "job-examples", "network"].map((name) => `${name}.test.ts`);
  const files = [
    ...own,
    "../programs/podman.test.ts",
    "../programs/programs.test.ts",
    "../programs/ssh.test.ts",
    "../vm/verity.test.ts",
  ];
  const texts = await Promise.all(files.map((file) => readFile(join(import.meta.dir, file), "utf8")));
  const run = (name: string) => texts.some((text) => text.includes(`job("${name}")`) || text.includes(`/${name}"`));
  expect(names.filter((name) => !run(name))).toEqual([]);
  const list = await readFile(join(directory, "README.md"), "utf8");
  expect(names.filter((name) => !list.includes(`](${name})`))).toEqual([]);
});

test("boot.hcl boots a system and shuts it down", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("boot.hcl"), { image: debian });
  await untilRunning(nomad.api, allocId, "debian", 60_000);
  await nomad.api.logsUntil(allocId, "debian", "Multi-User", "stdout", 60_000);
  expect(await stopped(id, allocId, "debian")).toMatchObject({ ExitCode: 0, Signal: 0 });
}, 180_000);

test("command-process-two.hcl serves a page", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("command-process-two.hcl"), { image: busybox });
  await untilRunning(nomad.api, allocId, "httpd", 60_000);
  expect(await publishedPort(nomad.api, allocId)).toBeGreaterThan(0);
  expect(await publishedPage(nomad.api, allocId)).toBe("Served from a systemd-nspawn container by httpd.\n");
  expect((await stopped(id, allocId, "httpd")).ExitCode).toBeGreaterThanOrEqual(0);
}, 120_000);

test("system-job.hcl runs on every client", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("system-job.hcl"), { image: debian });
  await untilRunning(nomad.api, allocId, "debian", 60_000);
  await nomad.api.logsUntil(allocId, "debian", "Multi-User", "stdout", 60_000);
  expect(await stopped(id, allocId, "debian")).toMatchObject({ ExitCode: 0, Signal: 0 });
}, 180_000);

test("systemd-unit.hcl runs a unit from Nomad's templates", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("systemd-unit.hcl"), { image: debian });
  await untilRunning(nomad.api, allocId, "clock", 60_000);
  await nomad.api.logsUntil(allocId, "clock", "The unit's clock says", "stdout", 60_000);
  expect(await stopped(id, allocId, "clock")).toMatchObject({ ExitCode: 0, Signal: 0 });
}, 180_000);

test("booted-journal.hcl has the messages of services on stderr", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("booted-journal.hcl"), { image: debian });
  await untilRunning(nomad.api, allocId, "debian", 60_000);
  await nomad.api.logsUntil(allocId, "debian", "greeter.service: Good morning from a service.", "stderr", 60_000);
  expect(await nomad.api.logs(allocId, "debian")).not.toContain("Good morning");
  expect(await stopped(id, allocId, "debian")).toMatchObject({ ExitCode: 0, Signal: 0 });
  const text = await nomad.api.logs(allocId, "debian", "stderr");
  expect(text.split("Good morning")).toHaveLength(2);
}, 180_000);

test("image-download.hcl runs the downloaded image", async () => {
  await using site = await startDownloadSite();
  const archive = join(site.directory, "web-tools.tar.xz");
  await run(["tar", "--create", "--xz", `--file=${archive}`, `--directory=${busybox}`, "--numeric-owner", "."]);
  await site.writeSums();
  await using _machines = await keepMachines();
  const { allocId } = await runJob(nomad.api, await job("image-download.hcl"), {
    url: `${site.url}/web-tools.tar.xz`,
  });
  const state = await untilDead(nomad.api, allocId, "list", 60_000);
  expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
  expect(await nomad.api.logs(allocId, "list")).toBe("from the downloaded image:\n/usr/bin/wget\n");
}, 120_000);

test("limits-and-mounts.hcl finds its mounts and variables", async () => {
  const { allocId } = await runJob(nomad.api, await job("limits-and-mounts.hcl"), { image: busybox });
  const state = await untilDead(nomad.api, allocId, "worker", 60_000);
  expect(await nomad.api.logs(allocId, "worker", "stderr")).toBe("");
  expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
  expect(await nomad.api.logs(allocId, "worker")).toContain("a note that the task finds below /run/data");
}, 120_000);

test("persistent-root.hcl counts its runs in a root that it keeps", async () => {
  await using _machines = await keepMachines();
  const seen = new Set<string>();
  for (const runs of ["1", "2"]) {
    const { id } = await runJob(nomad.api, await job("persistent-root.hcl"), { template: busybox });
    // The allocation of the first run may be listed still.
    const isNew = ({ ID }: Allocation) => !seen.has(ID);
    const allocId = (await nomad.api.allocations(id, (found) => found.some(isNew))).find(isNew)?.ID ?? "";
    seen.add(allocId);
    expect(lastExit(await untilDead(nomad.api, allocId, "count", 60_000))).toMatchObject({ ExitCode: 0, Signal: 0 });
    expect((await nomad.api.logs(allocId, "count")).trim()).toBe(runs);
    await nomad.api.stopJob(id, true);
  }
}, 120_000);

test("disk-image.hcl runs three tasks on one image, each with its own changes", async () => {
  const { id } = await runJob(nomad.api, await job("disk-image.hcl"), { image: await diskImage() });
  const workers = await nomad.api.allocations(id, (found) => found.length === 3);
  const said = await Promise.all(
    workers.map(async ({ ID }) => {
      expect(lastExit(await untilDead(nomad.api, ID, "worker", 60_000))).toMatchObject({ ExitCode: 0, Signal: 0 });
      return nomad.api.logs(ID, "worker");
    }),
  );
  expect(said.sort()).toEqual(["0\n", "1\n", "2\n"]);
}, 120_000);

test.each([
  ["client-journal", () => job("client-journal.hcl"), ""],
  ["both-logs", () => job("both-logs.hcl"), "hello from greeter\n"],
])(
  "%s.hcl writes to the client's journal, with the names of the job and its label",
  async (name, text, logs) => {
    const { allocId } = await runJob(nomad.api, await text(), { image: busybox });
    const state = await untilDead(nomad.api, allocId, "greeter", 60_000);
    expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
    const fields = [`NOMAD_JOB_ID=${name}`, "NOMAD_LABEL_TEAM=web", `NOMAD_ALLOC_ID=${allocId}`];
    const { stdout } = await run(["journalctl", "--output=cat", "_TRANSPORT=stdout", ...fields]);
    expect(stdout).toBe("hello from greeter\n");
    expect(await nomad.api.logs(allocId, "greeter").catch(() => "")).toBe(logs);
  },
  120_000,
);

test("container-life.hcl has names, an init, a user and a limit; and a system that is up", async () => {
  const variables = { image: busybox, system: debian };
  const { id } = await runJob(nomad.api, await job("container-life.hcl"), variables);
  const known = (found: readonly Allocation[]) => found.length === 2 && found.every(({ TaskStates }) => TaskStates);
  const placed = await nomad.api.allocations(id, known, 60_000);
  const of = (task: string) => placed.find((allocation) => taskState(allocation, task))?.ID ?? "";
  await untilRunning(nomad.api, of("reaped"), "reaped", 60_000);
  const log = await nomad.api.logsUntil(of("reaped"), "reaped", "kept");
  expect(log).toMatch(/192\.0\.2\.7\s+db\.example\n1000\nkept\n/);
  await untilRunning(nomad.api, of("booted"), "booted", 120_000);
  await stopped(id, of("booted"), "booted");
}, 240_000);

test("network-and-rights.hcl has its address, names, kernel settings and one capability", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("network-and-rights.hcl"), { image: busybox });
  await untilRunning(nomad.api, allocId, "program", 60_000);
  const log = await nomad.api.logsUntil(allocId, "program", "CapEff");
  expect(log).toBe(
    "nameserver 192.0.2.53\nsearch int.example.org\noptions ndots:2\nedge-1.int.example.org\n1024\nCapEff:\t0000000000002000\n",
  );
  await stopped(id, allocId, "program");
}, 120_000);

test("docker-like.hcl runs with the options of a job of the Docker driver", async () => {
  const config = {
    Entrypoint: ["/bin/sh", "-c", 'echo "$0 $1"; id -G; ls /sys/class/net', "entrypoint"],
    Cmd: ["cmd"],
  };
  const layout = join(images, "docker-like");
  // Not the copy, whose owners systemd-nspawn 252 has changed for another example.
  const image = await writeImage(layout, "1", [{ archive: await archiveOf(await busyboxImage()) }], config);
  const { allocId } = await runJob(nomad.api, await job("docker-like.hcl"), { image });
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "program")).toMatch(/^entrypoint --config=\/etc\/app\/app.conf\n\d+ 44\nlo\n$/);
}, 120_000);

test("registry-image.hcl runs an image from a registry, with its user", async () => {
  await using registry = await startRegistry();
  const layout = join(images, "layout");
  const image = await writeImage(layout, "1", [{ archive: await archiveOf(busybox) }], { User: "app" });
  const name = `${registry.host}/team/busybox:1`;
  await run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", image, `docker://${name}`]);
  const { id, allocId } = await runJob(nomad.api, await job("registry-image.hcl"), { image: name });
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  await nomad.api.logsUntil(allocId, "program", "Hello from ID=busybox, as user 1000", "stdout", 10_000);
  await nomad.api.stopJob(id);
}, 120_000);

test("artifact-image.hcl runs an archive that Nomad has downloaded", async () => {
  await using site = await startDownloadSite();
  const layout = join(images, "artifact");
  const image = await writeImage(layout, "1", [{ archive: await archiveOf(busybox) }], { User: "app" });
  const archive = join(site.directory, "app.oci.tar");
  await run(["skopeo", "copy", "--quiet", image, `oci-archive:${archive}`]);
  await run(["gzip", archive]);
  const { allocId } = await runJob(nomad.api, await job("artifact-image.hcl"), { url: `${site.url}/app.oci.tar.gz` });
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "program")).toBe("Hello from an artifact, as user 1000\n");
}, 120_000);

test("archive-image.hcl runs one image of an archive that Nomad has downloaded", async () => {
  await using site = await startDownloadSite();
  const file = join(site.directory, "team.oci.tar");
  for (const tag of ["web", "worker"]) {
    const image = await writeImage(join(images, tag), "1", [{ archive: await archiveOf(busybox) }], {
      Cmd: ["/bin/echo", tag],
    });
    await run(["skopeo", "copy", "--quiet", image, `oci:${join(images, "several")}:${tag}`]);
  }
  await run(["tar", "--create", `--file=${file}`, `--directory=${join(images, "several")}`, "."]);
  const variables = { url: `${site.url}/team.oci.tar`, tag: "web" };
  const { allocId } = await runJob(nomad.api, await job("archive-image.hcl"), variables);
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "program")).toBe("web\n");
}, 120_000);

test("an artifact that Nomad has unpacked is a layout", async () => {
  await using site = await startDownloadSite();
  const layout = join(images, "unpacked");
  const image = await writeImage(layout, "1", [{ archive: await archiveOf(busybox) }]);
  const archive = join(site.directory, "app.tar");
  await run(["skopeo", "copy", "--quiet", image, `oci-archive:${archive}`]);
  const config = { image: "local/image", network_veth: false, command: ["/bin/echo", "unpacked"] };
  const task = `artifact {\n source = "${site.url}/app.tar"\n destination = "local/image"\n }`;
  const { allocId } = await runJob(nomad.api, jobFile({ id: "unpacked", config, task }));
  const end = lastExit(await untilDead(nomad.api, allocId, "main", 60_000));
  expect(await nomad.api.logs(allocId, "main", "stderr")).toBe("");
  expect(end).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "main")).toBe("unpacked\n");
}, 120_000);

/** The example jobs of what Nomad schedules around a task: clocks, dispatches, lifecycles, secrets, volumes, limits. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { bodyValue, scopeOf } from "../../src/cli/hcl/evaluate";
import { parseHcl } from "../../src/cli/hcl/parse";
import { run } from "../../tools/command";
import { busyboxImage, debianImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";
import { startRegistry } from "../support/registry";
import { allocExec } from "./harness/alloc-exec";
import { lastExit, runJob, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { publishedPage } from "./harness/pages";
import { jobFile } from "./job-file";

const examples = resolve(import.meta.dir, "../../examples");
const SPECIFICATIONS = "/etc/cdi";

let nomad: Nomad;
let images: string;
let busybox: string;
let notes: string;
beforeAll(async () => {
  images = await mkdtemp("/var/tmp/job-example-images-");
  // As Nomad's plugin makes it of dynamic-volume-specification.hcl.
  notes = join(images, "notes");
  await mkdir(notes, { mode: 0o700 });
  await chown(notes, 1000, 1000);
  // What a hardened client has, as docs/security.md shows it, as far as the other examples of this file can live with it.
  nomad = await startNomad({
    pluginConfig: { allow_caps: [], allow_host_network: false, require_user_namespacing: true },
    client: { host_volume: [{ notes: [{ path: notes }] }] },
  });
  busybox = join(images, "busybox");
  await run(["cp", "-a", "--reflink=auto", await busyboxImage(), busybox]);
}, 180_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(images, { recursive: true, force: true });
}, 180_000);

const job = (name: string) => readFile(join(examples, name), "utf8");

/** Registers a job that is not placed by itself; returns its ID. */
async function register(hcl: string): Promise<string> {
  const parsed = await nomad.api.parseJob(hcl, { image: busybox });
  await nomad.api.request("POST", "/v1/jobs", { Job: parsed });
  return parsed.ID;
}

/** What the only allocation of a job printed, after it ended with 0. */
async function printed(id: string, task: string): Promise<string> {
  const [allocation] = await nomad.api.allocations(id, (found) => found.length > 0);
  const allocId = allocation?.ID ?? "";
  const exit = lastExit(await untilDead(nomad.api, allocId, task, 60_000));
  expect(await nomad.api.logs(allocId, task, "stderr")).toBe("");
  expect(exit).toMatchObject({ ExitCode: 0, Signal: 0 });
  return nomad.api.logs(allocId, task);
}

const child = v.looseObject({ ID: v.string(), ParentID: v.string() });

test("periodic.hcl runs by the clock, and at once when it is forced", async () => {
  const id = await register(await job("periodic.hcl"));
  await nomad.api.request("POST", `/v1/job/${id}/periodic/force`);
  const jobs = v.parse(v.array(child), await (await nomad.api.request("GET", `/v1/jobs?prefix=${id}/`)).json());
  expect(await printed(jobs.find(({ ParentID }) => ParentID === id)?.ID ?? "", "report")).toBe(
    "A report of periodic\n",
  );
}, 120_000);

test("parameterized.hcl gets a payload and a value with each dispatch", async () => {
  const id = await register(await job("parameterized.hcl"));
  const dispatch = async (kind: string) => {
    const body = { Payload: Buffer.from("three short words\n").toString("base64"), Meta: { KIND: kind } };
    const answer = await nomad.api.request("POST", `/v1/job/${id}/dispatch`, body);
    return v.parse(v.looseObject({ DispatchedJobID: v.string() }), await answer.json()).DispatchedJobID;
  };
  const [words, lines] = [await dispatch("words"), await dispatch("lines")];
  expect((await printed(words, "count")).trim()).toBe("3");
  expect((await printed(lines, "count")).trim()).toBe("1");
}, 120_000);

test("sysbatch.hcl runs once on the client, whose files it sees read-only", async () => {
  const id = await register(await job("sysbatch.hcl"));
  expect(await printed(id, "check")).toStartWith('PRETTY_NAME="Debian');
}, 120_000);

test("task-lifecycle.hcl runs its tasks in order", async () => {
  const { allocId } = await runJob(nomad.api, await job("task-lifecycle.hcl"), { image: busybox });
  expect(lastExit(await untilDead(nomad.api, allocId, "tidy", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "tidy")).toBe("prepared\ndone\ntidied\n");
}, 120_000);

/** A variable of Nomad that one job may read. */
async function putVariable(id: string, items: Readonly<Record<string, string>>): Promise<void> {
  const path = `nomad/jobs/${id}`;
  await nomad.api.request("PUT", `/v1/var/${path}`, { Path: path, Items: items });
}

test("secret-template.hcl reads a secret again when it changes, without a restart", async () => {
  await putVariable("secret-template", { password: "first" });
  const { id, allocId } = await runJob(nomad.api, await job("secret-template.hcl"), { image: busybox });
  await untilRunning(nomad.api, allocId, "program", 60_000);
  await nomad.api.logsUntil(allocId, "program", "The password has 5 characters.");
  await putVariable("secret-template", { password: "a longer one" });
  await nomad.api.logsUntil(allocId, "program", "The password has 12 characters.", "stdout", 60_000);
  await nomad.api.stopJob(id);
  expect((await untilDead(nomad.api, allocId, "program", 60_000)).Restarts).toBe(0);
}, 120_000);

test("private-registry.hcl fetches an image with a password that is not in the job", async () => {
  await using registry = await startRegistry({ users: { reader: "geheim" } });
  const layout = await writeImage(join(images, "private"), "1", [{ archive: await archiveOf(busybox) }]);
  const name = `${registry.host}/team/app:1`;
  const login = ["--dest-tls-verify=false", "--dest-creds=reader:geheim"];
  await run(["skopeo", "copy", "--quiet", ...login, layout, `docker://${name}`]);
  await putVariable("private-registry", { username: "reader", password: "geheim" });
  const { allocId } = await runJob(nomad.api, await job("private-registry.hcl"), { image: name });
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "program")).toBe("Hello from a private image\n");
}, 120_000);

test("hardened.hcl serves a page without a capability, on a client that allows none", async () => {
  const { id, allocId } = await runJob(nomad.api, await job("hardened.hcl"), { image: busybox });
  await untilRunning(nomad.api, allocId, "httpd", 60_000);
  expect(await publishedPage(nomad.api, allocId)).toBe("A page that only needs to be read.\n");
  const script = "grep -E 'CapBnd|NoNewPrivs' /proc/1/status; id -u; touch /x 2>&1";
  const inside = await allocExec(nomad.api, allocId, "httpd", ["/bin/sh", "-c", `${script}; true`]);
  expect(inside).toMatch(/CapBnd:\t0{16}\nNoNewPrivs:\t1\n10001\ntouch: \/x: Read-only file system/);
  await nomad.api.stopJob(id);
}, 120_000);

test("stateless-system.hcl boots with a read-only image and a new /var", async () => {
  const variables = { image: await debianImage() };
  const { id, allocId } = await runJob(nomad.api, await job("stateless-system.hcl"), variables);
  await untilRunning(nomad.api, allocId, "system", 120_000);
  const inside = "systemctl is-system-running; touch /etc/x 2>/dev/null || echo /etc is read-only; touch /var/x";
  expect(await allocExec(nomad.api, allocId, "system", ["/bin/sh", "-c", inside])).toMatch(
    /^(running|degraded)\n\/etc is read-only\n$/,
  );
  await nomad.api.stopJob(id);
  expect(lastExit(await untilDead(nomad.api, allocId, "system", 60_000))).toMatchObject({ ExitCode: 0 });
}, 240_000);

test("cdi-device.hcl has the device, the file and the variable of a specification", async () => {
  await mkdir(SPECIFICATIONS, { recursive: true });
  const file = join(SPECIFICATIONS, "example.json");
  const specification = {
    cdiVersion: "0.6.0",
    kind: "example.com/card",
    devices: [
      {
        name: "first",
        containerEdits: { deviceNodes: [{ path: "/dev/card0", hostPath: "/dev/zero" }], env: ["CARD=first"] },
      },
    ],
  };
  await writeFile(file, JSON.stringify(specification));
  try {
    const { allocId } = await runJob(nomad.api, await job("cdi-device.hcl"), {
      image: busybox,
      device: "example.com/card=first",
    });
    expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
    expect(await nomad.api.logs(allocId, "program")).toMatch(/1, {3}5 .* card0\n(?:.*\n)*CARD=first\n/);
  } finally {
    await rm(file);
  }
}, 120_000);

// That the kernel enforces both is tested in the virtual machine: a test host may have no controllers for it.
test("memory-and-cores.hcl is placed on a core, with more memory than it reserves", async () => {
  const scheduler = { MemoryOversubscriptionEnabled: true };
  await nomad.api.request("POST", "/v1/operator/scheduler/configuration", scheduler);
  const { allocId } = await runJob(nomad.api, await job("memory-and-cores.hcl"), { image: busybox });
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "program")).toMatch(/^32 64 \d+\nCpus_allowed_list:\t/);
}, 120_000);

// The tests' agent, 1.6.1, does not know the block: its command runs as "nomad action" runs it, by Nomad's own exec.
test("action.hcl changes its page by a command of the job's author", async () => {
  const text = await job("action.hcl");
  const block = /^ *action "publish" \{\n.*?^ {6}\}\n/ms.exec(text)?.[0] ?? "";
  const { command, args } = v.parse(v.object({ command: v.string(), args: v.array(v.string()) }), hclValues(block));
  const { id, allocId } = await runJob(nomad.api, text.replace(block, ""), { image: busybox });
  await untilRunning(nomad.api, allocId, "httpd", 60_000);
  expect(await publishedPage(nomad.api, allocId)).toBe("First edition\n");
  expect(await allocExec(nomad.api, allocId, "httpd", [command, ...args])).toBe("published by httpd\n");
  expect(await publishedPage(nomad.api, allocId)).toBe("Second edition\n");
  await nomad.api.stopJob(id);
}, 120_000);

/** The attributes of the first block in a text. */
function hclValues(text: string): unknown {
  const file = parseHcl(text);
  return bodyValue(file.blocks[0]?.body ?? file, scopeOf(file, {}));
}

// 1.6.1 does not know dynamic volumes: the volume of this name is one of the client's configuration, made as the specification says.
test("dynamic-volume.hcl keeps its data on a volume that its user owns", async () => {
  const specification = hclFile(await job("dynamic-volume-specification.hcl"));
  expect(specification).toMatchObject({
    name: "notes",
    type: "host",
    parameters: { mode: "0700", uid: 1000, gid: 1000 },
  });
  const { allocId } = await runJob(nomad.api, await job("dynamic-volume.hcl"), { image: busybox });
  expect(lastExit(await untilDead(nomad.api, allocId, "writer", 60_000))).toMatchObject({ ExitCode: 0 });
  expect((await nomad.api.logs(allocId, "writer")).trim()).toBe("1");
  expect(await stat(join(notes, "runs"))).toMatchObject({ uid: 1000, gid: 1000 });
}, 120_000);

/** The attributes of a file. */
function hclFile(text: string): unknown {
  const file = parseHcl(text);
  return bodyValue({ attributes: file.attributes, blocks: [] }, scopeOf(file, {}));
}

// Its tasks need Consul and Envoy, which the tests do not have: the agent checks the job, and the driver the config of the sidecars.
test("sidecar-task.hcl is a job for the agent, and its sidecars are tasks for the driver", async () => {
  const parsed = await nomad.api.parseJob(await job("sidecar-task.hcl"), { image: busybox });
  expect(await nomad.api.validateJob(parsed)).toMatchObject({ Error: "", DriverConfigValidated: true });
  const sidecar = v.looseObject({ Driver: v.string(), Config: v.record(v.string(), v.unknown()) });
  const service = v.looseObject({ Connect: v.looseObject({ SidecarTask: sidecar }) });
  const groups = v.parse(v.array(v.looseObject({ Services: v.array(service) })), parsed["TaskGroups"]);
  const tasks = groups.flatMap(({ Services }) => Services.map(({ Connect }) => Connect.SidecarTask));
  expect(tasks).toHaveLength(2);
  const [first] = tasks;
  // Without Envoy, its arguments.
  const layout = await writeImage(join(images, "sidecar"), "1", [{ archive: await archiveOf(busybox) }], {
    Entrypoint: ["/bin/echo"],
  });
  const config = { ...first?.Config, image: layout, network: "none" };
  const { allocId } = await runJob(nomad.api, jobFile({ id: "sidecar", config }));
  expect(lastExit(await untilDead(nomad.api, allocId, "main", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "main")).toBe(
    "-c /secrets/envoy_bootstrap.json -l info --concurrency 1 --disable-hot-restart\n",
  );
}, 120_000);

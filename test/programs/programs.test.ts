/** Programs that people run, in images with the conventions of their Docker images: each answers a real client. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { programImages } from "../../tools/images/programs";
import { allocExec } from "../nomad/harness/alloc-exec";
import type { Allocation } from "../nomad/harness/api";
import { deploymentOf, promote } from "../nomad/harness/deployments";
import { eventTexts, runJob, taskState, untilDead, untilRunning } from "../nomad/harness/jobs";
import { type Nomad, startNomad } from "../nomad/harness/nomad";
import { publishedPort } from "../nomad/harness/pages";
import { jobFile } from "../nomad/job-file";

const store = `/var/tmp/programs-${process.pid}`;
/** A host volume for the data of a database. */
const volume = `/var/tmp/programs-volume-${process.pid}`;
const PASSWORD = "geheim";
let nomad: Nomad;
let layout: string;
beforeAll(async () => {
  layout = await programImages();
  await mkdir(volume);
  nomad = await startNomad({
    pluginConfig: { image_store: store },
    client: { host_volume: [{ postgres: [{ path: volume }] }] },
  });
}, 300_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  for (const path of [store, volume]) await rm(path, { recursive: true, force: true });
}, 180_000);

/** Starts a program with its default network, in which it has a name and an address of its own. @param port that is published */
async function start(
  name: string,
  { task = "", port }: { readonly task?: string; readonly port?: number } = {},
): Promise<string> {
  const config = { image: `oci:${layout}:${name}`, ...(port === undefined ? {} : { ports: ["http"] }) };
  const group = port === undefined ? "" : `network {\n port "http" {\n to = ${port}\n }\n }`;
  const resources = "resources {\n memory = 1024\n }";
  // Not the program's name: an example has that.
  const hcl = jobFile({ id: jobOf(name), config, group, task: `${resources}\n${task}`, type: "service" });
  const { allocId } = await runJob(nomad.api, hcl);
  await untilRunning(nomad.api, allocId, "main", 120_000);
  return allocId;
}

const jobOf = (program: string) => `run-${program}`;

/** What a client prints when it succeeds; a server may need some time until it answers. */
async function answer(allocId: string, command: readonly string[], task = "main"): Promise<string> {
  return persistently(allocId, () => allocExec(nomad.api, allocId, task, command), task);
}

/** The page of the published port. */
async function page(allocId: string, path = ""): Promise<string> {
  const url = `http://127.0.0.1:${await publishedPort(nomad.api, allocId)}/${path}`;
  return persistently(allocId, async () => (await fetch(url, { signal: AbortSignal.timeout(3000) })).text());
}

async function persistently(allocId: string, ask: () => Promise<string>, task = "main"): Promise<string> {
  for (const deadline = performance.now() + 90_000; ; await Bun.sleep(500)) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() < deadline) continue;
      const allocation = await nomad.api.allocation(allocId, () => true);
      const state = taskState(allocation, task);
      const logs = await Promise.all(
        (["stdout", "stderr"] as const).map((name) => nomad.api.logs(allocId, task, name)),
      );
      throw new Error(`${error}\n${state === undefined ? "" : eventTexts(state).join("\n")}\n${logs.join("\n")}`);
    }
  }
}

/** Stops a job; its program has to end by its own stop signal, before it would be killed. */
async function stop(allocId: string, name: string, task = "main"): Promise<void> {
  await nomad.api.stopJob(name);
  const { Events: events = [] } = await untilDead(nomad.api, allocId, task, 60_000);
  expect(events?.find(({ Type }) => Type === "Terminated")?.DisplayMessage).toMatch(/Exit Code: (?:0|143)\b/);
}

test("PostgreSQL, as the example job has it: data on a host volume, a password from a variable, a published port", async () => {
  const text = await readFile(resolve(import.meta.dir, "../../examples/postgres.hcl"), "utf8");
  await nomad.api.request("PUT", "/v1/var/nomad/jobs/postgres", {
    Path: "nomad/jobs/postgres",
    Items: { password: PASSWORD },
  });
  // Not "-h", which the command line of Nomad takes for itself.
  const psql = (host: string, sql: string) => [
    ...["/usr/bin/env", `PGPASSWORD=${PASSWORD}`, "psql", "-qAt", "--username=postgres", `--host=${host}`, "-c", sql],
  ];
  const first = await runPostgres(text);
  const sql = "CREATE TABLE t (n int); INSERT INTO t VALUES (41); SELECT n + 1 FROM t";
  expect(await answer(first, psql("/var/run/postgresql", sql), "postgres")).toBe("42\n");
  await stop(first, "postgres", "postgres");
  // The volume's owners on the client are those inside the container.
  expect((await stat(join(volume, "pgdata/PG_VERSION"))).uid).toBeLessThan(1000);
  const second = await runPostgres(text, first);
  expect(await answer(second, psql("127.0.0.1", "SELECT n FROM t"), "postgres")).toBe("41\n");
  await stop(second, "postgres", "postgres");
}, 240_000);

/** @param earlier an allocation of the job's earlier version */
async function runPostgres(text: string, earlier?: string): Promise<string> {
  const job = await nomad.api.parseJob(text, { image: `oci:${layout}:postgres` });
  await nomad.api.registerJob(job);
  const isNew = ({ ID }: Allocation) => ID !== earlier;
  const allocId = (await nomad.api.allocations(job.ID, (found) => found.some(isNew))).find(isNew)?.ID ?? "";
  await untilRunning(nomad.api, allocId, "postgres", 120_000);
  return allocId;
}

test("MariaDB: the same with /run/mysqld", async () => {
  const id = await start("mariadb", { task: 'kill_timeout = "30s"' });
  const sql = "CREATE DATABASE d; CREATE TABLE d.t (n int); INSERT INTO d.t VALUES (41); SELECT n + 1 FROM d.t";
  expect(await answer(id, ["/usr/bin/mariadb", "-N", "-e", sql])).toContain("42");
  await stop(id, jobOf("mariadb"));
}, 240_000);

test("Redis: writes into its volume", async () => {
  const id = await start("redis");
  expect(await answer(id, ["/usr/bin/redis-cli", "set", "a", "b"])).toBe("OK\n");
  expect(await answer(id, ["/usr/bin/redis-cli", "save"])).toBe("OK\n");
  expect(await answer(id, ["/bin/ls", "/data"])).toBe("dump.rdb\n");
  await stop(id, jobOf("redis"));
}, 240_000);

test("nginx, as the example job has it: a new version beside the old one, and in its place when it is promoted", async () => {
  const text = await readFile(resolve(import.meta.dir, "../../examples/nginx.hcl"), "utf8");
  const image = `oci:${layout}:nginx`;
  const { id, allocId: old } = await runJob(nomad.api, text, { image });
  await deploymentOf(nomad.api, id, 0, (status) => status === "successful");
  await nomad.api.registerJob(await nomad.api.parseJob(text, { image, text: "the new page" }));
  const next = await deploymentOf(nomad.api, id, 1);
  const isNew = ({ ID }: Allocation) => ID !== old;
  const canary = (await nomad.api.allocations(id, (found) => found.some(isNew))).find(isNew)?.ID ?? "";
  await nomad.api.services("nginx", (found) => found.length === 2, 60_000);
  expect([await page(old), await page(canary)]).toEqual(["the old page", "the new page"]);
  await promote(nomad.api, next);
  await untilDead(nomad.api, old, "nginx", 60_000);
  expect(await page(canary)).toBe("the new page");
  await stop(canary, id, "nginx");
}, 240_000);

test("nginx: a low port, and a log in /dev/stdout", async () => {
  const id = await start("nginx", { port: 80 });
  expect(await page(id)).toBe("nginx answers\n");
  await persistently(id, async () => {
    const log = await nomad.api.logs(id, "main");
    if (!log.includes("GET / HTTP/1.1")) throw new Error(`The log has no request: ${log}`);
    return log;
  });
  await stop(id, jobOf("nginx"));
}, 240_000);

test("RabbitMQ: an Erlang node that finds itself by its host name", async () => {
  const id = await start("rabbitmq");
  const ping = ["/usr/lib/rabbitmq/bin/rabbitmq-diagnostics", "-q", "check_port_connectivity"];
  await answer(id, ping);
  expect(await answer(id, ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "list_users"])).toContain("guest");
  await stop(id, jobOf("rabbitmq"));
}, 240_000);

test("Tomcat: a Java program with a dot in a variable's name", async () => {
  const id = await start("tomcat", { port: 8080 });
  expect(await page(id, "type.jsp")).toBe("type=single-node\n");
  await stop(id, jobOf("tomcat"));
}, 240_000);

test("a single static program, as a user that no file names", async () => {
  const id = await start("static", { port: 9100 });
  expect(await page(id)).toBe("one static program answers\n");
  await nomad.api.stopJob(jobOf("static"));
}, 240_000);

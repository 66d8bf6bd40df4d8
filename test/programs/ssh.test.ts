/** A system to log in to, as examples/ssh.hcl has it: a real SSH client, a key from a Nomad variable, and a root that is kept. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { run } from "../../tools/command";
import { sshImage } from "../../tools/images/ssh";
import { allocExec } from "../nomad/harness/alloc-exec";
import type { Allocation } from "../nomad/harness/api";
import { lastExit, untilDead, untilRunning } from "../nomad/harness/jobs";
import { type Nomad, startNomad } from "../nomad/harness/nomad";
import { keepMachines } from "../support/download-site";

let nomad: Nomad;
let directory: string;
const stack = new AsyncDisposableStack();
beforeAll(async () => {
  directory = await mkdtemp("/var/tmp/ssh-");
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  stack.use(await keepMachines());
  await run(["cp", "-a", "--reflink=auto", await sshImage(), join(directory, "template")]);
  nomad = stack.use(await startNomad());
}, 300_000);
afterAll(() => stack.disposeAsync(), 180_000);

/** Starts the job; returns the allocation, in which the system is up. */
async function start(earlier?: string): Promise<string> {
  const text = await readFile(resolve(import.meta.dir, "../../examples/ssh.hcl"), "utf8");
  await nomad.api.registerJob(await nomad.api.parseJob(text, { template: join(directory, "template") }));
  const isNew = ({ ID }: Allocation) => ID !== earlier;
  const allocId = (await nomad.api.allocations("ssh", (found) => found.some(isNew))).find(isNew)?.ID ?? "";
  await untilRunning(nomad.api, allocId, "debian", 120_000);
  return allocId;
}

async function stop(allocId: string): Promise<void> {
  await nomad.api.stopJob("ssh", true);
  expect(lastExit(await untilDead(nomad.api, allocId, "debian", 60_000))).toMatchObject({ ExitCode: 0 });
}

const inside = (allocId: string, script: string) => allocExec(nomad.api, allocId, "debian", ["/bin/sh", "-c", script]);
const login = (key: string) =>
  `ssh -i /root/${key} -o BatchMode=yes -o StrictHostKeyChecking=accept-new root@127.0.0.1`;

test("ssh.hcl lets in who has the key, keeps its root, and has its journal in the log", async () => {
  const template = join(directory, "template");
  // Two keys of a client, in the container because it has the client's program.
  for (const name of ["right", "wrong"]) {
    await run(["chroot", template, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `/root/${name}`]);
  }
  const authorized = (await readFile(join(template, "root/right.pub"), "utf8")).trim();
  const variable = { Path: "nomad/jobs/ssh", Items: { authorized_keys: authorized } };
  await nomad.api.request("PUT", "/v1/var/nomad/jobs/ssh", variable);
  const first = await start();
  expect(await inside(first, `${login("wrong")} true 2>&1 || :`)).toContain("Permission denied (publickey");
  expect(await inside(first, `${login("right")} 'id -un; cat /proc/1/comm; echo kept > note'`)).toBe("root\nsystemd\n");
  await nomad.api.logsUntil(first, "debian", "Accepted publickey for root", "stderr", 30_000);
  await nomad.api.services("ssh", (found) => found.length === 1, 30_000);
  await stop(first);

  const second = await start(first);
  expect(await inside(second, `${login("right")} cat note`)).toBe("kept\n");
  await stop(second);
}, 240_000);

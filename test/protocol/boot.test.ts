import { afterAll, beforeAll, expect, test } from "bun:test";
import { TaskState } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { debianImage } from "../../tools/images/images";
import { type HostState, hostState, leftovers } from "../../tools/leftovers";
import { megabytes } from "../support/task";
import { type Fixture, openFixture } from "./fixture";

let before: HostState;
let bench: Fixture;
let debian: string;
beforeAll(async () => {
  before = await hostState();
  bench = await openFixture();
  debian = await debianImage();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  expect(await leftovers(before)).toEqual([]);
});

const bootTimeout = 60_000;

/** Boots the Debian image; `command` holds arguments of its systemd. */
async function booted(command: readonly string[] = []) {
  const config = { image: debian, network_veth: false, volatile: "overlay", command };
  return bench.started({ config, resources: megabytes(512) });
}

test("a container boots, and is shut down cleanly when it is stopped", async () => {
  const task = await booted();
  await task.stdout.waitFor("Multi-User", bootTimeout);
  await bench.client().stopTask(task.id, { timeout: bootTimeout });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
}, 150_000);

test("a container that powers itself off exits with 0", async () => {
  const task = await booted(["systemd.unit=poweroff.target"]);
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
}, 150_000);

test("a container that is stopped while it reboots is still shut down cleanly", async () => {
  const task = await booted();
  await task.stdout.waitFor("Multi-User", bootTimeout);
  await bench.client().signalTask(task.id, "SIGRTMIN+5");
  await task.stdout.waitFor(/Stopped target[^\n]*Multi-User|Stopping|Reached target[^\n]*Shutdown/, bootTimeout);
  await bench.client().stopTask(task.id, { timeout: bootTimeout });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
}, 200_000);

test("a container that reboots is still the same task", async () => {
  const task = await booted();
  await task.stdout.waitFor("Multi-User", bootTimeout);
  // systemd as PID 1 reboots on this signal (systemd(1), SIGRTMIN+5).
  await bench.client().signalTask(task.id, "SIGRTMIN+5");
  await task.stdout.waitFor(/Reached target[^\n]*Multi-User[\s\S]*Reached target[^\n]*Multi-User/, bootTimeout);
  expect((await bench.client().inspectTask(task.id)).task?.state).toBe(TaskState.RUNNING);
  await bench.client().stopTask(task.id, { timeout: bootTimeout });
  expect((await bench.client().waitTask(task.id)).result).toMatchObject({ exitCode: 0, signal: 0 });
}, 200_000);

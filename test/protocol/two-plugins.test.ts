/** Two plugin processes of one agent: the agent was killed and started again, and its first plugin has not ended yet. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machinesOfClient } from "../../src/machine/registry";
import { machineName } from "../../src/nspawn/machine-name";
import { DriverClient } from "../support/driver-client";
import { type PluginProcess, startPlugin } from "../support/plugin-process";
import { type Fixture, failure, shell, useFixture } from "./fixture";

let bench: Fixture;
/** The allocations of the agent. */
let allocRoot = "";
const gc = { container_delay: "300ms" };
useFixture(
  (opened) => {
    bench = opened;
  },
  { gc },
);
beforeAll(async () => {
  allocRoot = await mkdtemp(join(tmpdir(), "two-plugins-"));
});
afterAll(() => rm(allocRoot, { recursive: true, force: true }));

const forever = "echo up; while :; do sleep 0.1; done";

/** The agent's earlier plugin. */
async function earlier(): Promise<AsyncDisposable & { readonly plugin: PluginProcess; readonly client: DriverClient }> {
  const plugin = await startPlugin();
  const client = new DriverClient(plugin.socket);
  await client.setConfig({ gc, image_store: join(bench.scratch, "images") });
  const dispose = async () => {
    client.close();
    await plugin[Symbol.asyncDispose]();
  };
  return { plugin, client, [Symbol.asyncDispose]: dispose };
}

test("the first one does not remove what the second one has started, and removes what it has forgotten itself", async () => {
  await using first = await earlier();
  const task = await bench.task({ ...shell(bench.busybox, forever), allocRoot });
  await bench.start(task);
  await task.stdout.waitFor("up");
  // A task of its own shows the first one which agent it belongs to.
  const own = await bench.task({ ...shell(bench.busybox, "true"), allocRoot });
  await first.client.startTask(own.config);
  await first.client.waitTask(own.id);
  await first.client.destroyTask(own.id);
  await Bun.sleep(1500);
  expect(await machinesOfClient(allocRoot)).toEqual([machineName(task.config.name, task.config.allocId)]);
  const { result } = await bench.client().execTask(task.id, ["/bin/true"]);
  expect(result?.exitCode).toBe(0);
  await bench.client().destroyTask(task.id, true);
});

test.each([0, 15, 40, 80, 150])(
  "a start that the first one gives up after %d ms does not disturb that of the second one",
  async (moment) => {
    await using first = await earlier();
    const task = await bench.task({ ...shell(bench.busybox, forever, { ephemeral: true, volatile: "no" }), allocRoot });
    const agent = new AbortController();
    const given = failure(first.client.startTask(task.config, { signal: agent.signal }));
    await Bun.sleep(moment);
    // The end of the agent closes its connection.
    agent.abort();
    await bench.start(task);
    await given;
    // A container of the first start may have ended the log.
    await Bun.sleep(500);
    const { result } = await bench.client().execTask(task.id, ["/bin/true"]);
    expect(result?.exitCode).toBe(0);
    await bench.client().destroyTask(task.id, true);
    expect(await machinesOfClient(allocRoot)).toEqual([]);
  },
);

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy";
import { pushImage } from "../support/oci-images";
import { startRegistry } from "../support/registry";
import { eventTexts, runJob, untilDead } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile } from "./job-file";

const stack = new AsyncDisposableStack();
let nomad: Nomad;
let proxy: FaultProxy;
beforeAll(async () => {
  const registry = stack.use(await startRegistry());
  proxy = stack.use(await startFaultProxy(`http://${registry.host}`));
  // The image cannot run: this test is about the steps before the start.
  await pushImage(registry, "team/app:1", { layers: [{ "srv/data": randomBytes(3_000_000) }] });
  nomad = stack.use(await startNomad());
}, 120_000);
afterAll(() => stack.disposeAsync(), 120_000);

/** The events of a job's task until it is dead; a recoverable start error is retried once. */
async function events(id: string, tag: string): Promise<string> {
  const config = { image: `${proxy.host}/team/app:${tag}`, network_veth: false, command: ["/nothing"] };
  const hcl = jobFile({ id, config }).replace(
    "attempts = 0\n      mode",
    'attempts = 1\n      delay = "1s"\n      mode',
  );
  const { allocId } = await runJob(nomad.api, hcl);
  return eventTexts(await untilDead(nomad.api, allocId, "main", 60_000)).join("\n");
}

test("a download reports its progress", async () => {
  proxy.inject((path) => (path.includes("/blobs/") ? [{ kind: "slow", rate: 1_000_000 }] : []));
  const told = await events("progress", "1");
  expect(told).toMatch(/Driver: Downloading image .*\/team\/app:1: \d+ % \([\d.]+ of 2\.9 MiB, [\d.]+ MiB\/s\)/);
  expect(told).toMatch(/Driver: Downloaded image .*\/team\/app:1: 2\.9 MiB in \d+\.\d s/);
}, 90_000);

test("Nomad retries after transient failures", async () => {
  proxy.inject(() => [{ kind: "status", status: 429, headers: { "retry-after": "3600" } }]);
  const told = await events("later", "2");
  expect(told).toContain("applies a rate limit (HTTP status 429)");
  expect(told).toContain("Restarting:");
}, 90_000);

test("Nomad does not retry after permanent failures", async () => {
  proxy.inject(() => []);
  const told = await events("never", "nothing");
  expect(told).toContain("does not have it (HTTP status 404, MANIFEST_UNKNOWN)");
  expect(told).not.toMatch(/^Restarting:/m);
  expect(told).toContain("Not Restarting: Error was unrecoverable");
}, 90_000);

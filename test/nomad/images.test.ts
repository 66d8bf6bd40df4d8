import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy";
import { pushImage } from "../support/oci-images";
import { startRegistry, type TestRegistry } from "../support/registry";
import * as signing from "../support/signing";
import { eventTexts, runJob, untilDead } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile } from "./job-file";

const stack = new AsyncDisposableStack();
let nomad: Nomad;
let proxy: FaultProxy;
/** Behind the proxy. */
let registry: TestRegistry;
let directory: string;
let key: signing.SigningKey;
beforeAll(async () => {
  directory = await mkdtemp("/var/tmp/nomad-images-");
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  key = await signing.opensslKey(directory, "ED25519");
  registry = stack.use(await startRegistry());
  proxy = stack.use(await startFaultProxy(`http://${registry.host}`));
  // The image cannot run: this test is about the steps before the start.
  await pushImage(registry, "team/app:1", { layers: [{ "srv/data": randomBytes(3_000_000) }] });
  await pushImage(registry, "signed/app:1", { layers: [{ "srv/data": randomBytes(3_000_000) }] });
  const policy = join(directory, "policy.json");
  const accept = [{ type: "insecureAcceptAnything" }];
  const signed = [{ type: "sigstoreSigned", keyPath: key.publicKey }];
  const transports = { docker: { [`${proxy.host}/signed`]: signed } };
  await writeFile(policy, JSON.stringify({ default: accept, transports }));
  nomad = stack.use(await startNomad({ pluginConfig: { signature_policy: policy } }));
}, 120_000);
afterAll(() => stack.disposeAsync(), 120_000);

/** The events of a job's task until it is dead; a recoverable start error is retried once. */
async function events(id: string, tag: string, repository = "team/app"): Promise<string> {
  const config = { image: `${proxy.host}/${repository}:${tag}`, network_veth: false, command: ["/nothing"] };
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

test("an image without the signature that a policy requires is not downloaded, and signed it is", async () => {
  proxy.inject(() => []);
  const told = await events("unsigned", "1", "signed/app");
  expect(told).toMatch(
    /is not allowed by the signature policy .*policy\.json: for ".*\/signed" of docker, it requires a signature/,
  );
  expect(told).toContain("Not Restarting: Error was unrecoverable");
  expect(told).not.toContain("Downloading image");
  const repository = new signing.RawRepository(`http://${registry.host}/v2/signed/app`);
  const digest = signing.digestOf(await repository.manifest("1"));
  const payload = signing.payloadOf(digest, `${proxy.host}/signed/app:1`);
  const signature = await signing.opensslSignature(directory, key, payload);
  await repository.putSignature(signing.signatureTag(digest), payload, signature);
  expect(await events("signed", "1", "signed/app")).toContain("Driver: Started machine");
}, 90_000);

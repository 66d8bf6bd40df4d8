import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";
import { busyboxImage } from "../../tools/images/images";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy";
import { archiveOf, writeImage } from "../support/oci-image";
import { pushImage } from "../support/oci-images";
import { startRegistry, type TestRegistry } from "../support/registry";
import * as signing from "../support/signing";
import { eventTexts, lastExit, runJob, untilDead } from "./harness/jobs";
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
  const pluginConfig = {
    signature_policy: policy,
    image_store: join(directory, "store"),
    gc: { image_max_size: "8MB" },
  };
  nomad = stack.use(await startNomad({ pluginConfig }));
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
  const shown = await events("progress", "1");
  expect(shown).toMatch(/Driver: Downloading image .*\/team\/app:1: \d+ % \([\d.]+ of 2\.9 MiB, [\d.]+ MiB\/s\)/);
  expect(shown).toMatch(/Driver: Downloaded image .*\/team\/app:1: 2\.9 MiB in \d+\.\d s/);
}, 90_000);

test("Nomad retries after transient failures", async () => {
  proxy.inject(() => [{ kind: "status", status: 429, headers: { "retry-after": "3600" } }]);
  const shown = await events("later", "2");
  expect(shown).toContain("applies a rate limit (HTTP status 429)");
  expect(shown).toContain("Restarting:");
}, 90_000);

test("Nomad does not retry after permanent failures", async () => {
  proxy.inject(() => []);
  const shown = await events("never", "nothing");
  expect(shown).toContain("does not have it (HTTP status 404, MANIFEST_UNKNOWN)");
  expect(shown).not.toMatch(/^Restarting:/m);
  expect(shown).toContain("Not Restarting: Error was unrecoverable");
}, 90_000);

test("an image without the signature that a policy requires is not downloaded, and signed it is", async () => {
  proxy.inject(() => []);
  const shown = await events("unsigned", "1", "signed/app");
  expect(shown).toMatch(
    /is not allowed by the signature policy .*policy\.json: for ".*\/signed" of docker, it requires a signature/,
  );
  expect(shown).toContain("Not Restarting: Error was unrecoverable");
  expect(shown).not.toContain("Downloading image");
  const repository = new signing.RawRepository(`http://${registry.host}/v2/signed/app`);
  const digest = signing.digestOf(await repository.manifest("1"));
  const payload = signing.payloadOf(digest, `${proxy.host}/signed/app:1`);
  const signature = await signing.opensslSignature(directory, key, payload);
  await repository.putSignature(signing.signatureTag(digest), payload, signature);
  expect(await events("signed", "1", "signed/app")).toContain("Driver: Started machine");
}, 90_000);

const job = (name: string) => readFile(join(import.meta.dir, "../../examples", name), "utf8");

/** Pushes a busybox that prints a text. */
async function pushProgram(name: string, text: string): Promise<void> {
  const layout = await mkdtemp(join(directory, "layout-"));
  const image = await writeImage(layout, "1", [{ archive: await archiveOf(await busyboxImage()) }], {
    Cmd: ["/bin/echo", text],
  });
  await run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", image, `docker://${registry.host}/${name}`]);
}

test("signed-image.hcl runs a signed image", async () => {
  proxy.inject(() => []);
  await pushProgram("signed/program:1", "signed");
  const repository = new signing.RawRepository(`http://${registry.host}/v2/signed/program`);
  const digest = signing.digestOf(await repository.manifest("1"));
  const name = `${proxy.host}/signed/program:1`;
  const payload = signing.payloadOf(digest, name);
  const signature = await signing.opensslSignature(directory, key, payload);
  await repository.putSignature(signing.signatureTag(digest), payload, signature);
  const { allocId } = await runJob(nomad.api, await job("signed-image.hcl"), { image: name });
  expect(lastExit(await untilDead(nomad.api, allocId, "program", 60_000))).toMatchObject({ ExitCode: 0 });
  expect(await nomad.api.logs(allocId, "program")).toBe("signed\n");
}, 90_000);

test("pull-newer.hcl runs what the tag means now, and while the registry is down what it meant", async () => {
  proxy.inject(() => []);
  const text = await job("pull-newer.hcl");
  const image = `${proxy.host}/newer/program:main`;
  const started = async (index: number) => {
    const { allocId } = await runJob(nomad.api, text.replace('job "pull-newer"', `job "pull-newer-${index}"`), {
      image,
    });
    const state = await untilDead(nomad.api, allocId, "program", 60_000);
    expect(lastExit(state)).toMatchObject({ ExitCode: 0 });
    return { output: await nomad.api.logs(allocId, "program"), shown: eventTexts(state).join("\n") };
  };
  for (const version of ["one", "two"]) {
    await pushProgram("newer/program:main", version);
    expect((await started(version.charCodeAt(0))).output).toBe(`${version}\n`);
  }
  proxy.inject(() => [{ kind: "status", status: 429, headers: { "retry-after": "3600" } }]);
  const { output, shown } = await started(3);
  expect(output).toBe("two\n");
  expect(shown).toContain("is used, because its registry cannot be asked for a newer one");
}, 90_000);

test("with gc.image_max_size unused images make room, and an image that can never fit is refused for good", async () => {
  proxy.inject(() => []);
  // Images of 3 MB each: the store has two of them at most.
  for (const tag of ["2", "3", "4"]) {
    await pushImage(registry, `room/app:${tag}`, { layers: [{ "srv/data": randomBytes(3_000_000) }] });
    const config = { image: `${proxy.host}/room/app:${tag}`, network_veth: false, command: ["/nothing"] };
    const { allocId } = await runJob(nomad.api, jobFile({ id: `room-${tag}`, config }));
    expect(lastExit(await untilDead(nomad.api, allocId, "main", 60_000)).ExitCode).toBe(127);
    expect((await readdir(join(directory, "store/layers"))).length).toBeLessThanOrEqual(2);
  }
  await pushImage(registry, "room/app:big", { layers: [{ "srv/data": randomBytes(9_000_000) }] });
  const shown = await events("room-big", "big", "room/app");
  expect(shown).toMatch(
    /needs at least [\d.]+ MiB in the image store, .* and may have 7\.6 MiB \(plugin option gc\.image_max_size\)/,
  );
  expect(shown).toContain("Not Restarting: Error was unrecoverable");
}, 90_000);

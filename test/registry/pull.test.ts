import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../tools/command";
import { makeCertificate } from "../support/certificate";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy";
import { pushImage } from "../support/oci-images";
import { startRegistry, type TestRegistry } from "../support/registry";
import { problemOf, readContent, readImage, sourceOf } from "./reading";

const stack = new AsyncDisposableStack();
let registry: TestRegistry;
let proxy: FaultProxy;
let directory: string;
/** Incompressible, so that the layer keeps its size. */
const large = randomBytes(3_000_000);
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "pull-test-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  registry = stack.use(await startRegistry());
  proxy = stack.use(await startFaultProxy(`http://${registry.host}`));
  const layers = [{ "usr/bin/app": "first" }, { "etc/app.conf": "second", "srv/data": large }];
  await pushImage(registry, "team/app:1", { layers });
  await pushImage(registry, "team/docker:1", { layers }, { format: "v2s2" });
  await pushImage(registry, "team/app:arm", { layers: [{ a: "arm" }], architecture: "arm64" });
});
afterAll(() => stack.disposeAsync());

const manifestOf = async (version: string, repository = "team/app") => {
  const accept = "application/vnd.oci.image.manifest.v1+json";
  const response = await fetch(`http://${registry.host}/v2/${repository}/manifests/${version}`, {
    headers: { accept },
  });
  return Buffer.from(await response.arrayBuffer());
};
const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A multi-platform image of those that were pushed, as buildah and docker create it. */
async function pushIndex(tag: string, entries: readonly { tag: string; architecture: string; variant?: string }[]) {
  const type = "application/vnd.oci.image.index.v1+json";
  const manifests = await Promise.all(
    entries.map(async ({ tag: one, ...platform }) => {
      const bytes = await manifestOf(one);
      const mediaType = "application/vnd.oci.image.manifest.v1+json";
      return { mediaType, digest: digestOf(bytes), size: bytes.length, platform: { os: "linux", ...platform } };
    }),
  );
  const body = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests });
  const url = `http://${registry.host}/v2/team/app/manifests/${tag}`;
  const { status } = await fetch(url, { method: "PUT", body, headers: { "content-type": type } });
  expect(status).toBe(201);
  return digestOf(Buffer.from(body));
}

describe("an image is read", () => {
  test("by its tag, in both formats", async () => {
    const oci = await readImage(sourceOf(`${registry.host}/team/app:1`));
    expect(oci.manifest.layers).toHaveLength(2);
    expect(oci.manifest.digest).toBe(digestOf(await manifestOf("1")));
    const docker = await readImage(sourceOf(`docker://${registry.host}/team/docker:1`));
    expect(docker.manifest.config.mediaType).toBe("application/vnd.docker.container.image.v1+json");
    expect(docker.manifest.layers).toHaveLength(2);
  });

  test("by its digest, which takes precedence over the tag", async () => {
    const digest = digestOf(await manifestOf("1"));
    const { manifest } = await readImage(sourceOf(`${registry.host}/team/app:arm@${digest}`));
    expect(manifest.digest).toBe(digest);
  });

  test("from a multi-platform image, for this machine", async () => {
    const digest = await pushIndex("many", [
      { tag: "arm", architecture: "arm64", variant: "v8" },
      { tag: "1", architecture: "amd64" },
    ]);
    const expected = digestOf(await manifestOf("1"));
    expect(
      (await sourceOf(`${registry.host}/team/app:many`).manifest({ signal: AbortSignal.timeout(5000) })).digest,
    ).toBe(expected);
    const byDigest = sourceOf(`${registry.host}/team/app@${digest}`);
    expect((await byDigest.manifest({ signal: AbortSignal.timeout(5000) })).digest).toBe(expected);
  });
});

describe("what does not exist", () => {
  test.each([
    ["a tag", "team/app:nope", "MANIFEST_UNKNOWN"],
    ["a digest", `team/app@sha256:${"0".repeat(64)}`, "MANIFEST_UNKNOWN"],
    ["a repository", "nope/nope:1", "MANIFEST_UNKNOWN"],
  ] as const)("%s", async (_, name, code) => {
    const { message, ...rest } = await problemOf(readImage(sourceOf(`${registry.host}/${name}`)));
    expect(rest).toMatchObject({ problem: "not found", recoverable: false });
    expect(message).toContain(`Image "${registry.host}/${name}" could not be fetched`);
    expect(message).toContain(code);
  });

  test("a blob", async () => {
    const missing = { mediaType: "", digest: `sha256:${"0".repeat(64)}`, size: 1 };
    const signal = AbortSignal.timeout(5000);
    expect(await problemOf(readContent(sourceOf(`${registry.host}/team/app:1`), missing, signal))).toMatchObject({
      problem: "not found",
      recoverable: false,
      message: expect.stringContaining("BLOB_UNKNOWN"),
    });
  });

  test("an image for this machine", async () => {
    await pushIndex("arm-only", [{ tag: "arm", architecture: "arm64", variant: "v8" }]);
    expect(await problemOf(readImage(sourceOf(`${registry.host}/team/app:arm-only`)))).toMatchObject({
      problem: "content",
      recoverable: false,
      message: expect.stringContaining("available: linux/arm64/v8"),
    });
  });

  test("a host, a port", async () => {
    expect(await problemOf(readImage(sourceOf("nowhere.invalid/a:1")))).toMatchObject({
      problem: "name",
      message: expect.stringContaining("nowhere.invalid"),
    });
    expect(await problemOf(readImage(sourceOf("127.0.0.1:1/a:1")))).toMatchObject({
      problem: "connection",
      recoverable: true,
    });
  });
});

describe("faults of the network and the server", () => {
  const blobs = (path: string) => path.includes("/blobs/");
  const proxied = () => readImage(sourceOf(`${proxy.host}/team/app:1`));

  test("a broken connection is resumed, and little is sent twice", async () => {
    proxy.inject((path, before) => (blobs(path) && before < 3 ? [{ kind: "cut", after: 700_000 }] : []));
    await proxied();
    expect(proxy.requests.some(({ range }) => range !== undefined && range !== "bytes=0-")).toBe(true);
    expect(proxy.sent()).toBeLessThan(1.5 * large.length);
  });

  test("also if the server does not support ranges", async () => {
    proxy.inject((path, before) => [
      { kind: "whole" },
      ...(blobs(path) && before < 2 ? [{ kind: "cut", after: 700_000 * (before + 1) } as const] : []),
    ]);
    await proxied();
  });

  test("transient errors, and a registry that asks the client to wait", async () => {
    proxy.inject((_, before) => {
      if (before === 0) return [{ kind: "status", status: 500 }];
      return before === 1 ? [{ kind: "status", status: 429, headers: { "retry-after": "1" } }] : [];
    });
    const start = performance.now();
    await proxied();
    // Once for the manifest, and once for the contents, which wait together.
    expect(performance.now() - start).toBeGreaterThan(2000);
  });

  test("a server that falls silent", async () => {
    proxy.inject((path, before) => (blobs(path) && before === 0 ? [{ kind: "hang", after: 50 }] : []));
    await proxied();
  });

  test("a slow server", async () => {
    proxy.inject((path) => (blobs(path) ? [{ kind: "slow", rate: 3_000_000 }] : []));
    await proxied();
  });

  test.each([
    ["content", [{ kind: "corrupt" }], true, "its digest is sha256:"],
    ["server", [{ kind: "status", status: 503 }], true, "HTTP status 503"],
    [
      "rate limited",
      [{ kind: "status", status: 429, headers: { "retry-after": "3600" } }],
      true,
      "applies a rate limit",
    ],
    ["unauthorized", [{ kind: "status", status: 401 }], false, "HTTP status 401"],
    ["unauthorized", [{ kind: "status", status: 403 }], false, "HTTP status 403"],
    ["timeout", [{ kind: "hang", after: 10 }], true, "sent nothing for 1 s"],
    ["connection", [{ kind: "cut", after: 0 }], true, "reset the connection"],
  ] as const)("lasting ones fail as %s", async (problem, faults, recoverable, words) => {
    proxy.inject((path) => (blobs(path) ? faults : []));
    const found = await problemOf(proxied());
    expect(found).toMatchObject({ problem, recoverable });
    expect(found.message).toContain(words);
    expect(found.message).toContain(`of image "${proxy.host}/team/app:1"`);
  });

  test("a manifest that differs from the registry's digest", async () => {
    proxy.inject((path) => (path.includes("/manifests/") ? [{ kind: "corrupt" }] : []));
    expect(await problemOf(proxied())).toMatchObject({ problem: "content" });
  });

  test("a timeout", async () => {
    proxy.inject(() => [{ kind: "status", status: 503 }]);
    expect(await problemOf(readImage(sourceOf(`${proxy.host}/team/app:1`), AbortSignal.timeout(30)))).toMatchObject({
      problem: "timeout",
      recoverable: true,
      message: expect.stringContaining("pull_timeout"),
    });
  });
});

describe("TLS", () => {
  test("a registry of this machine may use it; its certificate has to be trusted", async () => {
    const tls = await makeCertificate(directory, "own", ["IP:127.0.0.1"]);
    await using secure = await startRegistry({ tls });
    const certificates = join(directory, "certificates");
    await mkdir(certificates);
    await copyFile(tls.certificate, join(certificates, "ca.crt"));
    await pushImage(secure, "team/app:1", { layers: [{ a: "b" }] }, { certificates });
    const name = `${secure.host}/team/app:1`;
    const { message, ...rest } = await problemOf(readImage(sourceOf(name)));
    expect(rest).toMatchObject({ problem: "certificate", recoverable: false });
    expect(message).toMatch(/the certificate of 127\.0\.0\.1:\d+ cannot be trusted/);
    await readImage(sourceOf(name, { ca: tls.certificate }));
    expect(await problemOf(readImage(sourceOf(name, { ca: "/nowhere.pem" })))).toMatchObject({
      message: expect.stringContaining("/nowhere.pem (plugin option registry.ca): ENOENT"),
    });
    const other = await makeCertificate(directory, "other", ["IP:127.0.0.2"]);
    await using elsewhere = await startRegistry({ tls: other });
    expect(await problemOf(readImage(sourceOf(`${elsewhere.host}/a:1`, { ca: other.certificate })))).toMatchObject({
      problem: "certificate",
    });
  });

  test("another registry is contacted without TLS only if the operator allows it", async () => {
    const address = "192.0.2.77";
    await run(["ip", "address", "add", `${address}/32`, "dev", "lo"]);
    try {
      await using plain = await startRegistry({ address });
      await pushImage(plain, "team/app:1", { layers: [{ a: "b" }] });
      const name = `${plain.host}/team/app:1`;
      expect(await problemOf(readImage(sourceOf(name)))).toMatchObject({
        problem: "certificate",
        message: expect.stringContaining("does not speak TLS"),
      });
      await readImage(sourceOf(name, { plainHttp: [plain.host] }));
    } finally {
      await run(["ip", "address", "del", `${address}/32`, "dev", "lo"]);
    }
  });
});

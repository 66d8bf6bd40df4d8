/** Signature policies, through the plugin: images signed by skopeo and openssl in a real registry, and what an attacker would do. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../tools/command";
import { type Fixture, useFixture } from "../protocol/fixture";
import { sentence } from "../protocol/inside";
import { archiveOf, writeImage } from "../support/oci-image";
import { startRegistry, type TestRegistry } from "../support/registry";
import * as signing from "../support/signing";

const top = `/var/tmp/signatures-${process.pid}`;
const policyFile = `${top}-policy.json`;
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { image_store: top, signature_policy: policyFile, gc: { image_delay: "1h" } },
);

let directory = "";
let registry: TestRegistry;
let key: signing.SigningKey;
let other: signing.SigningKey;
let plain = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "signatures-"));
  registry = await startRegistry();
  key = await signing.skopeoKey(directory, "key");
  other = await signing.skopeoKey(directory, "other");
  plain = await layout("one");
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  for (const path of [directory, top, policyFile]) await rm(path, { recursive: true, force: true });
});

/** An image that prints a text, in a layout of its own. */
async function layout(text: string): Promise<string> {
  const place = await mkdtemp(join(directory, "layout-"));
  return await writeImage(place, "1", [{ archive: await archiveOf(bench.busybox) }], {
    Entrypoint: ["/bin/echo"],
    Cmd: [text],
  });
}

/** Sets the policy for all images of the registry. */
async function require(...requirements: readonly object[]): Promise<void> {
  const transports = { docker: { [registry.host]: requirements } };
  await writeFile(policyFile, JSON.stringify({ default: [{ type: "reject" }], transports }));
}
const signedBy = (keys: readonly signing.SigningKey[], more: object = {}) => ({
  ...{ type: "sigstoreSigned", keyPaths: keys.map(({ publicKey }) => publicKey), ...more },
});

const sign = (from: string, name: string, by = key, more: readonly string[] = []) =>
  signing.pushSigned(from, `${registry.host}/${name}`, by, { directory, more });
const push = (from: string, name: string) =>
  run([
    "skopeo",
    "copy",
    "--quiet",
    "--preserve-digests",
    "--dest-tls-verify=false",
    from,
    `docker://${registry.host}/${name}`,
  ]);
const repository = (name: string) => new signing.RawRepository(`http://${registry.host}/v2/${name}`);
const digestAt = async (name: string, tag: string) => signing.digestOf(await repository(name).manifest(tag));

async function output(name: string, more: object = {}): Promise<string> {
  const end = await bench.finished({ config: { image: `${registry.host}/${name}`, network_veth: false, ...more } });
  if (end.code !== 0) throw new Error(`code ${end.code}: ${end.err}\n${end.stderr}`);
  return end.stdout;
}

async function refusal(image: string): Promise<string> {
  const task = await bench.task({
    config: { image, network_veth: false, pull: image.includes("//") ? "always" : undefined },
  });
  return await sentence(bench.start(task));
}
const refused = (name: string) => refusal(`docker://${registry.host}/${name}`);

describe("accepted", () => {
  test("an image that skopeo signed", async () => {
    await sign(plain, "ok/app:1");
    await require(signedBy([key]));
    expect(await output("ok/app:1")).toBe("one\n");
    await require(signedBy([other, key]));
    expect(await output("ok/app:1")).toBe("one\n");
    const digest = await digestAt("ok/app", "1");
    expect(await output(`ok/app@${digest}`)).toBe("one\n");
  });

  test("all images of a list, if the list is signed", async () => {
    const image = await repository("ok/app").manifest("1");
    const entry = {
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: signing.digestOf(image),
      size: image.length,
    };
    await push(await layout("of a list"), "ok/list:image");
    const listed = await repository("ok/list").manifest("image");
    const platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
    const index = await repository("ok/list").putManifest("1", {
      ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json" },
      manifests: [{ ...entry, digest: signing.digestOf(listed), size: listed.length, platform }],
    });
    await require(signedBy([key]));
    expect(await refused("ok/list:1")).toContain("the image has none");
    const payload = signing.payloadOf(index, `${registry.host}/ok/list:1`);
    const rsa = await signing.opensslKey(directory, "RSA");
    const signature = await signing.opensslSignature(directory, rsa, payload);
    await repository("ok/list").putSignature(signing.signatureTag(index), payload, signature);
    await require(signedBy([rsa]));
    expect(await output("ok/list:1")).toBe("of a list\n");
  });

  test("by Ed25519, with a name of cosign's, as a referrer", async () => {
    await push(plain, "ok/ed:1");
    const digest = await digestAt("ok/ed", "1");
    const ed = await signing.opensslKey(directory, "ED25519");
    const payload = signing.payloadOf(digest, `${registry.host}/ok/ed`);
    const made = await repository("ok/ed").putSignature(
      "any",
      payload,
      await signing.opensslSignature(directory, ed, payload),
    );
    const artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json";
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const size = (await repository("ok/ed").manifest("any")).length;
    const list = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{ mediaType, digest: made, size, artifactType }],
    };
    // Debian's docker-registry has no interface for referrers: the list is under a tag.
    await repository("ok/ed").putManifest(digest.replace(":", "-"), list);
    await require(signedBy([ed]));
    expect(await refused("ok/ed:1")).toContain("needs matchRepository or exactRepository");
    await require(signedBy([ed], { signedIdentity: { type: "matchRepository" } }));
    expect(await output("ok/ed:1")).toBe("one\n");
  });

  test("by a bundle of cosign 3, which has no name", async () => {
    await push(plain, "ok/bundle:1");
    const rsa = await signing.opensslKey(directory, "RSA");
    await signing.putBundle(repository("ok/bundle"), await digestAt("ok/bundle", "1"), { directory, key: rsa });
    await require(signedBy([rsa]));
    expect(await refused("ok/bundle:1")).toContain("which needs matchDigest as signedIdentity");
    await require(signedBy([key], { signedIdentity: { type: "matchDigest" } }));
    expect(await refused("ok/bundle:1")).toContain("not made by a key of the policy");
    await require(signedBy([rsa], { signedIdentity: { type: "matchDigest" } }));
    expect(await output("ok/bundle:1")).toBe("one\n");
    // Of the store, by the signature that it keeps.
    expect(await output("ok/bundle:1", { pull: "never" })).toBe("one\n");
  });

  test("a stored image while the registry is down, unless the policy has become stricter", async () => {
    await using soon = await startRegistry();
    const name = `${soon.host}/app:1`;
    const allow = (by: signing.SigningKey) => writeFile(policyFile, JSON.stringify({ default: [signedBy([by])] }));
    await allow(key);
    await signing.pushSigned(plain, name, key, { directory });
    const start = async () => (await bench.finished({ config: { image: name, network_veth: false } })).stdout;
    expect(await start()).toBe("one\n");
    await soon[Symbol.asyncDispose]();
    expect(await start()).toBe("one\n");
    await allow(other);
    const task = await bench.task({ config: { image: name, network_veth: false, pull: "never" } });
    expect(await sentence(bench.start(task))).toContain('the registry is not asked (pull = "never")');
  });
});

describe("refused", () => {
  test("an image without a signature, by a sentence with image, digest, policy and scope", async () => {
    await push(await layout("unsigned"), "bad/none:1");
    await require(signedBy([key]));
    const digest = await digestAt("bad/none", "1");
    const scope = `"${registry.host}" of docker`;
    expect(await refused("bad/none:1")).toContain(
      `The image "${registry.host}/bad/none:1" (${digest}) is not allowed by the signature policy ${policyFile}: for ${scope}, it requires a signature, and the image has none.`,
    );
  });

  test("a signature by another key", async () => {
    await sign(await layout("other key"), "bad/key:1", other);
    await require(signedBy([key]));
    expect(await refused("bad/key:1")).toContain(
      "accepts none of the image's 1 signatures: not made by a key of the policy",
    );
  });

  test("a signature of another image, put beside this one", async () => {
    await push(await layout("not the signed one"), "ok/app:2");
    const { layers } = JSON.parse(
      (await repository("ok/app").manifest(signing.signatureTag(await digestAt("ok/app", "1")))).toString(),
    );
    const payload = await repository("ok/app").blob(layers[0].digest);
    const signature = layers[0].annotations["dev.cosignproject.cosign/signature"];
    await repository("ok/app").putSignature(signing.signatureTag(await digestAt("ok/app", "2")), payload, signature);
    await require(signedBy([key], { signedIdentity: { type: "matchRepository" } }));
    expect(await refused("ok/app:2")).toContain('made for "sha256:');
    // The signed bytes, but for the end.
    const cut = payload.subarray(0, -1);
    await push(plain, "bad/cut:1");
    await repository("bad/cut").putSignature(signing.signatureTag(await digestAt("bad/cut", "1")), cut, signature);
    expect(await refused("bad/cut:1")).toContain("not made by a key of the policy, or changed afterwards");
    // The same image, and its own signature, in a repository that the signer did not name.
    await push(plain, "bad/replayed:1");
    await repository("bad/replayed").putSignature(
      signing.signatureTag(await digestAt("bad/replayed", "1")),
      payload,
      signature,
    );
    await require(signedBy([key]));
    expect(await refused("bad/replayed:1")).toContain(`made for the name "${registry.host}/ok/app:1"`);
  });

  test("what the policy names", async () => {
    await require({ type: "reject" });
    expect(await refused("ok/app:1")).toContain("it rejects the image.");
    await require({ type: "signedBy", keyType: "GPGKeys", keyPath: "/x" });
    expect(await refused("ok/app:1")).toContain(
      "it requires signedBy (simple signing with GPG), which this driver does not verify",
    );
    expect(await refusal(plain)).toContain("for the default, it rejects the image");
    await require(signedBy([{ publicKey: "/nonexistent.pub", privateKey: "" }]));
    expect(await refused("ok/app:1")).toContain("The public key /nonexistent.pub cannot be read: ENOENT.");
    await writeFile(policyFile, "{}");
    expect(await refused("ok/app:1")).toContain(`The signature policy ${policyFile} is not valid at default`);
    await rm(policyFile);
    expect(await refused("ok/app:1")).toContain(`The signature policy ${policyFile} cannot be read: ENOENT.`);
  });
});

/** Signatures of images, made by skopeo and openssl, and stored as cosign does (its specs/SIGNATURE_SPEC.md). */

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../tools/command";

/** A key pair in a directory, and how to sign with it. */
export interface SigningKey {
  /** The file of the public key. */
  readonly publicKey: string;
  readonly privateKey: string;
}

const PASSPHRASE = "of this test";

/** A key pair by `skopeo generate-sigstore-key`. */
export async function skopeoKey(directory: string, name: string): Promise<SigningKey> {
  const prefix = join(directory, name);
  await writeFile(join(directory, "passphrase"), PASSPHRASE);
  const passphrase = `--passphrase-file=${join(directory, "passphrase")}`;
  await run(["skopeo", "generate-sigstore-key", `--output-prefix=${prefix}`, passphrase]);
  return { publicKey: `${prefix}.pub`, privateKey: `${prefix}.private` };
}

/** A key pair by openssl: "RSA" or "ED25519". */
export async function opensslKey(directory: string, algorithm: string): Promise<SigningKey> {
  const key = { publicKey: join(directory, `${algorithm}.pub`), privateKey: join(directory, `${algorithm}.pem`) };
  await run(["openssl", "genpkey", "-algorithm", algorithm, "-out", key.privateKey]);
  await run(["openssl", "pkey", "-in", key.privateKey, "-pubout", "-out", key.publicKey]);
  return key;
}

/** Copies an image to a registry on this machine and signs it, as skopeo does. */
export async function pushSigned(
  from: string,
  to: string,
  { privateKey }: SigningKey,
  { directory, more = [] }: { readonly directory: string; readonly more?: readonly string[] },
): Promise<void> {
  const registries = join(directory, "registries.d");
  await mkdir(registries, { recursive: true });
  // JSON is valid YAML.
  await writeFile(
    join(registries, "test.yaml"),
    JSON.stringify({ "default-docker": { "use-sigstore-attachments": true } }),
  );
  await run([
    ...["skopeo", `--registries.d=${registries}`, "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"],
    ...["--src-tls-verify=false", `--sign-by-sigstore-private-key=${privateKey}`],
    ...[`--sign-passphrase-file=${join(directory, "passphrase")}`, ...more, from, `docker://${to}`],
  ]);
}

/** The bytes of a signature by openssl, in Base64. */
export async function opensslSignature(
  directory: string,
  { privateKey }: SigningKey,
  payload: Buffer,
): Promise<string> {
  const [file, out] = [join(directory, "payload"), join(directory, "signature")];
  await writeFile(file, payload);
  const raw = privateKey.includes("ED25519");
  const way = raw ? ["pkeyutl", "-sign", "-rawin", "-inkey"] : ["dgst", "-sha256", "-sign"];
  await run(["openssl", ...way, privateKey, ...(raw ? ["-in", file] : []), "-out", out, ...(raw ? [] : [file])]);
  return (await readFile(out)).toString("base64");
}

/** A payload as cosign and skopeo write it. */
export function payloadOf(digest: string, name: string): Buffer {
  const critical = {
    identity: { "docker-reference": name },
    image: { "docker-manifest-digest": digest },
    type: "cosign container image signature",
  };
  return Buffer.from(JSON.stringify({ critical, optional: null }));
}

/** One repository of a registry without TLS, by its own requests. */
export class RawRepository {
  /** @param url "http://HOST/v2/NAME" */
  constructor(private readonly url: string) {}

  /** A manifest's bytes. */
  async manifest(version: string): Promise<Buffer> {
    const accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    const response = await fetch(`${this.url}/manifests/${version}`, { headers: { accept } });
    if (response.status !== 200) throw new Error(`${version}: ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  }

  async blob(digest: string): Promise<Buffer> {
    return Buffer.from(await (await fetch(`${this.url}/blobs/${digest}`)).arrayBuffer());
  }

  /** @returns its digest */
  async putBlob(bytes: Buffer): Promise<string> {
    const digest = digestOf(bytes);
    const begun = await fetch(`${this.url}/blobs/uploads/`, { method: "POST" });
    const url = new URL(begun.headers.get("location") ?? "");
    url.searchParams.set("digest", digest);
    const ended = await fetch(url, { method: "PUT", body: bytes });
    if (ended.status !== 201) throw new Error(`The blob was not taken: ${ended.status}`);
    return digest;
  }

  /** @returns its digest */
  async putManifest(version: string, content: object): Promise<string> {
    const body = JSON.stringify(content);
    const type = "manifests" in content ? "index" : "manifest";
    const headers = { "content-type": `application/vnd.oci.image.${type}.v1+json` };
    const { status } = await fetch(`${this.url}/manifests/${version}`, { method: "PUT", body, headers });
    if (status !== 201) throw new Error(`The manifest was not taken: ${status}`);
    return digestOf(Buffer.from(body));
  }

  /** Stores a signature as a manifest of its own under a tag. @returns the manifest's digest */
  async putSignature(tag: string, payload: Buffer, signature: string): Promise<string> {
    const config = Buffer.from("{}");
    const [configDigest, digest] = [await this.putBlob(config), await this.putBlob(payload)];
    return await this.putManifest(tag, {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: configDigest, size: config.length },
      layers: [
        {
          mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
          ...{ digest, size: payload.length, annotations: { "dev.cosignproject.cosign/signature": signature } },
        },
      ],
    });
  }
}

/**
 * Stores a Sigstore bundle as a referrer of an image, as cosign 3 does at a registry without the interface for referrers (its
 * specs/BUNDLE_SPEC.md); the DSSE envelope is signed by openssl.
 */
export async function putBundle(
  repository: RawRepository,
  image: string,
  { directory, key }: { readonly directory: string; readonly key: SigningKey },
): Promise<void> {
  const type = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const payload = JSON.stringify({
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ digest: { sha256: image.replace("sha256:", "") } }],
    predicateType: "https://sigstore.dev/cosign/sign/v1",
    predicate: {},
  });
  const payloadType = "application/vnd.in-toto+json";
  const signed = Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} ${payload}`);
  const sig = await opensslSignature(directory, key, signed);
  const dsseEnvelope = { payload: Buffer.from(payload).toString("base64"), payloadType, signatures: [{ sig }] };
  const verificationMaterial = { publicKey: { hint: "key" } };
  const bundle = Buffer.from(JSON.stringify({ mediaType: type, verificationMaterial, dsseEnvelope }));
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const empty = Buffer.from("{}");
  const manifest = {
    ...{ schemaVersion: 2, mediaType, artifactType: type },
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: await repository.putBlob(empty), size: 2 },
    layers: [{ mediaType: type, digest: await repository.putBlob(bundle), size: bundle.length }],
    subject: { mediaType, digest: image, size: (await repository.manifest(image)).length },
  };
  const digest = await repository.putManifest("bundle", manifest);
  const size = JSON.stringify(manifest).length;
  const index = "application/vnd.oci.image.index.v1+json";
  const manifests = [{ mediaType, digest, size, artifactType: type }];
  await repository.putManifest(image.replace(":", "-"), { schemaVersion: 2, mediaType: index, manifests });
}

/** "sha256:…" of some bytes. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The tag under which the signatures of a manifest are. */
export function signatureTag(digest: string): string {
  return `${digest.replace(":", "-")}.sig`;
}

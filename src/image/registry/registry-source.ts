/**
 * Container registries (OCI distribution spec). A *repository* is a named set of images at a registry; a *tag* is a name for a manifest
 * there, which may change; a *digest* identifies content and never changes. A manifest is that of an image, or an *index* with one
 * manifest for each platform.
 *
 * A registry answers the first request with a *challenge* that says how to authenticate (challenge.ts); credentials come from the job, or
 * from the operator's files and helpers (credentials.ts), and are exchanged for a *token* where it asks for one (token.ts). repository.ts
 * does all of that for a request; this file reads manifests and layers, and checks every digest.
 */

import { createHash } from "node:crypto";
import { defined } from "../../lib/objects";
import { formatReference, type ImageReference } from "../../values/image-reference";
import { MAX_CONFIG_BYTES } from "../image-config";
import { MANIFEST_TYPES, ManifestError, MOST_MANIFEST_BYTES, parseManifest } from "../manifest";
import { resolveManifest } from "../resolve-manifest";
import type { ImageSignature } from "../signature/payload";
import { type Descriptor, type ImageManifest, type ImageSource, type ReadOptions, readAll } from "../source";
import { httpClient, readBytes } from "../transfer/client";
import { decoded } from "../transfer/content-encoding";
import { download } from "../transfer/download";
import { contentError } from "../transfer/errors";
import { RETRY_OPTIONS, type RetryOptions } from "../transfer/retry";
import { type CredentialSources, type Credentials, operatorCredentials } from "./credentials";
import { Repository } from "./repository";
import { imageSignatures } from "./signatures";

/** The settings of the job and the operator about registries. */
export interface RegistryOptions {
  /** The task's own credentials; other sources are ignored then. */
  readonly credentials?: Credentials | undefined;
  readonly operator?: CredentialSources | undefined;
  /** No credentials are used, whatever the others are. */
  readonly anonymous?: boolean;
  /** Registries that are accessed by plain HTTP. */
  readonly plainHttp?: readonly string[];
  /** File of additional trusted certificates. */
  readonly ca?: string | undefined;
  readonly timing?: RetryOptions;
}

/** An image in a registry (OCI distribution spec, "Pull"). No request is made before something is read. */
export function registrySource(reference: ImageReference, options: RegistryOptions = {}): ImageSource {
  return new RegistrySource(reference, options);
}

class RegistrySource implements ImageSource {
  readonly #reference: ImageReference;
  readonly #name: string;
  readonly #repository: Repository;
  readonly #timing: RetryOptions;

  constructor(reference: ImageReference, options: RegistryOptions) {
    const { credentials, operator = {}, anonymous = false, plainHttp = [], ca, timing } = options;
    this.#reference = reference;
    this.#name = `image ${JSON.stringify(formatReference(reference))}`;
    this.#timing = timing ?? RETRY_OPTIONS;
    this.#repository = new Repository(reference, {
      send: httpClient(ca),
      credentials: async (signal) =>
        anonymous ? undefined : (credentials ?? operatorCredentials(reference, operator, signal)),
      plainHttp: plainHttp.includes(reference.registry),
    });
  }

  async manifest(options: ReadOptions): Promise<ImageManifest> {
    const { tag, digest } = this.#reference;
    try {
      const root = await this.#document(digest ?? tag ?? "latest", defined({ digest }), options);
      const image = await resolveManifest(root, {
        document: async (entry) => (await this.#document(entry.digest, entry, options)).parsed,
        config: (content) => readAll(this, content, MAX_CONFIG_BYTES, options),
      });
      return image.digest === root.digest ? image : { ...image, list: root.digest };
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      throw contentError({ name: this.#name, host: this.#repository.host }, error.message, false);
    }
  }

  async *read(content: Descriptor, { signal, onProgress }: ReadOptions): AsyncGenerator<Uint8Array> {
    const { digest, size } = content;
    const name = `blob ${digest.slice(0, 19)}… of ${this.#name}`;
    const { host } = this.#repository;
    yield* download({
      name,
      host,
      open: async (headers, inner) => {
        const response = await this.#repository.get({ name, path: `blobs/${digest}`, headers, signal: inner });
        // A layer is compressed itself; a coding of the whole layer is only the name of that.
        return size > MAX_CONFIG_BYTES ? response : decoded(response, { name, host, most: MAX_CONFIG_BYTES, digest });
      },
      signal,
      size,
      digest,
      timing: this.#timing,
      ...defined({ onProgress }),
    });
  }

  signatures(digest: string, options: ReadOptions): AsyncIterable<readonly ImageSignature[]> {
    const { host } = this.#repository;
    return imageSignatures(
      {
        manifest: async (version) => {
          const expected = version.includes(":") ? { digest: version } : {};
          return (await this.#bytes(`manifests/${version}`, expected, options)).bytes;
        },
        referrers: async (subject, artifactType) => {
          const path = `referrers/${subject}?artifactType=${encodeURIComponent(artifactType)}`;
          return (await this.#bytes(path, {}, options)).bytes;
        },
        content: (content) => readBytes(this.read(content, options), content.size, { name: this.#name, host }),
      },
      digest,
    );
  }

  /** A manifest or list, and its digest. @throws ManifestError, TransferError */
  async #document(version: string, expected: Expected, options: ReadOptions) {
    const { digest, bytes } = await this.#bytes(`manifests/${version}`, expected, options);
    return { digest, parsed: parseManifest(bytes.toString("utf8")) };
  }

  async #bytes(path: string, expected: Expected, { signal }: ReadOptions) {
    const subject = { name: this.#name, host: this.#repository.host };
    let reported: string | undefined;
    const open = async (headers: Readonly<Record<string, string>>, inner: AbortSignal) => {
      const response = await this.#repository.get({
        name: this.#name,
        path,
        headers: { ...headers, accept: MANIFEST_TYPES.join(", ") },
        signal: inner,
      });
      const header = response.headers.get("docker-content-digest") ?? "";
      reported = /^sha(?:256|512):[0-9a-f]+$/.test(header) ? header : undefined;
      return decoded(response, { ...subject, most: MOST_MANIFEST_BYTES, digest: expected.digest ?? reported });
    };
    const content = download({
      ...subject,
      open,
      signal,
      timing: this.#timing,
      ...defined({ digest: expected.digest, size: expected.size }),
    });
    const bytes = await readBytes(content, MOST_MANIFEST_BYTES, subject);
    const digest = expected.digest ?? digestOf(bytes, "sha256");
    if (reported !== undefined && digestOf(bytes, reported.split(":")[0] ?? "") !== reported) {
      throw contentError(
        subject,
        `digest mismatch: the registry reports ${reported}, but the manifest has another one`,
      );
    }
    return { digest, bytes };
  }
}

/** What is known about a document before it is read. */
interface Expected {
  readonly digest?: string;
  readonly size?: number;
}

function digestOf(bytes: Uint8Array, algorithm: string): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

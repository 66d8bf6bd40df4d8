import * as v from "valibot";
import { parseJson } from "../../lib/objects";
import { BUNDLE_TYPE, parseBundle } from "../signature/bundle";
import type { ImageSignature } from "../signature/payload";
import { type Descriptor, SourceError } from "../source";

/** Access to one repository of a registry. */
export interface SignatureReader {
  /** A manifest by tag or digest; its digest is checked. @throws SourceError */
  manifest(version: string): Promise<Buffer>;
  /** The list of manifests that refer to a digest (OCI distribution spec 1.1, "Listing Referrers"). @throws SourceError */
  referrers(digest: string, artifactType: string): Promise<Buffer>;
  /** A small piece of content, checked. @throws SourceError */
  content(descriptor: Descriptor): Promise<Buffer>;
}

/** The type of a signature's payload, and the annotation with the signature (cosign, specs/SIGNATURE_SPEC.md). */
const PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE = "dev.cosignproject.cosign/signature";
/** The type of cosign's signatures as referrers (`--registry-referrers-mode=oci-1-1`). */
const ARTIFACT_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json";
/** Payloads have some hundred bytes; bundles some thousand, with certificates and entries of transparency logs. */
const MOST_PAYLOAD_BYTES = 64 * 1024;
const MOST_BUNDLE_BYTES = 512 * 1024;
/** An image has one signature for each signer and each time it was signed. */
const MOST_SIGNATURES = 100;
const MOST_REFERRERS = 20;

/**
 * The signatures of a manifest that its repository has, in groups: those of the tag "sha256-….sig", where cosign and skopeo put them by
 * default, then those of its referrers, cosign 3's bundles among them. Nothing of them is verified.
 *
 * @throws SourceError if the registry cannot be asked
 */
export async function* imageSignatures(
  reader: SignatureReader,
  digest: string,
): AsyncGenerator<readonly ImageSignature[]> {
  const tag = digest.replace(":", "-");
  const attached = await ifThere(() => reader.manifest(`${tag}.sig`));
  if (attached !== undefined) yield await readAll(reader, attached);
  for (const type of [ARTIFACT_TYPE, BUNDLE_TYPE]) {
    // Registries without this interface have the list under a tag (OCI distribution spec, "Referrers Tag Schema").
    const list = (await ifThere(() => reader.referrers(digest, type))) ?? (await ifThere(() => reader.manifest(tag)));
    if (list === undefined) return;
    for (const referrer of referrersOf(list.toString("utf8"), type).slice(0, MOST_REFERRERS)) {
      const manifest = await ifThere(() => reader.manifest(referrer));
      if (manifest !== undefined) yield await readAll(reader, manifest);
    }
  }
}

async function readAll(reader: SignatureReader, manifest: Buffer): Promise<readonly ImageSignature[]> {
  const found: ImageSignature[] = [];
  for (const { descriptor, signature } of signaturesOf(manifest.toString("utf8")).slice(0, MOST_SIGNATURES)) {
    const content = await reader.content(descriptor);
    const its = signature === undefined ? parseBundle(content.toString("utf8")) : { payload: content, signature };
    if (its !== undefined) found.push(its);
  }
  return found;
}

const digest = v.pipe(v.string(), v.regex(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/));
const annotations = v.optional(v.nullable(v.record(v.string(), v.string())));
const manifestSchema = v.object({
  layers: v.array(v.object({ mediaType: v.string(), digest, size: v.number(), annotations })),
});
const referrersSchema = v.object({
  manifests: v.array(v.object({ digest, artifactType: v.optional(v.string()) })),
});

/** A payload with its signature, or a bundle, which contains both. */
interface StoredSignature {
  readonly descriptor: Descriptor;
  /** Undefined for a bundle. */
  readonly signature: string | undefined;
}

/** What a signature's manifest has; nothing for any other document. */
export function signaturesOf(text: string): readonly StoredSignature[] {
  const parsed = v.safeParse(manifestSchema, parseJson(text));
  if (!parsed.success) return [];
  return parsed.output.layers.flatMap(({ annotations: its, ...descriptor }): StoredSignature[] => {
    if (descriptor.mediaType === BUNDLE_TYPE)
      return descriptor.size <= MOST_BUNDLE_BYTES ? [{ descriptor, signature: undefined }] : [];
    const signature = its?.[SIGNATURE];
    const fits = descriptor.mediaType === PAYLOAD_TYPE && descriptor.size <= MOST_PAYLOAD_BYTES;
    return signature === undefined || !fits ? [] : [{ descriptor, signature }];
  });
}

/** The referrers of a type in a list of them. A registry that does not filter by type returns others too. */
export function referrersOf(text: string, type: string): readonly string[] {
  const parsed = v.safeParse(referrersSchema, parseJson(text));
  if (!parsed.success) return [];
  return parsed.output.manifests.flatMap((each) => (each.artifactType === type ? [each.digest] : []));
}

/** Undefined if the registry does not have something, or does not know the request. @throws SourceError for what a retry may fix */
async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (
      error instanceof SourceError &&
      (error.problem === "not found" || (!error.recoverable && error.problem === "server"))
    )
      return undefined;
    throw error;
  }
}

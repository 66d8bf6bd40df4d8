import * as v from "valibot";
import { parseJson } from "../../lib/objects";

/**
 * The format in which cosign 3 stores signatures by default: a Sigstore *bundle* (sigstore/protobuf-specs, sigstore_bundle.proto) with a
 * DSSE envelope (secure-systems-lab/dsse, protocol.md) around an in-toto *statement*, whose subjects are digests and need no names.
 */

/** What a bundle's envelope has. */
interface Envelope {
  readonly payload: Buffer;
  readonly payloadType: string;
  /** Base64. */
  readonly signature: string;
}

/** A subject of a statement. */
interface Subject {
  readonly digest: string;
  readonly reference: string | undefined;
}

/** The type of a bundle, and of the manifest that refers from it to an image (cosign, specs/BUNDLE_SPEC.md). */
export const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";

/** The type of an in-toto statement in an envelope (in-toto/attestation, spec/v1/envelope.md). */
const STATEMENT_TYPE = "application/vnd.in-toto+json";
/** What `cosign sign` states; an attestation, such as a report of vulnerabilities, does not approve an image. */
const SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1";

const bundleSchema = v.object({
  mediaType: v.literal(BUNDLE_TYPE),
  dsseEnvelope: v.object({
    payload: v.string(),
    payloadType: v.string(),
    // A bundle has exactly one, by its specification.
    signatures: v.tuple([v.object({ sig: v.string() })]),
  }),
});

const statementSchema = v.object({
  _type: v.picklist(["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"]),
  predicateType: v.literal(SIGN_PREDICATE),
  subject: v.array(v.object({ name: v.optional(v.string()), digest: v.record(v.string(), v.string()) })),
});

/**
 * The signature in a bundle; undefined for any other document, also for a bundle with the signature of a file. Certificates and entries
 * of transparency logs in it are not used: the policy names keys.
 */
export function parseBundle(text: string): Envelope | undefined {
  const parsed = v.safeParse(bundleSchema, parseJson(text));
  if (!parsed.success) return undefined;
  const { payload, payloadType, signatures } = parsed.output.dsseEnvelope;
  return { payload: Buffer.from(payload, "base64"), payloadType, signature: signatures[0].sig };
}

/** The bytes that an envelope's signature is for (DSSE, "PAE"): the type is among them, lengths are of bytes. */
export function envelopeBytes(payloadType: string, payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ]);
}

/** What the content of a verified envelope claims, one claim for each subject; undefined if it is not a signature of images. */
export function statementClaims(payloadType: string, payload: Buffer): readonly Subject[] | undefined {
  if (payloadType !== STATEMENT_TYPE) return undefined;
  const parsed = v.safeParse(statementSchema, parseJson(payload.toString("utf8")));
  if (!parsed.success) return undefined;
  return parsed.output.subject.flatMap(({ name, digest }) =>
    Object.entries(digest).map(([algorithm, hex]) => ({ digest: `${algorithm}:${hex}`, reference: name || undefined })),
  );
}

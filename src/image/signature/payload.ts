import { createPublicKey, type KeyObject, verify } from "node:crypto";
import * as v from "valibot";
import { parseJson } from "../../lib/objects";
import { envelopeBytes, statementClaims } from "./bundle";
import { PolicyError } from "./policy-file";

/** A signature as it is stored at a registry; nothing of it is trusted before it is verified. */
export interface ImageSignature {
  /** What was signed: these bytes, or in an envelope these bytes and their type. */
  readonly payload: Buffer;
  /** The type in a DSSE envelope; undefined without an envelope. */
  readonly payloadType?: string;
  /** Base64. */
  readonly signature: string;
}

/** What a payload claims. */
export interface Claim {
  /** Of a manifest, or of a list of manifests. */
  readonly digest: string;
  /** The image's name as the signer gave it; undefined if the signer gave only a digest. */
  readonly reference: string | undefined;
}

/** cosign, specs/SIGNATURE_SPEC.md: "critical" must be understood completely, "optional" may be ignored. */
const schema = v.strictObject({
  critical: v.strictObject({
    type: v.literal("cosign container image signature"),
    image: v.strictObject({ "docker-manifest-digest": v.string() }),
    identity: v.strictObject({ "docker-reference": v.string() }),
  }),
  optional: v.unknown(),
});

/** What a signature that was verified claims; undefined if it is not the signature of an image. */
export function claimsOf({ payload, payloadType }: ImageSignature): readonly Claim[] | undefined {
  if (payloadType !== undefined) return statementClaims(payloadType, payload);
  const parsed = v.safeParse(schema, parseJson(payload.toString("utf8")));
  if (!parsed.success) return undefined;
  const { image, identity } = parsed.output.critical;
  return [{ digest: image["docker-manifest-digest"], reference: identity["docker-reference"] }];
}

/**
 * Whether one of the keys has made a signature: ECDSA or RSA (PKCS #1 v1.5) of the SHA-256 of what was signed, or Ed25519 of it. In an
 * envelope ECDSA with P-384 and P-521 has the digest of the curve's size, as sigstore's libraries choose it.
 */
export function isSignedBy({ payload, payloadType, signature }: ImageSignature, keys: readonly KeyObject[]): boolean {
  const bytes = Buffer.from(signature, "base64");
  const signed = payloadType === undefined ? payload : envelopeBytes(payloadType, payload);
  return keys.some((key) => {
    try {
      return verify(algorithmOf(key, payloadType !== undefined), signed, key, bytes);
    } catch {
      // A signature of another form, such as one of another kind of key.
      return false;
    }
  });
}

/** The digest of a key's signatures; null for Ed25519, which has its own. */
function algorithmOf(key: KeyObject, enveloped: boolean): string | null {
  if (key.asymmetricKeyType === "ed25519") return null;
  const curve = enveloped ? key.asymmetricKeyDetails?.namedCurve : undefined;
  return curve === "secp384r1" ? "sha384" : curve === "secp521r1" ? "sha512" : "sha256";
}

/** A key with which anything can be signed at the price of some computing is none. */
const LEAST_RSA_BITS = 2048;

/**
 * Reads a public key in PEM.
 *
 * @param where for errors
 * @throws PolicyError for anything else than a public key that can be used
 */
export function readKey(pem: string | Buffer, where: string): KeyObject {
  const text = pem.toString();
  const refuse = (why: string, cause?: unknown) =>
    new PolicyError(`The public key ${where} cannot be used: ${why}.`, cause);
  if (!/-----BEGIN (?:RSA )?PUBLIC KEY-----/.test(text)) {
    throw refuse(
      'it has to be a public key in PEM ("BEGIN PUBLIC KEY"), as cosign and skopeo generate-sigstore-key write it',
    );
  }
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch (error) {
    throw refuse("it is damaged", error);
  }
  const { asymmetricKeyType: type = "", asymmetricKeyDetails: details = {} } = key;
  if (type === "rsa" && (details.modulusLength ?? 0) < LEAST_RSA_BITS) {
    throw refuse(`it has ${details.modulusLength ?? 0} bits, and an RSA key has to have at least ${LEAST_RSA_BITS}`);
  }
  if (!["ec", "rsa", "ed25519"].includes(type))
    throw refuse(`its kind is ${JSON.stringify(type)}, and ECDSA, RSA and Ed25519 are supported`);
  return key;
}

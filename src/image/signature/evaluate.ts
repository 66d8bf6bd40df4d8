import type { KeyObject } from "node:crypto";
import type { ImageReference } from "../../values/image-reference";
import { identityMatches } from "./identity";
import { claimsOf, type ImageSignature, isSignedBy } from "./payload";
import type { IdentityRule, Requirement } from "./policy-file";

/** A requirement with its keys, which were read from their files. */
export type ReadyRequirement =
  | Exclude<Requirement, { readonly type: "sigstoreSigned" }>
  | { readonly type: "sigstoreSigned"; readonly keys: readonly KeyObject[]; readonly signedIdentity: IdentityRule };

/** An image whose name was resolved. */
export interface ResolvedSubject {
  /** As the job names it; undefined for an image in files, which has no signatures. */
  readonly reference: ImageReference | undefined;
  /** The digest of its manifest, and of the list that its name refers to, if that is a list. Each determines the image. */
  readonly digests: readonly string[];
}

/** Whether signatures can change the decision. */
export function needsSignatures(requirements: readonly ReadyRequirement[]): boolean {
  return requirements.some(({ type }) => type === "sigstoreSigned");
}

/**
 * Decides whether an image fulfils all requirements of a policy.
 *
 * @returns undefined if it does; otherwise why not, as the end of a sentence
 */
export function evaluate(
  requirements: readonly ReadyRequirement[],
  image: ResolvedSubject,
  signatures: readonly ImageSignature[],
): string | undefined {
  for (const requirement of requirements) {
    const problem = problemOf(requirement, image, signatures);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function problemOf(
  requirement: ReadyRequirement,
  image: ResolvedSubject,
  signatures: readonly ImageSignature[],
): string | undefined {
  switch (requirement.type) {
    case "insecureAcceptAnything":
      return undefined;
    case "reject":
      return "it rejects the image";
    case "unsupported":
      return `it requires ${requirement.what}, which this driver does not verify: only sigstoreSigned with keys is supported`;
    case "sigstoreSigned":
      break;
  }
  const { reference } = image;
  if (reference === undefined)
    return "it requires a signature, and the driver verifies only signatures of images in registries";
  if (signatures.length === 0) return "it requires a signature, and the image has none";
  const problems = signatures.map((signature) => signatureProblem(requirement, { ...image, reference }, signature));
  if (problems.includes(undefined)) return undefined;
  const reasons = [...new Set(problems)].slice(0, MOST_REASONS).join("; ");
  return `it accepts none of the image's ${signatures.length} signatures: ${reasons}`;
}

/** How many different reasons an error names. */
const MOST_REASONS = 3;

function signatureProblem(
  { keys, signedIdentity }: Extract<ReadyRequirement, { readonly type: "sigstoreSigned" }>,
  { reference, digests }: ResolvedSubject & { readonly reference: ImageReference },
  signature: ImageSignature,
): string | undefined {
  if (!isSignedBy(signature, keys)) return "not made by a key of the policy, or changed afterwards";
  const claims = claimsOf(signature);
  const [first] = claims ?? [];
  if (claims === undefined || first === undefined) return "not the signature of an image";
  const claim = claims.find(({ digest }) => digests.includes(digest));
  if (claim === undefined) return `made for ${shown(first.digest)}`;
  if (identityMatches(signedIdentity, reference, claim.reference)) return undefined;
  if (claim.reference === undefined)
    return "made for the digest, without the name of a repository as cosign 3 writes it, which needs matchDigest as signedIdentity";
  const hint = /[:@][^/]*$/.test(claim.reference)
    ? ""
    : ", a name without a tag as cosign writes it, which needs matchRepository or exactRepository as signedIdentity";
  return `made for the name ${shown(claim.reference)}${hint}`;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}

import { formatReference, type ImageReference, parseReference } from "../../values/image-reference";
import type { IdentityRule } from "./policy-file";

/**
 * Whether a signature's identity is the one that a rule wants for an image (containers-policy.json(5), "signedIdentity").
 *
 * @param image as the job names it
 * @param signed the name that the signer gave the image; undefined if the signature has only its digest, which was compared already
 */
export function identityMatches(rule: IdentityRule, image: ImageReference, signed: string | undefined): boolean {
  if (rule.type === "matchDigest") return true;
  const claimed = signed === undefined ? undefined : complete(signed);
  if (claimed === undefined) return false;
  switch (rule.type) {
    case "matchExact":
      return image.digest === undefined
        ? sameTag(image, claimed)
        : claimed.digest === image.digest && sameName(image, claimed);
    case "matchRepoDigestOrExact":
      return repositoryOrExact(image, claimed);
    case "matchRepository":
      return sameName(image, claimed);
    case "exactReference": {
      const wanted = complete(rule.dockerReference);
      return wanted?.version === true && claimed.version && format(wanted) === format(claimed);
    }
    case "exactRepository": {
      const wanted = complete(rule.dockerRepository);
      return wanted !== undefined && sameName(wanted, claimed);
    }
    case "remapIdentity": {
      const mapped = remapped(image, rule);
      return mapped !== undefined && repositoryOrExact(mapped, claimed);
    }
  }
}

/** A reference, and whether it names a tag or a digest. */
interface Claimed extends ImageReference {
  readonly version: boolean;
}

function complete(text: string): Claimed | undefined {
  // Only an image's name has no scheme.
  if (text.includes("://")) return undefined;
  try {
    const reference = parseReference(text);
    const named = formatReference({ registry: reference.registry, repository: reference.repository });
    return { ...reference, version: /[:@][^/]*$/.test(text) && format(reference) !== named };
  } catch {
    return undefined;
  }
}

/** A digest of the image was compared with the signature's already; a tag has to be the signed one. */
function repositoryOrExact(image: ImageReference, claimed: Claimed): boolean {
  if (!claimed.version) return false;
  return image.digest === undefined ? sameTag(image, claimed) : sameName(image, claimed);
}

function sameTag(image: ImageReference, claimed: Claimed): boolean {
  return claimed.version && claimed.digest === undefined && claimed.tag === image.tag && sameName(image, claimed);
}

function sameName(one: ImageReference, other: ImageReference): boolean {
  return one.registry === other.registry && one.repository === other.repository;
}

function format({ registry, repository, tag, digest }: ImageReference): string {
  return formatReference({
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  });
}

function remapped(
  image: ImageReference,
  { prefix, signedPrefix }: Extract<IdentityRule, { type: "remapIdentity" }>,
): ImageReference | undefined {
  const name = `${image.registry}/${image.repository}`;
  if (name !== prefix && !name.startsWith(`${prefix}/`)) return image;
  const mapped = complete(`${signedPrefix}${name.slice(prefix.length)}`);
  return mapped === undefined ? undefined : { ...image, registry: mapped.registry, repository: mapped.repository };
}

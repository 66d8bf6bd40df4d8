/**
 * Which container images may run, by their signatures. A *policy* is a file in the format of containers-policy.json(5), as podman and
 * skopeo use it: it has *requirements* for *scopes*, which are names of images or prefixes of them (requirements.ts). A *signature* is a
 * signed *payload* that names an image's digest and its *identity*, the reference that the signer gave it (payload.ts, bundle.ts, identity.ts);
 * cosign and skopeo store them at the registry beside the image (../registry/signatures.ts). evaluate.ts decides. Nothing here asks a
 * server: keys are the operator's files, and neither certificates of a signing service nor transparency logs are used.
 */

import * as v from "valibot";
import { RecoverableError } from "../../lib/errors";
import { parseJson } from "../../lib/objects";

/** An image that a policy does not allow, or a policy that cannot be read; the message is a sentence. */
export class PolicyError extends RecoverableError {
  override readonly name = "PolicyError";

  constructor(message: string, cause?: unknown) {
    super(message, { recoverable: false, cause });
  }
}

/**
 * What an image's signature has to claim about the image (containers-policy.json(5), "signedIdentity"). `matchDigest` is of this driver: the
 * image's digest is enough, because cosign 3 signs no name.
 */
export type IdentityRule =
  | { readonly type: "matchExact" | "matchRepoDigestOrExact" | "matchRepository" | "matchDigest" }
  | { readonly type: "exactReference"; readonly dockerReference: string }
  | { readonly type: "exactRepository"; readonly dockerRepository: string }
  | { readonly type: "remapIdentity"; readonly prefix: string; readonly signedPrefix: string };

/** A condition for an image. */
export type Requirement =
  | { readonly type: "insecureAcceptAnything" }
  | { readonly type: "reject" }
  /** Of a kind that this driver cannot check: no image fulfils it. */
  | { readonly type: "unsupported"; readonly what: string }
  | {
      readonly type: "sigstoreSigned";
      /** Files with public keys; any of them will do. */
      readonly keyPaths: readonly string[];
      /** Public keys in Base64 of their PEM texts. */
      readonly keyDatas: readonly string[];
      readonly signedIdentity: IdentityRule;
    };

/** A parsed policy. */
export interface Policy {
  readonly file: string;
  readonly default: readonly Requirement[];
  /** Requirements by transport, such as "docker", and scope. */
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, readonly Requirement[]>>;
}

const filled = v.pipe(v.string(), v.minLength(1));
const identity = v.variant("type", [
  v.strictObject({ type: v.picklist(["matchExact", "matchRepoDigestOrExact", "matchRepository", "matchDigest"]) }),
  v.strictObject({ type: v.literal("exactReference"), dockerReference: filled }),
  v.strictObject({ type: v.literal("exactRepository"), dockerRepository: filled }),
  v.strictObject({ type: v.literal("remapIdentity"), prefix: filled, signedPrefix: filled }),
]);
const absolute = v.pipe(v.string(), v.startsWith("/"));
const sigstore = v.strictObject({
  type: v.literal("sigstoreSigned"),
  keyPath: v.optional(absolute),
  keyPaths: v.optional(v.pipe(v.array(absolute), v.minLength(1))),
  keyData: v.optional(filled),
  keyDatas: v.optional(v.pipe(v.array(filled), v.minLength(1))),
  fulcio: v.optional(v.unknown()),
  pki: v.optional(v.unknown()),
  rekorPublicKeyPath: v.optional(v.unknown()),
  rekorPublicKeyPaths: v.optional(v.unknown()),
  rekorPublicKeyData: v.optional(v.unknown()),
  rekorPublicKeyDatas: v.optional(v.unknown()),
  signedIdentity: v.optional(identity, { type: "matchRepoDigestOrExact" }),
});
const requirement = v.variant("type", [
  v.strictObject({ type: v.picklist(["insecureAcceptAnything", "reject"]) }),
  v.looseObject({ type: v.literal("signedBy") }),
  v.pipe(
    sigstore,
    v.check(
      (its) => KEY_SOURCES.filter((source) => its[source] !== undefined).length === 1,
      "it has to have exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio and pki",
    ),
  ),
]);
const requirements = v.pipe(v.array(requirement), v.minLength(1, "it must not be empty"));
const schema = v.strictObject({
  default: requirements,
  transports: v.optional(v.record(v.string(), v.record(v.string(), requirements)), {}),
});

const KEY_SOURCES = ["keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"] as const;
const NOT_KEYS = [
  ...["fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"],
] as const;

/**
 * Parses a policy. As with podman, anything unknown in it makes the whole file invalid; what is known but not supported only refuses the
 * images that it is about.
 *
 * @throws PolicyError
 */
export function parsePolicy(text: string, file: string): Policy {
  const raw = parseJson(text);
  if (raw === undefined) throw new PolicyError(`The signature policy ${file} is not valid: it is not JSON.`);
  const parsed = v.safeParse(schema, raw, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const where = (issue.path ?? []).map(({ key }) => String(key)).join(".");
    throw new PolicyError(
      `The signature policy ${file} is not valid${where === "" ? "" : ` at ${where}`}: ${issue.message}.`,
    );
  }
  const transports = Object.entries(parsed.output.transports).map(
    ([transport, scopes]) =>
      [transport, new Map(Object.entries(scopes).map(([scope, list]) => [scope, list.map(requirementOf)]))] as const,
  );
  return { file, default: parsed.output.default.map(requirementOf), transports: new Map(transports) };
}

function requirementOf(raw: v.InferOutput<typeof requirement>): Requirement {
  if (raw.type === "signedBy") return { type: "unsupported", what: "signedBy (simple signing with GPG)" };
  if (raw.type !== "sigstoreSigned") return { type: raw.type };
  const entries = new Map<string, unknown>(Object.entries(raw));
  const other = NOT_KEYS.find((name) => entries.get(name) !== undefined);
  if (other !== undefined) return { type: "unsupported", what: `sigstoreSigned with ${other}` };
  return {
    type: "sigstoreSigned",
    keyPaths: raw.keyPaths ?? (raw.keyPath === undefined ? [] : [raw.keyPath]),
    keyDatas: raw.keyDatas ?? (raw.keyData === undefined ? [] : [raw.keyData]),
    signedIdentity: raw.signedIdentity,
  };
}

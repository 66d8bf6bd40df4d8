import { readFile } from "node:fs/promises";
import { evaluate, needsSignatures, type ReadyRequirement } from "../image/signature/evaluate";
import { type ImageSignature, readKey } from "../image/signature/payload";
import { type Policy, PolicyError, parsePolicy, type Requirement } from "../image/signature/policy-file";
import { type PolicySubject, requirementsFor } from "../image/signature/requirements";
import type { ImageManifest, ImageSource } from "../image/source";
import type { ImageStore } from "../image/store/image-store";
import { errnoCode } from "../lib/errors";

/** An image that the operator's policy is about. */
export interface ApprovalRequest {
  /** The plugin option signature_policy; without it every image is approved. */
  readonly policyFile: string | undefined;
  /** What the image is for the policy; each has to be allowed. */
  readonly subjects: readonly PolicySubject[];
  /** For errors. */
  readonly name: string;
}

/** The requirements for an image, whose keys were read. */
interface ReadyPolicy {
  readonly scope: string;
  readonly requirements: readonly ReadyRequirement[];
  readonly subject: PolicySubject;
}

/** Refuses an image that no signature can make acceptable, before anything is fetched. @throws PolicyError */
export async function refuseByName(request: ApprovalRequest): Promise<void> {
  for (const { scope, requirements } of await policyFor(request)) {
    const final = requirements.filter(({ type }) => type !== "sigstoreSigned");
    const problem = evaluate(final, { reference: undefined, digests: [] }, []);
    if (problem !== undefined) throw refusal(request, undefined, scope, problem);
  }
}

/**
 * Checks an image whose name was resolved against the policy: with the signatures that the store has, so that a stored image needs no
 * registry, and otherwise with those of the registry, which are then stored. Policy and keys are read each time, because they may change.
 *
 * @throws PolicyError, and SourceError if the registry cannot be asked for signatures
 */
export async function approve(
  request: ApprovalRequest,
  image: Pick<ImageManifest, "digest" | "list">,
  { source, store, signal }: { readonly source: ImageSource; readonly store: ImageStore; readonly signal: AbortSignal },
): Promise<void> {
  for (const { scope, requirements, subject } of await policyFor(request)) {
    const reference = subject.transport === "docker" ? subject.reference : undefined;
    const digests = [image.digest, ...(image.list === undefined ? [] : [image.list])];
    const check = (signatures: readonly ImageSignature[]) => evaluate(requirements, { reference, digests }, signatures);
    const stored = needsSignatures(requirements) ? await store.signaturesOf(image.digest) : [];
    let problem = check(stored);
    if (problem === undefined) continue;
    if (reference === undefined || !needsSignatures(requirements)) throw refusal(request, image.digest, scope, problem);
    if (source.signatures === undefined) {
      const why = `${problem}, as far as the store knows; the registry is not asked (pull = "never")`;
      throw refusal(request, image.digest, scope, why);
    }
    const fetched: ImageSignature[] = [];
    for (const digest of digests) {
      for await (const group of source.signatures(digest, { signal })) {
        fetched.push(...group);
        problem = check(fetched);
        if (problem === undefined) break;
      }
      if (problem === undefined) break;
    }
    if (problem !== undefined) throw refusal(request, image.digest, scope, check(fetched) ?? problem);
    await store.keepSignatures(image.digest, fetched);
  }
}

function refusal(
  { name, policyFile }: ApprovalRequest,
  digest: string | undefined,
  scope: string,
  problem: string,
): PolicyError {
  const which = digest === undefined ? "" : ` (${digest})`;
  return new PolicyError(
    `The image ${JSON.stringify(name)}${which} is not allowed by the signature policy ${policyFile}: for ${scope}, ${problem}.`,
  );
}

async function policyFor({ policyFile, subjects }: ApprovalRequest): Promise<readonly ReadyPolicy[]> {
  if (policyFile === undefined) return [];
  const policy = await readPolicy(policyFile);
  const found: ReadyPolicy[] = [];
  for (const subject of subjects) {
    const { scope, requirements } = requirementsFor(policy, subject);
    found.push({ scope, subject, requirements: await Promise.all(requirements.map(ready)) });
  }
  return found;
}

/** Reads a policy. @throws PolicyError */
export async function readPolicy(file: string): Promise<Policy> {
  return parsePolicy(await readText(file, "signature policy"), file);
}

/** Reads the keys of a requirement. @throws PolicyError */
export async function ready(requirement: Requirement): Promise<ReadyRequirement> {
  if (requirement.type !== "sigstoreSigned") return requirement;
  const { keyPaths, keyDatas, signedIdentity, type } = requirement;
  const files = await Promise.all(keyPaths.map(async (path) => readKey(await readText(path, "public key"), path)));
  const own = keyDatas.map((data) => readKey(Buffer.from(data, "base64"), "in the policy's keyData"));
  return { type, keys: [...files, ...own], signedIdentity };
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new PolicyError(`The ${what} ${path} cannot be read: ${errnoCode(error) ?? "unknown error"}.`, error);
  }
}

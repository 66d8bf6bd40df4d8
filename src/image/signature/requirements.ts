import { dirname } from "node:path";
import { formatReference, type ImageReference } from "../../values/image-reference";
import type { Policy, Requirement } from "./policy-file";

/** An image as a policy sees it. */
export type PolicySubject =
  | { readonly transport: "docker"; readonly reference: ImageReference }
  /** An image in files of the client. */
  | {
      readonly transport: "oci" | "oci-archive" | "docker-archive";
      /** Absolute, without symlinks. */
      readonly path: string;
    };

/** The requirements for an image, and where in the policy they are. */
export interface FoundRequirements {
  /** Such as `"docker.io/library" of docker`, or "the default". */
  readonly scope: string;
  readonly requirements: readonly Requirement[];
}

/** The requirements of the most specific scope (containers-policy.json(5), "Supported transports and their scopes"). */
export function requirementsFor(policy: Policy, subject: PolicySubject): FoundRequirements {
  const scopes = policy.transports.get(subject.transport);
  for (const scope of scopesOf(subject)) {
    const requirements = scopes?.get(scope);
    if (requirements === undefined) continue;
    const named =
      scope === "" ? `the default of ${subject.transport}` : `${JSON.stringify(scope)} of ${subject.transport}`;
    return { scope: named, requirements };
  }
  return { scope: "the default", requirements: policy.default };
}

/** The scopes that match an image, the most specific first. */
export function scopesOf(subject: PolicySubject): readonly string[] {
  if (subject.transport === "docker") return [...referenceScopes(subject.reference), ""];
  // Archives of Docker have no other scope.
  return subject.transport === "docker-archive" ? [""] : [...pathScopes(subject.path), ""];
}

/** A digest decides on the content, so a tag beside it has no scope. */
function referenceScopes({ registry, repository, tag, digest }: ImageReference): readonly string[] {
  const name = { registry, repository };
  const whole = formatReference(digest === undefined ? { ...name, tag: tag ?? "latest" } : { ...name, digest });
  const parts = [registry, ...repository.split("/")];
  const prefixes = parts.map((_, index) => parts.slice(0, parts.length - index).join("/"));
  const labels = registry.replace(/:\d+$/, "").split(".");
  const wildcards = labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join(".")}`);
  return [whole, ...prefixes, ...wildcards];
}

function pathScopes(path: string): readonly string[] {
  return path === "/" ? [] : [path, ...pathScopes(dirname(path))];
}

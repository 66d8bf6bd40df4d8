/** An image in a registry as users write it, by Docker's rules (distribution/reference, reference.go and normalize.go). */
export interface ImageReference {
  /** Host and port, such as "docker.io", "localhost:5000" or "[::1]:5000". */
  readonly registry: string;
  /** Path within the registry, such as "library/alpine". */
  readonly repository: string;
  /** "latest" where neither tag nor digest was given. */
  readonly tag?: string;
  /** "sha256:…" or "sha512:…"; decides where there is a tag as well. */
  readonly digest?: string;
}

/** A reference that means nothing; the message is a sentence for the job's author. */
export class ImageReferenceError extends Error {
  override readonly name = "ImageReferenceError";
}

/** Docker's own registry, and the one of names without a host where the operator says nothing else. */
export const DOCKER_REGISTRY = "docker.io";

/** Where docker.io's interface is; the name itself is a web site. */
const DOCKER_HOST = "registry-1.docker.io";
/** Its older name in references. */
const DOCKER_INDEX = "index.docker.io";
/** Docker's limit for host and path together. */
const MAX_NAME = 255;

const LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const REGISTRY = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`);
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/**
 * Reads a reference; "docker://" and "oci://" before it are dropped.
 *
 * @param defaultRegistry for names whose first part is no host
 * @throws ImageReferenceError
 */
export function parseReference(text: string, defaultRegistry = DOCKER_REGISTRY): ImageReference {
  const refuse = (why: string) =>
    new ImageReferenceError(`The image reference ${JSON.stringify(text)} is not valid: ${why}.`);
  const bare = text.replace(/^(?:docker|oci):\/\//, "");
  const [named = "", digest, ...more] = bare.split("@");
  if (more.length > 0) throw refuse('it has more than one "@"');
  if (digest !== undefined && !DIGEST.test(digest)) {
    throw refuse('after "@" it must have "sha256:" and 64, or "sha512:" and 128, hexadecimal digits in lower case');
  }
  const [, name = named, tag] = /^(.*):([^/:\]]*)$/s.exec(named) ?? [];
  if (tag !== undefined && !TAG.test(tag)) {
    throw refuse(`${JSON.stringify(tag)} is no tag: up to 128 letters, digits, "_", "." and "-", not "." or "-" first`);
  }
  const { registry, path } = splitName(name, defaultRegistry);
  if (!isRegistryHost(registry))
    throw refuse(`${JSON.stringify(registry)} is no registry's host, with or without a port`);
  if (path === "") throw refuse("it names no image");
  const wrong = path.split("/").find((component) => !COMPONENT.test(component));
  if (wrong !== undefined) {
    throw refuse(
      `${JSON.stringify(wrong)} cannot be part of an image's name, which has lower-case letters and digits, and ".", "_", "__" or "-" between them`,
    );
  }
  if (registry.length + 1 + path.length > MAX_NAME) throw refuse(`its name is longer than ${MAX_NAME} characters`);
  const repository = registry === DOCKER_REGISTRY && !path.includes("/") ? `library/${path}` : path;
  const version = tag ?? (digest === undefined ? "latest" : undefined);
  return {
    registry,
    repository,
    ...(version === undefined ? {} : { tag: version }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The reference with everything that is meant, as it can be parsed again with any default registry. */
export function formatReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** The host and port that answer for a registry. */
export function registryHost(registry: string): string {
  return registry === DOCKER_REGISTRY ? DOCKER_HOST : registry;
}

/** Whether a text can be a registry in a reference. */
export function isRegistryHost(text: string): boolean {
  return REGISTRY.test(text) && URL.canParse(`https://${text}/`);
}

/** Whether a registry is this very machine; Docker speaks plain HTTP to such. */
export function isLocalRegistry(registry: string): boolean {
  const { hostname } = new URL(`http://${registry}/`);
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The first part is a host where it has a dot, a colon or capitals, which no image's name begins with, or is "localhost". */
function splitName(name: string, defaultRegistry: string) {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = slash > 0 && (/[.:A-Z]/.test(first) || first === "localhost");
  if (!isHost) return { registry: defaultRegistry, path: name };
  return { registry: first === DOCKER_INDEX ? DOCKER_REGISTRY : first, path: name.slice(slash + 1) };
}

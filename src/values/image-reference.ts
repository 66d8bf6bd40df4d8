import { defined } from "../lib/objects";

/** A reference to an image in a registry, by Docker's rules (distribution/reference, reference.go and normalize.go). */
export interface ImageReference {
  /** Host and port, such as "docker.io", "localhost:5000" or "[::1]:5000". */
  readonly registry: string;
  /** Path within the registry, such as "library/alpine". */
  readonly repository: string;
  /** "latest" if neither tag nor digest was given. */
  readonly tag?: string;
  /** "sha256:…" or "sha512:…"; takes precedence over the tag. */
  readonly digest?: string;
}

/** An invalid reference; the message is a sentence for the job's author. */
export class ImageReferenceError extends Error {
  override readonly name = "ImageReferenceError";
}

/** Docker's own registry, and the default for names without a host unless the operator sets another one. */
export const DOCKER_REGISTRY = "docker.io";

/** The API host of docker.io; the name itself is a web site. */
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
 * Parses a reference; a leading "docker://" or "oci://" is dropped.
 *
 * @param defaultRegistry for names whose first part is not a host
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
    throw refuse(
      `${JSON.stringify(tag)} is not a tag: up to 128 letters, digits, "_", "." and "-", not beginning with "." or "-"`,
    );
  }
  const { registry, path } = splitName(name, defaultRegistry);
  if (!isRegistryHost(registry))
    throw refuse(`${JSON.stringify(registry)} is not a registry host, with or without a port`);
  if (path === "") throw refuse("the image's name is missing");
  const wrong = path.split("/").find((component) => !COMPONENT.test(component));
  if (wrong !== undefined) {
    throw refuse(
      `${JSON.stringify(wrong)} cannot be part of an image's name, which has lower-case letters and digits, and ".", "_", "__" or "-" between them`,
    );
  }
  if (registry.length + 1 + path.length > MAX_NAME) throw refuse(`its name is longer than ${MAX_NAME} characters`);
  const repository = registry === DOCKER_REGISTRY && !path.includes("/") ? `library/${path}` : path;
  const version = tag ?? (digest === undefined ? "latest" : undefined);
  return { registry, repository, ...defined({ tag: version, digest }) };
}

/** The complete reference, which parses to the same with any default registry. */
export function formatReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/**
 * The name of an image at a mirror: a registry, or a path at one, that has the images of another.
 *
 * @param mirror "HOST[:PORT][/PATH]", for which mirrorProblem() is undefined
 */
export function atMirror(reference: ImageReference, mirror: string): ImageReference {
  const [registry = "", ...path] = mirror.split("/");
  return { ...reference, registry, repository: [...path, reference.repository].join("/") };
}

/** Why a text is not a mirror; the end of a sentence. Undefined if it is one. */
export function mirrorProblem(text: string): string | undefined {
  const [host = "", ...path] = text.split("/");
  return isRegistryHost(host) && path.every((component) => COMPONENT.test(component))
    ? undefined
    : 'it must be a registry\'s host, with a port or a path if needed, such as "cache.lan:5000/hub"';
}

/** The API host and port of a registry. */
export function registryHost(registry: string): string {
  return registry === DOCKER_REGISTRY ? DOCKER_HOST : registry;
}

/** Whether a text is a valid registry in a reference. */
export function isRegistryHost(text: string): boolean {
  return REGISTRY.test(text) && URL.canParse(`https://${text}/`);
}

/** Whether a registry is on this machine; Docker uses plain HTTP for these. */
export function isLocalRegistry(registry: string): boolean {
  const { hostname } = new URL(`http://${registry}/`);
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The first part is a host if it has a dot, a colon or capitals, with which no image name begins, or is "localhost". */
function splitName(name: string, defaultRegistry: string) {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = slash > 0 && (/[.:A-Z]/.test(first) || first === "localhost");
  if (!isHost) return { registry: defaultRegistry, path: name };
  return { registry: first === DOCKER_INDEX ? DOCKER_REGISTRY : first, path: name.slice(slash + 1) };
}

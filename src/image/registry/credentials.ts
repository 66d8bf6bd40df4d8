/** Credentials for a registry; never shown in logs or errors. */
export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** A refresh token that the registry's token server exchanges (OAuth 2). */
  | { readonly kind: "identity"; readonly token: string };

/** A credential file's entry for a registry: credentials, or the helper that has them. */
export type CredentialEntry = Credentials | { readonly kind: "helper"; readonly name: string } | undefined;

/** Sources of credentials, besides the task itself. */
export interface CredentialSources {
  /** A file in the format of Docker's config.json. */
  readonly config?: string | undefined;
  /** NAME of docker-credential-NAME, for registries that are not in the file. */
  readonly helper?: string | undefined;
}

/** Credentials that cannot be read; the message is a sentence for the operator, and contains no secrets. */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
}

/** Why a text is not a helper's name, or undefined. */
export function helperNameProblem(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)
    ? undefined
    : 'it must be the part after "docker-credential-" in the helper\'s file name, such as "ecr-login"';
}

/** docker.io's name in Docker's file, and for its helpers. */
export const DOCKER_INDEX_URL = "https://index.docker.io/v1/";

const DOCKER_NAMES: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/**
 * Finds a registry in Docker's config.json: credHelpers first, then auths, then credsStore, as Docker does
 * (docker/cli, cli/config/configfile/file.go).
 *
 * @throws CredentialsError for an invalid file; the message has nothing of its content
 */
export function findCredentials(text: string, registry: string, file: string): CredentialEntry {
  const config = parseJson(text, file);
  const helper = lookUp(config["credHelpers"], registry);
  if (typeof helper === "string" && helper !== "") return { kind: "helper", name: helper };
  const entry = lookUp(config["auths"], registry);
  const known = isMap(entry) ? credentialsOf(entry, registry, file) : undefined;
  if (known !== undefined) return known;
  const store = config["credsStore"];
  return typeof store === "string" && store !== "" ? { kind: "helper", name: store } : undefined;
}

/** Two spellings of a registry match if host and port do: the file may have a scheme and a path. */
function lookUp(map: unknown, registry: string): unknown {
  if (!isMap(map)) return undefined;
  return Object.entries(map).find(([key]) => hostName(key) === hostName(registry))?.[1];
}

function hostName(key: string): string {
  const host = key
    .replace(/^https?:\/\//, "")
    .replace(/\/.*$/s, "")
    .toLowerCase();
  return DOCKER_NAMES.has(host) ? "docker.io" : host;
}

function credentialsOf(entry: Record<string, unknown>, registry: string, file: string): Credentials | undefined {
  const { identitytoken, auth, username, password } = entry;
  if (typeof identitytoken === "string" && identitytoken !== "") return { kind: "identity", token: identitytoken };
  if (typeof auth === "string" && auth !== "") {
    const plain = Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
    const colon = plain.indexOf(":");
    if (colon <= 0) {
      throw new CredentialsError(
        `The registry credentials in ${file} are not valid: "auth" of ${registry} has to be USER:PASSWORD in base64.`,
      );
    }
    return { kind: "password", username: plain.slice(0, colon), password: plain.slice(colon + 1) };
  }
  if (typeof username === "string" && username !== "" && typeof password === "string") {
    return { kind: "password", username, password };
  }
  return undefined;
}

function parseJson(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would quote a part of the file.
  }
  if (isMap(value)) return value;
  throw new CredentialsError(
    `The registry credentials in ${file} cannot be read: not JSON in the format of Docker's config.json.`,
  );
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

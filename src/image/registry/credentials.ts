import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { errnoCode, errorText } from "../../lib/errors";
import { isRecord, parseJson } from "../../lib/objects";
import { findProgram, searchDirectories } from "../../linux/programs";
import { DOCKER_REGISTRY } from "../../values/image-reference";
import { helperNameProblem } from "../../values/names";

/** Credentials for a registry; never shown in logs or errors. */
export type Credentials =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  /** A refresh token that the registry's token server exchanges (OAuth 2). */
  | { readonly kind: "identity"; readonly token: string };

/** A credential file's entry for a registry: credentials, or the helper that has them. */
type CredentialEntry = Credentials | { readonly kind: "helper"; readonly name: string } | undefined;

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

/** docker.io's name in Docker's file, and for its helpers. */
const DOCKER_INDEX_URL = "https://index.docker.io/v1/";

const DOCKER_NAMES: ReadonlySet<string> = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/** Whose credentials are wanted. */
export interface CredentialSubject {
  /** Host and port, as in references. */
  readonly registry: string;
  /** The path within it, such as "team/app". */
  readonly repository: string;
}

/**
 * Finds the credentials for an image in Docker's config.json: those of the longest matching namespace, as in
 * containers-auth.json(5) ("ghcr.io/team" before "ghcr.io"). Of entries for the same namespace, credHelpers come first, then auths,
 * then credsStore, as with Docker (docker/cli, cli/config/configfile/file.go).
 *
 * @throws CredentialsError for an invalid file; the message has nothing of its content
 */
export function findCredentials(text: string, subject: CredentialSubject, file: string): CredentialEntry {
  const config = parseConfig(text, file);
  for (const name of namespaces(subject)) {
    const helper = lookUp(config["credHelpers"], name);
    if (typeof helper === "string" && helper !== "") return { kind: "helper", name: helper };
    const entry = lookUp(config["auths"], name);
    const known = isRecord(entry) ? credentialsOf(entry, name, file) : undefined;
    if (known !== undefined) return known;
  }
  const store = config["credsStore"];
  return typeof store === "string" && store !== "" ? { kind: "helper", name: store } : undefined;
}

/** The names that a file may have an entry under, the longest first: the image, its namespaces, the registry. */
function namespaces({ registry, repository }: CredentialSubject): readonly string[] {
  const parts = repository.split("/");
  const host = hostName(registry);
  return [...parts.map((_, index) => [host, ...parts.slice(0, parts.length - index)].join("/")), host];
}

function lookUp(map: unknown, namespace: string): unknown {
  if (!isRecord(map)) return undefined;
  return Object.entries(map).find(([key]) => namespaceOf(key) === namespace)?.[1];
}

/** The namespace of a key. Keys that Docker wrote are URLs, whose path means nothing. */
function namespaceOf(key: string): string {
  const [host = "", ...path] = key.replace(/\/+$/, "").split("/");
  const isUrl = /^https?:\/\//.test(key) || /^v[12]$/.test(path.join("/"));
  return isUrl ? hostName(key) : [hostName(host), ...path].join("/");
}

/** Whether two names are those of one registry; Docker's has several, and may be written as a URL. */
export function sameRegistry(one: string, other: string): boolean {
  return hostName(one) === hostName(other);
}

function hostName(key: string): string {
  const host = key
    .replace(/^https?:\/\//, "")
    .replace(/\/.*$/s, "")
    .toLowerCase();
  return DOCKER_NAMES.has(host) ? "docker.io" : host;
}

function credentialsOf(
  entry: Readonly<Record<string, unknown>>,
  registry: string,
  file: string,
): Credentials | undefined {
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

function parseConfig(text: string, file: string): Readonly<Record<string, unknown>> {
  // An empty file, such as /dev/null, has none.
  const value = text.trim() === "" ? {} : parseJson(text);
  if (isRecord(value)) return value;
  throw new CredentialsError(
    `The registry credentials in ${file} cannot be read: not JSON in the format of Docker's config.json.`,
  );
}

/** A helper may contact a server of its own. */
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT = 1024 * 1024;

/** A helper's output on stdout if it has no credentials (docker-credential-helpers, credentials/error.go). */
const NOT_FOUND = "credentials not found in native keychain";

/** The user name that marks the secret as an identity token. */
const TOKEN_USER = "<token>";

/**
 * Asks docker-credential-NAME, found in the agent's PATH, for the credentials of a server. It gets the agent's environment, as with
 * Docker: helpers of cloud providers are configured by it.
 *
 * @param directories to search for helpers
 * @returns undefined if the helper has none
 * @throws CredentialsError if it cannot be run or fails; its output is not shown, because it may contain a secret
 */
async function askHelper(
  name: string,
  server: string,
  signal: AbortSignal,
  directories = searchDirectories(process.env["PATH"]),
): Promise<Credentials | undefined> {
  const problem = helperNameProblem(name);
  if (problem !== undefined)
    throw new CredentialsError(`The credential helper ${JSON.stringify(name)} is not valid: ${problem}.`);
  const program = `docker-credential-${name}`;
  const path = findProgram(program, directories);
  if (path === undefined) {
    throw new CredentialsError(`The credential helper ${program} was not found in ${directories.join(", ")}.`);
  }
  const child = Bun.spawn([path, "get"], {
    env: helperEnvironment(process.env),
    stdin: Buffer.from(server),
    stdout: "pipe",
    stderr: "ignore",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
    maxBuffer: MAX_OUTPUT,
    signal,
  });
  const [output] = await Promise.all([child.stdout.text(), child.exited]);
  if (child.exitCode === 0) return parseAnswer(output, path);
  if (output.includes(NOT_FOUND)) return undefined;
  const ended = child.exitCode === null ? `was killed by ${child.signalCode}` : `exited with code ${child.exitCode}`;
  throw new CredentialsError(`The credential helper ${path} returned no credentials for ${server}: it ${ended}.`);
}

/** go-plugin's variables are for the plugin only: a program that believes to be one would wait for a handshake. */
function helperEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const given = Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  return Object.fromEntries(given.filter(([key]) => !/^(?:BUN_|PLUGIN_|NOMAD_PLUGIN_)/.test(key)));
}

function parseAnswer(output: string, path: string): Credentials | undefined {
  const answer = parseJson(output);
  if (!isRecord(answer) || !("Username" in answer) || !("Secret" in answer)) {
    throw new CredentialsError(`The credential helper ${path} did not return JSON with Username and Secret.`);
  }
  const { Username: username, Secret: secret } = answer;
  if (typeof username !== "string" || typeof secret !== "string" || secret === "") return undefined;
  return username === TOKEN_USER
    ? { kind: "identity", token: secret }
    : { kind: "password", username, password: secret };
}

/**
 * The credentials for an image from the plugin's config: the file first, then the helper; if neither is configured, the first file at the
 * usual places of podman and Docker. All are read each time, because they may change while the agent runs.
 *
 * @returns undefined if none are configured: the registry is accessed without
 * @throws CredentialsError
 */
export async function operatorCredentials(
  subject: CredentialSubject,
  { config, helper }: CredentialSources,
  signal: AbortSignal,
): Promise<Credentials | undefined> {
  const { registry } = subject;
  const server = registry === DOCKER_REGISTRY ? DOCKER_INDEX_URL : registry;
  const usual = config === undefined && helper === undefined;
  const file = config ?? (usual ? usualFiles(process.env).find((path) => existsSync(path)) : undefined);
  if (file !== undefined) {
    const entry = findCredentials(await readText(file), subject, file);
    const found = entry?.kind === "helper" ? await askHelper(entry.name, server, signal) : entry;
    if (found !== undefined) return found;
  }
  return helper === undefined ? undefined : askHelper(helper, server, signal);
}

/**
 * Where podman and Docker look for credentials, in this order (containers-auth.json(5); docker/cli, cli/config/config.go).
 *
 * @param env the agent's environment
 */
export function usualFiles(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const home = env["HOME"] || "/root";
  const files = [
    env["REGISTRY_AUTH_FILE"] ?? "",
    `${env["XDG_RUNTIME_DIR"] || "/run/user/0"}/containers/auth.json`,
    "/run/containers/0/auth.json",
    `${env["XDG_CONFIG_HOME"] || `${home}/.config`}/containers/auth.json`,
    `${env["DOCKER_CONFIG"] || `${home}/.docker`}/config.json`,
  ];
  return files.filter((file) => file.startsWith("/"));
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const why = errnoCode(error) ?? errorText(error);
    throw new CredentialsError(`The registry credentials in ${JSON.stringify(file)} cannot be read: ${why}.`);
  }
}

import { findProgram, searchDirectories } from "../../host/programs";
import { type Credentials, CredentialsError, helperNameProblem } from "./credentials";

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
export async function askHelper(
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
export function helperEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const given = Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  return Object.fromEntries(given.filter(([key]) => !/^(?:BUN_|PLUGIN_|NOMAD_PLUGIN_)/.test(key)));
}

function parseAnswer(output: string, path: string): Credentials | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    // Reported below, without the text.
  }
  if (typeof answer !== "object" || answer === null || !("Username" in answer) || !("Secret" in answer)) {
    throw new CredentialsError(`The credential helper ${path} did not return JSON with Username and Secret.`);
  }
  const { Username: username, Secret: secret } = answer;
  if (typeof username !== "string" || typeof secret !== "string" || secret === "") return undefined;
  return username === TOKEN_USER
    ? { kind: "identity", token: secret }
    : { kind: "password", username, password: secret };
}

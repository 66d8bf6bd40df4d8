import { findProgram, searchDirectories } from "../../host/programs";
import { type Credentials, CredentialsError, helperNameProblem } from "./credentials";

/** A helper may ask a server of its own. */
const TIMEOUT_MS = 30_000;
const MOST_OUTPUT = 1024 * 1024;

/** What a helper says, on stdout, where it has nothing (docker-credential-helpers, credentials/error.go). */
const NOT_FOUND = "credentials not found in native keychain";
/** The user name that says that the secret is an identity token. */
const TOKEN_USER = "<token>";

/**
 * Asks docker-credential-NAME, found in the agent's PATH, for what it knows about a server. It has the agent's environment, as with
 * Docker: helpers of cloud providers are set up by it.
 *
 * @param directories where helpers are looked for
 * @returns undefined where the helper has nothing
 * @throws CredentialsError where it cannot be run or fails; what it printed is not told, for it may hold a secret
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
    throw new CredentialsError(`The credential helper ${program} was found in none of ${directories.join(", ")}.`);
  }
  const child = Bun.spawn([path, "get"], {
    env: helperEnvironment(process.env),
    stdin: Buffer.from(server),
    stdout: "pipe",
    stderr: "ignore",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
    maxBuffer: MOST_OUTPUT,
    signal,
  });
  const [output] = await Promise.all([child.stdout.text(), child.exited]);
  if (child.exitCode === 0) return parseAnswer(output, path);
  if (output.includes(NOT_FOUND)) return undefined;
  const ended = child.exitCode === null ? `was ended by ${child.signalCode}` : `ended with code ${child.exitCode}`;
  throw new CredentialsError(`The credential helper ${path} gave no credentials for ${server}: it ${ended}.`);
}

/** What go-plugin tells a plugin is nobody else's: a program that thinks it is one would wait for a handshake. */
export function helperEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const given = Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  return Object.fromEntries(given.filter(([key]) => !/^(?:BUN_|PLUGIN_|NOMAD_PLUGIN_)/.test(key)));
}

function parseAnswer(output: string, path: string): Credentials | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    // Said below, without the text.
  }
  if (typeof answer !== "object" || answer === null || !("Username" in answer) || !("Secret" in answer)) {
    throw new CredentialsError(`The credential helper ${path} did not answer with JSON that has Username and Secret.`);
  }
  const { Username: username, Secret: secret } = answer;
  if (typeof username !== "string" || typeof secret !== "string" || secret === "") return undefined;
  return username === TOKEN_USER
    ? { kind: "identity", token: secret }
    : { kind: "password", username, password: secret };
}

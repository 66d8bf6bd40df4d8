import { readFile } from "node:fs/promises";
import { errnoCode } from "../../host/errno";
import { errorText } from "../../host/error-text";
import { DOCKER_REGISTRY } from "../reference";
import { askHelper } from "./credential-helper";
import {
  type CredentialSources,
  type Credentials,
  CredentialsError,
  DOCKER_INDEX_URL,
  findCredentials,
} from "./credentials";

/**
 * The credentials for a registry from the plugin's config: the file first, then the helper. Both are read each time, because
 * they may change while the agent runs.
 *
 * @returns undefined if none are configured: the registry is accessed without
 * @throws CredentialsError
 */
export async function operatorCredentials(
  registry: string,
  { config, helper }: CredentialSources,
  signal: AbortSignal,
): Promise<Credentials | undefined> {
  const server = registry === DOCKER_REGISTRY ? DOCKER_INDEX_URL : registry;
  if (config !== undefined) {
    const entry = findCredentials(await readText(config), registry, config);
    const found = entry?.kind === "helper" ? await askHelper(entry.name, server, signal) : entry;
    if (found !== undefined) return found;
  }
  return helper === undefined ? undefined : askHelper(helper, server, signal);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const why = errnoCode(error) ?? errorText(error);
    throw new CredentialsError(
      `The registry credentials (auth.config = ${JSON.stringify(file)}) cannot be read: ${why}.`,
    );
  }
}

import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { MOST_CREDENTIAL_BYTES } from "../config/credentials";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { O_PATH } from "../linux/constants";
import { openWithoutSymlinks } from "../linux/rooted-path";
import { taskDirectories } from "./mounts";

/**
 * The credentials of a task by name (systemd's docs/CREDENTIALS.md), with the content of files in its directory. The task can write to
 * that directory: no symlink in it is followed, and nothing but a regular file is opened.
 *
 * @throws ConfigError with the name and path, never the content
 */
export async function taskCredentials(
  config: Pick<TaskConfig, "allocDir" | "name">,
  { credentials, credential_files: files }: Pick<TaskOptions, "credentials" | "credential_files">,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for (const [name, text] of Object.entries(credentials)) found.set(name, Buffer.from(text));
  const paths = Object.entries(files);
  if (paths.length === 0) return found;
  const directory = await realpath(taskDirectories(config).task);
  for (const [name, path] of paths) found.set(name, readCredential(join(directory, path), { name, path }));
  return found;
}

function readCredential(full: string, { name, path }: { readonly name: string; readonly path: string }): Uint8Array {
  const refusal = (problem: string) =>
    new ConfigError(`Option credential_files.${name} = ${JSON.stringify(path)} cannot be read: ${problem}.`);
  const place = openWithoutSymlinks(full, O_PATH);
  if (place === undefined) throw refusal("the task directory has no such file, or its path has a symlink");
  using open = new DisposableStack();
  open.adopt(place, closeSync);
  const facts = fstatSync(place);
  if (!facts.isFile()) throw refusal("it is not a regular file");
  if (facts.nlink !== 1) throw refusal(`it is a file with ${facts.nlink} links`);
  if (facts.size > MOST_CREDENTIAL_BYTES) throw refusal(`it has ${facts.size} bytes, and at most 1 MiB is allowed`);
  const bytes = readFileSync(open.adopt(openSync(`/proc/self/fd/${place}`, constants.O_RDONLY), closeSync));
  if (bytes.length > MOST_CREDENTIAL_BYTES) throw refusal("it grew beyond 1 MiB while it was read");
  return bytes;
}

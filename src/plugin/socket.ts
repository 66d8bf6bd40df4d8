import { lstat, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ignoreMissing } from "../lib/errors";

const PREFIX = "nomad-driver-nspawn-";

/** The PID in the name of one of the driver's socket directories, or undefined for any other name. */
export function socketDirectoryPid(name: string): number | undefined {
  const match = /^nomad-driver-nspawn-(\d+)-/.exec(name);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/**
 * Creates a private directory (0700) for the plugin's socket below `parent` and removes those that dead plugin processes left there.
 *
 * @param parent PLUGIN_UNIX_SOCKET_DIR, or the temporary directory
 * @param isAlive whether a process with that PID exists
 * @returns `remove` removes the directory and the socket in it
 * @throws if `parent` is not writable
 */
export async function createSocketDirectory(parent: string, isAlive: (pid: number) => boolean) {
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    const pid = socketDirectoryPid(name);
    if (pid === undefined || isAlive(pid)) continue;
    const path = join(parent, name);
    if (await isOurs(path)) await rm(path, { recursive: true, force: true });
  }
  // mkdtemp makes it 0700.
  const directory = await mkdtemp(join(parent, `${PREFIX}${process.pid}-`));
  return {
    socketPath: join(directory, "plugin.sock"),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** In a world-writable directory, other users may create a directory of such a name, and put links in it while it is being removed. */
async function isOurs(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(ignoreMissing);
  return stats?.isDirectory() === true && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0;
}

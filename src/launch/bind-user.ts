import { ConfigError } from "../lib/errors";
import { findProgram } from "../linux/programs";

/** Exit code of getent(1) for a name that no database has. */
const NOT_FOUND = 2;

/**
 * Refuses users whom this client does not have, in any of its databases. systemd-nspawn would end with an error of its own.
 *
 * @throws ConfigError
 */
export async function requireUsers(names: readonly string[]): Promise<void> {
  const getent = names.length === 0 ? undefined : findProgram("getent");
  if (getent === undefined) return;
  for (const name of names) {
    const child = Bun.spawn([getent, "passwd", name], {
      env: { PATH: "/usr/bin:/bin" },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    if ((await child.exited) !== NOT_FOUND) continue;
    throw new ConfigError(`Option bind_user names ${JSON.stringify(name)}, and this client has no user of that name.`);
  }
}

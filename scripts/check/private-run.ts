/** A runtime directory for systemd-nspawn on a tmpfs, as on a real machine. */

import { statfs } from "node:fs/promises";
import { attempt } from "../../tools/command";

/** TMPFS_MAGIC of statfs(2). */
const tmpfs = 0x01021994;

const mountAndBecome =
  'mkdir -p /run/systemd/nspawn && mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn && exec "$@"';

/**
 * If /run is on a disk (as in many containers), systemd-nspawn refuses to clean it and says so on every task's stderr. In this
 * case the function runs the given command in a mount namespace with a tmpfs at that path and returns its exit code; otherwise
 * it returns undefined, because no change is needed.
 */
export async function inPrivateRun(argv: readonly string[]): Promise<number | undefined> {
  const mount = await statfs("/run/systemd/nspawn").catch(() => statfs("/run"));
  if (mount.type === tmpfs) return undefined;
  const namespace = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", mountAndBecome, "sh"];
  return (await attempt([...namespace, ...argv], { output: "show" })).code;
}

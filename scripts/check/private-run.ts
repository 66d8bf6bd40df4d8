/** A place for systemd-nspawn's runtime directory such as a real machine has. */

import { statfs } from "node:fs/promises";
import { attempt } from "../command";

/** TMPFS_MAGIC of statfs(2). */
const tmpfs = 0x01021994;

const mountAndBecome =
  'mkdir -p /run/systemd/nspawn && mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn && exec "$@"';

/**
 * Where /run lies on a disk (in many a container), systemd-nspawn refuses to clean it and says so on every task's
 * stderr. There this runs the given command in a mount namespace with a tmpfs in the right place and returns its exit
 * code; elsewhere it returns undefined, and nothing needs to be done.
 */
export async function inPrivateRun(argv: readonly string[]): Promise<number | undefined> {
  const mount = await statfs("/run/systemd/nspawn").catch(() => statfs("/run"));
  if (mount.type === tmpfs) return undefined;
  const namespace = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", mountAndBecome, "sh"];
  return (await attempt([...namespace, ...argv], { output: "show" })).code;
}

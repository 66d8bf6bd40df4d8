/**
 * Syncs a directory's file system in another process: nothing else in this process would proceed
 * meanwhile.
 *
 * @param self argv that starts this program again
 * @returns that process; it exits with 0 when everything is synced
 */
export function startSync(directory: string, self: readonly string[]) {
  return Bun.spawn([...self, "sync-store", directory], {
    cwd: "/",
    env: {},
    stdio: ["ignore", "ignore", "ignore"],
  });
}

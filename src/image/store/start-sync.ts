/**
 * Has another process wait until everything of a directory's file system is on the disk: nothing else of this one would get on
 * meanwhile.
 *
 * @param self argv that starts this program again
 * @returns that process; it ends with 0 when all is done
 */
export function startSync(directory: string, self: readonly string[]) {
  return Bun.spawn([...self, "sync-store", directory], {
    cwd: "/",
    env: {},
    stdio: ["ignore", "ignore", "ignore"],
  });
}

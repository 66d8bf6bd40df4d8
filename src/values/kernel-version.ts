/** Whether a Linux release, as `uname -r` prints it, is at least the given version. */
export function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = release.split(/[.-]/).map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

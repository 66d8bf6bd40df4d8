/** Whether a release of Linux, as `uname -r` tells it, is of a version or a later one. */
export function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = release.split(/[.-]/).map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

/** Executables of earlier releases, built from their commits by their own scripts, for tests of upgrades and rollbacks. */

import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { attempt, run } from "../command";
import { cached } from "../images/cache";
import { binaryName, projectRoot } from "./project";

/** The commit of each release. */
const RELEASES = {
  "0.1.0": "d6f528c833e52a2d72299c88856ebfc83cb655f9",
  "0.2.0": "fac52b987fc7469b33099b7209a0381f0a847600",
} as const;

/** A release that tests upgrade from. */
export type Release = keyof typeof RELEASES;

/** All of them, oldest first. */
export const releases: readonly Release[] = ["0.1.0", "0.2.0"];

/** Whether the repository has the commits of all releases: a shallow clone has not. */
export async function hasReleases(): Promise<boolean> {
  const git = ["git", "-c", "safe.directory=*", "cat-file", "-e"];
  const found = Object.values(RELEASES).map((commit) => attempt([...git, `${commit}^{commit}`], { cwd: projectRoot }));
  return (await Promise.all(found)).every(({ code }) => code === 0);
}

/**
 * The path of a release's executable; built on first use, in about ten seconds, which needs the repository's history and the packages that
 * the release depends on.
 *
 * @throws CommandFailedError if the commit is not there, or with the build's output
 */
export async function previousDriver(release: Release, say?: (line: string) => void): Promise<string> {
  const commit = RELEASES[release];
  const build = async (directory: string) => {
    const source = join(directory, "source");
    const git = ["git", "-c", "safe.directory=*", "-c", "advice.detachedHead=false"];
    await run([...git, "clone", "--quiet", "--shared", "--no-checkout", projectRoot, source]);
    await run([...git, "checkout", "--quiet", commit], { cwd: source });
    await run([process.execPath, "install", "--frozen-lockfile"], { cwd: source });
    await run([process.execPath, "scripts/build.ts", "--binary-only"], { cwd: source });
    await copyFile(join(source, "dist", binaryName), join(directory, binaryName));
    await rm(source, { recursive: true });
  };
  return join(await cached({ name: `driver-${release}`, inputs: { commit }, build }, say), binaryName);
}

/** Builds all of them. */
export async function previousDrivers(say?: (line: string) => void): Promise<void> {
  for (const release of releases) await previousDriver(release, say);
}

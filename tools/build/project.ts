/** Facts about this source tree. */

import { join, resolve } from "node:path";
import packageJson from "../../package.json";
import { attempt } from "../command";

/** Root of the source tree. */
export const projectRoot: string = resolve(import.meta.dir, "../..");

/** Directory of a build's results. */
export const distDir: string = join(projectRoot, "dist");

/** Name of the executable, as in Nomad's plugin_dir and in a `plugin` block. */
export const binaryName = "nomad-driver-nspawn";

/** The executable for arm64 machines. */
export const arm64Binary: string = join(distDir, "arm64", binaryName);

/** The executable that tests run: NSPAWN_DRIVER_BINARY, or the result of the last build. */
export function driverBinary(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const chosen = env["NSPAWN_DRIVER_BINARY"];
  return chosen === undefined || chosen === "" ? join(distDir, binaryName) : chosen;
}

/** The exact version of bun that this project is built with. */
export const bunVersion: string = packageJson.engines.bun;

/** The sources of the binary. */
const sources = ["src", "gen", "package.json", "bun.lock", "tsconfig.json"] as const;

/** Commit of the tree, with "-dirty" if the binary's sources differ from it; "unknown" if git fails. */
export async function sourceCommit(root: string = projectRoot): Promise<string> {
  const head = await attempt(["git", "rev-parse", "--short=12", "HEAD"], { cwd: root }).catch(() => undefined);
  if (head === undefined || head.code !== 0) return "unknown";
  const changes = await attempt(["git", "status", "--porcelain", "--", ...sources], { cwd: root });
  return `${head.stdout.trim()}${changes.code === 0 && changes.stdout === "" ? "" : "-dirty"}`;
}

/**
 * Time of the tree's commit in seconds since the epoch, which is embedded instead of the time of the build, so that a commit gives the same
 * bytes each time; SOURCE_DATE_EPOCH if set (reproducible-builds.org), 0 if git fails.
 */
export async function commitTime(root: string = projectRoot): Promise<number> {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  const shown = await attempt(["git", "log", "-1", "--format=%ct"], { cwd: root }).catch(() => undefined);
  return shown === undefined || shown.code !== 0 ? 0 : Number(shown.stdout.trim());
}

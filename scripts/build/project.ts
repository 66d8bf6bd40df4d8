/** Facts about this source tree. */

import { join, resolve } from "node:path";
import packageJson from "../../package.json";
import { attempt } from "../command";

/** Root of the source tree. */
export const projectRoot: string = resolve(import.meta.dir, "../..");

/** Where a build puts its results. */
export const distDir: string = join(projectRoot, "dist");

/** Name of the executable, as Nomad's plugin_dir and a `plugin` block know it. */
export const binaryName = "nomad-driver-nspawn";

/** The executable that tests run: NSPAWN_DRIVER_BINARY, or what the last build made. */
export function driverBinary(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const chosen = env["NSPAWN_DRIVER_BINARY"];
  return chosen === undefined || chosen === "" ? join(distDir, binaryName) : chosen;
}

/** The bun that this project is built with, exactly. */
export const bunVersion: string = packageJson.engines.bun;

/** What decides the binary's content. */
const sources = ["src", "gen", "package.json", "bun.lock", "tsconfig.json"] as const;

/** Commit of the tree, with "-dirty" where the binary's sources differ from it; "unknown" where git cannot tell. */
export async function sourceCommit(root: string = projectRoot): Promise<string> {
  const head = await attempt(["git", "rev-parse", "--short=12", "HEAD"], { cwd: root }).catch(() => undefined);
  if (head === undefined || head.code !== 0) return "unknown";
  const changes = await attempt(["git", "status", "--porcelain", "--", ...sources], { cwd: root });
  return `${head.stdout.trim()}${changes.code === 0 && changes.stdout === "" ? "" : "-dirty"}`;
}

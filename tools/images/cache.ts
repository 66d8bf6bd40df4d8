/** The cache of test images and other build results between runs, outside of the source tree. */

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** Directory of everything cached; NSPAWN_DRIVER_CACHE overrides it. */
export function cacheDir(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const chosen = env["NSPAWN_DRIVER_CACHE"];
  return chosen === undefined || chosen === "" ? "/var/cache/nomad-driver-nspawn" : chosen;
}

/** A build result, built once per recipe. */
export interface Recipe {
  /** Kind of result; part of its directory's name. */
  readonly name: string;
  /** Everything that the result depends on, as plain data: another value gives another cache entry. */
  readonly inputs: unknown;
  /** Fills an empty directory. */
  readonly build: (directory: string) => Promise<void>;
}

/** Directory of a recipe's result, which may not be built yet. */
export function cachedPath(recipe: Recipe, directory = cacheDir()): string {
  const digest = createHash("sha256").update(JSON.stringify(recipe.inputs)).digest("hex");
  return join(directory, `${recipe.name}-${digest.slice(0, 16)}`);
}

/**
 * Returns a recipe's directory, and builds it first if it is missing. A build that fails or is killed leaves no entry, because
 * it uses a temporary directory that is renamed at the end. Of two simultaneous builds the first one is kept.
 */
export async function cached(
  recipe: Recipe,
  say: (line: string) => void = () => {},
  directory = cacheDir(),
): Promise<string> {
  const target = cachedPath(recipe, directory);
  if (existsSync(target)) return target;
  await mkdir(directory, { recursive: true });
  await removeAbandoned(directory);
  const building = `${target}.building-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  await mkdir(building);
  try {
    const start = performance.now();
    say(`building ${recipe.name}`);
    await recipe.build(building);
    await rename(building, target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
    say(`built ${recipe.name} in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return target;
}

/** Removes half-built entries of processes that are gone. */
async function removeAbandoned(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    const pid = /\.building-(\d+)-/.exec(entry)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
      await rm(join(directory, entry), { recursive: true, force: true });
    }
  }
}

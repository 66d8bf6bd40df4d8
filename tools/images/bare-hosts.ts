/** Hosts on which nothing is installed, for a test that follows docs/install.md to the letter. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../build/project";
import { cached, cachedPath, type Recipe } from "./cache";
import { makeDebianTree } from "./debian";
import { bareHostTree, type HostSuite } from "./host-tree";

/** The packages that the page installs. */
function packagesOfPage(): readonly string[] {
  const page = readFileSync(join(projectRoot, "docs/install.md"), "utf8");
  const command = /^apt-get install --yes (.+)$/m.exec(page)?.[1];
  if (command === undefined) throw new Error('docs/install.md has no line "apt-get install --yes PACKAGES".');
  return command.split(" ");
}

function recipe(suite: HostSuite): Recipe {
  const tree = bareHostTree(suite, packagesOfPage());
  return { name: `bare-${suite}`, inputs: tree, build: (directory) => makeDebianTree(tree, directory) };
}

/** The tree of a suite's bare host. */
export function bareHostImage(suite: HostSuite, say?: (line: string) => void): Promise<string> {
  return cached(recipe(suite), say);
}

/** Whether it is in the cache: sid's cannot be built on every day. */
export function hasBareHost(suite: HostSuite): boolean {
  return existsSync(cachedPath(recipe(suite)));
}

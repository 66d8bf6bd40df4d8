/** A browser without a window, for looking at the documentation's site. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { cached, type Recipe } from "./cache";
import { type DebianTree, makeDebianTree } from "./debian";

const tree: DebianTree = {
  suite: "trixie",
  variant: "extract",
  packages: ["chromium-headless-shell", "fonts-dejavu-mono", "fonts-liberation"],
  masked: [],
  files: {},
  // Packages are only extracted, and those that make these links are not among them.
  links: { lib: "usr/lib", lib64: "usr/lib64" },
};

/** Drivers of graphics cards and a checker for them: 200 of 550 MB, and a browser that draws in memory loads none of them. */
const unused = [
  "x86_64-linux-gnu/libLLVM*",
  "x86_64-linux-gnu/libgallium*",
  "x86_64-linux-gnu/libz3*",
  "chromium/libVk*",
];

/** Path of the browser in its tree. */
export const BROWSER = "/usr/lib/chromium/chromium-headless-shell";

const recipe: Recipe = { name: "browser", inputs: { tree, unused, layout: 1 }, build: makeBrowser };

/** A tree that contains Chromium's headless shell as {@link BROWSER}, what it needs, and two families of fonts; 350 MB. */
export async function browserTree(say?: (line: string) => void): Promise<string> {
  return cached(recipe, say);
}

async function makeBrowser(directory: string): Promise<void> {
  await makeDebianTree(tree, directory);
  for (const name of ["proc", "tmp"]) await mkdir(join(directory, name), { recursive: true });
  const libraries = join(directory, "usr/lib");
  for (const pattern of unused) {
    for await (const file of new Bun.Glob(pattern).scan({ cwd: libraries, onlyFiles: false, dot: true }))
      await rm(join(libraries, file));
  }
}

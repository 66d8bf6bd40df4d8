/** The disk with which a virtual machine gets this source tree, the images and bun. */

import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { driverBinary, projectRoot } from "../build/project";
import { run } from "../command";
import { busyboxImage, debianImage, diskImage } from "../images/images";
import { systemTrees } from "../images/trees";
import { makeFileSystem, vmWork } from "../images/vm";
import { conformanceTests, nomadAgent } from "../setup/nomad";

/** Parts of the repository that no test in a machine reads, or that are rebuilt. */
const leftOut = new Set([".git", "dist", "node_modules"]);
/** Parts of node_modules: tools that check sources, most of its size. */
const tools = /^(\.bin|\.cache|@biomejs|@typescript|typescript|bun-types|@bufbuild\/buf(-.+)?)$/;

/**
 * Makes the disk as `work.raw` in a directory and returns its path.
 *
 * Not a directory shared by 9p: Debian's cloud kernel does not support it, and the machine's own file system is faster
 * without KVM, supports overlays and mapped owners, and changes inside do not reach the repository. Creating it takes two seconds.
 */
export async function makeWorkDisk(directory: string): Promise<string> {
  const tree = join(directory, "work");
  const repository = join(tree, "repository");
  const cache = join(tree, "cache");
  for (const path of [join(repository, "dist"), join(repository, "node_modules"), cache]) {
    await mkdir(path, { recursive: true });
  }
  const parts = (await readdir(projectRoot)).filter((name) => !leftOut.has(name));
  await copy(
    parts.map((name) => join(projectRoot, name)),
    repository,
  );
  await copyPackages(join(projectRoot, "node_modules"), join(repository, "node_modules"));
  await cp(driverBinary(), join(repository, "dist/nomad-driver-nspawn"));
  await cp(process.execPath, join(tree, "bun"));
  const images = [await busyboxImage(), await debianImage(), join(await diskImage(), "..")];
  await copy([...images, dirname(await conformanceTests()), dirname(await nomadAgent())], cache);
  // Of the systems only the one that needs a kernel with partitions of loop devices.
  const trees = await systemTrees();
  await mkdir(join(cache, basename(trees)));
  await copy([join(trees, "mkosi-disk.raw")], join(cache, basename(trees)));
  const { stdout } = await run(["du", "--summarize", "--block-size=1M", tree]);
  const image = join(directory, "work.raw");
  // A sixth more, for the file system's own data.
  await makeFileSystem(tree, image, Math.ceil(Number.parseInt(stdout, 10) * 1.17) + 32, vmWork.label);
  await rm(tree, { recursive: true });
  return image;
}

async function copyPackages(from: string, to: string): Promise<void> {
  await cp(from, to, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !tools.test(source.slice(from.length + 1).replaceAll(sep, "/")),
  });
}

/** Like `cp --archive`, with owners and devices. */
async function copy(sources: readonly string[], target: string): Promise<void> {
  await run(["cp", "--archive", "--reflink=auto", ...sources, target]);
}

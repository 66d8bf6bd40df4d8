/** Systems as debootstrap, mkosi and mmdebstrap make them: directories, disk images, archives and a container image. */

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached, type Recipe } from "./cache";
import { type DebianTree, makeDebianTree } from "./debian";

/** The tools. mmdebstrap of trixie, because an older one makes a directory where ext4 is wanted. */
const builder: DebianTree = {
  suite: "trixie",
  variant: "minbase",
  packages: [
    ...["debootstrap", "mkosi", "mmdebstrap", "debian-archive-keyring"],
    ...["systemd-repart", "e2fsprogs", "genext2fs", "squashfs-tools-ng", "zstd"],
  ],
  masked: [],
  files: {},
  links: {},
};

const script = join(import.meta.dir, "trees.sh");

/**
 * The directory with the systems: `debootstrap/`, `mkosi/`, `mkosi-disk.raw`, `mkosi-tar.tar.zst`, `mkosi-oci/`, `mmdebstrap.tar`,
 * `mmdebstrap.ext4` and `mmdebstrap.squashfs`. Those of mkosi boot, say "booted" in their journal, and power themselves off.
 */
export async function systemTrees(say?: (line: string) => void): Promise<string> {
  const text = await readFile(script, "utf8");
  const recipe: Recipe = {
    name: "trees",
    inputs: { builder, text },
    build: (directory) => buildTrees(directory, text),
  };
  return cached(recipe, say);
}

/** The tools run in a container with the host's network, because they download packages. */
async function buildTrees(directory: string, text: string): Promise<void> {
  const root = join(directory, "builder");
  await makeDebianTree(builder, root);
  await writeFile(join(root, "trees.sh"), text);
  await run([
    ...["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", `--directory=${root}`, "--as-pid2"],
    ...[`--bind=${directory}:/out`, "--capability=all", "--resolv-conf=copy-host", "--console=pipe"],
    ...["/bin/bash", "/trees.sh"],
  ]);
  await rm(root, { recursive: true });
}

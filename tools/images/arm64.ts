/** What runs programs for arm64 on this machine: QEMU's user mode emulation, and the C library that they are linked against. */

import { cp, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached } from "./cache";
import { type DebianTree, makeDebianTree } from "./debian";
import { busyboxImage } from "./images";

/**
 * Of Debian 13: QEMU 7.2 of Debian 12 lacks openat2(2). Not installed on this machine, because the package registers its emulators for all
 * programs, and a client that runs images for other CPUs is not what the other tests expect.
 */
const source: DebianTree = {
  suite: "trixie",
  variant: "extract",
  packages: ["qemu-user", "libc6-arm64-cross"],
  masked: [],
  files: {},
  links: {},
};

/** The parts of an emulator. */
export interface Arm64Emulator {
  /** A static executable. */
  readonly program: string;
  /** The directory of the C library and its loader. */
  readonly libraries: string;
}

/** The emulator, from the cache. */
export async function arm64Emulator(say?: (line: string) => void): Promise<Arm64Emulator> {
  const build = async (directory: string) => {
    const tree = join(directory, "tree");
    await makeDebianTree(source, tree);
    await rename(join(tree, "usr/bin/qemu-aarch64"), join(directory, "qemu-aarch64"));
    await mkdir(join(directory, "root"));
    await cp(join(tree, "usr/aarch64-linux-gnu/lib"), join(directory, "root/lib"), {
      recursive: true,
      verbatimSymlinks: true,
    });
    await rm(tree, { recursive: true });
  };
  const directory = await cached({ name: "arm64", inputs: { source, layout: 1 }, build }, say);
  return { program: join(directory, "qemu-aarch64"), libraries: join(directory, "root/lib") };
}

const foreignBusybox: DebianTree = { ...source, architecture: "arm64", packages: ["busybox-static"] };

/** The image busyboxImage() for arm64: the same tree with another program. */
export async function arm64Busybox(say?: (line: string) => void): Promise<string> {
  const build = async (directory: string) => {
    const tree = join(directory, "tree");
    await makeDebianTree(foreignBusybox, tree);
    await run(["cp", "--archive", await busyboxImage(), join(directory, "image")]);
    await cp(join(tree, "usr/bin/busybox"), join(directory, "image/usr/bin/busybox"));
    await rm(tree, { recursive: true });
  };
  return join(await cached({ name: "arm64-busybox", inputs: { foreignBusybox }, build }, say), "image");
}

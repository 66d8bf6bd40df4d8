/** Container images as umoci, buildah, podman and skopeo make them: what real tools write, not what this project expects. */

import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../command";
import { cached, type Recipe } from "./cache";
import { type DebianTree, makeDebianTree } from "./debian";
import { busyboxImage } from "./images";

/** The tools. */
const builder: DebianTree = {
  suite: "trixie",
  variant: "minbase",
  packages: ["buildah", "podman", "skopeo", "umoci"],
  masked: [],
  files: {
    "etc/containers/policy.json": '{"default":[{"type":"insecureAcceptAnything"}]}',
    // By default they raise the limits to values that a container may not have.
    "etc/containers/containers.conf": '[containers]\ndefault_ulimits = ["nofile=1024:2048", "nproc=1024:2048"]\n',
  },
  links: {},
};

/** Archives that are also there as a program compresses them. */
const compressed = [
  ["xz", "skopeo-oci.tar"],
  ["zstd", "podman-oci.tar"],
  ["bzip2", "buildah-docker.tar"],
] as const;

const script = join(import.meta.dir, "corpus.sh");

/** The directory with the images. The files and layouts are those that corpus.sh names, and some of them compressed. */
export async function imageCorpus(say?: (line: string) => void): Promise<string> {
  const text = await readFile(script, "utf8");
  const recipe: Recipe = {
    name: "corpus",
    inputs: { builder, text, compressed },
    build: (directory) => buildCorpus(directory, text),
  };
  return cached(recipe, say);
}

async function buildCorpus(directory: string, text: string): Promise<void> {
  const root = join(directory, "builder");
  await makeDebianTree(builder, root);
  await run(["cp", "-a", await busyboxImage(), join(root, "busybox")]);
  await writeFile(join(root, "corpus.sh"), text);
  await mkdir(join(root, "out"));
  const binds = [`--bind=${directory}:/out`];
  await run([
    ...["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", `--directory=${root}`, "--as-pid2"],
    ...[...binds, "--capability=all", "--private-network", "--console=pipe", "/bin/bash", "/corpus.sh"],
  ]);
  await rm(root, { recursive: true });
  for (const [program, file] of compressed) {
    const copy = join(directory, `${program}-${file}`);
    await copyFile(join(directory, file), copy);
    await run([program, "-q", ...(program === "zstd" ? ["--rm"] : []), copy]);
  }
}

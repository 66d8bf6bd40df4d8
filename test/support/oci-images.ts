/** Images built by umoci, and pushed to a registry by skopeo. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../../tools/command";
import type { TestRegistry } from "./registry";

/** The content of an image. */
export interface ImageRecipe {
  /** From the lowest up: path → content. */
  readonly layers: readonly Readonly<Record<string, string | Uint8Array>>[];
  readonly architecture?: string;
  /** Further switches of `umoci config`, such as "--config.cmd=/bin/sh". */
  readonly config?: readonly string[];
}

/** How an image is stored in a registry. */
export interface PushOptions {
  readonly format?: "oci" | "v2s2";
  /** USER:PASSWORD. */
  readonly credentials?: string;
  /** Directory with the registry's certificate as ca.crt. */
  readonly certificates?: string;
}

const TAG = "latest";

/** Builds an image and pushes it as NAME, such as "team/app:1". */
export async function pushImage(
  registry: TestRegistry,
  name: string,
  recipe: ImageRecipe,
  options: PushOptions = {},
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "oci-image-"));
  try {
    const layout = await makeLayout(directory, recipe);
    const { format = "oci", credentials, certificates } = options;
    await run([
      ...["skopeo", "copy", "--quiet", `--format=${format}`],
      ...(certificates === undefined ? ["--dest-tls-verify=false"] : [`--dest-cert-dir=${certificates}`]),
      ...(credentials === undefined ? [] : [`--dest-creds=${credentials}`]),
      ...[`oci:${layout}:${TAG}`, `docker://${registry.host}/${name}`],
    ]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function makeLayout(
  directory: string,
  { layers, architecture = "amd64", config = [] }: ImageRecipe,
): Promise<string> {
  const layout = join(directory, "layout");
  const image = `--image=${layout}:${TAG}`;
  await run(["umoci", "init", `--layout=${layout}`]);
  await run(["umoci", "new", image]);
  for (const [index, files] of layers.entries()) {
    const tree = join(directory, `layer-${index}`);
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(tree, path)), { recursive: true });
      await writeFile(join(tree, path), content);
    }
    const archive = `${tree}.tar`;
    await run([
      "tar",
      "--create",
      `--file=${archive}`,
      `--directory=${tree}`,
      "--numeric-owner",
      "--owner=0",
      "--group=0",
      ".",
    ]);
    await run(["umoci", "raw", "add-layer", image, archive]);
  }
  await run(["umoci", "config", image, `--architecture=${architecture}`, "--os=linux", ...config]);
  return layout;
}

/** Container images of real tools, each run by an agent: umoci, buildah, podman and skopeo in all their formats. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { imageCorpus } from "../../tools/images/corpus";
import { eventTexts, lastExit, runJob, untilDead } from "../nomad/harness/jobs";
import { type Nomad, startNomad } from "../nomad/harness/nomad";
import { jobFile } from "../nomad/job-file";

const store = `/var/tmp/corpus-${process.pid}`;
const ROOT = "ran as 0 in /\n";
const APP = "ran as 1000 in /home/app\n";
const BUILT = "ran as 4711 in /opt/app\n";
let nomad: Nomad;
let corpus: string;
beforeAll(async () => {
  corpus = await imageCorpus();
  nomad = await startNomad({ pluginConfig: { image_store: store } });
}, 400_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(store, { recursive: true, force: true });
}, 180_000);

/** Images by their names in a job; DIR is the directory of the corpus. */
const images: readonly (readonly [image: string, output: string])[] = [
  ["oci:DIR/umoci:base", ROOT],
  ["oci:DIR/umoci:user", APP],
  ["oci:DIR/umoci:whiteout", ROOT],
  ["oci:DIR/umoci:opaque", ROOT],
  ["oci:DIR/umoci:layer", ROOT],
  ["oci:DIR/umoci:repacked", "ran as 1000 in /\n"],
  ["oci:DIR/buildah:base", ROOT],
  ["oci:DIR/buildah:docker-base", ROOT],
  ["oci:DIR/buildah:squashed", ROOT],
  ["oci:DIR/buildah:timestamp", ROOT],
  ["oci:DIR/buildah:changed", "ran as 1000 in /srv/data\n"],
  ["oci:DIR/buildah:built", BUILT],
  ["oci:DIR/buildah:zstd", ROOT],
  ["oci:DIR/buildah:zstd-chunked", ROOT],
  ["oci:DIR/buildah:uncompressed", ROOT],
  ["oci:DIR/buildah-many:many", ROOT],
  ["oci:DIR/podman-dir", BUILT],
  ["oci-archive:DIR/buildah-oci.tar:built", BUILT],
  ["docker-archive:DIR/buildah-docker.tar:built:1", BUILT],
  ["docker-archive:DIR/bzip2-buildah-docker.tar.bz2", BUILT],
  ["oci-archive:DIR/podman-oci.tar", BUILT],
  ["oci-archive:DIR/zstd-podman-oci.tar.zst", BUILT],
  ["docker-archive:DIR/podman-docker.tar", BUILT],
  ["docker-archive:DIR/podman-docker.tar.gz", BUILT],
  ["docker-archive:DIR/podman-two.tar:localhost/podman-built:latest", BUILT],
  ["docker-archive:DIR/podman-two.tar:localhost/base:latest", ROOT],
  ["oci-archive:DIR/podman-imported.tar", ROOT],
  ["docker-archive:DIR/skopeo-docker.tar", ROOT],
  ["oci-archive:DIR/skopeo-oci.tar:base", ROOT],
  ["oci-archive:DIR/xz-skopeo-oci.tar.xz:base", ROOT],
  ["docker-archive:DIR/skopeo-v2s2.tar:user:1", APP],
  ["oci-archive:DIR/skopeo-many.tar:many", ROOT],
];

/** What a batch job printed. */
async function printed(id: string, config: Readonly<Record<string, unknown>>): Promise<string> {
  const { allocId } = await runJob(
    nomad.api,
    jobFile({ id, config, task: "resources {\n cpu = 20\n memory = 64\n }" }),
  );
  const state = await untilDead(nomad.api, allocId, "main", 120_000);
  if (lastExit(state).ExitCode === 0) return nomad.api.logs(allocId, "main");
  throw new Error(`${eventTexts(state).join("\n")}\n${await nomad.api.logs(allocId, "main", "stderr")}`);
}

test("container images in every format of umoci, buildah, podman and skopeo", async () => {
  const outputs = await Promise.all(
    images.map(async ([image], index) => {
      const config = { image: image.replace("DIR", corpus), network_veth: false };
      return [image, await printed(`corpus-${index}`, config).catch((error: unknown) => String(error))];
    }),
  );
  expect(Object.fromEntries(outputs)).toEqual(Object.fromEntries(images));
}, 600_000);

/** Containers inside a container: podman of Debian in a task with user namespaces. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { imageCorpus } from "../../tools/images/corpus";
import { podmanImage } from "../../tools/images/podman";
import { eventTexts, lastExit, runJob, untilDead } from "../nomad/harness/jobs";
import { type Nomad, startNomad } from "../nomad/harness/nomad";

const directory = resolve(import.meta.dir, "../../examples");
const job = (name: string) => readFile(join(directory, name), "utf8");

let nomad: Nomad;
beforeAll(async () => {
  nomad = await startNomad();
}, 180_000);
afterAll(() => nomad[Symbol.asyncDispose](), 120_000);

test("podman.hcl runs an image with podman, whose root is not the client's", async () => {
  const variables = {
    image: await podmanImage(),
    images: await imageCorpus(),
    inner: "oci-archive:/images/podman-oci.tar",
  };
  const { allocId } = await runJob(nomad.api, await job("podman.hcl"), variables);
  const state = await untilDead(nomad.api, allocId, "podman", 120_000);
  const stderr = await nomad.api.logs(allocId, "podman", "stderr");
  expect({ events: eventTexts(state), stderr, ...lastExit(state) }).toMatchObject({ ExitCode: 0, Signal: 0 });
  expect(await nomad.api.logs(allocId, "podman")).toBe("ran as 4711 in /opt/app\n");
}, 180_000);

/** Options with the names and meanings that jobs of Nomad's Docker driver use. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { busyboxImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";
import { lastExit, runJob, untilDead } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile } from "./job-file";

let nomad: Nomad;
let directory: string;
let image: string;
beforeAll(async () => {
  nomad = await startNomad();
  directory = await mkdtemp("/var/tmp/docker-options-");
  const config = { Entrypoint: ["/bin/echo", "from the image:"], Cmd: ["nothing"] };
  image = await writeImage(
    join(directory, "layout"),
    "1",
    [{ archive: await archiveOf(await busyboxImage()) }],
    config,
  );
}, 180_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
}, 120_000);

/** The output of a job with these options, at its end. */
async function output(id: string, config: Readonly<Record<string, unknown>>): Promise<string> {
  const { allocId } = await runJob(nomad.api, jobFile({ id, config: { image, network_veth: false, ...config } }));
  const state = await untilDead(nomad.api, allocId, "main");
  expect(await nomad.api.logs(allocId, "main", "stderr")).toBe("");
  expect(lastExit(state)).toMatchObject({ ExitCode: 0, Signal: 0 });
  return nomad.api.logs(allocId, "main");
}

test.each([
  ["args-alone", { args: ["a b", "$HOME"] }, "from the image: a b $HOME\n"],
  ["command-string", { command: "/bin/echo", args: ["c"] }, "c\n"],
  ["command-list", { command: ["/bin/echo", "c"], args: ["d"] }, "c d\n"],
  ["entrypoint-string", { entrypoint: "/bin/echo", command: "e", args: ["f"] }, "e f\n"],
  ["entrypoint-list", { entrypoint: ["/bin/echo", "g"] }, "g\n"],
])("%s", async (id, config, expected) => expect(await output(id, config)).toBe(expected), 60_000);

test("network = none has loopback only", async () => {
  const script = "ls /sys/class/net; ping -c 1 -w 5 127.0.0.1 > /dev/null && echo up; cat /etc/resolv.conf | wc -l";
  const config = { network_veth: true, network: "none", command: ["/bin/sh", "-c", script] };
  expect((await output("network-none", config)).split("\n").slice(0, 2)).toEqual(["lo", "up"]);
}, 60_000);

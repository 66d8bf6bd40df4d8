/** Systems of debootstrap, mkosi and mmdebstrap, each run by an agent: directories, disk images, archives, and mkosi's container image. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { systemTrees } from "../../tools/images/trees";
import { eventTexts, runJob, untilDead } from "../nomad/harness/jobs";
import { type Nomad, startNomad } from "../nomad/harness/nomad";
import { jobFile } from "../nomad/job-file";

const store = `/var/tmp/trees-${process.pid}`;
/** Names of downloaded images. */
const names = { mkosi: `mkosi-${process.pid}`, mmdebstrap: `mmdebstrap-${process.pid}` };
let nomad: Nomad;
let trees: string;
beforeAll(async () => {
  trees = await systemTrees();
  nomad = await startNomad({ pluginConfig: { image_store: store } });
}, 180_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(store, { recursive: true, force: true });
  for (const name of Object.values(names)) await rm(`/var/lib/machines/${name}`, { recursive: true, force: true });
}, 180_000);

/** What a batch job printed. @throws Error with its events if it failed */
async function printed(id: string, config: Readonly<Record<string, unknown>>, archive?: string): Promise<string> {
  const text = jobFile({ id, config: { network_veth: false, ...config }, task: "resources {\n memory = 128\n }" });
  const block = `config {\nimage_download {\nurl = "${trees}/${archive}"\ntype = "tar"\n}`;
  const job = archive === undefined ? text : text.replace("config {", block);
  const { allocId } = await runJob(nomad.api, job);
  const state = await untilDead(nomad.api, allocId, "main", 120_000);
  const events = eventTexts(state).join("\n");
  if (!events.includes("Terminated: Exit Code: 0")) throw new Error(events);
  return await nomad.api.logs(allocId, "main");
}

const shared = { boot: false, command: ["/usr/bin/busybox", "echo", "runs"] };

test.each<readonly [name: string, config: Readonly<Record<string, unknown>>]>([
  ["a directory of debootstrap", { image: "DIR/debootstrap", volatile: "overlay" }],
  ["a directory of mkosi, read-only,", { image: "DIR/mkosi", read_only: true }],
  ["mmdebstrap's disk image with ext4", { image: "DIR/mmdebstrap.ext4", volatile: "overlay" }],
  ["mmdebstrap's disk image with squashfs", { image: "DIR/mmdebstrap.squashfs", volatile: "overlay" }],
])(
  "%s runs a program",
  async (name, config) => {
    const image = String(config["image"]).replace("DIR", trees);
    expect(await printed(name.replaceAll(/\W+/g, "-"), { ...shared, ...config, image })).toBe("runs\n");
  },
  150_000,
);

test("mmdebstrap's archive runs a program", async () => {
  expect(await printed("archive", { ...shared, image: names.mmdebstrap }, "mmdebstrap.tar")).toBe("runs\n");
}, 150_000);

// Its disk image has partitions, whose nodes do not appear in a test host: test/vm/mkosi-disk.test.ts.
test("mkosi's directory, archive and container image boot, and power themselves off", async () => {
  const outputs = await Promise.all([
    printed("mkosi-directory", { image: `${trees}/mkosi`, boot: true, volatile: "overlay" }),
    printed("mkosi-tar", { image: names.mkosi, boot: true, ephemeral: true }, "mkosi-tar.tar.zst"),
    printed("mkosi-oci", { image: `oci:${trees}/mkosi-oci`, boot: true }),
  ]);
  // The console: such a short life may end before its journal is read.
  const booted = outputs.map((text) => /Finished .*says\.service/.exec(text) !== null || text);
  expect(booted).toEqual([true, true, true]);
}, 300_000);

test("mkosi's container image has a command of its own: /sbin/init, which ends with exit code 0", async () => {
  // Without boot = true there is no console, so systemd says nothing.
  expect(await printed("mkosi-init", { image: `oci:${trees}/mkosi-oci` })).toBe("");
}, 150_000);

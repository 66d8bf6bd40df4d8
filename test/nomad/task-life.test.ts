/** A task's surroundings, as jobs of other drivers expect them: names, variables, /tmp, ports, machine IDs and the log of a system. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { busyboxImage, debianImage } from "../../tools/images/images";
import { archiveOf, writeImage } from "../support/oci-image";
import { allocExec } from "./harness/alloc-exec";
import { eventTexts, lastExit, runJob, untilDead, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { jobFile, shell } from "./job-file";

let nomad: Nomad;
let busybox: string;
let debian: string;
let scratch: string;
/** The busybox tree as a container image. */
let stored: string;
beforeAll(async () => {
  nomad = await startNomad();
  busybox = await busyboxImage();
  debian = await debianImage();
  scratch = await mkdtemp(join(tmpdir(), "task-life-"));
  await chmod(scratch, 0o755);
  const config = { Env: ["from.image=x"], Cmd: ["/bin/env"] };
  stored = await writeImage(join(scratch, "oci"), "1", [{ archive: await archiveOf(busybox) }], config);
}, 120_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
}, 120_000);

/** What a batch job printed. */
async function printed(id: string, config: Readonly<Record<string, unknown>>): Promise<string> {
  const { allocId } = await runJob(nomad.api, jobFile({ id, config }));
  const state = await untilDead(nomad.api, allocId, "main");
  const log = await nomad.api.logs(allocId, "main");
  if (lastExit(state).ExitCode !== 0) {
    throw new Error(`${eventTexts(state).join("\n")}\n${log}${await nomad.api.logs(allocId, "main", "stderr")}`);
  }
  return log;
}

const stores = (script: string, more = {}) => ({ image: stored, command: ["/bin/sh", "-c", script], ...more });

describe("a container image with default options", () => {
  test("finds localhost, its own name and those of extra_hosts", async () => {
    const find = 'for name in localhost "$(hostname)" db; do ping -c 1 -W 2 $name | head -n 1; done';
    const lines = (await printed("names", stores(find, { extra_hosts: ["db:127.0.0.9"] }))).split("\n");
    expect(lines[0]).toMatch(/^PING localhost \((?:127\.0\.0\.1|::1)\)/);
    expect(lines[1]).toMatch(/^PING main-\S+ \(10\.213\.\d+\.\d+\)/);
    expect(lines[2]).toMatch(/^PING db \(127\.0\.0\.9\)/);
  });

  test("has its /tmp on disk, and lets every user listen on every port", async () => {
    const script = "grep -c ' /tmp ' /proc/mounts; stat -c %a /tmp; cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    expect(await printed("tmp", stores(script))).toBe("0\n1777\n0\n");
  });

  test("keeps variables of any name: the image's and the job's", async () => {
    const environment = { "discovery.type": "single-node", LINES: "one\ntwo" };
    const lines = (await printed("variables", { image: stored, environment })).split("\n");
    for (const line of ["from.image=x", "discovery.type=single-node", "LINES=one", "two"])
      expect(lines).toContain(line);
  });
});

test('tmp = "tmpfs" and an overlay on a directory decide where /tmp is', async () => {
  const mounted = "grep ' /tmp ' /proc/mounts | cut -d ' ' -f 3";
  expect(await printed("tmp-overlay", shell(busybox, mounted))).toBe("");
  expect(await printed("tmp-tmpfs", shell(busybox, mounted, { tmp: "tmpfs" }))).toBe("tmpfs\n");
});

test("an ephemeral root takes writes, shares its image and leaves nothing", async () => {
  const write = "echo new > /etc/new && cat /etc/new && sleep 1";
  const config = shell(busybox, write, { volatile: "no", ephemeral: true });
  const both = await Promise.all(["one", "two"].map((id) => printed(`ephemeral-${id}`, config)));
  expect(both).toEqual(["new\n", "new\n"]);
  expect(existsSync(join(busybox, "etc/new"))).toBe(false);
  expect((await readdir(join(busybox, ".."))).filter((name) => name.startsWith(".#"))).toEqual([]);
});

test("init reaps what a script check's commands leave", async () => {
  const config = shell(busybox, "echo up; exec sleep 1000", { init: true });
  const { id, allocId } = await runJob(nomad.api, jobFile({ id: "init", config, type: "service" }));
  await untilRunning(nomad.api, allocId, "main");
  for (let round = 0; round < 3; round += 1) {
    await allocExec(nomad.api, allocId, "main", ["/bin/sh", "-c", "(sleep 0.1 &) ; true"]);
  }
  await Bun.sleep(500);
  const zombies = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
  expect(await allocExec(nomad.api, allocId, "main", ["/bin/sh", "-c", zombies])).toBe("0\n");
  await nomad.api.stopJob(id);
});

test("two systems of one image have machine IDs of their own, and logs without a prompt or escape sequences", async () => {
  const config = { image: debian, boot: true, network_veth: false, volatile: "overlay", notify_ready: true };
  const jobs = await Promise.all(
    ["one", "two"].map((name) => runJob(nomad.api, jobFile({ id: `system-${name}`, config, type: "service" }))),
  );
  const ids = new Set<string>();
  for (const { id, allocId } of jobs) {
    await untilRunning(nomad.api, allocId, "main", 60_000);
    const machineId = await allocExec(nomad.api, allocId, "main", ["cat", "/etc/machine-id"]);
    expect(machineId).toMatch(/^[0-9a-f]{32}\n$/);
    ids.add(machineId);
    const log = await nomad.api.logs(allocId, "main");
    expect(log).not.toContain("login:");
    expect(log).not.toContain("\u001b");
    await nomad.api.stopJob(id);
  }
  expect(ids.size).toBe(2);
}, 120_000);

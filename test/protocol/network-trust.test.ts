import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { findLeader } from "../../src/nspawn/processes";
import { run } from "../../tools/command";
import { addNeighbour, type Neighbour } from "../support/neighbour";
import type { PreparedTask } from "../support/task";
import { type Fixture, shell, useFixture } from "./fixture";

/** The host ignores everything that a container announces about its network. */

const forwarding = "/proc/sys/net/ipv6/conf/all/forwarding";
const advertiser = resolve(import.meta.dir, "../support/router-advertisement.ts");

let neighbour: Neighbour;
let forwardedBefore: string;
beforeAll(async () => {
  neighbour = await addNeighbour();
  // A host that gets its route from router advertisements does not forward, and accepts them on every link.
  forwardedBefore = await readFile(forwarding, "utf8");
  await writeFile(forwarding, "0");
  await run(["ip", "-6", "route", "add", "default", "via", "2001:db8::9", "dev", "neighbour", "proto", "ra"]);
});
let bench: Fixture;
useFixture((opened) => {
  bench = opened;
});
afterAll(async () => {
  await neighbour[Symbol.asyncDispose]();
  await writeFile(forwarding, forwardedBefore);
});

const families = {
  ipv4: ["accept_redirects", "accept_source_route"],
  ipv6: ["accept_ra", "autoconf", "accept_redirects", "accept_source_route"],
} as const;

async function settings(link: string): Promise<string[]> {
  const all = Object.entries(families).flatMap(([family, names]) =>
    names.map((name) => `${family}/conf/${link}/${name}`),
  );
  return Promise.all(all.map(async (name) => `${name} ${(await readFile(`/proc/sys/net/${name}`, "utf8")).trim()}`));
}

async function leaderOf(task: PreparedTask): Promise<number> {
  const { driver } = await bench.client().inspectTask(task.id);
  const leader = findLeader(Number(driver?.attributes["pid"]));
  if (leader === undefined) throw new Error("The container has no first process.");
  return leader.pid;
}

/** The host's end of a container's link. */
async function hostEnd(pid: number): Promise<string> {
  const inside = ["nsenter", "--net", `--target=${pid}`, "ip", "-o", "link", "show", "dev", "host0"];
  const index = /host0@if(\d+)/.exec((await run(inside)).stdout)?.[1];
  const { stdout } = await run(["ip", "-o", "link"]);
  return new RegExp(`^${index}: ([^@:]+)`, "m").exec(stdout)?.[1] ?? "";
}

const hostState = async () => ({
  addresses: (await run(["ip", "-6", "-o", "address"])).stdout,
  routes: (await run(["ip", "-6", "route"])).stdout,
});

describe.each([
  ["a link of its own", { network_veth: true }, false],
  ["a zone", { network_zone: "trust" }, false],
  ["a bridge of the operator's", { network_bridge: "br-trust" }, true],
] as const)("%s", (_name, config, bridge) => {
  beforeAll(async () => {
    if (bridge) await run(["ip", "link", "add", "br-trust", "type", "bridge"]);
  });
  afterAll(async () => {
    if (bridge) await run(["ip", "link", "delete", "br-trust"]);
  });

  test("accepts no router advertisement, redirect or source route", async () => {
    const task = await bench.task(shell(bench.busybox, "ip link set host0 up; echo up; sleep 1000", config));
    const handle = await bench.start(task);
    await task.stdout.waitFor("up\n");
    const pid = await leaderOf(task);
    const links = [await hostEnd(pid), ...("network_zone" in config ? ["vz-trust"] : [])];
    const distrusted = async () => {
      for (const link of links) {
        expect((await settings(link)).filter((setting) => !setting.endsWith(" 0"))).toEqual([]);
      }
    };
    await distrusted();
    await run(["nsenter", "--net", `--target=${pid}`, process.execPath, advertiser, "host0"]);
    const { addresses, routes } = await hostState();
    expect(addresses).not.toContain("2001:db8:bad:");
    expect(routes).not.toContain("bad");
    // Like the link of an older driver's container.
    for (const link of links) await writeFile(`/proc/sys/net/ipv6/conf/${link}/accept_ra`, "1");
    await bench.replacePlugin();
    await bench.client().recoverTask(handle);
    for (const deadline = performance.now() + 5_000; performance.now() < deadline; await Bun.sleep(20)) {
      if ((await Promise.all(links.map(settings))).flat().every((setting) => setting.endsWith(" 0"))) break;
    }
    await distrusted();
    await bench.client().destroyTask(task.id, true);
  });
});

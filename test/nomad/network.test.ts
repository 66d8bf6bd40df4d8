import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { attempt, run } from "../../tools/command";
import { busyboxImage, debianImage } from "../../tools/images/images";
import { addNeighbour, type Neighbour, ownAddresses } from "../support/neighbour";
import { allocExec } from "./harness/alloc-exec";
import type { Allocation } from "./harness/api";
import { killPlugin, restartAgent } from "./harness/disturbances";
import { eventTexts, type RunningJob, runJob, taskState, untilRunning } from "./harness/jobs";
import { type Nomad, startNomad } from "./harness/nomad";
import { publishedPort } from "./harness/pages";

const examples = resolve(import.meta.dir, "../../examples");

let neighbour: Neighbour;
let nomad: Nomad;
let images: string;
beforeAll(async () => {
  await run(["mkdir", "-p", "/usr/share/zoneinfo"]);
  neighbour = await addNeighbour();
  images = await mkdtemp("/var/tmp/network-images-");
  await writeFile(join(images, "test.conflist"), JSON.stringify(cniNetwork(images)));
  const client = {
    cni_config_dir: images,
    network_interface: "neighbour",
    cni_path: "/usr/lib/cni",
  };
  nomad = await startNomad({ client });
  for (const [name, image] of [
    ["busybox", await busyboxImage()],
    ["debian", await debianImage()],
  ] as const) {
    await run(["cp", "-a", "--reflink=auto", image, join(images, name)]);
  }
}, 180_000);
afterAll(async () => {
  await nomad[Symbol.asyncDispose]();
  await removeBridge();
  await rm(images, { recursive: true, force: true });
  await neighbour[Symbol.asyncDispose]();
}, 180_000);

/** A network of the operator, IPv4 and IPv6. */
const cniNetwork = (dataDir: string) => ({
  cniVersion: "0.4.0",
  name: "test",
  plugins: [
    { type: "loopback" },
    {
      type: "bridge",
      bridge: "cni-test",
      isGateway: true,
      ipam: { type: "host-local", dataDir, ranges: [[{ subnet: "198.51.100.0/24" }], [{ subnet: "fd98::/64" }]] },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
});

/** The agent keeps its bridge, and the chains of its CNI plugins, for the next job. */
async function removeBridge(): Promise<void> {
  for (const bridge of ["nomad", "cni-test"]) await attempt(["ip", "link", "delete", bridge]);
  for (const family of ["ip", "ip6"]) {
    for (const table of ["nat", "filter", "mangle"]) await attempt(["nft", "delete", "table", family, table]);
  }
}

const job = (name: string) => readFile(join(examples, name), "utf8");
const started = async (hcl: Promise<string>, image: string): Promise<RunningJob> =>
  runJob(nomad.api, await hcl, { image: join(images, image) });

/** A server starts to listen shortly after its task runs. */
async function page(run: (argv: readonly string[]) => Promise<{ stdout: string }>, url: string): Promise<string> {
  for (const deadline = performance.now() + 20_000; ; await Bun.sleep(100)) {
    const { stdout } = await run(["timeout", "3", "busybox", "wget", "-q", "-O", "-", url]);
    if (stdout !== "" || performance.now() > deadline) return stdout;
  }
}
const here = (argv: readonly string[]) => attempt(argv);
const there = (argv: readonly string[]) => neighbour.run(argv);

async function address(allocId: string, task: string): Promise<string> {
  const text = await allocExec(nomad.api, allocId, task, ["ip", "-o", "-4", "address", "show", "dev", "host0"]);
  return /inet ([\d.]+)/.exec(text)?.[1] ?? "";
}

const disturbances: readonly (readonly [string, () => Promise<unknown>])[] = [
  ["at first", async () => {}],
  ["after a kill -9 of the plugin", () => killPlugin(nomad)],
  ["after a restart of the agent", () => restartAgent(nomad, "SIGINT")],
];

/** The page of a group's port "http", by the client's address, and the service of that port. */
async function expectReached(allocId: string, service: string, textOf: (port: number) => string): Promise<void> {
  const port = await publishedPort(nomad.api, allocId);
  for (const from of [there, here]) {
    expect(await page(from, `http://${ownAddresses[4]}:${port}/`)).toBe(textOf(port));
  }
  const [found] = await nomad.api.services(service, (all) => all.length === 1);
  expect(found).toMatchObject({ Address: ownAddresses[4], Port: port });
}

describe("ports.hcl", () => {
  let running: RunningJob;
  beforeAll(async () => {
    running = await started(job("ports.hcl"), "busybox");
    await untilRunning(nomad.api, running.allocId, "httpd", 60_000);
  }, 60_000);
  afterAll(() => nomad.api.stopJob(running.id));

  const flushed = ["after all rules of the client were flushed", () => run(["nft", "flush", "ruleset"])] as const;
  test.each([...disturbances, flushed])(
    "is reached from everywhere %s",
    async (_, disturb) => {
      await disturb();
      const textOf = (port: number) => `Behind port ${port} of the client.\n`;
      await expectReached(running.allocId, "web", textOf);
      const port = await publishedPort(nomad.api, running.allocId);
      for (const loopback of ["127.0.0.1", "[::1]"]) {
        expect(await page(here, `http://${loopback}:${port}/`)).toBe(textOf(port));
      }
      const [direct] = await nomad.api.services("web-container", (found) => found.length === 1);
      expect(direct?.Address).toMatch(/^10\.213\./);
      expect(direct?.Port).toBe(80);
      expect(await page(here, `http://${direct?.Address}:80/`)).toBe(textOf(port));
    },
    120_000,
  );
});

describe("bridge-mode.hcl", () => {
  let running: RunningJob;
  beforeAll(async () => {
    running = await started(job("bridge-mode.hcl"), "busybox");
    for (const task of ["httpd", "sidecar"]) await untilRunning(nomad.api, running.allocId, task, 60_000);
  }, 60_000);
  afterAll(() => nomad.api.stopJob(running.id));

  test.each(disturbances)(
    "is reached from everywhere %s",
    async (_, disturb) => {
      await disturb();
      const text = "Shared by all tasks of the group.\n";
      await expectReached(running.allocId, "bridge-mode", () => text);
      expect(await nomad.api.logsUntil(running.allocId, "sidecar", text)).toContain(text);
      const inside = await allocExec(nomad.api, running.allocId, "sidecar", [
        "wget",
        "-q",
        "-O",
        "-",
        "http://localhost/",
      ]);
      expect(inside).toContain(text);
    },
    120_000,
  );

  test("keeps its user namespace and its names", async () => {
    expect(await allocExec(nomad.api, running.allocId, "httpd", ["cat", "/proc/self/uid_map"])).toMatch(
      /^\s+0\s+[1-9]\d*\s+65536\n/,
    );
    const hosts = await allocExec(nomad.api, running.allocId, "httpd", ["cat", "/etc/hosts"]);
    const name = (await allocExec(nomad.api, running.allocId, "httpd", ["hostname"])).trim();
    expect(hosts).toMatch(new RegExp(`^172\\.26\\.\\S+ ${name}$`, "m"));
  });
});

test("a network of CNI, with both families", async () => {
  const hcl = (await job("bridge-mode.hcl"))
    .replace('mode = "bridge"', 'mode = "cni/test"')
    .replaceAll("bridge-mode", "cni");
  const running = await started(Promise.resolve(hcl), "busybox");
  await untilRunning(nomad.api, running.allocId, "httpd", 60_000);
  const hosts = await allocExec(nomad.api, running.allocId, "httpd", ["cat", "/etc/hosts"]);
  const own = [/^198\.51\.100\.\d+/m.exec(hosts)?.[0], /^fd98::\S+/m.exec(hosts)?.[0]];
  for (const url of [`http://${own[0]}/`, `http://[${own[1]}]/`]) {
    expect(await page(here, url)).toBe("Shared by all tasks of the group.\n");
  }
  await nomad.api.stopJob(running.id);
}, 120_000);

test("mesh-pair.hcl: a service reaches the other through both sidecars", async () => {
  const { id } = await started(job("mesh-pair.hcl"), "busybox");
  const known = (found: readonly Allocation[]) => found.length === 2 && found.every(({ TaskStates }) => TaskStates);
  const placed = await nomad.api.allocations(id, known, 60_000);
  const allocId = placed.find((each) => taskState(each, "reader"))?.ID ?? "";
  await untilRunning(nomad.api, allocId, "reader", 60_000);
  await nomad.api.logsUntil(allocId, "reader", "From one sidecar to the other.\n", "stdout", 60_000);
  await nomad.api.stopJob(id);
}, 180_000);

// On macvlan containers run in the virtual machine (test/vm/lan.test.ts): the kernel of a test host may have none.
test("lan.hcl has its address on the operator's bridge", async () => {
  await using _bridge = await lanBridge("198.51.101.1/24");
  const variables = { network: "bridge:br-lan", address: "198.51.101.20/24", image: join(images, "busybox") };
  const { id, allocId } = await runJob(nomad.api, await job("lan.hcl"), variables);
  await untilRunning(nomad.api, allocId, "httpd", 60_000);
  expect(await page(here, "http://198.51.101.20/")).toBe("From an address of the network.\n");
  await nomad.api.stopJob(id);
  await nomad.api.allocations(id, (all) => all.every(({ ClientStatus }) => ClientStatus !== "running"), 30_000);
}, 120_000);

/** A bridge as an operator makes it. */
async function lanBridge(address: string): Promise<AsyncDisposable> {
  await run(["ip", "link", "add", "br-lan", "type", "bridge"]);
  await run(["ip", "address", "add", address, "dev", "br-lan"]);
  await run(["ip", "link", "set", "br-lan", "up"]);
  return { [Symbol.asyncDispose]: async () => void (await attempt(["ip", "link", "delete", "br-lan"])) };
}

test("network-zone.hcl runs two booted containers that reach each other", async () => {
  const running = await started(job("network-zone.hcl"), "debian");
  for (const task of ["one", "two"]) {
    await untilRunning(nomad.api, running.allocId, task, 60_000);
    await nomad.api.logsUntil(running.allocId, task, "Multi-User", "stdout", 60_000);
  }
  const [one, two] = [await address(running.allocId, "one"), await address(running.allocId, "two")];
  expect(one).toMatch(/^10\.213\./);
  expect(one).not.toBe(two);
  const neighbours = `echo > /dev/tcp/${two}/9 2>&1 || :; ip neigh show ${two}`;
  expect(await allocExec(nomad.api, running.allocId, "one", ["bash", "-c", neighbours])).toMatch(
    /lladdr .*(REACHABLE|DELAY|STALE)/,
  );
  await nomad.api.stopJob(running.id);
}, 180_000);

test("a job whose network assigns no address runs, and a task event says so", async () => {
  await run(["ip", "link", "add", "br-mute", "type", "bridge"]);
  await run(["ip", "link", "set", "br-mute", "up"]);
  try {
    const hcl = `
job "mute" {
  group "g" {
    task "main" {
      driver = "nspawn"
      config {
        image = "${join(images, "busybox")}"
        ephemeral = true
        boot = false
        network_bridge = "br-mute"
        command = ["sleep", "1000"]
      }
    }
  }
}`;
    const mute = await runJob(nomad.api, hcl);
    await untilRunning(nomad.api, mute.allocId, "main", 60_000);
    const found = await nomad.api.allocation(
      mute.allocId,
      (each) =>
        eventTexts(taskState(each, "main") ?? { State: "pending", Failed: false, Restarts: 0, Events: [] })
          .join()
          .includes("no address"),
      30_000,
    );
    expect(found.ClientStatus).toBe("running");
    await nomad.api.stopJob(mute.id);
    await nomad.api.allocations(mute.id, (all) => all.every(({ ClientStatus }) => ClientStatus !== "running"), 30_000);
  } finally {
    await attempt(["ip", "link", "delete", "br-mute"]);
  }
}, 120_000);

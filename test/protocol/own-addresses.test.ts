/** Addresses that a job chooses, and interfaces of the client in a container. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { becomesTrue } from "../../src/lib/deadline";
import { attempt, run } from "../../tools/command";
import { debianImage } from "../../tools/images/images";
import { startExec } from "../support/exec";
import { type Fixture, shell, useFixture } from "./fixture";
import { inside, sentence } from "./inside";

const BRIDGE = "own-bridge";
beforeAll(async () => {
  await run(["ip", "link", "add", "name", BRIDGE, "type", "bridge"]);
  await run(["ip", "address", "add", "198.18.0.1/24", "dev", BRIDGE]);
  await run(["ip", "address", "add", "2001:db8:18::1/64", "dev", BRIDGE, "nodad"]);
  await run(["ip", "link", "set", BRIDGE, "up"]);
});

let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { network: [{ interfaces: ["own-*"] }] },
);

afterAll(async () => {
  await attempt(["ip", "link", "delete", BRIDGE]);
});

/** Whether the kernel has macvlan; that of another test host may not. */
async function canMacvlan(): Promise<boolean> {
  const made = await attempt([
    ...["ip", "link", "add", "name", "own-probe", "type", "veth", "peer", "name", "own-probed"],
  ]);
  const macvlan = await attempt(["ip", "link", "add", "name", "own-mac", "link", "own-probe", "type", "macvlan"]);
  await attempt(["ip", "link", "delete", "own-probe"]);
  return made.code === 0 && macvlan.code === 0;
}
const hasMacvlan = await canMacvlan();

/** busybox's DHCP server, with ten addresses of 198.18.3.0/24. */
async function startDhcpServer(link: string) {
  const directory = await mkdtemp(join(tmpdir(), "dhcp-"));
  const lines = ["start 198.18.3.20", "end 198.18.3.29", `interface ${link}`, "option subnet 255.255.255.0"];
  const files = [`lease_file ${directory}/leases`, `pidfile ${directory}/pid`, "option router 198.18.3.1"];
  await writeFile(join(directory, "conf"), `${[...lines, ...files].join("\n")}\n`);
  await writeFile(join(directory, "leases"), "");
  const server = Bun.spawn(["busybox", "udhcpd", "-f", join(directory, "conf")], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return {
    get exitCode() {
      return server.exitCode;
    },
    async [Symbol.asyncDispose]() {
      server.kill("SIGKILL");
      await server.exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const BOOT_MS = 60_000;
const SHOW =
  "ip -o address show scope global | awk '{print $2, $4}' | sort; ip route | grep -o 'default via [0-9.]*'; cat /sys/class/net/host0/address";
/** An argument of systemd, as of the kernel (kernel-command-line(7)); and until it has configured the one link besides lo. */
const WITH_NETWORKD = ["systemd.wants=systemd-networkd.service"];
const CONFIGURED = "until grep -qs ^ADMIN_STATE=configured /run/systemd/netif/links/*; do sleep 0.1; done";
const behindBridge = {
  network_veth: true,
  network_bridge: BRIDGE,
  ipv4_address: "198.18.0.9/24",
  ipv4_gateway: "198.18.0.1",
  ipv6_address: "2001:db8:18::9/64",
  mac_address: "02:00:5E:10:00:01",
};
const SHOWN = "host0 198.18.0.9/24\nhost0 2001:db8:18::9/64\ndefault via 198.18.0.1\n02:00:5e:10:00:01\n";

describe("behind a bridge", () => {
  test("a command has its addresses from the first moment, also as another user", async () => {
    expect(await inside(bench, SHOW, behindBridge)).toBe(SHOWN);
    expect(await inside(bench, SHOW, { ...behindBridge, user: "1000" })).toBe(SHOWN);
  });

  test("the address is the task's for Nomad, in /etc/hosts, and reached", async () => {
    const task = await bench.task(
      shell(bench.busybox, "cat /etc/hosts; sleep 1000", { ...behindBridge, hostname: "own", domainname: "test" }),
    );
    await bench.start(task);
    const { networkOverride } = await bench.client().inspectTask(task.id);
    expect(networkOverride).toMatchObject({ addr: "198.18.0.9", autoAdvertise: true });
    expect((await attempt(["busybox", "ping", "-c", "1", "-W", "5", "198.18.0.9"])).stdout).toContain(
      "1 packets received",
    );
    await task.stdout.waitFor("198.18.0.9 own.test own\n2001:db8:18::9 own.test own\n");
    await bench.client().destroyTask(task.id, true);
  });

  test("a booted system keeps to it, also after a reboot", async () => {
    const config = { image: await debianImage(), volatile: "overlay", command: WITH_NETWORKD, ...behindBridge };
    const task = await bench.started({ config });
    const shown = async () => {
      const running = await startExec(bench.client(), task.id, ["/bin/sh", "-c", `${CONFIGURED}; ${SHOW}`]);
      return (await running.ended).stdout;
    };
    await task.stdout.waitFor("Multi-User", BOOT_MS);
    expect(await shown()).toBe(SHOWN);
    await bench.client().signalTask(task.id, "SIGRTMIN+5");
    await task.stdout.waitFor(/Multi-User[\s\S]*Reached target[^\n]*Multi-User/, BOOT_MS);
    expect(await shown()).toBe(SHOWN);
  }, 150_000);
});

test("in a zone containers have the addresses that they ask for, and no two the same", async () => {
  const zone = { network_veth: true, network_zone: "own" };
  const first = await bench.started(shell(bench.busybox, "sleep 1000", { ...zone, ipv4_address: "198.18.7.7/24" }));
  const script =
    "until ip route | grep -q default; do sleep 0.05; done; ip -o -4 address show dev host0; ping -c 1 -W 5 198.18.7.7";
  const second = await inside(bench, script, { ...zone, ipv4_address: "198.18.7.8/24" });
  expect(second).toContain("198.18.7.8/24");
  expect(second).toContain("1 packets received");
  const same = await bench.task(shell(bench.busybox, "true", { ...zone, ipv4_address: "198.18.7.7/24" }));
  expect(await sentence(bench.start(same))).toContain("is the address of another container of the zone");
  await bench.client().destroyTask(first.id, true);
}, 60_000);

describe("interfaces of the client", () => {
  test("a container gets one for itself", async () => {
    await run(["ip", "link", "add", "own-moved", "type", "veth", "peer", "name", "own-peer"]);
    await run(["ip", "address", "add", "198.18.2.1/24", "dev", "own-peer"]);
    await run(["ip", "link", "set", "own-peer", "up"]);
    const more = {
      network: "none",
      network_veth: true,
      network_interface: ["own-moved"],
      ipv4_address: "198.18.2.9/24",
    };
    try {
      const script = "ls /sys/class/net; ping -c 1 -W 5 198.18.2.1";
      expect(await inside(bench, script, more)).toMatch(/^lo\nown-moved\n[\s\S]*1 packets received/);
    } finally {
      await attempt(["ip", "link", "delete", "own-peer"]);
    }
  });

  test.skipIf(!hasMacvlan)(
    "a command on macvlan without an address gets one by DHCP, which a restarted plugin keeps",
    async () => {
      await run(["ip", "link", "add", "own-moved", "type", "veth", "peer", "name", "own-peer"]);
      await run(["ip", "address", "add", "198.18.3.1/24", "dev", "own-peer"]);
      for (const link of ["own-peer", "own-moved"]) await run(["ip", "link", "set", link, "up"]);
      await using server = await startDhcpServer("own-peer");
      const script = `until ip route | grep -q default; do sleep 0.05; done; ip -o -4 address show dev mv-own-moved; ip route; sleep 1000`;
      const config = { network: "macvlan:own-moved", network_veth: true };
      const task = await bench.task(shell(bench.busybox, script, config));
      try {
        const handle = await bench.start(task);
        await task.stdout.waitFor(/198\.18\.3\.\d+\/24[\s\S]*default via 198\.18\.3\.1/);
        const address = async () => (await bench.client().inspectTask(task.id)).networkOverride?.addr;
        const first = await address();
        expect(first).toMatch(/^198\.18\.3\.2\d$/);
        await bench.replacePlugin();
        await bench.client().recoverTask(handle);
        const kept = async () => (await address()) === first;
        expect(await becomesTrue(kept, { firstMs: 5, longestMs: 50, timeoutMs: 20_000 })).toBe(true);
        expect(server.exitCode).toBeNull();
      } finally {
        await bench.client().destroyTask(task.id, true);
        await attempt(["ip", "link", "delete", "own-peer"]);
      }
    },
  );

  test("systemd-networkd in a booted system keeps to the job's address", async () => {
    await run(["ip", "link", "add", "own-moved", "type", "veth", "peer", "name", "own-peer"]);
    await run(["ip", "link", "set", "own-peer", "up"]);
    const address = { ipv4_address: "198.18.2.9/24", ipv4_gateway: "198.18.2.1" };
    const more = { network: "none", network_veth: true, network_interface: ["own-moved"], ...address };
    const task = await bench.started({
      config: { image: await debianImage(), volatile: "overlay", command: WITH_NETWORKD, ...more },
    });
    await task.stdout.waitFor("Multi-User", BOOT_MS);
    const script = `${CONFIGURED}; cat /run/systemd/netif/links/*; ip -o -4 address show dev own-moved; ip route`;
    const { stdout } = await (await startExec(bench.client(), task.id, ["/bin/sh", "-c", script])).ended;
    expect(stdout).toContain("NETWORK_FILE=/run/systemd/network/10-nomad.network");
    expect(stdout).toContain("198.18.2.9/24");
    expect(stdout).toContain("default via 198.18.2.1");
    await bench.client().destroyTask(task.id, true);
    await attempt(["ip", "link", "delete", "own-peer"]);
  }, 120_000);

  test.each([
    [{ network: "macvlan:own-none" }, "names a network interface that this client does not have"],
    [{ network: "none", network_interface: ["own-none"] }, "names a network interface that this client does not have"],
    [{ network: "ipvlan:lo" }, 'network.interfaces of the plugin\'s config allows "own-*"'],
  ])("%j is refused", async (more, expected) => {
    const task = await bench.task(shell(bench.busybox, "true", { network_veth: true, ...more }));
    expect(await sentence(bench.start(task))).toContain(expected);
  });
});

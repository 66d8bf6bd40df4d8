/** Interfaces on a network of the client's: the kernel of a test host may have neither macvlan nor ipvlan. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { attempt, run } from "../../tools/command";
import { type Fixture, shell, useFixture } from "../protocol/fixture";
import { inside } from "../protocol/inside";

const PARENTS = ["lan-a", "lan-b", "lan-c"] as const;
beforeAll(async () => {
  for (const name of PARENTS) {
    await run(["ip", "link", "add", "name", name, "type", "dummy"]);
    await run(["ip", "link", "set", name, "up"]);
  }
});
let bench: Fixture;
useFixture(
  (opened) => {
    bench = opened;
  },
  { network: [{ interfaces: ["lan-*"] }] },
);
afterAll(async () => {
  for (const name of PARENTS) await attempt(["ip", "link", "delete", name]);
});

const network_veth = true;

test.each([
  ["macvlan", "mv-lan-a", { mac_address: "02:00:00:00:00:07" }],
  ["ipvlan", "iv-lan-b", {}],
])(
  "containers on %s of one interface reach each other",
  async (kind, name, more) => {
    const parent = kind === "macvlan" ? "lan-a" : "lan-b";
    const network = `${kind}:${parent}`;
    const first = { network, network_veth, ipv4_address: "198.18.40.1/24" };
    const task = await bench.task(shell(bench.busybox, "sleep 1000", first));
    await bench.start(task);
    expect((await bench.client().inspectTask(task.id)).task?.state).toBeDefined();
    const script = `ls /sys/class/net; cat /sys/class/net/${name}/address; ip -o -4 address show dev ${name}; ping -c 1 -W 20 198.18.40.1`;
    const second = await inside(bench, script, { network, network_veth, ipv4_address: "198.18.40.2/24", ...more });
    expect(second).toStartWith(name < "lo" ? `${name}\nlo\n` : `lo\n${name}\n`);
    expect(second).toContain("198.18.40.2/24");
    expect(second).toContain("1 packets received");
    if (kind === "macvlan") expect(second).toContain("\n02:00:00:00:00:07\n");
    await bench.client().destroyTask(task.id, true);
  },
  300_000,
);

test("an interface moves into the container", async () => {
  const more = { network: "none", network_veth, network_interface: ["lan-c"], ipv6_address: "2001:db8:40::9/64" };
  expect(await inside(bench, "ip -o -6 address show dev lan-c scope global", more)).toContain("2001:db8:40::9/64");
}, 300_000);

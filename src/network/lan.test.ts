import { expect, test } from "bun:test";
import { lanNetwork } from "./lan";
import type { LanNetwork } from "./network";

const plan = (more: Partial<LanNetwork> = {}): LanNetwork => ({
  kind: "lan",
  via: "macvlan",
  interfaces: ["eth0"],
  ...more,
});
const warn = () => {};
const own = { addresses: ["192.0.2.9/24", "2001:db8::9/64"], gateways: ["192.0.2.1"], mac: "02:00:00:00:00:01" };

test("a booted system's networkd asks for an address, or keeps to that of the job", async () => {
  const job = { boot: true, resolvers: "nameserver 192.0.2.53\n", warn };
  const asks = await lanNetwork.reserve("web", plan({ via: "ipvlan" }), job);
  expect(asks).toMatchObject({
    addresses: [],
    warnings: [],
    networkd: {
      path: "/run/systemd/network/10-nomad.network",
      text: "[Match]\nName=iv-*\n\n[Network]\nDHCP=yes\nDNS=192.0.2.53\n",
    },
  });
  const keeps = await lanNetwork.reserve("web", plan({ own }), job);
  expect(keeps.addresses).toEqual(["192.0.2.9", "2001:db8::9"]);
  expect(keeps.networkd?.text).toBe(
    "[Match]\nName=mv-*\n\n[Link]\nMACAddress=02:00:00:00:00:01\n\n[Network]\nDHCP=no\nAddress=192.0.2.9/24\nAddress=2001:db8::9/64\nGateway=192.0.2.1\nDNS=192.0.2.53\n",
  );
});

test("a command without an address is reported where none is requested", async () => {
  const job = { boot: false, resolvers: undefined, warn };
  const { warnings, networkd } = await lanNetwork.reserve("web", plan({ via: "interface" }), job);
  expect(warnings).toEqual([
    "The container has no address on its interface eth0 unless its program assigns one: set ipv4_address or ipv6_address.",
  ]);
  expect((await lanNetwork.reserve("web", plan({ via: "ipvlan" }), job)).warnings).toEqual([
    "The container has no address on its ipvlan interface unless its program assigns one: set ipv4_address or ipv6_address.",
  ]);
  expect(networkd).toBeUndefined();
  for (const other of [plan({ own }), plan()])
    expect((await lanNetwork.reserve("web", other, job)).warnings).toEqual([]);
});

import { expect, test } from "bun:test";
import { type Addressing, addressing, fixedAddresses, type LinkSituation } from "./address-assignment";
import type { NetworkRecord } from "./records";

const record: NetworkRecord = { machine: "web", link: "veth", ports: [], addresses: [], targets: [], since: 1 };
const given = { ipv4: { host: "10.213.0.1/30", container: "10.213.0.2/30" } };
const leased: NetworkRecord = { ...record, link: "zone", leased: "192.168.7.9/24" };
const offered = { ipv4: { host: "192.168.7.1/28", container: "192.168.7.2/28" } };

type Case = [
  name: string,
  situation: Partial<LinkSituation> & { readonly link?: NetworkRecord["link"] },
  kind: Addressing["kind"],
  given: NetworkRecord["given"],
];
const cases: Case[] = [
  ["a bridge of the host is left to the operator", { link: "bridge", management: "unmanaged" }, "external", undefined],
  ["reserved addresses are assigned", { record: { ...record, given }, management: "unknown" }, "static", given],
  [
    "those that a job asked for, when networkd has processed the link",
    { record: { ...record, given, requested: ["10.213.0.2/30"] }, networkd: true, management: "unknown" },
    "pending",
    undefined,
  ],
  ["networkd has not processed the link yet", { management: "unknown" }, "pending", undefined],
  ["networkd does not manage the link", { management: "unmanaged" }, "static", undefined],
  ["an init system uses networkd's DHCP server", { boot: true, host: ["192.168.7.1/28"] }, "external", undefined],
  [
    "a single command gets the address the server would offer",
    { host: ["192.168.7.1/28"] },
    "networkd-subnet",
    offered,
  ],
  ["but only once the host's end has an IPv4 address", { host: ["fd00::1/64"] }, "pending", undefined],
  [
    "and not if it already has an address",
    { host: ["192.168.7.1/28"], container: ["192.168.7.9/28"] },
    "external",
    undefined,
  ],
  ["in a zone the driver requests a lease for a single command", { link: "zone" }, "dhcp-client", undefined],
  ["also after a restart of the driver", { record: leased, container: ["192.168.7.9/24"] }, "dhcp-client", undefined],
  ["not if the command already has an address", { link: "zone", container: ["192.168.7.9/24"] }, "external", undefined],
  ["nor for an init system", { link: "zone", boot: true }, "external", undefined],
  ["a zone without a DHCP server", { link: "zone", management: "unmanaged" }, "static", undefined],
];

test.each(cases)("%s", (_, { link, ...situation }, kind, addresses) => {
  const base = { record: { ...record, ...(link === undefined ? {} : { link }) }, boot: false, host: [], container: [] };
  const found = addressing({ ...base, management: "managed", ...situation });
  expect(found.kind).toBe(kind);
  expect("given" in found ? found.given : undefined).toEqual(addresses);
});

test("a booted system keeps to what the driver assigned, or the job chose", () => {
  const own = { addresses: ["192.0.2.9/24"], gateways: ["192.0.2.1"], mac: "02:00:00:00:00:01" };
  expect(fixedAddresses(undefined, undefined)).toBeUndefined();
  expect(fixedAddresses(undefined, own)).toBe(own);
  expect(fixedAddresses(given, { ...own, addresses: [], gateways: [] })).toEqual({
    addresses: ["10.213.0.2/30"],
    gateways: ["10.213.0.1"],
    mac: "02:00:00:00:00:01",
  });
});

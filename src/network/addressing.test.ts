import { expect, test } from "bun:test";
import { type Addressing, addressing, type LinkSituation } from "./addressing";
import type { NetworkRecord } from "./records";

const record: NetworkRecord = { machine: "web", link: "veth", ports: [], addresses: [], targets: [], since: 1 };
const given = { ipv4: { host: "10.213.0.1/30", container: "10.213.0.2/30" } };
const leased: NetworkRecord = { ...record, link: "zone", leased: "192.168.7.9/24" };
const lent = { ipv4: { host: "192.168.7.1/28", container: "192.168.7.2/28" } };

type Case = [
  name: string,
  situation: Partial<LinkSituation> & { readonly link?: NetworkRecord["link"] },
  kind: Addressing["kind"],
  given: NetworkRecord["given"],
];
const cases: Case[] = [
  ["a bridge is the operator's", { link: "bridge", management: "unmanaged" }, "leave", undefined],
  ["what was reserved is given", { record: { ...record, given }, management: "unknown" }, "give", given],
  ["networkd has not looked yet", { management: "unknown" }, "wait", undefined],
  ["networkd leaves it alone", { management: "unmanaged" }, "give", undefined],
  ["an init system asks networkd's server", { boot: true, host: ["192.168.7.1/28"] }, "leave", undefined],
  ["a program gets what the server would give", { host: ["192.168.7.1/28"] }, "lend", lent],
  ["once there is a network", { host: ["fd00::1/64"] }, "wait", undefined],
  ["unless it has one", { host: ["192.168.7.1/28"], container: ["192.168.7.9/28"] }, "leave", undefined],
  ["a zone's server has others to serve: a program's driver asks it", { link: "zone" }, "ask", undefined],
  ["again after a restart", { record: leased, container: ["192.168.7.9/24"] }, "ask", undefined],
  ["not for a program that does itself", { link: "zone", container: ["192.168.7.9/24"] }, "leave", undefined],
  ["nor for an init system", { link: "zone", boot: true }, "leave", undefined],
  ["a zone without a server", { link: "zone", management: "unmanaged" }, "give", undefined],
];

test.each(cases)("%s", (_, { link, ...situation }, kind, addresses) => {
  const base = { record: { ...record, ...(link === undefined ? {} : { link }) }, boot: false, host: [], container: [] };
  const found = addressing({ ...base, management: "managed", ...situation });
  expect(found.kind).toBe(kind);
  expect("given" in found ? found.given : undefined).toEqual(addresses);
});

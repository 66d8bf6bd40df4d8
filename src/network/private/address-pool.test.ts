import { expect, test } from "bun:test";
import { parseSubnet } from "../../values/ip";
import { requestedAddresses } from "./address-pool";

const subnets = (...texts: string[]) => texts.flatMap((text) => parseSubnet(text) ?? []);
const [asked] = subnets("10.9.0.10/24");
if (asked === undefined) throw new Error("not a subnet");
const beside = { host: "10.9.0.1/24", container: "10.9.0.2/24" };
const other = { host: "10.8.0.1/24", container: "10.8.0.2/24" };

test.each([
  ["the first of a zone", [], subnets("192.0.2.0/24")],
  ["one beside others, whose network the client has", [beside], subnets("10.9.0.0/24")],
])("a container gets the address that it asks for: %s", (_case, zone, used) => {
  expect(requestedAddresses(asked, zone, used)).toEqual({ host: "10.9.0.1/24", container: "10.9.0.10/24" });
});

test.each([
  ["another network", [other], [], "is not in the network of the zone's other containers, 10.8.0.0/24."],
  [
    "a network of the client",
    [],
    subnets("10.0.0.0/8"),
    "is in a network that this client uses otherwise, 10.0.0.0/8.",
  ],
  [
    "a taken address",
    [{ ...beside, container: "10.9.0.10/24" }],
    [],
    "is the address of another container of the zone.",
  ],
])("it is refused in case of %s", (_case, zone, used, sentence) => {
  expect(() => requestedAddresses(asked, zone, used)).toThrow(`Option ipv4_address = "10.9.0.10/24" ${sentence}`);
});

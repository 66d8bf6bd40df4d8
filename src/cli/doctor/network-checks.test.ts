import { expect, test } from "bun:test";
import { droppingForwardChains } from "./network-checks";

test("chains that drop forwarded packets", () => {
  const base = {
    chain: {
      family: "ip",
      table: "filter",
      name: "FORWARD",
      handle: 1,
      type: "filter",
      hook: "forward",
      prio: 0,
      policy: "drop",
    },
  };
  const nftables = [
    { metainfo: { version: "1.0.6" } },
    base,
    { chain: { ...base.chain, family: "inet", table: "firewall", name: "fwd" } },
    { chain: { ...base.chain, policy: "accept" } },
    { chain: { ...base.chain, hook: "input" } },
    { chain: { ...base.chain, family: "bridge" } },
    { chain: { family: "ip", table: "filter", name: "DOCKER-USER", handle: 2 } },
  ];
  expect(droppingForwardChains(JSON.stringify({ nftables }))).toEqual(["ip filter FORWARD", "inet firewall fwd"]);
  expect(droppingForwardChains("")).toEqual([]);
});

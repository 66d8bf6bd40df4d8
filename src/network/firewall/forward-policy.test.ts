import { expect, test } from "bun:test";
import { acceptsLinks, droppedNote, droppingForwardChains } from "./forward-policy";

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

/** A table as `nft list table` prints it, with rules in its chain for forwarded packets. */
const table = (...rules: readonly string[]) =>
  `table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n${rules
    .map((rule) => `\t\t${rule}\n`)
    .join("")}\t}\n}\n`;

test.each([
  [[], false],
  [['iifname "ve-*" counter packets 0 bytes 0 accept'], true],
  [['oifname { "eth0", "ve-*" } accept'], true],
  [['iifname "ve-web-1" accept'], true],
  [['iifname "v*" accept'], true],
  [['iifname "vz-*" accept'], false],
  [['iifname "docker0" oifname != "docker0" counter packets 3 bytes 9 accept'], false],
  [['iifname "ve-*" drop'], false],
  [["ct state related,established counter packets 1 bytes 2 accept"], false],
  [["counter packets 1 bytes 2 accept"], true],
  [["accept"], true],
] as const)("rules %j accept packets of containers: %p", (rules, accepted) => {
  expect(acceptsLinks(table(...rules), "ve-")).toBe(accepted);
});

test("the note names the chains and the commands", () => {
  expect(droppedNote([], "ve-")).toBeUndefined();
  const docker = droppedNote(["ip filter FORWARD", "ip6 filter FORWARD"], "ve-");
  expect(docker).toContain("(chains ip filter FORWARD, ip6 filter FORWARD, policy drop)");
  expect(docker).toContain("iptables -I FORWARD -i ve-+ -j ACCEPT; iptables -I FORWARD -o ve-+ -j ACCEPT");
  expect(droppedNote(["inet strict forward"], "vz-")).toEndWith(
    'To accept them: nft insert rule inet strict forward iifname "vz-*" accept; nft insert rule inet strict forward oifname "vz-*" accept',
  );
});

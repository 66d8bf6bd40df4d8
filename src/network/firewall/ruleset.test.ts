import { describe, expect, test } from "bun:test";
import type { NetworkRecord } from "../private/records";
import { rules as rulesOn } from "./ruleset";

const web: NetworkRecord = {
  machine: "web",
  link: "veth",
  ports: [
    { label: "http", hostAddress: "192.0.2.1", hostPort: 20_001, containerPort: 80 },
    { label: "any", hostPort: 20_002, containerPort: 20_002 },
  ],
  given: { ipv4: { host: "10.213.0.1/30", container: "10.213.0.2/30" } },
  addresses: ["10.213.0.2/30", "fd00::2/64"],
  targets: ["10.213.0.2/30", "fd00::2/64"],
  since: 1,
};
const rules = (records: readonly NetworkRecord[], bridgesAreFiltered = false) =>
  rulesOn(records, { bridgesAreFiltered });
const chainOf = (text: string, name: string) =>
  (new RegExp(`chain ${name} \\{\\n[^\\n]*\\n([^}]*(?:\\{[^}]*\\}[^}]*)*?)\\n  \\}`).exec(text)?.[1] ?? "")
    .split("\n")
    .map((line) => line.trim());

describe("rules", () => {
  test("are empty if no record needs any", () => {
    expect(rules([])).toBe("");
    const quiet: NetworkRecord = {
      machine: "q",
      link: "bridge",
      bridge: "br0",
      ports: [],
      addresses: ["192.0.2.9/24"],
      targets: ["192.0.2.9/24"],
      since: 1,
    };
    expect(rules([quiet])).toBe("");
  });

  test("replace the whole table, and name no other one", () => {
    const text = rules([web]);
    expect([...text.matchAll(/table \S+ \S+/g)].map(([table]) => table)).toEqual(
      Array.from({ length: 3 }, () => "table inet nomad-nspawn"),
    );
    expect(text.split("\n").slice(0, 3)).toEqual([
      "table inet nomad-nspawn",
      "delete table inet nomad-nspawn",
      "table inet nomad-nspawn {",
    ]);
  });

  test("ports are forwarded from the address they are bound to, or any of the host", () => {
    expect(chainOf(rules([web]), "prerouting")).toEqual([
      "meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map { 192.0.2.1 . tcp . 20001 : 10.213.0.2 . 80, 192.0.2.1 . udp . 20001 : 10.213.0.2 . 80 }",
      "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map { tcp . 20002 : 10.213.0.2 . 20002, udp . 20002 : 10.213.0.2 . 20002 }",
      "fib daddr type local ip6 daddr != ::1/128 meta l4proto { tcp, udp } dnat ip6 to meta l4proto . th dport map { tcp . 20002 : fd00::2 . 20002, udp . 20002 : fd00::2 . 20002 }",
    ]);
  });

  test.each([
    ["ip daddr 127.0.0.1", "10\\.213\\.0\\.2"],
    ["ip6 daddr ::1", "fd00::2"],
  ])("the host's loopback address forwards all of them: %s", (condition, container) => {
    const lines = chainOf(rules([web]), "output");
    const [line = "", ...more] = lines.filter((each) => each.startsWith(`${condition} `));
    expect(line).toMatch(new RegExp(`tcp \\. 20001 : ${container} \\. 80.*tcp \\. 20002 : ${container} \\. 20002`));
    expect(more).toEqual([]);
  });

  test("but not ::1 to one behind a bridge, if bridged packets are filtered", () => {
    const zoned: NetworkRecord = { ...web, machine: "z", link: "zone", bridge: "vz-z", ports: web.ports.slice(1) };
    const led = (filtered: boolean) =>
      chainOf(rules([zoned, { ...web, ports: web.ports.slice(0, 1) }], filtered), "output").flatMap((line) => {
        const [, address] = /^ip6? daddr (127\.0\.0\.1|::1) /.exec(line) ?? [];
        return address === undefined ? [] : [[address, [...line.matchAll(/tcp \. (\d+) :/g)].map(([, port]) => port)]];
      });
    expect(led(false)).toEqual([
      ["127.0.0.1", ["20002", "20001"]],
      ["::1", ["20002", "20001"]],
    ]);
    expect(led(true)).toEqual([
      ["127.0.0.1", ["20002", "20001"]],
      ["::1", ["20001"]],
    ]);
  });

  test("except a port that another container binds to that address", () => {
    const local: NetworkRecord = {
      ...web,
      machine: "local",
      ports: [{ label: "http", hostAddress: "127.0.0.1", hostPort: 20_001, containerPort: 8080 }],
      targets: ["10.213.0.6/30"],
    };
    const output = chainOf(rules([web, local]), "output");
    expect(output[0]).toContain("127.0.0.1 . tcp . 20001 : 10.213.0.6 . 8080");
    expect(output.filter((line) => line.startsWith("ip daddr 127.0.0.1")).join()).not.toContain("20001");
  });

  test("if two have the same port, the later one gets it", () => {
    const later: NetworkRecord = { ...web, machine: "a-later-one", targets: ["10.213.0.10/30"], since: 2 };
    const [first = ""] = chainOf(rules([web, later]), "prerouting");
    expect(first).toContain("192.0.2.1 . tcp . 20001 : 10.213.0.10 . 80");
    expect(first.match(/192\.0\.2\.1 \. tcp \. 20001/g)).toHaveLength(1);
  });

  test("packets that leave this host's own networks, or return to their sender's network, are masqueraded", () => {
    expect(chainOf(rules([web]), "postrouting")).toEqual([
      "ct status dnat ip saddr { 127.0.0.0/8, 10.213.0.0/30 } ip daddr 10.213.0.2 masquerade",
      "ct status dnat ip6 saddr { ::1/128, fd00::/64 } ip6 daddr fd00::2 masquerade",
      "ip saddr { 10.213.0.0/30 } ip daddr != { 10.213.0.0/30 } masquerade",
    ]);
  });

  test("packets to loopback addresses are dropped on container links and on bridges with forwarded ports", () => {
    const bridged: NetworkRecord = { ...web, machine: "b", link: "bridge", bridge: "br0", given: {} };
    const guarded = (...names: readonly string[]) =>
      names.flatMap((name) => [
        `iifname "${name}" ip daddr 127.0.0.0/8 drop`,
        `iifname "${name}" ip6 daddr ::1/128 drop`,
      ]);
    expect(chainOf(rules([web]), "guard")).toEqual(guarded("ve-*", "vb-*", "vz-*"));
    expect(chainOf(rules([bridged]), "guard")).toEqual(guarded("ve-*", "vb-*", "vz-*", "br0"));
  });

  test("a network without ports has only masquerading", () => {
    const text = rules([{ ...web, ports: [] }]);
    expect(text).not.toContain("dnat");
    expect(chainOf(text, "postrouting")).toEqual([
      "ip saddr { 10.213.0.0/30 } ip daddr != { 10.213.0.0/30 } masquerade",
    ]);
  });
});

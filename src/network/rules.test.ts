import { describe, expect, test } from "bun:test";
import type { NetworkRecord } from "./records";
import { rules } from "./rules";

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
const chainOf = (text: string, name: string) =>
  (new RegExp(`chain ${name} \\{\\n[^\\n]*\\n([^}]*(?:\\{[^}]*\\}[^}]*)*?)\\n  \\}`).exec(text)?.[1] ?? "")
    .split("\n")
    .map((line) => line.trim());

describe("rules", () => {
  test("there are none where nobody needs any", () => {
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

  test("replace the whole table, and name no other", () => {
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

  test("ports lead from the address they are bound to, or any of the host's", () => {
    expect(chainOf(rules([web]), "prerouting")).toEqual([
      "meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map { 192.0.2.1 . tcp . 20001 : 10.213.0.2 . 80, 192.0.2.1 . udp . 20001 : 10.213.0.2 . 80 }",
      "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map { tcp . 20002 : 10.213.0.2 . 20002, udp . 20002 : 10.213.0.2 . 20002 }",
      "fib daddr type local ip6 daddr != ::1/128 meta l4proto { tcp, udp } dnat ip6 to meta l4proto . th dport map { tcp . 20002 : fd00::2 . 20002, udp . 20002 : fd00::2 . 20002 }",
    ]);
  });

  test("the host's loopback address leads to all of them, with IPv4", () => {
    const lines = chainOf(rules([web]), "output");
    const [line = "", ...more] = lines.filter((each) => each.startsWith("ip daddr 127.0.0.1 "));
    expect(line).toMatch(/tcp \. 20001 : 10\.213\.0\.2 \. 80.*tcp \. 20002 : 10\.213\.0\.2 \. 20002/);
    expect(more).toEqual([]);
    expect(lines.filter((each) => each.startsWith("ip6 daddr ::1"))).toEqual([]);
  });

  test("unless one is bound to that address itself", () => {
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

  test("of two with the same port the later one has it", () => {
    const later: NetworkRecord = { ...web, machine: "a-later-one", targets: ["10.213.0.10/30"], since: 2 };
    const [first = ""] = chainOf(rules([web, later]), "prerouting");
    expect(first).toContain("192.0.2.1 . tcp . 20001 : 10.213.0.10 . 80");
    expect(first.match(/192\.0\.2\.1 \. tcp \. 20001/g)).toHaveLength(1);
  });

  test("what leaves networks of this host's own, or comes back to its sender's, changes its sender", () => {
    expect(chainOf(rules([web]), "postrouting")).toEqual([
      "ct status dnat ip saddr { 127.0.0.0/8, 10.213.0.0/30 } ip daddr 10.213.0.2 masquerade",
      "ct status dnat ip6 saddr fd00::/64 ip6 daddr fd00::2 masquerade",
      "ip saddr { 10.213.0.0/30 } ip daddr != { 10.213.0.0/30 } masquerade",
    ]);
  });

  test("loopback addresses never come in by a container's link, nor by a bridge that ports are behind", () => {
    const bridged: NetworkRecord = { ...web, machine: "b", link: "bridge", bridge: "br0", given: {} };
    const names = (text: string) => chainOf(text, "guard").map((line) => /iifname "([^"]+)"/.exec(line)?.[1]);
    expect(names(rules([web]))).toEqual(["ve-*", "vb-*", "vz-*"]);
    expect(names(rules([bridged]))).toEqual(["ve-*", "vb-*", "vz-*", "br0"]);
  });

  test("a network without ports has no more than its way out", () => {
    const text = rules([{ ...web, ports: [] }]);
    expect(text).not.toContain("dnat");
    expect(chainOf(text, "postrouting")).toEqual([
      "ip saddr { 10.213.0.0/30 } ip daddr != { 10.213.0.0/30 } masquerade",
    ]);
  });
});

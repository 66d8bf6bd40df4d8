import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NetworkRecord } from "../private/records";
import { nftAddress, nftInterface, nftPort, rules as rulesOn } from "./ruleset";

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

/** Text with characters that are special to nft(8), among others. */
const hostile = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom(
    "lo",
    "l*",
    'lo"drop;#',
    "br0\\*",
    'br0" accept; }',
    "br0\n",
    "@set",
    "$x",
    "192.0.2.1 } ",
    "::1%lo",
    "0/0",
    "br0",
    "192.0.2.1",
    "fd00::1",
  ),
);

describe("only plain text goes into a rule", () => {
  test("names of interfaces", () => {
    fc.assert(
      fc.property(hostile, (name) => {
        const text = nftInterface(name);
        return text === undefined || (/^"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"$/.test(text) && text === `"${name}"`);
      }),
      { numRuns: 5000 },
    );
    for (const name of ["br0", "br-lan", "docker0", "vmbr0", "virbr0-nic", "br0.100", "cni_1", "nomad"]) {
      expect(nftInterface(name)).toBe(`"${name}"`);
    }
    for (const name of ["", "l*", "a".repeat(16), "br 0", 'a"', "a#b", "a;b", "-a", ".", "..", "all", "12", "br0\n"]) {
      expect(nftInterface(name)).toBeUndefined();
    }
  });

  test("addresses and ports", () => {
    fc.assert(
      fc.property(hostile, fc.double(), (text, number) => {
        const [four, six, port] = [nftAddress(text, 4), nftAddress(text, 6), nftPort(number)];
        return (
          (four === undefined || /^[\d.]+$/.test(four)) &&
          (six === undefined || /^[\da-f:]+$/.test(six)) &&
          (port === undefined || /^\d{1,5}$/.test(port))
        );
      }),
      { numRuns: 5000 },
    );
    expect([nftAddress("192.0.2.1", 6), nftAddress("::1", 4), nftAddress("::1", 6)]).toEqual([
      undefined,
      undefined,
      "::1",
    ]);
    expect([0, 65_536, 1.5, Number.NaN, -1, 1e21].map(nftPort)).toEqual(Array.from({ length: 6 }, () => undefined));
  });

  test("whole records, whatever their texts", () => {
    const record: fc.Arbitrary<NetworkRecord> = fc.record({
      machine: hostile,
      link: fc.constantFrom("veth", "zone", "bridge"),
      bridge: hostile,
      ports: fc.array(
        fc.record({
          label: hostile,
          hostAddress: hostile,
          hostPort: fc.oneof(fc.double(), fc.integer({ min: 1, max: 65_535 })),
          containerPort: fc.oneof(fc.double(), fc.integer({ min: 1, max: 65_535 })),
        }),
        { maxLength: 3 },
      ),
      given: fc.constant({ ipv4: { host: "10.0.0.1/30", container: "10.0.0.2/30" } }),
      addresses: fc.array(hostile, { maxLength: 2 }),
      targets: fc.array(fc.oneof(hostile, fc.constantFrom("10.0.0.2/30", "fd00::2/64")), { maxLength: 3 }),
      since: fc.integer(),
    });
    const line =
      /^(?:(?:delete )?table inet nomad-nspawn(?: \{)?|\}| {2}\}| {2}chain [a-z]+ \{| {4}type (?:filter|nat) hook [a-z]+ priority [a-z0-9-]+; policy accept;| {4}iifname "[A-Za-z0-9_.*-]+" ip6? daddr [0-9a-f:./]+ drop| {4}[a-z0-9 :./,_{}!=]+|)$/;
    fc.assert(
      fc.property(fc.array(record, { maxLength: 3 }), (records) =>
        rulesOn(records, { bridgesAreFiltered: false })
          .split("\n")
          .every((text) => line.test(text)),
      ),
      { numRuns: 3000 },
    );
  });
});

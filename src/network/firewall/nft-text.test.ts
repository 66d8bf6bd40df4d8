import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NetworkRecord } from "../private/records";
import { nftAddress, nftInterface, nftPort } from "./nft-text";
import { rules } from "./ruleset";

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
        rules(records, { bridgesAreFiltered: false })
          .split("\n")
          .every((text) => line.test(text)),
      ),
      { numRuns: 3000 },
    );
  });
});

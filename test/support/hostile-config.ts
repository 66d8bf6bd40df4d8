/** Config blocks with injection attempts, derived from the option table, so that they cover every option. */

import fc from "fast-check";
import type { HclType, OptionTable } from "../../src/config/option";
import { taskOptions } from "../../src/config/task/options";

/** Text that looks like switches, separators, escapes, quotes, specifiers, variables, line ends or other bytes. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(
        ...["--boot", "--", "-", "=", "--bind=/:/host", "-D", "/", ":", "\\", ",", "'", '"', " ", "\n", "\r", "\0"],
        ...["%h", "%", "$X", "$(id)", "`id`", ";", "..", "+", "a", "idmap", "~", "@", "[Service]", "\nExecStart=/x"],
        ...["\ud800", "\udfff", "\u2028", "ü", "\u{1f600}"],
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join("")),
);

const hostilePath = hostileText.map((text) => `/${text}`);
const maybePath = fc.oneof(hostileText, hostilePath);

/** Options for which values of a certain form pass more checks than arbitrary text. */
const better: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  capability: fc.array(fc.oneof(hostileText, fc.constantFrom("CAP_NET_ADMIN", "all")), { maxLength: 2 }),
  drop_capability: fc.array(fc.oneof(hostileText, fc.constantFrom("cap_chown", "7")), { maxLength: 2 }),
  system_call_filter: fc.array(fc.oneof(hostileText, fc.constantFrom("@keyring", "~ptrace")), { maxLength: 2 }),
  network: fc.oneof(hostileText, fc.constantFrom("none", "zone:a", "bridge:br0")),
  private_users: fc.oneof(hostileText, fc.constantFrom("pick", "65536", "65536:1000")),
  overlay: fc.array(
    fc.tuple(hostilePath, maybePath, hostilePath).map((parts) => parts.join(":")),
    { maxLength: 2 },
  ),
  devices: fc.array(
    fc.tuple(hostilePath, fc.constantFrom("", ":/dev/x", ":/dev/x:rw", ":r")).map((parts) => parts.join("")),
    { maxLength: 2 },
  ),
  environment: fc.dictionary(fc.oneof(hostileText, fc.constantFrom("A", "LD_PRELOAD", "_x")), hostileText, {
    maxKeys: 2,
  }),
  properties: fc.dictionary(fc.oneof(hostileText, fc.constantFrom("IOWeight")), hostileText, { maxKeys: 1 }),
  rlimits: fc.dictionary(fc.oneof(hostileText, fc.constantFrom("NOFILE")), hostileText, { maxKeys: 1 }),
};

/** A valid or invalid value for an option of a type; undefined for types without text. */
function hostileValue(type: HclType): fc.Arbitrary<unknown> | undefined {
  switch (type.kind) {
    case "string":
      return type.values === undefined ? maybePath : fc.oneof(fc.constantFrom(...type.values), maybePath);
    case "strings":
      return fc.array(maybePath, { maxLength: 3 });
    case "words":
      return fc.oneof(maybePath, fc.array(maybePath, { maxLength: 3 }));
    case "map":
      return type.of === "string"
        ? fc.dictionary(maybePath, maybePath, { maxKeys: 3 })
        : fc.dictionary(maybePath, fc.integer(), { maxKeys: 3 });
    case "maps":
      return fc.record({ type: fc.constantFrom("bind", "tmpfs", "volume"), source: maybePath, target: maybePath });
    case "block":
      return fc.record(arbitraries(type.options), { requiredKeys: [] });
    case "bool":
    case "number":
      return undefined;
  }
}

function arbitraries(table: OptionTable): Record<string, fc.Arbitrary<unknown>> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([name, row]) => {
      const value = better[name] ?? hostileValue(row.type);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** A valid or invalid value for each option that accepts text. */
export const hostileValues: Readonly<Record<string, fc.Arbitrary<unknown>>> = arbitraries(taskOptions);

/** Config blocks of arbitrary such options. */
export const hostileConfig: fc.Arbitrary<Readonly<Record<string, unknown>>> = fc.record(hostileValues, {
  requiredKeys: [],
});

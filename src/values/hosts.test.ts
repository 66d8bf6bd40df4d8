import { expect, test } from "bun:test";
import { parseHostEntry } from "./hosts";

test.each([
  ["db:192.0.2.7", { name: "db", address: "192.0.2.7" }],
  ["db.example_1.org:192.0.2.7", { name: "db.example_1.org", address: "192.0.2.7" }],
  ["six:2001:db8::1", { name: "six", address: "2001:db8::1" }],
  ["six:[2001:db8::1]", { name: "six", address: "2001:db8::1" }],
  ["six:::1", { name: "six", address: "::1" }],
])("%s", (text, expected) => {
  expect(parseHostEntry(text)).toEqual(expected);
});

test.each([
  "db",
  "db:",
  ":192.0.2.7",
  "db:192.0.2",
  "db:192.0.2.7 other",
  "d b:192.0.2.7",
  "db:192.0.2.7\n",
  "db\nx:192.0.2.7",
  "-db:192.0.2.7",
  "six:fe80::1%eth0",
  "six:[::1",
  "db:host-gateway",
  `${"a".repeat(256)}:192.0.2.7`,
])("refuses %j", (text) => {
  expect(parseHostEntry(text)).toBeUndefined();
});

import { expect, test } from "bun:test";
import { parseLinkState } from "./networkd";

test.each([
  ["# This is private data. Do not parse.\nADMIN_STATE=configured\nOPER_STATE=routable\n", "managed"],
  ["ADMIN_STATE=configuring\n", "managed"],
  ["ADMIN_STATE=unmanaged\nOPER_STATE=carrier\n", "unmanaged"],
  ["ADMIN_STATE=pending\n", "unknown"],
  ["ADMIN_STATE=initialized\n", "unknown"],
  ["", "unknown"],
] as const)("%j is %s", (text, expected) => expect(parseLinkState(text)).toBe(expected));

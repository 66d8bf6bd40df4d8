import { expect, test } from "bun:test";
import { parseAddressFamilies } from "./address-families";

test.each([
  [[], undefined],
  [["none"], { kind: "allowed" as const, numbers: [] }],
  [["AF_UNIX", "AF_LOCAL", "AF_INET"], { kind: "allowed" as const, numbers: [1, 2] }],
  [["~AF_PACKET"], { kind: "denied" as const, numbers: [17] }],
  [["AF_UNIX", "~AF_INET"], 'either all of its entries have a "~", or none'],
  [["none", "AF_INET"], '"none" must be its only entry'],
])("%j", (entries, families) => expect(parseAddressFamilies(entries)).toEqual(families));

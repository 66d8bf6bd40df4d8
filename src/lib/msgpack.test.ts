import { expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import { decodeMsgpack } from "./msgpack";

const large = (type: number) => Uint8Array.of(type, 0x7f, 0xff, 0xff, 0xff, 0);

test.each([
  ["an array", 0xdd],
  ["a map", 0xdf],
  ["a string", 0xdb],
  ["bytes", 0xc6],
  ["an extension", 0xc9],
])("%s that claims more than the input has is refused, without room being made for it", (_, type) => {
  const before = process.memoryUsage.rss();
  expect(() => decodeMsgpack(large(type), "number")).toThrow();
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
});

test("a value is decoded as it was encoded", () => {
  const value = { list: [1, "two", null, true], text: "x".repeat(1000), number: 1.5 };
  expect(decodeMsgpack(encode(value), "number")).toEqual(value);
});

test("an integer of 64 bits is a number or a bigint", () => {
  const integer = Uint8Array.of(0xcf, 0, 0, 0, 1, 0, 0, 0, 0);
  expect([decodeMsgpack(integer, "number"), decodeMsgpack(integer, "bigint")]).toEqual([2 ** 32, 2n ** 32n]);
});

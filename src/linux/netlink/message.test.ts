import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeAttributes,
  decodeMessages,
  encodeAttributes,
  encodeMessage,
  readText,
  readU32,
  text,
  u32,
} from "./message";
import { decodeFlow } from "./netfilter";

const bytes = (maxLength = 40) => fc.uint8Array({ maxLength });

describe("messages", () => {
  test("survive encoding and decoding, several in a datagram", () => {
    const message = fc.record({ type: fc.nat(0xffff), flags: fc.nat(0xffff), sequence: fc.nat(), body: bytes() });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (given) => {
        const datagram = Buffer.concat(given.map((each) => encodeMessage(each, each.body)));
        const found = decodeMessages(datagram);
        expect(found.map(({ type, sequence }) => ({ type, sequence }))).toEqual(
          given.map(({ type, sequence }) => ({ type, sequence })),
        );
        // Bodies are padded to a multiple of four bytes.
        for (const [index, { body }] of given.entries()) {
          expect(Buffer.from(found[index]?.body ?? []).subarray(0, body.length)).toEqual(Buffer.from(body));
        }
      }),
    );
  });

  test("that are truncated are skipped, whatever the bytes", () => {
    fc.assert(
      fc.property(bytes(200), (noise) => {
        for (const { body } of decodeMessages(noise)) decodeAttributes(body, 0);
      }),
    );
    const whole = encodeMessage({ type: 16, flags: 0, sequence: 1 }, new Uint8Array(8));
    expect(decodeMessages(whole.subarray(0, whole.length - 1))).toEqual([]);
  });
});

describe("attributes", () => {
  test("are found by type after the fixed part", () => {
    const encoded = encodeAttributes([
      [3, text("eth0")],
      [5, u32(7)],
      [0x8002, new Uint8Array(3)],
    ]);
    const found = decodeAttributes(Buffer.concat([new Uint8Array(16), encoded]), 16);
    expect(readText(found.get(3))).toBe("eth0");
    expect(readU32(found.get(5))).toBe(7);
    expect(found.get(2)).toHaveLength(3);
    expect(readU32(found.get(4))).toBeUndefined();
    expect(readU32(found.get(2))).toBeUndefined();
  });
});

test("a flow is identified by its first packet's port and the answering address", () => {
  const tuple = (source: readonly number[], port: number) =>
    encodeAttributes([
      [0x8001, encodeAttributes([[1, Uint8Array.from(source)]])],
      [
        0x8002,
        encodeAttributes([
          [1, Uint8Array.of(17)],
          [3, Uint8Array.of(port >> 8, port & 0xff)],
        ]),
      ],
    ]);
  const message = encodeAttributes([
    [0x8001, tuple([192, 0, 2, 9], 20_040)],
    [0x8002, tuple([10, 213, 0, 2], 30_000)],
  ]);
  expect(decodeFlow(decodeAttributes(message, 0))).toEqual({ protocol: 17, port: 20_040, answerer: "10.213.0.2" });
  expect(decodeFlow(new Map())).toBeUndefined();
});

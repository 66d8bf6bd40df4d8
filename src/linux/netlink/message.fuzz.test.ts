import { test } from "bun:test";
import fc from "fast-check";
import { bytesLike, fuzz } from "../../../test/support/fuzz";
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

const inner = encodeAttributes([
  [1, encodeAttributes([[1, Uint8Array.of(10, 0, 0, 1)]])],
  [
    2,
    encodeAttributes([
      [1, Uint8Array.of(6)],
      [3, Uint8Array.of(0, 80)],
    ]),
  ],
]);
const attributes = encodeAttributes([
  [1, inner],
  [2, inner],
  [3, text("host0")],
  [5, u32(7)],
]);
const message = encodeMessage({ type: 16, flags: 2, sequence: 1 }, new Uint8Array(16), attributes);

test("netlink messages and attributes are parsed as far as they are complete", () => {
  fuzz(
    fc.tuple(bytesLike(message, Buffer.concat([message, message]), attributes), fc.nat(64)),
    ([bytes, skip]) => {
      for (const { body } of decodeMessages(bytes)) {
        const found = decodeAttributes(body, skip);
        decodeFlow(found);
        for (const content of found.values()) {
          readU32(content);
          readText(content);
        }
      }
      decodeFlow(decodeAttributes(bytes, 0));
    },
    [],
    5_000,
  );
});

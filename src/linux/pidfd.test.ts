import { expect, test } from "bun:test";
import { decodeWaitStatus } from "./pidfd";

test.each([
  [0x0000, { code: 0, signal: 0 }],
  [0x0100, { code: 1, signal: 0 }],
  [0xff00, { code: 255, signal: 0 }],
  [0x0009, { code: 0, signal: 9 }],
  // With a core dump.
  [0x008b, { code: 0, signal: 11 }],
  [0x0040, { code: 0, signal: 64 }],
])("%d is %j", (status, end) => {
  expect(decodeWaitStatus(status)).toEqual(end);
});

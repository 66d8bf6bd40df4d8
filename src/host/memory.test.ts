import { expect, test } from "bun:test";
import { giveBack } from "./memory";

test("frees the memory of a whole buffer, not of a part that others may still read", () => {
  const whole = new Uint8Array(1000);
  giveBack(whole);
  expect([whole.length, whole.buffer.byteLength]).toEqual([0, 0]);
  const larger = new Uint8Array(1000).fill(7);
  for (const part of [larger.subarray(0, 999), larger.subarray(1), Buffer.from(larger.buffer, 10, 10)]) {
    giveBack(part);
    expect(part[0]).toBe(7);
  }
  const shared = new Uint8Array(new SharedArrayBuffer(10));
  giveBack(shared);
  expect(shared.length).toBe(10);
});

import { expect, test } from "bun:test";
import { freeBuffer } from "./buffers";

test("frees the memory of a whole buffer, not of a part that others may still read", () => {
  const whole = new Uint8Array(1000);
  freeBuffer(whole);
  expect([whole.length, whole.buffer.byteLength]).toEqual([0, 0]);
  const larger = new Uint8Array(1000).fill(7);
  for (const part of [larger.subarray(0, 999), larger.subarray(1), Buffer.from(larger.buffer, 10, 10)]) {
    freeBuffer(part);
    expect(part[0]).toBe(7);
  }
  const shared = new Uint8Array(new SharedArrayBuffer(10));
  freeBuffer(shared);
  expect(shared.length).toBe(10);
});

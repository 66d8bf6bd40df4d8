import { expect, test } from "bun:test";
import { ARM64 } from "./arm64";

/** Instructions, in the words of binutils' `objdump -m aarch64`, which read each of them as what stands beside it. */
const words = (listing: string) =>
  listing
    .trim()
    .split("\n")
    .map((line) => Number.parseInt(line.trim().slice(0, 8), 16));

const made = (code: readonly number[]) => {
  const bytes = Buffer.from(code);
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(index * 4));
};

test("the loop makes a call, stores its result, and goes to the next call by its sign", () => {
  expect(made(ARM64.code.loop(0x2000_0000))).toEqual(
    words(`
      d2800013 mov  x19, #0x0
      f2a40013 movk x19, #0x2000, lsl #16
      f2c00013 movk x19, #0x0, lsl #32
      f2e00013 movk x19, #0x0, lsl #48
      f9400268 ldr  x8, [x19]
      a9408660 ldp  x0, x1, [x19, #8]
      a9418e62 ldp  x2, x3, [x19, #24]
      a9429664 ldp  x4, x5, [x19, #40]
      d4000001 svc  #0x0
      f9401e69 ldr  x9, [x19, #56]
      f9000120 str  x0, [x9]
      f9402269 ldr  x9, [x19, #64]
      f100001f cmp  x0, #0x0
      54000084 b.mi four on
      f9402669 ldr  x9, [x19, #72]
      54000041 b.ne two on
      f9402a69 ldr  x9, [x19, #80]
      aa0903f3 mov  x19, x9
      17fffff2 b    fourteen back
    `),
  );
});

test("the environment is copied without a variable", () => {
  const dropped = { first: Buffer.from("NOTIFY_S"), last: Buffer.from("_SOCKET="), offset: 6 };
  expect(made(ARM64.code.copyEnvironment(0x1000_1008, 70, dropped))).toEqual(
    words(`
      d289e9c5 mov  x5, #0x4f4e
      f2a92a85 movk x5, #0x4954, lsl #16
      f2cb28c5 movk x5, #0x5946, lsl #32
      f2ea6be5 movk x5, #0x535f, lsl #48
      d28a6be6 mov  x6, #0x535f
      f2a869e6 movk x6, #0x434f, lsl #16
      f2c8a966 movk x6, #0x454b, lsl #32
      f2e7aa86 movk x6, #0x3d54, lsl #48
      f94003e0 ldr  x0, [sp]
      910043e1 add  x1, sp, #0x10
      8b000c21 add  x1, x1, x0, lsl #3
      d2820102 mov  x2, #0x1008
      f2a20002 movk x2, #0x1000, lsl #16
      f2c00002 movk x2, #0x0, lsl #32
      f2e00002 movk x2, #0x0, lsl #48
      d28008c3 mov  x3, #0x46
      f2a00003 movk x3, #0x0, lsl #16
      f2c00003 movk x3, #0x0, lsl #32
      f2e00003 movk x3, #0x0, lsl #48
      f8408424 ldr  x4, [x1], #8
      b40000e4 cbz  x4, seven on
      f9400087 ldr  x7, [x4]
      eb0500ff cmp  x7, x5
      54000081 b.ne four on
      f8406087 ldur x7, [x4, #6]
      eb0600ff cmp  x7, x6
      54ffff20 b.eq seven back
      f8008444 str  x4, [x2], #8
      b4000064 cbz  x4, three on
      f1000463 subs x3, x3, #0x1
      54fffea1 b.ne eleven back
    `),
  );
});

test("the whole environment is copied, and addresses and numbers are stored", () => {
  const { code } = ARM64;
  expect(made(code.copyEnvironment(0x1000_1008, 70, undefined)).slice(-5)).toEqual(
    words(`
      f8408424 ldr  x4, [x1], #8
      f8008444 str  x4, [x2], #8
      b4000064 cbz  x4, three on
      f1000463 subs x3, x3, #0x1
      54ffff81 b.ne four back
    `),
  );
  const stored = `
      f2a40002 movk x2, #0x2000, lsl #16
      f2c00002 movk x2, #0x0, lsl #32
      f2e00002 movk x2, #0x0, lsl #48
      f9000041 str  x1, [x2]`;
  expect(made(code.storeArguments(0x2000_0010))).toEqual(
    words(`
      910043e1 add  x1, sp, #0x10
      d2800202 mov  x2, #0x10
      ${stored.trim()}
    `),
  );
  expect(made(code.storeEnvironment(0x2000_0018))).toEqual(
    words(`
      f94003e0 ldr  x0, [sp]
      910043e1 add  x1, sp, #0x10
      8b000c21 add  x1, x1, x0, lsl #3
      d2800302 mov  x2, #0x18
      ${stored.trim()}
    `),
  );
  expect(made(code.storeNumber(0x1000_1040, 0x2000_0018))).toEqual(
    words(`
      d2820801 mov  x1, #0x1040
      f2a20001 movk x1, #0x1000, lsl #16
      f2c00001 movk x1, #0x0, lsl #32
      f2e00001 movk x1, #0x0, lsl #48
      d2800302 mov  x2, #0x18
      ${stored.trim()}
    `),
  );
});

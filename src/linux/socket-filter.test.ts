import { expect, test } from "bun:test";
import { AMD64 } from "./cpu/amd64";
import { ARM64 } from "./cpu/arm64";
import { socketFilter } from "./socket-filter";

/** Runs a filter on a system call, as the kernel does (the machine of linux/filter.h, as far as the filter uses it). */
function result(
  filter: Uint8Array,
  call: { readonly number: number; readonly arch?: number; readonly family?: number },
): number {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  const data = new Map([
    [0, call.number],
    [4, call.arch ?? 0xc000_003e],
    [16, call.family ?? 0],
  ]);
  let register = 0;
  for (let at = 0; ; at += 8) {
    const [code, value] = [view.getUint16(at, true), view.getUint32(at + 4, true)];
    if (code === 0x20) register = data.get(value) ?? 0;
    else if (code === 0x54) register = (register & value) >>> 0;
    else if (code === 0x15) at += (register === value ? view.getUint8(at + 2) : view.getUint8(at + 3)) * 8;
    else return value;
  }
}

const ALLOWED = 0x7fff_0000;
const UNSUPPORTED = 0x5_0000 | 97;
const UNKNOWN = 0x5_0000 | 38;
const I386 = 0x4000_0003;
const AARCH64 = 0xc000_00b7;
const ARM = 0x4000_0028;
const only = socketFilter({ kind: "allowed", numbers: [1, 2] }, AMD64.filters);
const without = socketFilter({ kind: "denied", numbers: [16] }, AMD64.filters);
const nothing = socketFilter({ kind: "allowed", numbers: [] }, AMD64.filters);
const onlyArm = socketFilter({ kind: "allowed", numbers: [1, 2] }, ARM64.filters);

test.each([
  ["socket of a listed family", only, { number: 41, family: 2 }, ALLOWED],
  ["socketpair of a listed family", only, { number: 53, family: 1 }, ALLOWED],
  ["socket of another family", only, { number: 41, family: 10 }, UNSUPPORTED],
  ["the same by the ABI x32", only, { number: 0x4000_0029, family: 10 }, UNSUPPORTED],
  ["any other call", only, { number: 0, family: 10 }, ALLOWED],
  ["io_uring_setup", only, { number: 425 }, UNKNOWN],
  ["socket with 32 bits", only, { number: 359, arch: I386, family: 10 }, UNSUPPORTED],
  ["another call with 32 bits", only, { number: 41, arch: I386, family: 10 }, ALLOWED],
  ["socketcall", only, { number: 102, arch: I386 }, UNKNOWN],
  ["a denied family", without, { number: 41, family: 16 }, UNSUPPORTED],
  ["a family that is not denied", without, { number: 41, family: 2 }, ALLOWED],
  ["any family, if none is allowed", nothing, { number: 41, family: 1 }, UNSUPPORTED],
  ["socket of a listed family on arm64", onlyArm, { number: 198, arch: AARCH64, family: 2 }, ALLOWED],
  ["socketpair of another family on arm64", onlyArm, { number: 199, arch: AARCH64, family: 10 }, UNSUPPORTED],
  ["any other call on arm64", onlyArm, { number: 41, arch: AARCH64, family: 10 }, ALLOWED],
  ["io_uring_setup on arm64", onlyArm, { number: 425, arch: AARCH64 }, UNKNOWN],
  ["socket with 32 bits on arm64", onlyArm, { number: 281, arch: ARM, family: 10 }, UNSUPPORTED],
  ["socketpair with 32 bits on arm64", onlyArm, { number: 288, arch: ARM, family: 16 }, UNSUPPORTED],
  ["io_uring_setup with 32 bits on arm64", onlyArm, { number: 425, arch: ARM }, UNKNOWN],
])("%s", (_case, filter, call, expected) => expect(result(filter, call)).toBe(expected));

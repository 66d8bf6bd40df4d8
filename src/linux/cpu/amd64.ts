import { AMD64_CALLS } from "./calls";
import type { Cpu, DroppedVariable, ProgramCode } from "./cpu";

/**
 * x86-64: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2; System V ABI for x86-64, "Process Initialization", for
 * the stack that a program starts with; syscall(2) for the calling convention of the kernel.
 */

/** Eight bytes, little-endian. */
function quadword(value: number): Uint8Array {
  return new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
}

const storeRax = (at: number) => [0x48, 0xa3, ...quadword(at)]; // mov [at], rax

/** rbx is the address of the call to make. */
const LOOP = [
  [0x48, 0x8b, 0x03], //       mov rax, [rbx]       number
  [0x48, 0x8b, 0x7b, 8], //    mov rdi, [rbx+8]     arguments
  [0x48, 0x8b, 0x73, 16], //   mov rsi, [rbx+16]
  [0x48, 0x8b, 0x53, 24], //   mov rdx, [rbx+24]
  [0x4c, 0x8b, 0x53, 32], //   mov r10, [rbx+32]
  [0x4c, 0x8b, 0x43, 40], //   mov r8, [rbx+40]
  [0x4c, 0x8b, 0x4b, 48], //   mov r9, [rbx+48]
  [0x0f, 0x05], //             syscall
  [0x48, 0x8b, 0x4b, 56], //   mov rcx, [rbx+56]    where the result goes
  [0x48, 0x89, 0x01], //       mov [rcx], rax
  [0x48, 0x8b, 0x4b, 64], //   mov rcx, [rbx+64]    next after an error
  [0x48, 0x85, 0xc0], //       test rax, rax
  [0x78, 10], //               js next
  [0x48, 0x8b, 0x4b, 72], //   mov rcx, [rbx+72]    next after a positive result
  [0x75, 4], //                jnz next
  [0x48, 0x8b, 0x4b, 80], //   mov rcx, [rbx+80]    next after 0
  [0x48, 0x89, 0xcb], // next: mov rbx, rcx
  [0xeb, -60 & 0xff], //       jmp to the first line
].flat();

/** Code that jumps back before itself and the `before` bytes ahead of it if rax is the address of the dropped variable. */
function skipping({ offset }: DroppedVariable, before: number): readonly number[] {
  const compare = [
    ...[0x48, 0x39, 0x10], //         cmp [rax], rdx
    ...[0x75, 6], //                  jne to the end
    ...[0x4c, 0x39, 0x40, offset], // cmp [rax+offset], r8
    0x74, //                          je to the beginning
  ];
  const test = [0x48, 0x85, 0xc0]; // test rax, rax
  const length = before + test.length + 2 + compare.length + 1;
  return [...test, 0x74, compare.length + 1, ...compare, -length & 0xff]; // jz to the end
}

const CODE: ProgramCode = {
  copyEnvironment(into, others, dropped) {
    const names =
      dropped === undefined
        ? []
        : [
            ...[0x48, 0xba, ...dropped.first], // mov rdx, the first eight bytes
            ...[0x49, 0xb8, ...dropped.last], //  mov r8, the last eight bytes
          ];
    const load = [0x48, 0xad]; // lodsq
    const store = [
      ...[0x48, 0xab], //       stosq
      ...[0x48, 0x85, 0xc0], // test rax, rax
    ];
    const loop = [...load, ...(dropped === undefined ? [] : skipping(dropped, load.length)), ...store];
    return [
      ...names,
      ...[0x48, 0x8b, 0x04, 0x24], //           mov rax, [rsp]            argc
      ...[0x48, 0x8d, 0x74, 0xc4, 16], //       lea rsi, [rsp+rax*8+16]   envp
      ...[0x48, 0xbf, ...quadword(into)], //    mov rdi, into
      ...[0x48, 0xb9, ...quadword(others)], //  mov rcx, others
      ...loop,
      ...[0xe0, -(loop.length + 2) & 0xff], //  loopnz to lodsq
    ];
  },
  storeArguments(at) {
    return [0x48, 0x8d, 0x44, 0x24, 16, ...storeRax(at)]; // lea rax, [rsp+16]   argv + 1
  },
  storeEnvironment(at) {
    return [
      ...[0x48, 0x8b, 0x04, 0x24], //     mov rax, [rsp]            argc
      ...[0x48, 0x8d, 0x44, 0xc4, 16], // lea rax, [rsp+rax*8+16]   envp
      ...storeRax(at),
    ];
  },
  storeNumber(value, at) {
    return [0x48, 0xb8, ...quadword(value), ...storeRax(at)]; // mov rax, value
  },
  loop(table) {
    return [0x48, 0xbb, ...quadword(table), ...LOOP]; // mov rbx, table
  },
};

/** x86-64. Its programs of 32 bits have the ABI of i386. */
export const AMD64: Cpu = {
  name: "amd64",
  machine: 62,
  page: 0x1000,
  calls: AMD64_CALLS,
  filters: {
    // The bit 30 is set in the numbers of the ABI x32.
    own: { architecture: 0xc000_003e, mask: 0xbfff_ffff, sockets: [41, 53], socketcall: undefined },
    narrow: { architecture: 0x4000_0003, mask: undefined, sockets: [359, 360], socketcall: 102 },
  },
  code: CODE,
};

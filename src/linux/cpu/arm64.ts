import { ARM64_CALLS } from "./calls";
import type { Cpu, DroppedVariable, ProgramCode } from "./cpu";

/**
 * arm64: Arm Architecture Reference Manual for A-profile, "A64 instruction set"; the kernel's fs/binfmt_elf.c, create_elf_tables(), for the
 * stack that a program starts with; syscall(2) for the calling convention of the kernel.
 */

/** Register 31 is the stack pointer where an address is expected. */
const SP = 31;
/** The number of a call (syscall(2)). */
const NUMBER = 8;
/** Registers that no call changes: the entry of the table, and scratch. */
const ENTRY = 19;
const SCRATCH = 9;
const NOT_EQUAL = 1;
const EQUAL = 0;
const NEGATIVE = 4;

// The offsets of loads and stores are in bytes, those of branches in instructions.
const ldr = (to: number, base: number, offset: number) => 0xf940_0000 + ((offset / 8) << 10) + (base << 5) + to;
const str = (from: number, base: number, offset: number) => 0xf900_0000 + ((offset / 8) << 10) + (base << 5) + from;
const ldp = (to: number, second: number, base: number, offset: number) =>
  0xa940_0000 + ((offset / 8) << 15) + (second << 10) + (base << 5) + to;
/** From an offset that need not be a multiple of 8. */
const ldur = (to: number, base: number, offset: number) => 0xf840_0000 + (offset << 12) + (base << 5) + to;
/** Loads or stores, and then moves the base by 8. */
const ldrNext = (to: number, base: number) => 0xf840_8400 + (base << 5) + to;
const strNext = (from: number, base: number) => 0xf800_8400 + (base << 5) + from;
const add = (to: number, base: number, value: number) => 0x9100_0000 + (value << 10) + (base << 5) + to;
/** Adds a register times 8. */
const addWords = (to: number, base: number, index: number) => 0x8b00_0c00 + (index << 16) + (base << 5) + to;
const decrement = (register: number) => 0xf100_0400 + (register << 5) + register; // subs, which sets the flags
const move = (to: number, from: number) => 0xaa00_03e0 + (from << 16) + to;
const compare = (one: number, other: number) => 0xeb00_001f + (other << 16) + (one << 5);
const compareZero = (register: number) => 0xf100_001f + (register << 5);
const branchIf = (condition: number, offset: number) => 0x5400_0000 + ((offset & 0x7_ffff) << 5) + condition;
const branchIfZero = (register: number, offset: number) => 0xb400_0000 + ((offset & 0x7_ffff) << 5) + register;
const branch = (offset: number) => 0x1400_0000 + (offset & 0x3ff_ffff);
const SVC = 0xd400_0001;

/** A 64-bit number, in four parts: movz, then movk. */
function load(to: number, value: bigint): readonly number[] {
  return [0n, 1n, 2n, 3n].map((part) => {
    const bits = Number((value >> (part * 16n)) & 0xffffn);
    return (part === 0n ? 0xd280_0000 : 0xf280_0000) + Number(part) * 0x20_0000 + (bits << 5) + to;
  });
}

/** Instructions as bytes. */
function assembled(instructions: readonly number[]): readonly number[] {
  const code = new DataView(new ArrayBuffer(instructions.length * 4));
  for (const [index, instruction] of instructions.entries()) code.setUint32(index * 4, instruction, true);
  return [...new Uint8Array(code.buffer)];
}

const [ARGC, VARIABLES, INTO, OTHERS, VARIABLE, FIRST, LAST, BYTES] = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** argc is at the stack pointer, the arguments after it, then a zero, then the environment. */
const environmentInto = (register: number) => [
  ldr(ARGC, SP, 0),
  add(register, SP, 16),
  addWords(register, register, ARGC),
];

const eightBytes = (bytes: Uint8Array) => Buffer.from(bytes).readBigUInt64LE();

/** Instructions that go back to the load ahead of them if VARIABLE is the address of the dropped one. */
const skipping = ({ offset }: DroppedVariable) => [
  branchIfZero(VARIABLE, 7),
  ldr(BYTES, VARIABLE, 0),
  compare(BYTES, FIRST),
  branchIf(NOT_EQUAL, 4),
  ldur(BYTES, VARIABLE, offset),
  compare(BYTES, LAST),
  branchIf(EQUAL, -7),
];

const CODE: ProgramCode = {
  copyEnvironment(into, others, dropped) {
    const names =
      dropped === undefined ? [] : [...load(FIRST, eightBytes(dropped.first)), ...load(LAST, eightBytes(dropped.last))];
    const take = [ldrNext(VARIABLE, VARIABLES), ...(dropped === undefined ? [] : skipping(dropped))];
    return assembled([
      ...names,
      ...environmentInto(VARIABLES),
      ...load(INTO, BigInt(into)),
      ...load(OTHERS, BigInt(others)),
      ...take,
      strNext(VARIABLE, INTO),
      branchIfZero(VARIABLE, 3), // to the end
      decrement(OTHERS),
      branchIf(NOT_EQUAL, -(take.length + 3)),
    ]);
  },
  storeArguments(at) {
    return assembled([add(VARIABLES, SP, 16), ...load(INTO, BigInt(at)), str(VARIABLES, INTO, 0)]);
  },
  storeEnvironment(at) {
    return assembled([...environmentInto(VARIABLES), ...load(INTO, BigInt(at)), str(VARIABLES, INTO, 0)]);
  },
  storeNumber(value, at) {
    return assembled([...load(VARIABLES, BigInt(value)), ...load(INTO, BigInt(at)), str(VARIABLES, INTO, 0)]);
  },
  loop(table) {
    const body = [
      ldr(NUMBER, ENTRY, 0),
      ldp(0, 1, ENTRY, 8), // arguments
      ldp(2, 3, ENTRY, 24),
      ldp(4, 5, ENTRY, 40),
      SVC,
      ldr(SCRATCH, ENTRY, 56), // where the result goes
      str(0, SCRATCH, 0),
      ldr(SCRATCH, ENTRY, 64), // next after an error
      compareZero(0),
      branchIf(NEGATIVE, 4),
      ldr(SCRATCH, ENTRY, 72), // next after a positive result
      branchIf(NOT_EQUAL, 2),
      ldr(SCRATCH, ENTRY, 80), // next after 0
      move(ENTRY, SCRATCH),
    ];
    return assembled([...load(ENTRY, BigInt(table)), ...body, branch(-body.length)]);
  },
};

/** arm64. Its programs of 32 bits have the ABI of arm, in which socketcall(2) does not exist. */
export const ARM64: Cpu = {
  name: "arm64",
  machine: 183,
  page: 0x1_0000,
  calls: ARM64_CALLS,
  filters: {
    own: { architecture: 0xc000_00b7, mask: undefined, sockets: [198, 199], socketcall: undefined },
    narrow: { architecture: 0x4000_0028, mask: undefined, sockets: [281, 288], socketcall: undefined },
  },
  code: CODE,
};

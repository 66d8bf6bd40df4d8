/** A cgroup's device rules as a BPF program: v2 has no file for them (cgroup v2, "Device controller"). */

const MKNOD = 1;
const READ = 2;
const WRITE = 4;
const ACCESS: Readonly<Record<string, number>> = { m: MKNOD, r: READ, w: WRITE };
const BLOCK = 1;
const CHARACTER = 2;

/** Opcodes of 64-bit BPF (kernel: Documentation/bpf/standardization/instruction-set.rst). */
const LOAD_WORD = 0x61;
const MOVE = 0xbf;
const SET = 0xb7;
const AND_WORD = 0x54;
const SHIFT_RIGHT_WORD = 0x74;
const JUMP_UNLESS_EQUAL = 0x55;
const EXIT = 0x95;

/** Registers: the result and scratch, struct bpf_cgroup_dev_ctx, and the values read from it. */
const RESULT = 0;
const CONTEXT = 1;
const WANTED = 2;
const TYPE = 3;
const MAJOR = 4;
const MINOR = 5;

type Instruction = readonly [opcode: number, to: number, from: number, offset: number, value: number];

const INSTRUCTION_SIZE = 8;

/**
 * Instructions that allow what one of the rules allows, and nothing else.
 *
 * @param rules lines as for devices.allow of v1, such as "c 1:3 rwm"; "*" matches any number
 */
export function deviceProgram(rules: readonly string[]): Uint8Array {
  return encode([
    [LOAD_WORD, WANTED, CONTEXT, 0, 0],
    [MOVE, TYPE, WANTED, 0, 0],
    [AND_WORD, TYPE, 0, 0, 0xffff],
    [SHIFT_RIGHT_WORD, WANTED, 0, 0, 16],
    [LOAD_WORD, MAJOR, CONTEXT, 4, 0],
    [LOAD_WORD, MINOR, CONTEXT, 8, 0],
    ...rules.flatMap(allow),
    [SET, RESULT, 0, 0, 0],
    [EXIT, 0, 0, 0, 0],
  ]);
}

function allow(rule: string): readonly Instruction[] {
  const [, type, major, minor, letters] = /^([bc]) (\d+|\*):(\d+|\*) ([rwm]+)$/.exec(rule) ?? [];
  if (letters === undefined) throw new Error(`${JSON.stringify(rule)} is not a device rule.`);
  const allowed = [...letters].reduce((mask, letter) => mask | (ACCESS[letter] ?? 0), 0);
  const checks: (readonly [register: number, value: number])[] = [[TYPE, type === "b" ? BLOCK : CHARACTER]];
  if (major !== "*") checks.push([MAJOR, Number(major)]);
  if (minor !== "*") checks.push([MINOR, Number(minor)]);
  const body: readonly Instruction[] = [
    [MOVE, RESULT, WANTED, 0, 0],
    [AND_WORD, RESULT, 0, 0, (MKNOD | READ | WRITE) & ~allowed],
  ];
  // Jumps from each check to the next rule.
  const length = checks.length + body.length + 3;
  return [
    ...checks.map(
      ([register, value], index): Instruction => [JUMP_UNLESS_EQUAL, register, 0, length - index - 1, value],
    ),
    ...body,
    [JUMP_UNLESS_EQUAL, RESULT, 0, 2, 0],
    [SET, RESULT, 0, 0, 1],
    [EXIT, 0, 0, 0, 0],
  ];
}

function encode(instructions: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(instructions.length * INSTRUCTION_SIZE));
  for (const [index, [opcode, to, from, offset, value]] of instructions.entries()) {
    const at = index * INSTRUCTION_SIZE;
    view.setUint8(at, opcode);
    view.setUint8(at + 1, to | (from << 4));
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, value, true);
  }
  return new Uint8Array(view.buffer);
}

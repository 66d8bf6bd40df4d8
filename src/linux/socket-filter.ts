import type { AddressFamilies } from "../values/address-families";
import type { FilterAbi, FilterNumbers } from "./cpu/cpu";
import { CPU } from "./cpu/this-cpu";

/**
 * A seccomp filter that decides which sockets a program can make (seccomp(2), linux/filter.h): the same rule as systemd's
 * RestrictAddressFamilies= (systemd.exec(5)). Two ways around it are shut: a filter cannot see the arguments of socketcall(2), which
 * programs of 32 bits may use, nor what io_uring is asked to do.
 */

/** Operations of the filter's machine (linux/bpf_common.h). */
const LOAD = 0x20;
const AND = 0x54;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;

/** Offsets in struct seccomp_data. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;

/** The same for all architectures. */
const IO_URING_SETUP = 425;

const ALLOW = 0x7fff_0000;
const ERRNO = 0x5_0000;
const EAFNOSUPPORT = 97;
const ENOSYS = 38;

/** An instruction; jumps name the label to go to. */
interface Instruction {
  readonly code: number;
  readonly value: number;
  readonly equal?: string;
}

/**
 * The filter, an array of struct sock_filter.
 *
 * @param numbers of the CPU that the program runs on
 */
export function socketFilter(
  { kind, numbers }: AddressFamilies,
  { own, narrow }: FilterNumbers = CPU.filters,
): Uint8Array {
  const [listed, others] = kind === "allowed" ? (["allow", "deny"] as const) : (["deny", "allow"] as const);
  return encode([
    ["start", [load(ARCHITECTURE), jump(own.architecture, "own"), jump(narrow.architecture, "narrow"), end("allow")]],
    ["own", judged(own)],
    ["narrow", judged(narrow)],
    ["family", [load(FIRST_ARGUMENT), ...numbers.map((number) => jump(number, listed)), end(others)]],
    ["allow", [end("allow")]],
    ["deny", [end("deny")]],
    ["unknown", [end("unknown")]],
  ]);
}

const jump = (value: number, equal: string): Instruction => ({ code: JUMP_IF_EQUAL, value, equal });
const load = (value: number): Instruction => ({ code: LOAD, value });
const end = (what: keyof typeof RESULTS): Instruction => ({ code: RETURN, value: RESULTS[what] });

/** What happens to a call of an ABI. */
function judged({ mask, sockets, socketcall }: FilterAbi): readonly Instruction[] {
  return [
    load(NUMBER),
    ...(mask === undefined ? [] : [{ code: AND, value: mask }]),
    jump(IO_URING_SETUP, "unknown"),
    ...(socketcall === undefined ? [] : [jump(socketcall, "unknown")]),
    ...sockets.map((number) => jump(number, "family")),
    end("allow"),
  ];
}

const RESULTS = { allow: ALLOW, deny: ERRNO | EAFNOSUPPORT, unknown: ERRNO | ENOSYS } as const;
const INSTRUCTION_SIZE = 8;

function encode(sections: readonly (readonly [label: string, instructions: readonly Instruction[]])[]): Uint8Array {
  const positions = new Map<string, number>();
  let length = 0;
  for (const [label, instructions] of sections) {
    positions.set(label, length);
    length += instructions.length;
  }
  const filter = Buffer.alloc(length * INSTRUCTION_SIZE);
  for (const [index, { code, value, equal }] of sections.flatMap(([, instructions]) => instructions).entries()) {
    const at = index * INSTRUCTION_SIZE;
    filter.writeUInt16LE(code, at);
    // Relative to the next instruction.
    if (equal !== undefined) filter.writeUInt8((positions.get(equal) ?? 0) - index - 1, at + 2);
    filter.writeUInt32LE(value, at + 4);
  }
  return filter;
}

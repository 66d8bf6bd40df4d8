import type { AddressFamilies } from "../values/address-families";

/**
 * A seccomp filter that decides which sockets a program can make (seccomp(2), linux/filter.h), for x86-64: the same rule as systemd's
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

const X86_64 = 0xc000_003e;
const I386 = 0x4000_0003;
/** Set in the numbers of the ABI x32. */
const NOT_X32 = 0xbfff_ffff;
/** The numbers of socket, socketpair and, for 32 bits, socketcall. */
const SOCKETS = { x86_64: [41, 53], i386: [359, 360], socketcall: 102 } as const;
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

/** The filter, an array of struct sock_filter. */
export function socketFilter({ kind, numbers }: AddressFamilies): Uint8Array {
  const [listed, others] = kind === "allowed" ? (["allow", "deny"] as const) : (["deny", "allow"] as const);
  const jump = (value: number, equal: string): Instruction => ({ code: JUMP_IF_EQUAL, value, equal });
  const load = (value: number): Instruction => ({ code: LOAD, value });
  const end = (what: "allow" | "deny" | "unknown"): Instruction => ({ code: RETURN, value: RESULTS[what] });
  const sections: readonly (readonly [label: string, instructions: readonly Instruction[]])[] = [
    ["start", [load(ARCHITECTURE), jump(X86_64, "x86_64"), jump(I386, "i386"), end("allow")]],
    [
      "x86_64",
      [
        load(NUMBER),
        { code: AND, value: NOT_X32 },
        jump(IO_URING_SETUP, "unknown"),
        ...SOCKETS.x86_64.map((number) => jump(number, "family")),
        end("allow"),
      ],
    ],
    [
      "i386",
      [
        load(NUMBER),
        jump(IO_URING_SETUP, "unknown"),
        jump(SOCKETS.socketcall, "unknown"),
        ...SOCKETS.i386.map((number) => jump(number, "family")),
        end("allow"),
      ],
    ],
    ["family", [load(FIRST_ARGUMENT), ...numbers.map((number) => jump(number, listed)), end(others)]],
    ["allow", [end("allow")]],
    ["deny", [end("deny")]],
    ["unknown", [end("unknown")]],
  ];
  return encode(sections);
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

/**
 * Executables of a few kilobytes that are built at run time and consist of system calls only. The steps between a fork and an exec to
 * enter a container (setns(2) into a user namespace, above all) need a single-threaded process with none of the driver's memory in it. A
 * JavaScript runtime is not that. So the calls are decided here, as data, and a loop of 60 bytes makes them: it uses no library, and its
 * memory holds nothing of the driver.
 *
 * A *program* is a table of calls. Each has up to six arguments: numbers, addresses of data in the program, or results of earlier calls;
 * and the next call for each kind of result, to which a *label* refers. elf.ts writes the static executable, run.ts runs it.
 */

import { SYS } from "../constants";
import { EXECUTE, executable, READ, WRITE } from "./elf";

/** Bytes of one call in the program's table: number, six arguments, result's address, three next calls. */
const ENTRY_SIZE = 88;
const ARGUMENTS = 6;

const CODE_ADDRESS = 0x40_0000;
const DATA_ADDRESS = 0x1000_0000;
const TABLE_ADDRESS = 0x2000_0000;

/**
 * The loop, in x86-64 machine code (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2; the kernel's
 * calling convention: syscall(2)). rbx is the address of the call to make.
 */
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

/** A value known when the program is built: a number, or an address within it. */
export type Value = number | bigint;

/** A jump target, created before its position is known. */
export class Label {
  /** Index of the call that it precedes. */
  index: number | undefined;
}

/** The next call by result; by default the next one in the program. */
interface Following {
  readonly error?: Label;
  readonly positive?: Label;
  readonly zero?: Label;
}

interface Call {
  readonly number: number;
  readonly arguments: readonly Value[];
  readonly result: number;
  readonly following: Following;
}

/** Eight bytes, little-endian. */
function quadword(value: number): Uint8Array {
  return new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
}

/** Builds a program. */
export class ProgramBuilder {
  readonly #calls: Call[] = [];
  readonly #data: Uint8Array[] = [];
  #dataSize = 0;
  readonly #ignored = this.space(8);
  readonly #stores: number[] = [];

  /** Reserves zeroed bytes; returns their address. */
  space(size: number): number {
    return this.bytes(new Uint8Array(size));
  }

  /** Adds bytes to the program; returns their address. */
  bytes(content: Uint8Array): number {
    const address = DATA_ADDRESS + this.#dataSize;
    const padded = new Uint8Array((content.length + 7) & ~7);
    padded.set(content);
    this.#data.push(padded);
    this.#dataSize += padded.length;
    return address;
  }

  /** Adds a text with its final NUL to the program; returns its address. */
  text(content: string): number {
    return this.bytes(Buffer.from(`${content}\0`));
  }

  /** Adds 64-bit numbers to the program; returns their address. */
  words(values: readonly Value[]): number {
    return this.bytes(new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  }

  /** Adds a call. @param result address of 8 bytes for the return value: -errno after an error */
  call(number: number, args: readonly Value[], following: Following = {}, result: number = this.#ignored): void {
    if (args.length > ARGUMENTS) throw new RangeError(`A system call has at most ${ARGUMENTS} arguments.`);
    this.#calls.push({ number, arguments: args, result, following });
  }

  /** Address of an argument of the call after the next `skip` ones, to store the result of an earlier call in. */
  argumentAhead(skip: number, position = 0): number {
    return TABLE_ADDRESS + (this.#calls.length + skip) * ENTRY_SIZE + 8 + position * 8;
  }

  /**
   * The program's environment with variables before it, as execve(2) expects.
   *
   * @param variables "NAME=VALUE"
   * @param others the number of variables that the environment may have; the rest is left out
   * @param dropped the name of a variable that is left out, of 8 to 15 bytes
   * @returns the address of the array; undefined to pass the environment on unchanged
   */
  environment(variables: readonly string[], others: number, dropped?: string): number | undefined {
    if (variables.length === 0 && dropped === undefined) return undefined;
    // The zeros at the end are the array's end, however many variables are copied before them.
    const list = this.words([...variables.map((variable) => this.text(variable)), ...Array(others + 1).fill(0)]);
    const store = [
      ...[0x48, 0xab], //       stosq
      ...[0x48, 0x85, 0xc0], // test rax, rax
    ];
    const load = [0x48, 0xad]; // lodsq
    const skip = dropped === undefined ? [] : this.#skipping(dropped, load.length);
    this.#stores.push(0x48, 0x8b, 0x04, 0x24); //        mov rax, [rsp]              argc
    this.#stores.push(0x48, 0x8d, 0x74, 0xc4, 16); //    lea rsi, [rsp+rax*8+16]     envp
    this.#stores.push(0x48, 0xbf, ...quadword(list + variables.length * 8)); // mov rdi, end of the variables
    this.#stores.push(0x48, 0xb9, ...quadword(others)); // mov rcx, others
    const loop = [...load, ...skip, ...store];
    this.#stores.push(...loop, 0xe0, -(loop.length + 2) & 0xff); // loopnz to lodsq
    return list;
  }

  /**
   * Code that jumps back before itself and the `before` bytes ahead of it if rax is the address of a variable with this name: its
   * first and its last eight bytes with the "=" are compared.
   */
  #skipping(name: string, before: number): readonly number[] {
    const text = Buffer.from(`${name}=`);
    const last = text.length - 8;
    if (last < 1 || last > 8) throw new RangeError("The name of a variable that is left out has 8 to 15 bytes.");
    this.#stores.push(0x48, 0xba, ...text.subarray(0, 8)); // mov rdx, the first eight bytes
    this.#stores.push(0x49, 0xb8, ...text.subarray(last)); // mov r8, the last eight bytes
    const compare = [
      ...[0x48, 0x39, 0x10], //       cmp [rax], rdx
      ...[0x75, 6], //                jne to the end
      ...[0x4c, 0x39, 0x40, last], // cmp [rax+last], r8
      0x74, //                        je to the beginning
    ];
    const test = [0x48, 0x85, 0xc0]; // test rax, rax
    const length = before + test.length + 2 + compare.length + 1;
    return [...test, 0x74, compare.length + 1, ...compare, -length & 0xff]; // jz to the end
  }

  /**
   * The call added next gets the program's own arguments, without the first, as its second argument and the environment as its
   * third, as execve(2) expects. At its start a process finds both on its stack (System V ABI for x86-64, "Process Initialization").
   *
   * @param environment see environment()
   */
  passOn(environment?: number): void {
    this.#stores.push(0x48, 0x8d, 0x44, 0x24, 16); // lea rax, [rsp+16]           argv + 1
    this.#storeAt(this.argumentAhead(0, 1));
    if (environment === undefined) {
      this.#stores.push(0x48, 0x8b, 0x04, 0x24); //     mov rax, [rsp]            argc
      this.#stores.push(0x48, 0x8d, 0x44, 0xc4, 16); // lea rax, [rsp+rax*8+16]   envp
    } else {
      this.#stores.push(0x48, 0xb8, ...quadword(environment)); // mov rax, environment
    }
    this.#storeAt(this.argumentAhead(0, 2));
  }

  #storeAt(address: number): void {
    this.#stores.push(0x48, 0xa3, ...quadword(address)); // mov [address], rax
  }

  /** Ends the whole process. */
  exit(code: number): void {
    const here = new Label();
    this.place(here);
    // It never returns, but the table needs a call after it.
    this.call(SYS.exit_group, [code], { error: here, positive: here, zero: here });
  }

  /** Places `label` before the next call. */
  place(label: Label): void {
    label.index = this.#calls.length;
  }

  /** The executable (elf(5)). */
  build(): Uint8Array {
    const start = [0x48, 0xbb, ...quadword(TABLE_ADDRESS)]; // mov rbx, TABLE_ADDRESS
    const segments = [
      { address: CODE_ADDRESS, content: Uint8Array.from([...this.#stores, ...start, ...LOOP]), flags: READ | EXECUTE },
      { address: DATA_ADDRESS, content: Buffer.concat(this.#data), flags: READ | WRITE },
      { address: TABLE_ADDRESS, content: this.#table(), flags: READ | WRITE },
    ];
    return executable(CODE_ADDRESS, segments);
  }

  #table(): Uint8Array {
    const table = new DataView(new ArrayBuffer(this.#calls.length * ENTRY_SIZE));
    for (const [index, call] of this.#calls.entries()) {
      const after = (label: Label | undefined) => {
        const next = label === undefined ? index + 1 : label.index;
        if (next === undefined || next >= this.#calls.length)
          throw new RangeError("A program must not run past its end.");
        return TABLE_ADDRESS + next * ENTRY_SIZE;
      };
      const args = Array.from({ length: ARGUMENTS }, (_, position) => call.arguments[position] ?? 0);
      const { error, positive, zero } = call.following;
      const next = [after(error), after(positive), after(zero)];
      for (const [position, value] of [call.number, ...args, call.result, ...next].entries()) {
        table.setBigInt64(index * ENTRY_SIZE + position * 8, BigInt.asIntN(64, BigInt(value)), true);
      }
    }
    return new Uint8Array(table.buffer);
  }
}

/**
 * Executables of a few kilobytes that are built at run time and consist of system calls only. The steps between a fork and an exec to
 * enter a container (setns(2) into a user namespace, above all) need a single-threaded process with none of the driver's memory in it. A
 * JavaScript runtime is not that. So the calls are decided here, as data, and a loop of 60 to 80 bytes makes them (src/linux/cpu): it uses no
 * library, and its memory holds nothing of the driver.
 *
 * A *program* is a table of calls. Each has up to six arguments: numbers, addresses of data in the program, or results of earlier calls;
 * and the next call for each kind of result, to which a *label* refers. elf.ts writes the static executable, run.ts runs it.
 */

import type { Cpu, DroppedVariable } from "../cpu/cpu";
import { CPU } from "../cpu/this-cpu";
import { EXECUTE, executable, READ, WRITE } from "./elf";

/** Bytes of one call in the program's table: number, six arguments, result's address, three next calls. */
const ENTRY_SIZE = 88;
const ARGUMENTS = 6;

const CODE_ADDRESS = 0x40_0000;
/** A little into its page, so that in the file the headers fit before it. */
const DATA_ADDRESS = 0x1000_1000;
const TABLE_ADDRESS = 0x2000_0000;

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

/** The shortest and the longest name of a variable that can be left out: its first and its last eight bytes with "=" are compared. */
const DROPPED_NAME = { least: 8, most: 15 } as const;

function droppedVariable(name: string): DroppedVariable {
  const text = Buffer.from(`${name}=`);
  if (text.length <= DROPPED_NAME.least || text.length > DROPPED_NAME.most + 1) {
    throw new RangeError("The name of a variable that is left out has 8 to 15 bytes.");
  }
  return { first: text.subarray(0, 8), last: text.subarray(-8), offset: text.length - 8 };
}

/** Builds a program. */
export class ProgramBuilder {
  readonly #cpu: Cpu;
  readonly #calls: Call[] = [];
  readonly #data: Uint8Array[] = [];
  #dataSize = 0;
  readonly #ignored = this.space(8);
  readonly #stores: number[] = [];

  /** @param cpu for which machine's CPU; this one's, but in tests */
  constructor(cpu: Cpu = CPU) {
    this.#cpu = cpu;
  }

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
    const left = dropped === undefined ? undefined : droppedVariable(dropped);
    this.#stores.push(...this.#cpu.code.copyEnvironment(list + variables.length * 8, others, left));
    return list;
  }

  /**
   * The call added next gets the program's own arguments, without the first, as its second argument and the environment as its
   * third, as execve(2) expects. At its start a process finds both on its stack.
   *
   * @param environment see environment()
   */
  passOn(environment?: number): void {
    const { code } = this.#cpu;
    this.#stores.push(...code.storeArguments(this.argumentAhead(0, 1)));
    const third = this.argumentAhead(0, 2);
    this.#stores.push(
      ...(environment === undefined ? code.storeEnvironment(third) : code.storeNumber(environment, third)),
    );
  }

  /** Ends the whole process. */
  exit(code: number): void {
    const here = new Label();
    this.place(here);
    // It never returns, but the table needs a call after it.
    this.call(this.#cpu.calls.exit_group, [code], { error: here, positive: here, zero: here });
  }

  /** Places `label` before the next call. */
  place(label: Label): void {
    label.index = this.#calls.length;
  }

  /** The executable (elf(5)). */
  build(): Uint8Array {
    const code = Uint8Array.from([...this.#stores, ...this.#cpu.code.loop(TABLE_ADDRESS)]);
    const segments = [
      { address: DATA_ADDRESS, content: Buffer.concat(this.#data), flags: READ | WRITE },
      { address: TABLE_ADDRESS, content: this.#table(), flags: READ | WRITE },
      { address: CODE_ADDRESS, content: code, flags: READ | EXECUTE },
    ];
    return executable(this.#cpu, segments);
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

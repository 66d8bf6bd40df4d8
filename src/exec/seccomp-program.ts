import { ProgramBuilder } from "./program";
import { SYS } from "./syscalls";

const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_SECCOMP_GET_FILTER = 0x420c;
const PTRACE_DETACH = 17;
const WAIT_ALL = 0x4000_0000; // __WALL
const STDOUT = 1;
/** BPF_MAXINSNS, and the size of struct sock_filter (linux/filter.h). */
const MAX_INSTRUCTIONS = 4096;
const INSTRUCTION_SIZE = 8;
/**
 * The most filters that are read: systemd-nspawn makes some three for each architecture, and whatever is in a container may put
 * thousands on itself.
 */
export const MAX_FILTERS = 64;
const RECORD_SIZE = 8 + MAX_INSTRUCTIONS * INSTRUCTION_SIZE;

/**
 * A program that writes the system call filters of a process to its standard output, for {@link parseFilters}. The process
 * is stopped for the moment it takes (ptrace(2); the kernel gives the filters to nobody else).
 *
 * @param count how many there are: "Seccomp_filters" in /proc/PID/status
 * @throws RangeError for more than {@link MAX_FILTERS}
 */
export function filtersProgram(pid: number, count: number): Uint8Array {
  if (count > MAX_FILTERS) throw new RangeError(`${MAX_FILTERS} filters are read at most, not ${count}.`);
  const program = new ProgramBuilder();
  const records = program.space(RECORD_SIZE * count);
  program.call(SYS.ptrace, [PTRACE_SEIZE, pid, 0, 0]);
  program.call(SYS.ptrace, [PTRACE_INTERRUPT, pid, 0, 0]);
  program.call(SYS.wait4, [pid, program.space(8), WAIT_ALL, 0]);
  for (let index = 0; index < count; index += 1) {
    const record = records + index * RECORD_SIZE;
    program.call(SYS.ptrace, [PTRACE_SECCOMP_GET_FILTER, pid, index, record + 8], {}, record);
  }
  program.call(SYS.ptrace, [PTRACE_DETACH, pid, 0, 0]);
  for (let index = 0; index < count; index += 1) {
    program.call(SYS.write, [STDOUT, records + index * RECORD_SIZE, RECORD_SIZE]);
  }
  program.exit(0);
  return program.build();
}

/**
 * The filters out of what {@link filtersProgram} wrote, in the order in which they have to be installed.
 *
 * @param expected how many there have to be
 * @throws Error with the errno where the kernel did not give them, and where there are fewer
 */
export function parseFilters(output: Uint8Array, expected: number): readonly Uint8Array[] {
  const filters: Uint8Array[] = [];
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  for (let at = 0; at + RECORD_SIZE <= output.length; at += RECORD_SIZE) {
    const count = Number(view.getBigInt64(at, true));
    if (count < 0) throw new Error(`the kernel does not give them (errno ${-count})`);
    if (count === 0 || count > MAX_INSTRUCTIONS) throw new Error(`one of them has ${count} instructions`);
    filters.push(output.slice(at + 8, at + 8 + count * INSTRUCTION_SIZE));
  }
  if (filters.length !== expected) throw new Error(`${filters.length} of ${expected} were read`);
  // The kernel tells the youngest first.
  return filters.reverse();
}

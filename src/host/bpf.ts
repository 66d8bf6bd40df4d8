import { closeSync, constants, openSync } from "node:fs";
import { errnoCode } from "./errno";
import { bpf, pointerTo } from "./libc";

/** Commands and types of bpf(2), of linux/bpf.h. */
const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
/** Added to the programs others attached: the host's systemd, or a container runtime around us. */
const BPF_F_ALLOW_MULTI = 2;
const INSTRUCTION_SIZE = 8;
const LOAD_SIZE = 72;
const ATTACH_SIZE = 16;

/**
 * Attaches a program to a v2 cgroup that decides which devices its processes may open or create. It stays attached as long as the cgroup exists.
 *
 * @param instructions see deviceProgram()
 * @returns false if the kernel or the host refuses it
 */
export function attachDeviceProgram(cgroup: string, instructions: Uint8Array): boolean {
  const license = Buffer.from("\0");
  const load = new DataView(new ArrayBuffer(LOAD_SIZE));
  load.setUint32(0, BPF_PROG_TYPE_CGROUP_DEVICE, true);
  load.setUint32(4, instructions.length / INSTRUCTION_SIZE, true);
  load.setBigUint64(8, pointerTo(instructions), true);
  load.setBigUint64(16, pointerTo(license), true);
  const program = bpf(BPF_PROG_LOAD, new Uint8Array(load.buffer));
  if (program === undefined) return false;
  try {
    const directory = openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const attach = Uint32Array.of(directory, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI);
      return bpf(BPF_PROG_ATTACH, new Uint8Array(attach.buffer, 0, ATTACH_SIZE)) !== undefined;
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return false;
  } finally {
    closeSync(program);
  }
}

import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { errnoCode } from "../host/errno";
import { createPipe } from "../host/libc";
import { Label, ProgramBuilder } from "./program";
import { runProgram } from "./run-program";
import { SYS } from "./syscalls";

const CLONE_NEWUSER = 0x1000_0000;
const STDIN = 0;
const STDOUT = 1;

/**
 * A user namespace like one that systemd-nspawn makes for a container: its 0 is `first` outside. It lives as long as the
 * returned descriptor; undefined where the host gives out none, in a container or by sysctl user.max_user_namespaces.
 */
export async function openUserNamespace(first: number, count: number): Promise<number | undefined> {
  const { readEnd, writeEnd } = createPipe();
  try {
    const child = runProgram("nomad-nspawn-userns", waitInNewNamespace(), [readEnd, "pipe", "ignore"]);
    const { stdout } = child;
    if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was made");
    const { value: made } = await stdout.getReader().read();
    return made === undefined ? undefined : mapped(child.pid, `0 ${first} ${count}\n`);
  } finally {
    // The process ends with the pipe; the namespace does not.
    closeSync(readEnd);
    closeSync(writeEnd);
  }
}

/** Says so when it is in its namespace, and ends with its input. */
function waitInNewNamespace(): Uint8Array {
  const program = new ProgramBuilder();
  const end = new Label();
  const byte = program.space(1);
  program.call(SYS.unshare, [CLONE_NEWUSER], { error: end });
  program.call(SYS.write, [STDOUT, byte, 1]);
  program.call(SYS.read, [STDIN, byte, 1]);
  program.place(end);
  program.exit(0);
  return program.build();
}

/** The namespace of a process, with its mapping written (user_namespaces(7)). */
function mapped(pid: number, mapping: string): number | undefined {
  try {
    for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${pid}/${map}`, mapping);
    return openSync(`/proc/${pid}/ns/user`, constants.O_RDONLY);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return undefined;
  }
}

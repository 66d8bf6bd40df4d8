import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { errnoCode } from "../lib/errors";
import { CLONE_NEW, SYS } from "./constants";
import { createPipe } from "./pipe";
import { Label, ProgramBuilder } from "./syscall-program/builder";
import { runProgram } from "./syscall-program/run";

const STDIN = 0;
const STDOUT = 1;

/**
 * A user namespace like systemd-nspawn's for a container: its ID 0 is `first` outside. It lives as long as the
 * returned descriptor; undefined if the host cannot create one, in a container or because of the sysctl user.max_user_namespaces.
 *
 * @param inside the ID in the namespace that is `first` outside; other than 0 only to map the files of a mount
 */
export async function openUserNamespace(first: number, count: number, inside = 0): Promise<number | undefined> {
  const { readEnd, writeEnd } = createPipe();
  // The process ends with the pipe; the namespace stays open.
  using ends = new DisposableStack();
  for (const fd of [writeEnd, readEnd]) ends.adopt(fd, closeSync);
  const child = runProgram("nomad-nspawn-userns", waitInNewNamespace(), [readEnd, "pipe", "ignore"]);
  const { stdout } = child;
  if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was created");
  const { value: made } = await stdout.getReader().read();
  return made === undefined ? undefined : mapped(child.pid, `${inside} ${first} ${count}\n`);
}

/** Signals when it is in its namespace, and ends when its input ends. */
function waitInNewNamespace(): Uint8Array {
  const program = new ProgramBuilder();
  const end = new Label();
  const byte = program.space(1);
  program.call(SYS.unshare, [CLONE_NEW.user], { error: end });
  program.call(SYS.write, [STDOUT, byte, 1]);
  program.call(SYS.read, [STDIN, byte, 1]);
  program.place(end);
  program.exit(0);
  return program.build();
}

/** Opens the namespace of a process after writing its mapping (user_namespaces(7)). */
function mapped(pid: number, mapping: string): number | undefined {
  try {
    for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${pid}/${map}`, mapping);
    return openSync(`/proc/${pid}/ns/user`, constants.O_RDONLY);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    return undefined;
  }
}

import { closeSync, constants, openSync, writeFileSync } from "node:fs";
import { errnoCode } from "../lib/errors";
import { CLONE_NEW, SYS } from "./constants";
import { createPipe } from "./pipe";
import { Label, ProgramBuilder } from "./syscall-program/builder";
import { runProgram } from "./syscall-program/run";

const STDIN = 0;
const STDOUT = 1;

/** IDs below belong to the host and its users: none of them is ever mapped to itself. */
const FIRST_OTHER = 65_536;
/** One more than the largest ID; 2^32 - 1 means "no ID" (setresuid(2)). */
const END_OF_IDS = 2 ** 32 - 1;

/**
 * The mapping of the owners of a root's files (user_namespaces(7), "uid_map"): the IDs from `inside` become those from `first`. Files may
 * have other owners too, which a container cannot name. Without a mapping the kernel would refuse even to the host's root to create
 * something in their directories, or to copy them into the layer for writes; so IDs from 65536 on that are not in either range stay.
 */
export function ownerMapping(first: number, count: number, inside = 0): string {
  const taken = [
    { from: inside, to: inside + count },
    { from: first, to: first + count },
  ].toSorted((one, other) => one.from - other.from);
  const lines = [`${inside} ${first} ${count}`];
  let at = FIRST_OTHER;
  for (const { from, to } of [...taken, { from: END_OF_IDS, to: END_OF_IDS }]) {
    if (from > at) lines.push(`${at} ${at} ${from - at}`);
    at = Math.max(at, to);
  }
  return `${lines.join("\n")}\n`;
}

/**
 * A user namespace for mapping owners, as of a container whose ID 0 is `first` outside (see ownerMapping()). It lives as long as the
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
  return made === undefined ? undefined : mapped(child.pid, ownerMapping(first, count, inside));
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

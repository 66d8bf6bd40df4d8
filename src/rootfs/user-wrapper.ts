import { SYS } from "../linux/constants";
import { Label, ProgramBuilder } from "../linux/syscall-program/builder";
import type { Credentials } from "../values/passwd";

const NOT_RUN = 127;
const STDERR = 2;

/**
 * A program that switches to a user and then executes the program named by its arguments, with its own environment. systemd-nspawn's --user=
 * runs getent in the container to look the user up: most images without a distribution in them lack it, and it maps a number that is
 * in no database to "nobody".
 *
 * @param paths in the container; the first executable one is run
 */
export function asUserProgram({ uid, gid, groups }: Credentials, paths: readonly string[]): Uint8Array {
  const program = new ProgramBuilder();
  const refused = new Label();
  // Otherwise the user could not reopen /dev/stdout.
  for (const descriptor of [0, 1, 2]) program.call(SYS.fchown, [descriptor, uid, gid]);
  const list = program.bytes(new Uint8Array(Uint32Array.from(groups).buffer));
  program.call(SYS.setgroups, [groups.length, list], { error: refused });
  program.call(SYS.setresgid, [gid, gid, gid], { error: refused });
  program.call(SYS.setresuid, [uid, uid, uid], { error: refused });
  for (const path of paths) {
    program.passOn();
    program.call(SYS.execve, [program.text(path), 0, 0]);
  }
  complain(program, `Cannot run any of ${paths.join(", ")} in the container.\n`);
  program.place(refused);
  complain(program, `Cannot switch to user ${uid}:${gid}: not mapped in the container.\n`);
  return program.build();
}

function complain(program: ProgramBuilder, sentence: string): void {
  program.call(SYS.write, [STDERR, program.text(sentence), Buffer.byteLength(sentence)]);
  program.exit(NOT_RUN);
}

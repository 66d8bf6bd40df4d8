import type { Credentials } from "./enter-program";
import { Label, ProgramBuilder } from "./program";
import { SYS } from "./syscalls";

const NOT_RUN = 127;
const STDERR = 2;

/**
 * A program that becomes a user and then the program that its arguments name, with its own environment. systemd-nspawn's --user=
 * asks a program in the container, getent, who that is: most images without a distribution in them have none, and a number that is
 * in no database it takes for nobody.
 *
 * @param paths of the container, the first of which that can be run is run
 */
export function asUserProgram({ uid, gid, groups }: Credentials, paths: readonly string[]): Uint8Array {
  const program = new ProgramBuilder();
  const refused = new Label();
  // Otherwise /dev/stdout could not be opened again.
  for (const descriptor of [0, 1, 2]) program.call(SYS.fchown, [descriptor, uid, gid]);
  const list = program.bytes(new Uint8Array(Uint32Array.from(groups).buffer));
  program.call(SYS.setgroups, [groups.length, list], { error: refused });
  program.call(SYS.setresgid, [gid, gid, gid], { error: refused });
  program.call(SYS.setresuid, [uid, uid, uid], { error: refused });
  for (const path of paths) {
    program.passOn();
    program.call(SYS.execve, [program.text(path), 0, 0]);
  }
  complain(program, `None of ${paths.join(", ")} can be run in the container.\n`);
  program.place(refused);
  complain(program, `The user ${uid}:${gid} cannot be taken on: the container has no such IDs.\n`);
  return program.build();
}

function complain(program: ProgramBuilder, sentence: string): void {
  program.call(SYS.write, [STDERR, program.text(sentence), Buffer.byteLength(sentence)]);
  program.exit(NOT_RUN);
}

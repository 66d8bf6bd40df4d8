import { AT_FDCWD, O_CLOEXEC, SYS } from "../constants";
import { Label, type ProgramBuilder } from "./builder";

const O_WRONLY = 1;

/** Where a program finds the directory of its own process in a proc file system. */
export interface OwnProc {
  /** Descriptor of that file system's root; absent: the path is absolute. */
  readonly descriptor?: number;
  readonly path: string;
}

/**
 * Requests an AppArmor profile for the next execve(2) of a program's process (aa_change_onexec(2)).
 *
 * @param failed where it goes if the kernel refuses it
 * @param result address of 8 bytes for the error of the refusal
 */
export function requestProfile(
  program: ProgramBuilder,
  profile: string,
  { failed, result, own }: { readonly failed: Label; readonly result?: number; readonly own: OwnProc },
): void {
  const order = `exec ${profile}`;
  const [opened, older] = [new Label(), new Label()];
  const { descriptor = AT_FDCWD, path } = own;
  const open = (file: string, error: Label) => {
    const name = program.text(`${path}/attr/${file}`);
    program.call(SYS.openat, [descriptor, name, O_WRONLY | O_CLOEXEC], { error }, program.argumentAhead(1));
  };
  const text = [0, program.text(order), Buffer.byteLength(order)];
  open("apparmor/exec", older);
  program.call(SYS.write, text, { error: failed, positive: opened }, result);
  program.place(older);
  // Before Linux 5.8.
  open("exec", failed);
  program.call(SYS.write, text, { error: failed }, result);
  program.place(opened);
}

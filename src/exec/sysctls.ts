import { closeSync, constants, readFileSync } from "node:fs";
import { AT_FDCWD, CLONE_NEW, O_CLOEXEC, SYS } from "../linux/constants";
import { openPidfd } from "../linux/pidfd";
import { isAlive, type ProcessIdentity } from "../linux/proc";
import { Label, ProgramBuilder } from "../linux/syscall-program/builder";
import { runProgram } from "../linux/syscall-program/run";
import { foreignNamespaces } from "./container";

/** A kernel setting and the value that it gets. */
interface SysctlValue {
  /** Below /proc/sys. */
  readonly path: string;
  readonly value: string;
  readonly namespace: "net" | "ipc";
}

/** A setting that the kernel refused, and its error number. */
export interface RefusedSysctl<Wanted extends SysctlValue> {
  readonly sysctl: Wanted;
  readonly errno: number;
}

const PIDFD = 3;
const STDOUT = 1;
const RECORD_SIZE = 16;
/** mount(2) */
const MS_REC = 0x4000;
const MS_PRIVATE = 0x4_0000;
const EXIT_FAILURE = 125;
/** EACCES and EPERM (errno(3)). */
const NOT_PERMITTED: readonly number[] = [13, 1];

/**
 * Sets kernel settings in the namespaces of a container, from outside: systemd-nspawn mounts most of /proc/sys read-only in it. What
 * /proc/sys shows depends on the namespaces of the reader (proc_sys(5)), so a small program joins them, and keeps the host's files.
 *
 * @param leader the container's PID 1, with all its namespaces
 * @returns the settings that the kernel refused
 * @throws Error if the namespaces cannot be joined, because the container has ended for example
 */
export async function setSysctls<Wanted extends SysctlValue>(
  leader: ProcessIdentity,
  wanted: readonly Wanted[],
): Promise<readonly RefusedSysctl<Wanted>[]> {
  if (wanted.length === 0) return [];
  using held = new DisposableStack();
  const pidfd = openPidfd(leader.pid);
  if (pidfd === undefined || !isAlive(leader)) throw new Error("the container has ended");
  held.adopt(pidfd, closeSync);
  const own = foreignNamespaces(leader.pid);
  const shared = wanted.find(({ namespace }) => (own & CLONE_NEW[namespace]) === 0);
  // Never a setting of the host.
  if (shared !== undefined) throw new Error(`the container has no ${shared.namespace} namespace of its own`);
  const refused = await attempt(pidfd, own & (CLONE_NEW.net | CLONE_NEW.ipc), wanted);
  // Since Linux 6.0 the settings of an IPC namespace belong to the root of its user namespace alone (ipc_permissions() in ipc/ipc_sysctl.c).
  const retried = refused.filter(({ sysctl, errno }) => sysctl.namespace === "ipc" && NOT_PERMITTED.includes(errno));
  if (retried.length === 0 || (own & CLONE_NEW.user) === 0) return refused;
  const again = await attempt(
    pidfd,
    CLONE_NEW.user | CLONE_NEW.ipc,
    retried.map(({ sysctl }) => sysctl),
  );
  return [...refused.filter((each) => !retried.includes(each)), ...again];
}

async function attempt<Wanted extends SysctlValue>(
  pidfd: number,
  namespaces: number,
  wanted: readonly Wanted[],
): Promise<RefusedSysctl<Wanted>[]> {
  const child = runProgram("nomad-nspawn-sysctl", sysctlProgram(namespaces, wanted), [
    "ignore",
    "pipe",
    "ignore",
    pidfd,
  ]);
  const { stdout } = child;
  if (!(stdout instanceof ReadableStream)) throw new Error("no pipe was created");
  const output = Buffer.from(await new Response(stdout).bytes());
  if ((await child.exited) !== 0 || output.length !== wanted.length * RECORD_SIZE) {
    throw new Error("its namespaces cannot be joined");
  }
  return wanted.flatMap((sysctl, index) => {
    const result = (at: number) => Number(output.readBigInt64LE(index * RECORD_SIZE + at));
    const errno = Math.max(-result(0), -result(8), 0);
    return errno === 0 ? [] : [{ sysctl, errno }];
  });
}

/** Joins namespaces, and writes each setting; then it reports the results of open(2) and write(2) of each. */
function sysctlProgram(namespaces: number, wanted: readonly SysctlValue[]): Uint8Array {
  const program = new ProgramBuilder();
  const refused = new Label();
  showProc(program);
  program.call(SYS.setns, [PIDFD, namespaces], { error: refused });
  if ((namespaces & CLONE_NEW.user) !== 0) {
    program.call(SYS.setresgid, [0, 0, 0], { error: refused });
    program.call(SYS.setresuid, [0, 0, 0], { error: refused });
  }
  const results: number[] = [];
  for (const { path, value } of wanted) {
    const next = new Label();
    const opened = program.argumentAhead(1);
    const written = program.space(8);
    const text = Buffer.from(value);
    program.call(
      SYS.openat,
      [AT_FDCWD, program.text(`/proc/sys/${path}`), constants.O_WRONLY | O_CLOEXEC],
      { error: next },
      opened,
    );
    program.call(SYS.write, [0, program.bytes(text), text.length], {}, written);
    program.place(next);
    results.push(opened, written);
  }
  for (const address of results) program.call(SYS.write, [STDOUT, address, 8], { error: refused });
  program.exit(0);
  program.place(refused);
  program.exit(EXIT_FAILURE);
  return program.build();
}

/** Mounts a /proc of its own: in an agent's own container, /proc/sys is read-only. Without it, the host's is used. */
function showProc(program: ProgramBuilder): void {
  const done = new Label();
  const [nothing, root, proc] = [program.text("none"), program.text("/"), program.text("/proc")];
  program.call(SYS.unshare, [CLONE_NEW.mnt], { error: done });
  program.call(SYS.mount, [nothing, root, 0, MS_REC | MS_PRIVATE, 0], { error: done });
  program.call(SYS.mount, [nothing, proc, program.text("proc"), 0, 0]);
  program.place(done);
}

/** Whether the user IDs of a process's user namespace are set: before that, no user there is root (user_namespaces(7)). */
export function hasUserIds({ pid }: ProcessIdentity): boolean {
  try {
    return readFileSync(`/proc/${pid}/uid_map`, "utf8") !== "";
  } catch {
    return false;
  }
}

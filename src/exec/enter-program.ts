import { constants } from "node:fs";
import {
  AT_FDCWD,
  CAPABILITY_VERSION_3,
  O_CLOEXEC,
  O_PATH,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  SYS,
  WAIT_ALL,
} from "../linux/constants";
import { Label, ProgramBuilder, type Value } from "../linux/syscall-program/builder";
import { requestProfile } from "../linux/syscall-program/request-profile";
import type { Credentials } from "../values/passwd";
import { SIGKILL } from "../values/signals";

/** The properties of a process that runs in a container. Paths are on the host unless noted otherwise. */
interface EnterPlan {
  /** PID of the container's first process on the host. The same process is behind descriptor {@link PIDFD}. */
  readonly leader: number;
  /** CLONE_NEW* flags of the namespaces to join (setns(2)). */
  readonly namespaces: number;
  /** The cgroup.procs files of the cgroups to join. */
  readonly cgroups: readonly string[];
  readonly oomScoreAdjust: string;
  readonly credentials: Credentials;
  /** Capabilities as bit masks (capabilities(7)): the container's bounding set, and those inherited through an exec. */
  readonly bounding: bigint;
  readonly inheritable: bigint;
  /** What the entering process has after it joined the namespaces. */
  readonly permitted: bigint;
  readonly noNewPrivileges: boolean;
  /** The AppArmor profile of the container's first process; absent: the one that this process has. */
  readonly apparmor?: string | undefined;
  /** System call filters, each an array of struct sock_filter (seccomp(2)). */
  readonly filters: readonly Uint8Array[];
  /** Whether standard input is a terminal that becomes the controlling one. */
  readonly terminal: boolean;
  /** Directories in the container; the first that can be entered becomes the working directory. */
  readonly directories: readonly string[];
  /** Paths in the container; the first executable one is run. */
  readonly programs: readonly string[];
  readonly argv: readonly string[];
  /** "NAME=VALUE" each. */
  readonly environment: readonly string[];
}

/** The program's descriptors besides the standard ones: the leader's pidfd, and the pipe for its report. */
const PIDFD = 3;
const REPORT = 4;
/** Its descriptor of the host's proc file system: in the container something else may be mounted there. */
const PROC = 9;

/** The first word of a 16-byte report; the second word is a number that depends on it. */
export const REPORT_KIND = {
  /** The process ended; its wait status. */
  ended: 0,
  /** No program could be run; -errno of each try, see refusalOf(). */
  notRun: 1,
} as const;

/** The steps that can fail, with the message of each failure; a report of kind `index + FIRST_STEP` names the failed step. */
export const STEPS = [
  "cannot join its cgroup",
  "cannot open its root directory",
  "the container has ended",
  "cannot join its namespaces",
  "cannot enter its root directory",
  "cannot start a process in it",
  "setsid failed",
  "cannot set the controlling terminal",
  "cannot enter the AppArmor profile",
  "cannot drop capabilities",
  "cannot switch to the user",
  "cannot install the seccomp filter",
  "cannot enter the working directory",
] as const;

export type Step = (typeof STEPS)[number];
export const FIRST_STEP = 2;

const { O_DIRECTORY, O_WRONLY } = constants;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SIGCHLD = 17;
const SIGSTOP = 19;
const SIGNALS = 64;
const SIG_SETMASK = 2;
const SIGSET_SIZE = 8;
const SIGACTION_SIZE = 32;
const TIOCSCTTY = 0x540e;
const RLIMITS = 16;
const PR_SET_DUMPABLE = 4;
const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const LAST_CAPABILITY = 63;
const SYS_ADMIN = 1n << 21n;
const SECCOMP_SET_MODE_FILTER = 1;
const SOCK_FILTER_SIZE = 8;

/** The highest possible descriptor number. */
const ANY_FD = 0xffff_ffff;
const EXIT_FAILURE = 125;
const EXIT_NOT_RUN = 127;

/**
 * The program that enters a container and runs a command there, as an executable. It joins the container's cgroups and
 * namespaces, starts a process that takes the user, capabilities and filters and becomes the command, and reports how that
 * ended.
 */
export function enterProgram(plan: EnterPlan): Uint8Array {
  const program = new ProgramBuilder();
  const failures: { readonly label: Label; readonly step: number; readonly result: number }[] = [];
  const required = (step: Step, number: number, args: readonly Value[], also?: number): void => {
    const label = new Label();
    const result = also ?? program.space(8);
    failures.push({ label, step: STEPS.indexOf(step), result });
    program.call(number, args, { error: label }, result);
  };
  /** A call whose failure is ignored. */
  const optional = (number: number, args: readonly Value[], result?: number): void => {
    program.call(number, args, {}, result);
  };

  resetProcess(program, optional);
  if (plan.apparmor !== undefined) {
    const proc = [AT_FDCWD, program.text("/proc"), O_PATH | O_DIRECTORY | O_CLOEXEC];
    required("cannot enter the AppArmor profile", SYS.openat, proc, program.argumentAhead(1));
    required("cannot enter the AppArmor profile", SYS.dup3, [0, PROC, O_CLOEXEC]);
  }
  for (const path of plan.cgroups) {
    const file = program.text(path);
    required("cannot join its cgroup", SYS.openat, [AT_FDCWD, file, O_WRONLY | O_CLOEXEC], program.argumentAhead(1));
    required("cannot join its cgroup", SYS.write, [0, program.text("0"), 1]);
  }
  copyLimits(program, plan, optional);
  // After joining, the container's root may control this process; it must not trace it or read its memory.
  optional(SYS.prctl, [PR_SET_DUMPABLE, 0]);
  const root = [AT_FDCWD, program.text(`/proc/${plan.leader}/root`), O_PATH | O_DIRECTORY | O_CLOEXEC];
  required("cannot open its root directory", SYS.openat, root, program.argumentAhead(3));
  // What was opened and copied by PID is the leader's only if the leader is still alive.
  required("the container has ended", SYS.pidfd_send_signal, [PIDFD, 0, 0, 0]);
  required("cannot join its namespaces", SYS.setns, [PIDFD, plan.namespaces]);
  required("cannot enter its root directory", SYS.fchdir, [0]);
  required("cannot enter its root directory", SYS.chroot, [program.text(".")]);

  const parent = new Label();
  const forked = new Label();
  const noFork = new Label();
  const forkResult = program.space(8);
  failures.push({ label: noFork, step: STEPS.indexOf("cannot start a process in it"), result: forkResult });
  program.call(SYS.clone, [SIGCHLD, 0, 0, 0, 0], { error: noFork, positive: parent, zero: forked }, forkResult);
  program.place(forked);
  if (plan.apparmor !== undefined) {
    const refused = {
      label: new Label(),
      step: STEPS.indexOf("cannot enter the AppArmor profile"),
      result: program.space(8),
    };
    failures.push(refused);
    const own = { descriptor: PROC, path: "self" };
    requestProfile(program, plan.apparmor, { failed: refused.label, result: refused.result, own });
  }
  become(program, plan, required, optional);
  run(program, plan);

  program.place(parent);
  wait(program);
  for (const { label, step, result } of failures) {
    program.place(label);
    report(program, step + FIRST_STEP, result);
    program.exit(EXIT_FAILURE);
  }
  return program.build();
}

type Optional = (number: number, args: readonly Value[], result?: number) => void;
type Required = (step: Step, number: number, args: readonly Value[]) => void;

/** Resets what the driver's runtime configured for itself; and the process dies with the driver. */
function resetProcess(program: ProgramBuilder, optional: Optional): void {
  const defaultAction = program.space(SIGACTION_SIZE);
  const noSignals = program.space(SIGSET_SIZE);
  for (let signal = 1; signal <= SIGNALS; signal += 1) {
    if (signal !== SIGKILL && signal !== SIGSTOP) optional(SYS.rt_sigaction, [signal, defaultAction, 0, SIGSET_SIZE]);
  }
  optional(SYS.rt_sigprocmask, [SIG_SETMASK, noSignals, 0, SIGSET_SIZE]);
  optional(SYS.prctl, [PR_SET_PDEATHSIG, SIGKILL]);
}

function copyLimits(program: ProgramBuilder, plan: EnterPlan, optional: Optional): void {
  const score = program.text("/proc/self/oom_score_adj");
  optional(SYS.openat, [AT_FDCWD, score, O_WRONLY | O_CLOEXEC], program.argumentAhead(1));
  const value = Buffer.from(plan.oomScoreAdjust);
  optional(SYS.write, [0, program.bytes(value), value.length]);
  for (let resource = 0; resource < RLIMITS; resource += 1) {
    const limit = program.space(16);
    optional(SYS.prlimit64, [plan.leader, resource, 0, limit]);
    optional(SYS.prlimit64, [0, resource, limit, 0]);
  }
}

/** Turns a copy of the entering process into one like the container's own. */
function become(program: ProgramBuilder, plan: EnterPlan, required: Required, optional: Optional): void {
  required("setsid failed", SYS.setsid, []);
  if (plan.terminal) required("cannot set the controlling terminal", SYS.ioctl, [0, TIOCSCTTY, 0]);
  for (let capability = 0; capability <= LAST_CAPABILITY; capability += 1) {
    // The kernel rejects numbers without a capability.
    if (((plan.bounding >> BigInt(capability)) & 1n) === 0n) optional(SYS.prctl, [PR_CAPBSET_DROP, capability]);
  }
  optional(SYS.prctl, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]);
  const { uid, gid, groups } = plan.credentials;
  // As the task's own program, see wrapper() of launch/payload-wrapper.ts.
  const all = gid === 0 && groups.length === 0 ? [] : [gid, ...groups.filter((group) => group !== gid)];
  const list = program.bytes(new Uint8Array(Uint32Array.from(all).buffer));
  required("cannot switch to the user", SYS.setgroups, [all.length, list]);
  required("cannot switch to the user", SYS.setresgid, [gid, gid, gid]);
  // Installing a filter still needs CAP_SYS_ADMIN. The exec drops what is permitted beyond the bounding set, or everything for a non-root user.
  optional(SYS.prctl, [PR_SET_KEEPCAPS, 1]);
  required("cannot switch to the user", SYS.setresuid, [uid, uid, uid]);
  enterDirectory(program, plan, required);
  required("cannot drop capabilities", SYS.capset, [
    program.bytes(new Uint8Array(Uint32Array.of(CAPABILITY_VERSION_3, 0).buffer)),
    program.bytes(capabilitySets(plan)),
  ]);
  // The kernel clears it whenever the user or capabilities change.
  optional(SYS.prctl, [PR_SET_PDEATHSIG, SIGKILL]);
  optional(SYS.umask, [0o022]);
  optional(SYS.fcntl, [REPORT, F_SETFD, FD_CLOEXEC]);
  optional(SYS.close, [PIDFD]);
  optional(SYS.close_range, [REPORT + 1, ANY_FD, 0]);
  if (plan.noNewPrivileges) required("cannot drop capabilities", SYS.prctl, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  for (const filter of plan.filters) {
    const instructions = program.bytes(filter);
    // struct sock_fprog: a 16-bit count, and the address at offset 8.
    const descriptor = program.words([filter.length / SOCK_FILTER_SIZE, instructions]);
    required("cannot install the seccomp filter", SYS.seccomp, [SECCOMP_SET_MODE_FILTER, 0, descriptor]);
  }
}

/**
 * Effective, permitted, inheritable: the lower halves, then the upper ones (capset(2)). The program is searched with
 * the privileges that it will have.
 */
function capabilitySets({ bounding, inheritable, permitted, credentials }: EnterPlan): Uint8Array {
  const half = (mask: bigint, shift: bigint) => Number((mask >> shift) & 0xffff_ffffn);
  const effective = (credentials.uid === 0 ? bounding | SYS_ADMIN : SYS_ADMIN) & permitted;
  // A program that an older version of the driver started may have inherited more than its bounding set.
  const sets = [effective, permitted, inheritable & bounding];
  return new Uint8Array(
    Uint32Array.from([...sets.map((mask) => half(mask, 0n)), ...sets.map((mask) => half(mask, 32n))]).buffer,
  );
}

function enterDirectory(program: ProgramBuilder, { directories }: EnterPlan, required: Required): void {
  const entered = new Label();
  for (const directory of directories.slice(0, -1)) {
    program.call(SYS.chdir, [program.text(directory)], { zero: entered });
  }
  required("cannot enter the working directory", SYS.chdir, [program.text(directories.at(-1) ?? "/")]);
  program.place(entered);
}

/**
 * Runs the first executable program: a successful execve() does not return. Each failure is reported; refusalOf() chooses the
 * last one other than "no such file", the error for most directories of a PATH.
 */
function run(program: ProgramBuilder, { programs, argv, environment }: EnterPlan): void {
  const vector = (texts: readonly string[]) => program.words([...texts.map((text) => program.text(text)), 0]);
  const args = vector(argv);
  const env = vector(environment);
  const results = program.space(8 * Math.max(1, programs.length));
  for (const [index, path] of programs.entries()) {
    program.call(SYS.execve, [program.text(path), args, env], {}, results + index * 8);
  }
  for (let index = 0; index < programs.length; index += 1) report(program, REPORT_KIND.notRun, results + index * 8);
  program.exit(EXIT_NOT_RUN);
}

/** Readers of the command's output must see its end, so the waiting process closes its copies. */
function wait(program: ProgramBuilder): void {
  for (const descriptor of [0, 1, 2]) program.call(SYS.close, [descriptor]);
  const status = program.space(8);
  const again = new Label();
  program.place(again);
  const failed = new Label();
  program.call(SYS.wait4, [-1, status, WAIT_ALL, 0], { error: failed });
  report(program, REPORT_KIND.ended, status);
  program.place(failed);
  program.exit(0);
}

/** Writes a kind and the word at an address to the report's pipe. */
function report(program: ProgramBuilder, kind: number, address: number): void {
  program.call(SYS.write, [REPORT, program.words([kind]), 8]);
  program.call(SYS.write, [REPORT, address, 8]);
}

import { CAPABILITY_VERSION_3, O_PATH } from "../host/file-calls";
import { SIGKILL } from "../host/signals";
import { Label, ProgramBuilder, type Value } from "./program";
import { SYS } from "./syscalls";

/** A user as the container has it. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** What a process is to be when it runs in a container. Every path is one of the host unless it says otherwise. */
export interface EnterPlan {
  /** PID of the container's first process on the host. The same process is behind descriptor {@link PIDFD}. */
  readonly leader: number;
  /** CLONE_NEW* flags of the namespaces to join (setns(2)). */
  readonly namespaces: number;
  /** The cgroup.procs files of the cgroups to join. */
  readonly cgroups: readonly string[];
  readonly oomScoreAdjust: string;
  readonly credentials: Credentials;
  /** Capabilities as bit masks (capabilities(7)): what the container can have at all, and hands on through an exec. */
  readonly bounding: bigint;
  readonly inheritable: bigint;
  /** What the entering process has once it joined the namespaces. */
  readonly permitted: bigint;
  readonly noNewPrivileges: boolean;
  /** System call filters, each an array of struct sock_filter (seccomp(2)). */
  readonly filters: readonly Uint8Array[];
  /** Whether standard input is a terminal that is to become the controlling one. */
  readonly terminal: boolean;
  /** Directories of the container, the first of which that can be entered is the working directory. */
  readonly directories: readonly string[];
  /** Paths of the container, the first of which that can be run is run. */
  readonly programs: readonly string[];
  readonly argv: readonly string[];
  /** "NAME=VALUE" each. */
  readonly environment: readonly string[];
}

/** Descriptors the program begins with beside the standard ones: the leader, and the pipe for its report. */
export const PIDFD = 3;
export const REPORT = 4;

/** What the 16 bytes of a report say first; the second word is a number that belongs to it. */
export const REPORT_KIND = {
  /** The process ended; its wait status. */
  ended: 0,
  /** No program could be run; -errno of the last one, or of the one that was there and could not be. */
  notRun: 1,
} as const;

/** The steps that can fail, with what a failure of each means; a report of kind `index + FIRST_STEP` tells which did. */
export const STEPS = [
  "its cgroup could not be joined",
  "its root directory could not be opened",
  "it has ended",
  "its namespaces could not be joined",
  "its root directory could not be entered",
  "no process could be started in it",
  "no session could be begun in it",
  "the terminal could not be made the controlling one",
  "capabilities could not be given up",
  "its user could not be taken on",
  "its system call filter could not be taken on",
  "none of its directories could be entered",
] as const;
/** A step that can fail. */
export type Step = (typeof STEPS)[number];
export const FIRST_STEP = 2;

const O_WRONLY = 1;
const O_DIRECTORY = 0o200000;
const O_CLOEXEC = 0o2000000;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SIGCHLD = 17;
const SIGSTOP = 19;
const SIGNALS = 64;
const SIG_SETMASK = 2;
const SIGSET_SIZE = 8;
const SIGACTION_SIZE = 32;
const WAIT_ALL = 0x4000_0000; // __WALL
const TIOCSCTTY = 0x540e;
const RLIMITS = 16;
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const LAST_CAPABILITY = 63;
const SYS_ADMIN = 1n << 21n;
const SECCOMP_SET_MODE_FILTER = 1;
const SOCK_FILTER_SIZE = 8;
/** Highest descriptor number there can be. */
const ANY_FD = 0xffff_ffff;
const EXIT_FAILURE = 125;
const EXIT_NOT_RUN = 127;

/**
 * The program that enters a container and runs a command there, as an executable. It joins the container's cgroups and
 * namespaces, starts a process that takes on its user, capabilities and filters and becomes the command, and reports how that
 * ended.
 */
export function enterProgram(plan: EnterPlan): Uint8Array {
  const program = new ProgramBuilder();
  const failures: { readonly label: Label; readonly step: number; readonly result: number }[] = [];
  const must = (step: Step, number: number, args: readonly Value[], also?: number): void => {
    const label = new Label();
    const result = also ?? program.space(8);
    failures.push({ label, step: STEPS.indexOf(step), result });
    program.call(number, args, { error: label }, result);
  };
  /** A call whose failure changes nothing that matters. */
  const may = (number: number, args: readonly Value[], result?: number): void => {
    program.call(number, args, {}, result);
  };

  begin(program, may);
  for (const path of plan.cgroups) {
    const file = program.text(path);
    must("its cgroup could not be joined", SYS.open, [file, O_WRONLY | O_CLOEXEC], program.argumentAhead(1));
    must("its cgroup could not be joined", SYS.write, [0, program.text("0"), 1]);
  }
  copyLimits(program, plan, may);
  // Once it has joined, the container's root may have power over it, and is not to trace it or to look into its memory.
  may(SYS.prctl, [PR_SET_DUMPABLE, 0]);
  const root = program.text(`/proc/${plan.leader}/root`);
  must(
    "its root directory could not be opened",
    SYS.open,
    [root, O_PATH | O_DIRECTORY | O_CLOEXEC],
    program.argumentAhead(3),
  );
  // What was opened and copied by PID is the leader's if it still lives now.
  must("it has ended", SYS.pidfd_send_signal, [PIDFD, 0, 0, 0]);
  must("its namespaces could not be joined", SYS.setns, [PIDFD, plan.namespaces]);
  must("its root directory could not be entered", SYS.fchdir, [0]);
  must("its root directory could not be entered", SYS.chroot, [program.text(".")]);

  const parent = new Label();
  const forked = new Label();
  const noFork = new Label();
  const forkResult = program.space(8);
  failures.push({ label: noFork, step: STEPS.indexOf("no process could be started in it"), result: forkResult });
  program.call(SYS.clone, [SIGCHLD, 0, 0, 0, 0], { error: noFork, positive: parent, zero: forked }, forkResult);
  program.place(forked);
  become(program, plan, must, may);
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

type Maybe = (number: number, args: readonly Value[], result?: number) => void;
type Must = (step: Step, number: number, args: readonly Value[]) => void;

/** What the driver's runtime set for itself does not belong to the command; and nothing outlives the driver unseen. */
function begin(program: ProgramBuilder, may: Maybe): void {
  const defaultAction = program.space(SIGACTION_SIZE);
  const noSignals = program.space(SIGSET_SIZE);
  for (let signal = 1; signal <= SIGNALS; signal += 1) {
    if (signal !== SIGKILL && signal !== SIGSTOP) may(SYS.rt_sigaction, [signal, defaultAction, 0, SIGSET_SIZE]);
  }
  may(SYS.rt_sigprocmask, [SIG_SETMASK, noSignals, 0, SIGSET_SIZE]);
  may(SYS.prctl, [PR_SET_PDEATHSIG, SIGKILL]);
}

function copyLimits(program: ProgramBuilder, plan: EnterPlan, may: Maybe): void {
  const score = program.text("/proc/self/oom_score_adj");
  may(SYS.open, [score, O_WRONLY | O_CLOEXEC], program.argumentAhead(1));
  const value = Buffer.from(plan.oomScoreAdjust);
  may(SYS.write, [0, program.bytes(value), value.length]);
  for (let resource = 0; resource < RLIMITS; resource += 1) {
    const limit = program.space(16);
    may(SYS.prlimit64, [plan.leader, resource, 0, limit]);
    may(SYS.prlimit64, [0, resource, limit, 0]);
  }
}

/** From a copy of the entering process to one like the container's own. */
function become(program: ProgramBuilder, plan: EnterPlan, must: Must, may: Maybe): void {
  must("no session could be begun in it", SYS.setsid, []);
  if (plan.terminal) must("the terminal could not be made the controlling one", SYS.ioctl, [0, TIOCSCTTY, 0]);
  for (let capability = 0; capability <= LAST_CAPABILITY; capability += 1) {
    // The kernel refuses the numbers it has no capability for.
    if (((plan.bounding >> BigInt(capability)) & 1n) === 0n) may(SYS.prctl, [PR_CAPBSET_DROP, capability]);
  }
  may(SYS.prctl, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]);
  const { uid, gid, groups } = plan.credentials;
  const list = program.bytes(new Uint8Array(Uint32Array.from(groups).buffer));
  must("its user could not be taken on", SYS.setgroups, [groups.length, list]);
  must("its user could not be taken on", SYS.setresgid, [gid, gid, gid]);
  // A filter needs CAP_SYS_ADMIN still. The exec takes what is permitted beyond the bounding set, or all from a user.
  may(SYS.prctl, [PR_SET_KEEPCAPS, 1]);
  must("its user could not be taken on", SYS.setresuid, [uid, uid, uid]);
  enterDirectory(program, plan, must);
  must("capabilities could not be given up", SYS.capset, [
    program.bytes(new Uint8Array(Uint32Array.of(CAPABILITY_VERSION_3, 0).buffer)),
    program.bytes(capabilitySets(plan)),
  ]);
  // Cleared by the kernel whenever user or capabilities change.
  may(SYS.prctl, [PR_SET_PDEATHSIG, SIGKILL]);
  may(SYS.umask, [0o022]);
  may(SYS.fcntl, [REPORT, F_SETFD, FD_CLOEXEC]);
  may(SYS.close, [PIDFD]);
  may(SYS.close_range, [REPORT + 1, ANY_FD, 0]);
  if (plan.noNewPrivileges) must("capabilities could not be given up", SYS.prctl, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]);
  for (const filter of plan.filters) {
    const instructions = program.bytes(filter);
    // struct sock_fprog: a 16-bit count, and the address 8 bytes on.
    const descriptor = program.words([filter.length / SOCK_FILTER_SIZE, instructions]);
    must("its system call filter could not be taken on", SYS.seccomp, [SECCOMP_SET_MODE_FILTER, 0, descriptor]);
  }
}

/**
 * Effective, permitted, inheritable: the lower halves, then the upper ones (capset(2)). Looking for the program is done with
 * the rights that the program will have.
 */
function capabilitySets({ bounding, inheritable, permitted, credentials }: EnterPlan): Uint8Array {
  const half = (mask: bigint, shift: bigint) => Number((mask >> shift) & 0xffff_ffffn);
  const effective = (credentials.uid === 0 ? bounding | SYS_ADMIN : SYS_ADMIN) & permitted;
  const sets = [effective, permitted, inheritable];
  return new Uint8Array(
    Uint32Array.from([...sets.map((mask) => half(mask, 0n)), ...sets.map((mask) => half(mask, 32n))]).buffer,
  );
}

function enterDirectory(program: ProgramBuilder, { directories }: EnterPlan, must: Must): void {
  const entered = new Label();
  for (const directory of directories.slice(0, -1)) {
    program.call(SYS.chdir, [program.text(directory)], { zero: entered });
  }
  must("none of its directories could be entered", SYS.chdir, [program.text(directories.at(-1) ?? "/")]);
  program.place(entered);
}

/**
 * Runs the first program that can be: an execve() that succeeds does not return. What is told of those that failed is the
 * error of the last one but "no such file", which is what most directories of a PATH answer.
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

/** Whoever reads the command's output shall see its end, so the waiting process keeps none of it. */
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

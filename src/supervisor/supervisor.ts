/**
 * What runs a task's systemd-nspawn and remembers how it ended, independent of this plugin process:
 * PID 1 (systemd/) or, on hosts without systemd as PID 1, a small detached process (process/).
 */

import type { Certain } from "../host/certain";
import { RecoverableError } from "../host/recoverable-error";

/** How the payload sits in the container; decides which process a signal is for. */
export type PayloadMode =
  /** An init system is PID 1 (`--boot`). */
  | "boot"
  /** The command is PID 2 under systemd-nspawn's stub init (`--as-pid2`). */
  | "pid2"
  /** The command is PID 1. */
  | "pid1";

/** Limits of a task's cgroup; an absent value is no limit. */
export interface ResourceLimits {
  /** Hard limit, bytes. */
  readonly memoryMax?: number;
  /** Protected amount, bytes: what the scheduler reserved when memory_max lets the task use more. */
  readonly memoryLow?: number;
  /** cgroup v2 weight, 1 to 10000. */
  readonly cpuWeight?: number;
  /** CPU time it may use at most, in CPUs: 0.5 is half of one. */
  readonly cpuQuota?: number;
  /** Processes and threads. */
  readonly pids?: number;
  /** CPUs the task may run on, as a cpuset list such as "0-3,7". */
  readonly cpus?: string;
}

/** A container ready to be started: every value is decided, checked and resolved. */
export interface LaunchSpec {
  /** Machine name, unique on the host (see nspawn/machine-name.ts). */
  readonly machine: string;
  readonly mode: PayloadMode;
  /** argv of systemd-nspawn; the first element is its absolute path. Never holds a secret. */
  readonly argv: readonly string[];
  /** Environment of the systemd-nspawn process itself, never the task's. Not secret. */
  readonly environment: Readonly<Record<string, string>>;
  /** A 0600 file in systemd's EnvironmentFile= format that systemd-nspawn's own environment is extended by. */
  readonly environmentFile?: string;
  /** FIFOs of the agent's log collector, or /dev/null, by paths without symlinks; see openLog(). */
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** A user ID of the host that the FIFOs were given to; absent: they are root's. */
  readonly logOwner?: number;
  readonly limits: ResourceLimits;
  /** proc_pid_oom_score_adj(5) of everything in the container; absent: as the supervisor has it. */
  readonly oomScoreAdjust?: number;
  /** A network namespace that systemd-nspawn is to run in, and the container with it; absent: the host's. */
  readonly networkNamespace?: string;
  /** Device nodes the container may open beyond the usual ones, with cgroup permissions such as "rwm". */
  readonly devices: readonly { readonly path: string; readonly permissions: string }[];
  /** Further unit properties as the operator allows them; refused by a supervisor that has no units. */
  readonly properties: Readonly<Record<string, string>>;
}

/** What a later plugin process needs to find a container again; stored in the task handle as plain data. */
export interface SupervisedRef {
  readonly supervisor: "systemd" | "process";
  readonly machine: string;
  readonly mode: PayloadMode;
  /** Boot id of the host (/proc/sys/kernel/random/boot_id): after a reboot nothing can be found again. */
  readonly bootId: string;
}

/** How a container ended. */
export interface Exit {
  /** Exit code of the payload; 0 when a signal ended it. */
  readonly code: number;
  /** Number of the signal that ended the payload, or 0. */
  readonly signal: number;
  readonly oomKilled: boolean;
  /** systemd-nspawn's own last error sentence, where it printed one (a failed start, mostly). */
  readonly message?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** One started container. All methods are idempotent and safe to call in any order. */
export interface Supervised {
  readonly ref: SupervisedRef;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** PID of systemd-nspawn itself, or undefined once it is gone. */
  mainPid(): number | undefined;
  /**
   * Calls `listener` whenever systemd-nspawn was started again because the container rebooted, until the returned function
   * is called.
   */
  onRestart(listener: () => void): () => void;
  /** Settles once, when systemd-nspawn is gone; never rejects. */
  readonly exit: Certain<Exit>;
  /**
   * Sends a signal to the payload: the container's PID 1, or PID 2 with mode "pid2".
   * Resolves without effect when the container is already gone.
   *
   * @returns false where the payload is PID 1 and has no handler for the signal (yet), so that the kernel dropped it
   */
  signal(signal: number): Promise<boolean>;
  /** SIGKILLs everything of the container; resolves when `exit` has settled. */
  kill(): Promise<void>;
  /**
   * Removes every trace the supervisor kept (unit, state, cgroup, mounts that a killed systemd-nspawn left);
   * kills first if it still runs. After it the container cannot be attached to again.
   */
  release(): Promise<void>;
}

/** Thrown by attach when no trace of the container exists on this host. */
export class NotSupervisedError extends Error {
  override readonly name = "NotSupervisedError";
}

/** Thrown by launch when the container could not be started at all; the message is systemd-nspawn's or systemd's own. */
export class LaunchError extends RecoverableError {
  override readonly name = "LaunchError";
}

/** Starts containers and finds them again. */
export interface Supervisor {
  readonly name: "systemd" | "process";
  /**
   * Starts a container. Resolves as soon as systemd-nspawn was forked by its supervisor: a payload that ends at
   * once is an exit with its code, not a failed launch. Everything acquired is given back when it throws.
   *
   * @throws LaunchError
   */
  launch(spec: LaunchSpec): Promise<Supervised>;
  /**
   * Finds a container that this or an earlier plugin process started, running or ended.
   *
   * @throws NotSupervisedError
   */
  attach(ref: SupervisedRef): Promise<Supervised>;
  /**
   * Removes what there is of a container that nobody will ask for any more, whatever state its start or end was left in.
   * Does nothing where there is nothing.
   */
  discard(machine: string): Promise<void>;
  /** Lets go of connections and watchers; containers run on. */
  close(): Promise<void>;
}

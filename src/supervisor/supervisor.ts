/**
 * Who runs systemd-nspawn. A *supervisor* starts a task's systemd-nspawn and records its exit, independent of this plugin process: PID 1
 * (systemd/) or, on hosts without systemd as PID 1, a small detached process per container, the shim (process/). supervisors.ts is the
 * only file that knows that two exist.
 *
 * A *launch spec* is a container that is ready to start: every value is resolved and validated. A *container* is one that was started; a
 * *container ref* is what finds it again after a restart of the plugin. To *attach* is to find it so; to *release* a container is to
 * remove everything that its supervisor keeps of it; to *discard* is to do so by machine name alone, whatever state an interrupted start
 * left.
 */

import { RecoverableError } from "../lib/errors";
import type { Certain } from "../lib/promises";
import type { ResourceLimits } from "../linux/cgroup/limits";
import type { DeviceRule, Exit, PayloadMode } from "../nspawn/payload";
import type { StartNotice } from "../nspawn/start-notice";

/** A container that is ready to start: every value is resolved and validated. */
export interface LaunchSpec {
  /** Machine name, unique on the host (see nspawn/machine-name.ts). */
  readonly machine: string;
  readonly mode: PayloadMode;
  /** argv of systemd-nspawn; the first element is its absolute path. It never contains a secret. */
  readonly argv: readonly string[];
  /** A 0600 file in systemd's EnvironmentFile= format that is added to systemd-nspawn's own environment. */
  readonly environmentFile?: string;
  /** FIFOs of the agent's log collector, or /dev/null, by paths without symlinks; see openLog(). */
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** The host's user ID that owns the FIFOs; absent: root owns them. */
  readonly logOwner?: number;
  readonly limits: ResourceLimits;
  /** proc_pid_oom_score_adj(5) of everything in the container; absent: inherited from the supervisor. */
  readonly oomScoreAdjust?: number;
  /** The network namespace of systemd-nspawn and the container; absent: the host's. */
  readonly networkNamespace?: string;
  /** NOTIFY_SOCKET of systemd-nspawn (sd_notify(3)); absent: it has none. */
  readonly notifySocket?: string;
  /** Milliseconds that the payload has to stop if systemd stops its unit; absent: systemd's default. A shim has no use for it. */
  readonly stopTimeout?: number;
  /** Its names for the operator of the host; absent: those of its machine. A shim has no use for it. */
  readonly identity?: UnitIdentity;
  /** The output goes to the host's journal instead of the FIFOs, or to both; rejected by a supervisor without units. */
  readonly output?: "journal" | "both";
  /** The slice of its unit; absent: machine.slice. A shim has no use for it. */
  readonly slice?: string;
  /** Additional device nodes that the container may open, with cgroup permissions such as "rwm". */
  readonly devices: readonly DeviceRule[];
  /** Additional unit properties that the operator allows; rejected by a supervisor without units. */
  readonly properties: Readonly<Record<string, string>>;
}

/** How systemd and the host's journal name a container. */
export interface UnitIdentity {
  readonly description: string;
  /** SYSLOG_IDENTIFIER of its output in the journal. */
  readonly identifier: string;
  /** Further fields of all of its messages, by their names in the journal. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What a later plugin process needs to recover a container; stored in the task handle as plain data. */
export interface ContainerRef {
  readonly supervisor: "systemd" | "process";
  readonly machine: string;
  readonly mode: PayloadMode;
  /** Boot ID of the host (/proc/sys/kernel/random/boot_id): containers do not survive a reboot. */
  readonly bootId: string;
}

/** A started container. All methods are idempotent and safe to call in any order. */
export interface Container {
  readonly ref: ContainerRef;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** PID of systemd-nspawn itself, or undefined once it is gone. */
  mainPid(): number | undefined;
  /**
   * Calls `listener` whenever systemd-nspawn was restarted because the container rebooted, until the returned function
   * is called.
   */
  onRestart(listener: () => void): () => void;
  /**
   * Resolves when the payload has executed its own program, or when `exit` has settled. Until then systemd-nspawn prepares the container:
   * it copies the image, changes owners or makes mounts.
   */
  readonly started: Promise<void>;
  /** Resolves when systemd-nspawn has exited; never rejects. */
  readonly exit: Certain<Exit>;
  /**
   * Sends a signal to the payload: the container's PID 1, or PID 2 with mode "pid2".
   * Resolves without effect if the container is already gone.
   *
   * @returns false if the payload is PID 1 and has no handler for the signal (yet), so that the kernel dropped it
   */
  signal(signal: number): Promise<boolean>;
  /**
   * Sets the CPUs that the container may use from now on, as a list such as "0-3,7". Does nothing if it is gone.
   *
   * @throws Error with a sentence if that failed
   */
  setCpus(cpus: string): Promise<void>;
  /** Kills all processes of the container; resolves when `exit` has settled. */
  kill(): Promise<void>;
  /**
   * Removes everything that the supervisor keeps (unit, state, cgroup, mounts that a killed systemd-nspawn left);
   * kills the container first if it is running. Afterwards attach() does not find the container.
   */
  release(): Promise<void>;
}

/** What is known of a container without following it. */
export interface ContainerView {
  readonly supervisor: ContainerRef["supervisor"];
  /** Its systemd-nspawn; undefined if none runs: it has exited, or is just restarting. */
  readonly mainPid: number | undefined;
  /** Whether it has ended. */
  readonly exited: boolean;
  /** Milliseconds since the epoch; 0 if that is not known. */
  readonly startedAt: number;
}

/** Thrown by attach() if the container does not exist on this host. */
export class NotSupervisedError extends Error {
  override readonly name = "NotSupervisedError";
}

/** Thrown by launch() if the container could not be started; the message is from systemd-nspawn or systemd. */
export class LaunchError extends RecoverableError {
  override readonly name = "LaunchError";
}

/** Starts and recovers containers. */
export interface Supervisor {
  readonly name: "systemd" | "process";
  /**
   * Starts a container. Resolves as soon as its supervisor has forked systemd-nspawn (see Container.started): a payload that exits
   * immediately is an exit with its code, not a failed launch. If it throws, everything acquired is released.
   *
   * @param notice receives systemd-nspawn's message at `spec.notifySocket`; only a supervisor that searches for the container uses it
   * @throws LaunchError
   */
  launch(spec: LaunchSpec, notice?: StartNotice): Promise<Container>;
  /**
   * Finds a container that this or an earlier plugin process started, running or exited.
   *
   * @throws NotSupervisedError
   */
  attach(ref: ContainerRef): Promise<Container>;
  /**
   * Removes everything of a container for which no handle exists, whatever state an interrupted start or removal left it in.
   * Does nothing if nothing exists.
   */
  discard(machine: string): Promise<void>;
  /** Reads the state of a container, running or exited, and changes nothing; undefined if this supervisor has none of that name. */
  view(machine: string): Promise<ContainerView | undefined>;
  /** Closes connections and watchers; containers keep running. */
  close(): Promise<void>;
}

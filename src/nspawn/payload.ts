/**
 * Everything known about the program systemd-nspawn: its versions and features, argument vector and environment, exit codes, processes,
 * lock files, and what it leaves behind when it is killed. Nothing here starts it; supervisor/ does.
 *
 * Terms: the *leader* is PID 1 of the container, which systemd-nspawn adopts as its child. The *payload* is the program that the job
 * asked for: an init system with mode "boot", a command as PID 1 with "pid1", or, with "pid2", a command beside the *stub init*, a small
 * PID 1 that systemd-nspawn provides. *Leftovers* are mounts, directories, locks and ephemeral copies of a systemd-nspawn that was killed
 * before it could remove them.
 */

/** How the payload runs in the container; determines which process receives signals. */
export type PayloadMode =
  /** An init system is PID 1 (`--boot`). */
  | "boot"
  /** The command is PID 2 under systemd-nspawn's stub init (`--as-pid2`). */
  | "pid2"
  /** The command is PID 1. */
  | "pid1";
/**
 * Path in the container of a program of the driver that becomes the payload: it changes its own user, rights and variables first
 * (launch/payload-wrapper.ts).
 */
export const WRAPPER = "/run/nomad-driver-nspawn/start";

/** A device that a container may open, in the notation of DeviceAllow= (systemd.resource-control(5)). */
export interface DeviceRule {
  readonly path: string;
  /** Such as "rwm". */
  readonly permissions: string;
}

/** The exit status of a container. */
export interface Exit {
  /** Exit code of the payload; 0 if a signal killed it. */
  readonly code: number;
  /** Number of the signal that killed the payload, or 0. */
  readonly signal: number;
  readonly oomKilled: boolean;
  /** systemd-nspawn's own last error message, if it printed one (mostly for a failed start). */
  readonly message?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

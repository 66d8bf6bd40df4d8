import type { Logger } from "../lib/logger";
import { bootId } from "../linux/proc";
import { systemdPresence } from "../systemd/presence";
import { ProcessSupervisor } from "./process/process-supervisor";
import {
  type Container,
  type ContainerRef,
  type ContainerView,
  NotSupervisedError,
  type Supervisor,
} from "./supervisor";
import { SystemdSupervisor } from "./systemd/systemd-supervisor";

/** The name of a supervisor, as written in task handles. */
export type SupervisorName = ContainerRef["supervisor"];

/**
 * The supervisors of this process, and the only place that knows that two exist: PID 1 where that is systemd, and shims of this program
 * otherwise. Each is made on first use; nothing is connected or touched before that.
 */
export class Supervisors implements AsyncDisposable {
  readonly #log: Logger;
  readonly #onShimKilled: () => void;
  readonly #made = new Map<SupervisorName, Supervisor>();

  /** @param onShimKilled called when a shim is found killed */
  constructor(log: Logger, onShimKilled: () => void = () => {}) {
    this.#log = log;
    this.#onShimKilled = onShimKilled;
  }

  /** The name of the supervisor for new tasks on this host. */
  get preferredName(): SupervisorName {
    return systemdPresence().booted ? "systemd" : "process";
  }

  /** The supervisor for new tasks on this host. */
  get preferred(): Supervisor {
    return this.get(this.preferredName);
  }

  /** A supervisor by name: a task of an earlier boot or another version may have the supervisor that is not preferred. */
  get(name: SupervisorName): Supervisor {
    const supervisor = this.#made.get(name) ?? this.#make(name);
    this.#made.set(name, supervisor);
    return supervisor;
  }

  /** The container of a machine under any supervisor, running or exited; undefined if no supervisor has it. */
  async find(machine: string): Promise<Container | undefined> {
    for (const supervisor of this.#usable()) {
      try {
        return await supervisor.attach({ supervisor: supervisor.name, machine, mode: "pid1", bootId: bootId() });
      } catch (error) {
        if (!(error instanceof NotSupervisedError)) throw error;
      }
    }
    return undefined;
  }

  /** The state of a machine's container under any supervisor, without a change of it; undefined if no supervisor has it. */
  async view(machine: string): Promise<ContainerView | undefined> {
    for (const supervisor of this.#usable()) {
      const view = await supervisor.view(machine);
      if (view !== undefined) return view;
    }
    return undefined;
  }

  /** Kills the container of a machine and removes its supervisor's files and unit. Idempotent. */
  async discard(machine: string): Promise<void> {
    for (const supervisor of this.#usable()) await supervisor.discard(machine);
  }

  /** Closes connections and watchers; containers keep running. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const supervisor of this.#made.values()) await supervisor.close();
    this.#made.clear();
  }

  /** A container may have a shim even where systemd is PID 1 now. */
  #usable(): readonly Supervisor[] {
    return [...(systemdPresence().booted ? [this.get("systemd")] : []), this.get("process")];
  }

  #make(name: SupervisorName): Supervisor {
    const log = this.#log.named(name);
    return name === "systemd"
      ? new SystemdSupervisor(log)
      : new ProcessSupervisor({
          log: { warn: (reason, machine) => log.warn("shim of a container", { machine, reason }) },
          onShimKilled: this.#onShimKilled,
        });
  }
}

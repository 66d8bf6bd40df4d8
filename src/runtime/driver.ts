import { dirname } from "node:path";
import { decodePluginConfig } from "../config/plugin/decode";
import type { PluginOptions } from "../config/plugin/options";
import { Lifecycle } from "../driver/lifecycle";
import type { Logger } from "../lib/logger";
import { RuleReconciler } from "../network/firewall/rule-reconciler";
import { MachineImages } from "../rootfs/host-images";
import { TaskImages } from "../rootfs/oci-images";
import { createProcessSupervisor } from "../supervisor/process/process-supervisor";
import type { Supervisor } from "../supervisor/supervisor";
import { createSystemdSupervisor } from "../supervisor/systemd/systemd-supervisor";
import { systemdPresence } from "../systemd/presence";
import { DanglingReconciler } from "../task/dangling-reconciler";
import { TaskEvents } from "../task/events";
import { StatsTicker } from "../task/stats";
import { TaskRegistry } from "../task/task-registry";

/** Everything that the driver's services share in one plugin process. */
export interface Driver {
  readonly log: Logger;
  readonly tasks: TaskRegistry;
  readonly events: TaskEvents;
  readonly config: ConfigHolder;
  readonly statsTicker: StatsTicker;
  readonly dangling: DanglingReconciler;
  readonly images: TaskImages;
  readonly machineImages: MachineImages;
  readonly ruleReconciler: RuleReconciler;
  readonly lifecycle: Lifecycle;
  /** Aborts when the plugin shuts down; cancels downloads of tasks that are being started. */
  readonly ended: AbortSignal;
  /** Base of relative image paths: the directory of the plugin's executable, the agent's plugin_dir. */
  readonly pluginDir: string;
  /** The supervisor for new tasks on this host. */
  readonly supervisor: Supervisor["name"];
  /** A supervisor by name; a recovered task may have been started by the other one. */
  supervisorNamed(name: Supervisor["name"]): Supervisor;
  close(): Promise<void>;
}

/** The plugin's config; the agent may set it several times. */
export class ConfigHolder {
  readonly #listeners = new Set<() => void>();
  #options: PluginOptions = decodePluginConfig(new Uint8Array());

  get options(): PluginOptions {
    return this.#options;
  }

  set(options: PluginOptions): void {
    this.#options = options;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` after every change until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/**
 * Creates the driver of one plugin process. It changes nothing on the host before a task is started or recovered, because the
 * agent starts the plugin several times and uses only one of the processes.
 *
 * @param self argv that starts this program again
 */
export function createDriver(log: Logger, self: readonly string[]): Driver {
  const supervisors = new Map<Supervisor["name"], Supervisor>();
  const make = (name: Supervisor["name"]) =>
    name === "systemd"
      ? createSystemdSupervisor(log.named("systemd"))
      : createProcessSupervisor({ self: [...self, "supervise"], log: log.named("process") });
  const tasks = new TaskRegistry();
  const config = new ConfigHolder();
  const pluginDir = dirname(process.execPath);
  const ended = new AbortController();
  const lifecycle = new Lifecycle();
  const images = new TaskImages({ options: () => config.options, self, log: log.named("images") });
  const supervisorNamed = (name: Supervisor["name"]) => {
    const supervisor = supervisors.get(name) ?? make(name);
    supervisors.set(name, supervisor);
    return supervisor;
  };
  return {
    log,
    tasks,
    events: new TaskEvents(),
    config,
    dangling: new DanglingReconciler({ log: log.named("orphans"), tasks, config, supervisorNamed, images }),
    images,
    machineImages: new MachineImages({ options: () => config.options, self, pluginDir }),
    ruleReconciler: new RuleReconciler(log.named("network")),
    lifecycle,
    get ended() {
      return AbortSignal.any([ended.signal, lifecycle.stopping]);
    },
    statsTicker: new StatsTicker(),
    pluginDir,
    supervisor: systemdPresence().booted ? "systemd" : "process",
    supervisorNamed,
    close: async () => {
      ended.abort();
      for (const supervisor of supervisors.values()) await supervisor.close();
    },
  };
}

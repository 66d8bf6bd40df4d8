import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { PluginOptions } from "../config/plugin/options";
import type { TaskOptions } from "../config/task/options";
import type { ExecContext } from "../exec/session-plan";
import { errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { removeMachineFiles, writeMachineFiles } from "../machine/files";
import { isRegistered, registerMachine, releaseAll, unregisterMachine } from "../machine/registry";
import { reserveNetwork } from "../network/networks";
import type { NetworkAttachment } from "../network/private/attachment";
import type { PrivateNetworks } from "../network/private/private-network";
import { taskEnvironment } from "../nspawn/environment";
import type { InstalledNspawn } from "../nspawn/installation";
import type { HostRootfs } from "../rootfs/host-rootfs";
import { applyImageDefaults } from "../rootfs/image-defaults";
import type { OciRootfs } from "../rootfs/oci-rootfs";
import type { PullWatch, Rootfs, RootfsProvider } from "../rootfs/rootfs";
import type { Container, ContainerRef } from "../supervisor/supervisor";
import type { Supervisors } from "../supervisor/supervisors";
import { machinedAvailable } from "../systemd/presence";
import { execContext } from "./exec-context";
import { launchSpec } from "./launch-spec";
import { chownLogPipes } from "./logs";
import { jobSettings, type LaunchPlan, planLaunch, taskOptionsOf } from "./plan";

/** A container that was started or found again, with what a task needs of it. */
export interface LaunchedContainer {
  readonly container: Container;
  readonly exec: ExecContext;
  /** The signal that stops the task if the job names none; absent: the driver's own default. */
  readonly stopSignal?: string;
  /** Undefined if the container has no network of its own. */
  readonly network: NetworkAttachment | undefined;
  /** What the job's author should know, in sentences. */
  readonly warnings: readonly string[];
  /** Releases what was made for the container beside what its supervisor keeps, and unregisters its machine. Idempotent. */
  readonly release: () => Promise<void>;
}

/** What the launcher works with. */
export interface LauncherContext {
  readonly log: Logger;
  /** The operator's config as it is now. */
  readonly options: () => PluginOptions;
  /** What relative image paths are relative to. */
  readonly pluginDir: string;
  /** Whether the agent gives each mount of a volume the volume's name. */
  readonly namesVolumes: () => boolean;
  readonly supervisors: Supervisors;
  readonly hostRootfs: HostRootfs;
  readonly ociRootfs: OciRootfs;
  readonly networks: PrivateNetworks;
  /** Called when something of a machine could not be removed, so that the reconciler tries again. */
  readonly onDangling: () => void;
}

/** Starts containers, finds them again and removes them: one path for failed starts, destroyed tasks and dangling containers. */
export class Launcher {
  readonly #context: LauncherContext;

  constructor(context: LauncherContext) {
    this.#context = context;
  }

  /** Plans a task's container and refuses it if it cannot run here; nothing is downloaded or written. @throws see planLaunch() */
  async plan(config: TaskConfig, machine: string, nspawn: InstalledNspawn): Promise<LaunchPlan> {
    const { options, pluginDir, namesVolumes } = this.#context;
    const plan = await planLaunch(config, machine, {
      plugin: options(),
      nspawn,
      pluginDir,
      namesVolumes: namesVolumes(),
    });
    await this.#providerOf(plan).check(plan);
    return plan;
  }

  /**
   * Starts a planned container. Everything that was made is removed if it fails; a removal that fails too is logged, and never hides why
   * the start failed.
   *
   * @throws ConfigError, ImageError, SourceError, StoreError, LaunchError, FirewallError
   */
  async launch(plan: LaunchPlan, watch: PullWatch): Promise<LaunchedContainer> {
    const { supervisors, networks } = this.#context;
    const { machine } = plan;
    using lease = await this.#providerOf(plan).acquire(plan, watch);
    watch.onAcquired();
    const { options, stopSignal, notes } = applyImageDefaults(plan.options, plan.job, lease.config);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#discardAfterFailure(machine));
    await registerMachine(machine, plan.client);
    const rootfs = await lease.mount({ ...plan, options });
    if (rootfs.logOwner !== undefined) chownLogPipes(Object.values(plan.logs), rootfs.logOwner);
    const environment = taskEnvironment({ ...rootfs.environment, ...rootfs.options.environment }, plan.features);
    const { boot } = options;
    const network = await reserveNetwork(networks, machine, plan.network, { boot, resolvers: plan.dns.resolvers });
    const files = await writeMachineFiles(machine, {
      settings: environment.settingsFile,
      environment: environment.environmentFile,
      ...(await nameFiles(plan, rootfs)),
      networkd: network.networkd,
    });
    const register = supervisors.preferred.name === "systemd" && machinedAvailable();
    const container = await supervisors.preferred.launch(
      launchSpec({ plan, rootfs, files, environment: environment.arguments, register }),
    );
    const attachment = await network.attach(container);
    undo.move();
    return {
      container,
      exec: execContext(plan.job, options),
      ...(stopSignal === undefined ? {} : { stopSignal }),
      network: attachment,
      warnings: [...plan.warnings, ...notes, ...rootfs.warnings, ...network.warnings],
      release: () => this.#release(machine),
    };
  }

  /**
   * Finds a container again that an earlier plugin process, or this one, started: running, or ended meanwhile.
   *
   * @throws NotSupervisedError
   */
  async attach(config: TaskConfig, ref: ContainerRef): Promise<LaunchedContainer> {
    const { supervisors, ociRootfs, networks } = this.#context;
    const container = await supervisors.get(ref.supervisor).attach(ref);
    const job = jobSettings(config);
    const own = this.#readableOptions(config);
    const recovered =
      own === undefined ? undefined : applyImageDefaults(own, job, await ociRootfs.configOf(ref.machine));
    return {
      container,
      exec: execContext(job, recovered?.options),
      ...(recovered?.stopSignal === undefined ? {} : { stopSignal: recovered.stopSignal }),
      network: await networks.recover(container),
      warnings: [],
      release: () => this.#release(ref.machine),
    };
  }

  /** Removes what an interrupted start of the same task left, if anything: it may still write to the root that is made anew. */
  async discardStale(machine: string): Promise<void> {
    if (isRegistered(machine)) await this.discard(machine);
  }

  /**
   * Ends what runs of a machine, and removes everything of it. Idempotent. If it fails, the machine stays registered, so that the
   * reconciler finds it later.
   *
   * @throws the first failure, or AggregateError
   */
  async discard(machine: string): Promise<void> {
    // If the container cannot be ended, nothing else is removed: it still uses it.
    await this.#context.supervisors.discard(machine);
    await this.#release(machine);
  }

  async #release(machine: string): Promise<void> {
    const { networks, ociRootfs } = this.#context;
    const files = { name: "files", release: removeMachineFiles };
    await releaseAll([networks, ociRootfs, files], machine);
    await unregisterMachine(machine);
  }

  async #discardAfterFailure(machine: string): Promise<void> {
    try {
      await this.discard(machine);
    } catch (error) {
      this.#context.log.warn("cleanup after a failed start is incomplete; trying again later", {
        machine,
        error: errorText(error),
      });
      this.#context.onDangling();
    }
  }

  #providerOf({ image }: LaunchPlan): RootfsProvider {
    return image.kind === "host" ? this.#context.hostRootfs : this.#context.ociRootfs;
  }

  /** The options of a recovered task, which an earlier version of the driver may have accepted and this one does not. */
  #readableOptions(config: TaskConfig): TaskOptions | undefined {
    try {
      return taskOptionsOf(config, this.#context.pluginDir);
    } catch (error) {
      this.#context.log.warn("recovered task has a config this version rejects; keeping it running with defaults", {
        task: config.name,
        alloc: config.allocId,
        error: errorText(error),
      });
      return undefined;
    }
  }
}

/** Texts for name lookups. The driver's own are left out where the image or the job has something else, or no place for them. */
async function nameFiles({ dns, taken, options }: LaunchPlan, rootfs: Rootfs) {
  const whereFree = async (path: string, content: string | undefined) =>
    content !== undefined && !taken.includes(path) && (await rootfs.canMountAt(path)) ? content : undefined;
  return {
    resolvConf: dns.asked ?? (options.boot ? undefined : await whereFree("/etc/resolv.conf", dns.resolvers)),
    hosts: await whereFree("/etc/hosts", dns.hosts),
  };
}

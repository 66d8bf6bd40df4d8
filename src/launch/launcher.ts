import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { PluginOptions } from "../config/plugin/options";
import { errorOfJob } from "../config/task/decode";
import type { TaskOptions } from "../config/task/options";
import { unlessAborted } from "../lib/deadline";
import { ConfigError, errorText } from "../lib/errors";
import type { Logger } from "../lib/logger";
import { onlineCpus } from "../linux/cgroup/cpuset";
import { machinePaths, removeMachineFiles, writeConfigBlock, writeMachineFiles } from "../machine/files";
import { lockMachine } from "../machine/machine-lock";
import { claimMachine, isRegistered, registerMachine, releaseAll, unregisterMachine } from "../machine/registry";
import { reserveNetwork } from "../network/networks";
import type { PrivateNetworks } from "../network/private/private-network";
import { nspawnVariables } from "../nspawn/environment";
import type { InstalledNspawn } from "../nspawn/installation";
import { machineName } from "../nspawn/machine-name";
import { StartNotice } from "../nspawn/start-notice";
import type { ContainerRoots } from "../rootfs/container-roots";
import type { HostRootfs } from "../rootfs/host-rootfs";
import { applyImageDefaults } from "../rootfs/image-defaults";
import type { OciRootfs } from "../rootfs/oci-rootfs";
import type { ImageLease, RootfsProvider } from "../rootfs/rootfs";
import type { Container, ContainerRef } from "../supervisor/supervisor";
import type { Supervisors } from "../supervisor/supervisors";
import { shouldRegister } from "../systemd/presence";
import { withCdiVariables } from "./cdi";
import { changesLimit, requireMeasurable } from "./changes-limit";
import { identityTexts } from "./identity";
import { imageOverlays } from "./image-overlays";
import { followInsideSetup, insideSetup } from "./inside-setup";
import { type LaunchParts, launchSpec } from "./launch-spec";
import type { LaunchedContainer, LaunchWatch } from "./launched-container";
import { sharedCpuset } from "./limits";
import { chownLogPipes, type JournalTarget, journalPath, type LogPaths, logPaths } from "./logs";
import { nameFiles } from "./name-files";
import { networkPlan } from "./network-plan";
import { preparePayload } from "./payload-wrapper";
import { execContext, jobSettings, type LaunchPlan, planLaunch, storageLimit, taskOptionsOf } from "./plan";
import { preparationNote, ReadySocket } from "./readiness";
import { recordIfMissing, taskRecord, withConfigBlock } from "./record";
import { recoveredLease } from "./recovered-lease";
import { followSharedCpus } from "./shared-cpus";
import { endTurnOnceStarted, startTurns } from "./start-turns";

/** The dependencies of the launcher. */
interface LauncherContext {
  readonly log: Logger;
  /** The current plugin config. */
  readonly options: () => PluginOptions;
  /** Base of relative image paths. */
  readonly pluginDir: string;
  /** Whether the agent gives each mount of a volume the volume's name. */
  readonly namesVolumes: () => boolean;
  readonly supervisors: Supervisors;
  readonly hostRootfs: HostRootfs;
  readonly ociRootfs: OciRootfs;
  readonly roots: ContainerRoots;
  readonly networks: PrivateNetworks;
  /** Called when something of a machine could not be removed, so that the reconciler tries again. */
  readonly onDangling: () => void;
}

/** Starts, recovers and removes containers; failed starts, destroyed tasks and dangling containers take the same path. */
export class Launcher {
  readonly #turns = startTurns();

  constructor(private readonly context: LauncherContext) {}

  /** Plans a task's container and refuses it if it cannot run here; nothing is downloaded or written. @throws see planLaunch() */
  async plan(config: TaskConfig, machine: string, nspawn: InstalledNspawn): Promise<LaunchPlan> {
    try {
      return await this.#checkedPlan(config, machine, nspawn);
    } catch (error) {
      throw error instanceof ConfigError ? errorOfJob(config.msgpackDriverConfig, error) : error;
    }
  }

  async #checkedPlan(config: TaskConfig, machine: string, nspawn: InstalledNspawn): Promise<LaunchPlan> {
    const { options, pluginDir, namesVolumes } = this.context;
    const context = { plugin: options(), nspawn, pluginDir, namesVolumes: namesVolumes() };
    const plan = await planLaunch(config, machine, context);
    await requireMeasurable(plan.storageLimit, () => this.context.roots.hasQuotas());
    if (plan.output !== "nomad" && this.context.supervisors.preferredName !== "systemd") {
      throw new ConfigError(
        `Option log_driver = "${plan.output}" needs systemd as PID 1, which this client does not have: its tasks log to "nomad alloc logs" (log_driver = "nomad").`,
      );
    }
    await this.#providerOf(plan).check(plan);
    return plan;
  }

  /**
   * Starts a planned container. If that fails, everything that was made is removed; errors of the removal are logged and never hide the
   * reason of the failed start.
   *
   * @param adopt makes what owns the container from now on; if it throws, the start has failed
   * @throws ConfigError, ImageError, SourceError, StoreError, LaunchError, FirewallError, and what `watch.signal` aborts with
   */
  async launch<Owner>(
    plan: LaunchPlan,
    watch: LaunchWatch,
    adopt: (launched: LaunchedContainer) => Owner,
  ): Promise<Owner> {
    const { machine } = plan;
    await using _lock = await lockMachine(machine, watch.signal);
    await this.#discardStale(machine);
    using lease = await this.#providerOf(plan).acquire(plan, watch);
    watch.onAcquired();
    watch.stage("image");
    const { options, stopSignal, notes } = applyImageDefaults(plan.options, plan.job, lease.config);
    await using undo = new AsyncDisposableStack();
    const turnEnds = await this.#turns.take(watch.signal);
    undo.defer(turnEnds);
    undo.defer(() => this.#discardAfterFailure(machine));
    await registerMachine(machine, plan.client, plan.record);
    writeConfigBlock(machine, plan.configBlock);
    const { rootfs, environment, network, files } = await this.#prepare(plan, options, lease, watch);
    using ready = options.notify_ready ? new ReadySocket(machinePaths(machine).notify) : undefined;
    const { stop_timeout: stopTimeout, slice } = this.context.options();
    const container = await this.#supervise(
      {
        ...{ plan, rootfs, files, stopTimeout, slice },
        environment: environment.arguments,
        networkdPath: network.networkd?.path,
        stopSignal: stopSignal ?? "",
      },
      ready,
    );
    watch.stage("supervisor");
    endTurnOnceStarted(container, turnEnds);
    followSharedCpus(container, plan.sharedCpuset, { known: plan.limits.cpus ?? onlineCpus(), log: this.context.log });
    const attachment = await network.attach(container);
    watch.stage("attach");
    undo.defer(() => attachment?.close());
    await unlessAborted(
      followInsideSetup(container, insideSetup(plan.options, plan.network), { log: this.context.log }),
      watch.signal,
    );
    await ready?.wait(container, { ...watch, timeout: options.ready_timeout });
    const owner = adopt({
      container,
      exec: execContext(plan.job, options),
      ...(stopSignal === undefined ? {} : { stopSignal }),
      changes: changesLimit(await this.context.roots.changesOf(machine), plan.storageLimit),
      journal: this.#journalOf(machine, options, plan.logs),
      network: attachment,
      warnings: [...plan.warnings, ...notes, ...rootfs.warnings, ...environment.warnings, ...network.warnings],
      systemUp: options.notify_ready && options.boot,
      preparing: preparationNote(rootfs),
      lock: () => lockMachine(machine),
      release: () => this.#release(machine),
    });
    undo.move();
    return owner;
  }

  /** Has a prepared container started by the supervisor. @param ready gets all messages of systemd-nspawn, if there is one */
  async #supervise(parts: Omit<LaunchParts, "register" | "notifySocket">, ready: ReadySocket | undefined) {
    const supervisor = this.context.supervisors.preferred;
    const onSystemd = supervisor.name === "systemd";
    using made = new DisposableStack();
    // A shim searches for its container itself.
    const searches = onSystemd && ready === undefined;
    const notice = made.use(searches ? StartNotice.open(machinePaths(parts.plan.machine).notify) : undefined);
    const notifySocket = ready?.path ?? notice?.path;
    const spec = launchSpec({ ...parts, notifySocket, register: onSystemd && shouldRegister() });
    const container = await supervisor.launch(spec, notice);
    const kept = made.move();
    container.started.then(() => kept.dispose());
    return container;
  }

  /** Makes everything that the container of a registered machine needs. @param options with the image's defaults */
  async #prepare(plan: LaunchPlan, options: TaskOptions, lease: ImageLease, watch: LaunchWatch) {
    const { machine } = plan;
    const mounted = await lease.mount({ ...plan, options });
    watch.stage("root");
    if (mounted.logOwner !== undefined) chownLogPipes(Object.values(plan.logs), mounted.logOwner);
    const { boot, tmp = mounted.tmp } = options;
    const prepared = await preparePayload(plan, mounted, boot);
    const { environment } = prepared;
    const overlay = imageOverlays(prepared.rootfs);
    const rootfs = { ...prepared.rootfs, options: { ...prepared.rootfs.options, overlay } };
    const { resolvers } = plan.dns;
    const warn = (message: string) => this.context.log.warn(message, { machine });
    const network = await reserveNetwork(this.context.networks, machine, plan.network, { boot, resolvers, warn });
    watch.stage("network");
    const files = writeMachineFiles(machine, {
      settings: environment.settingsFile,
      environment: nspawnVariables(environment.environmentFile, { tmp, privileged: options.privileged }),
      ...(await nameFiles(plan, rootfs, network.addresses)),
      networkd: network.networkd?.text,
      credentials: plan.credentials,
      ...identityTexts(plan, rootfs),
    });
    watch.stage("files");
    return { rootfs, environment, network, files };
  }

  /**
   * Recovers a container that an earlier plugin process, or this one, started; it may be running or have exited meanwhile.
   *
   * @throws NotSupervisedError
   */
  async attach(sent: TaskConfig, ref: ContainerRef): Promise<LaunchedContainer> {
    const { supervisors, roots, networks, log } = this.context;
    const container = await supervisors.get(ref.supervisor).attach(ref);
    const config = await withConfigBlock(sent, ref.machine);
    const job = jobSettings(config);
    claimMachine(ref.machine);
    await roots.recover(ref.machine, log);
    const image = await roots.configOf(ref.machine);
    const own = this.#readableOptions(config, image !== undefined);
    if (own !== undefined) followSharedCpus(container, sharedCpuset(config.resources, own), { log });
    if (own !== undefined) this.#followRecovered(config, container, own);
    const withDevices = await withCdiVariables(job, config, own);
    const recovered = own === undefined ? undefined : applyImageDefaults(own, withDevices, image);
    const logs = await logPaths(config);
    if (own !== undefined) await recordIfMissing(ref.machine, taskRecord(config, own, logs, undefined), log);
    return {
      container,
      exec: execContext(withDevices, recovered?.options),
      ...(recovered?.stopSignal === undefined ? {} : { stopSignal: recovered.stopSignal }),
      changes: changesLimit(await roots.changesOf(ref.machine), storageLimit(own ?? {}, this.context.options())),
      journal: own && this.#journalOf(ref.machine, own, logs),
      network: (await networks.recover(container)) ?? recoveredLease(config, container, own, log),
      warnings: [],
      systemUp: false,
      preparing: "",
      lock: () => lockMachine(ref.machine),
      release: () => this.#release(ref.machine),
    };
  }

  /** A recovered container keeps running, whatever fails. */
  async #followRecovered(config: TaskConfig, container: Container, options: TaskOptions): Promise<void> {
    const { log } = this.context;
    try {
      const setup = insideSetup(options, networkPlan(config, options));
      await followInsideSetup(container, setup, { recovered: true, log });
    } catch (error) {
      log.warn("cannot set up a recovered container", { machine: container.ref.machine, error: errorText(error) });
    }
  }

  /** Removes what an interrupted start of the same task left: its container may still write to the root that is made anew. */
  async #discardStale(machine: string): Promise<void> {
    if (isRegistered(machine)) await this.#discard(machine);
  }

  /**
   * Kills the container of a machine, and removes everything of it. Idempotent. If it fails, the machine stays registered, so that the
   * reconciler finds it later.
   *
   * @throws the first failure, or AggregateError
   */
  async discard(machine: string): Promise<void> {
    await using _lock = await lockMachine(machine);
    await this.#discard(machine);
  }

  async #discard(machine: string): Promise<void> {
    // If the container cannot be killed, its root, network and files stay: it still uses them.
    await this.context.supervisors.discard(machine);
    await this.#release(machine);
  }

  async #release(machine: string): Promise<void> {
    const { networks, roots } = this.context;
    await releaseAll([networks, roots, { release: removeMachineFiles }], machine);
    await unregisterMachine(machine);
  }

  async #discardAfterFailure(machine: string): Promise<void> {
    await this.#discard(machine).catch((error: unknown) => {
      const fields = { machine, error: errorText(error) };
      this.context.log.warn("cleanup after a failed start is incomplete; trying again later", fields);
      this.context.onDangling();
    });
  }

  #journalOf(machine: string, options: TaskOptions, logs: LogPaths): JournalTarget | undefined {
    const path = journalPath(options, logs);
    return path === undefined ? undefined : { path, cursorFile: machinePaths(machine).journal, log: this.context.log };
  }

  #providerOf({ image }: LaunchPlan): RootfsProvider {
    return image.kind === "host" ? this.context.hostRootfs : this.context.ociRootfs;
  }

  /** The options of a recovered task, which an earlier version of the driver may have accepted and this one does not. */
  #readableOptions(config: TaskConfig, fromStore: boolean): TaskOptions | undefined {
    try {
      return taskOptionsOf(config, { pluginDir: this.context.pluginDir, fromStore });
    } catch (error) {
      this.context.log.warn("recovered task has a config this version rejects; keeping it running with defaults", {
        machine: machineName(config.name, config.allocId),
        error: errorText(error),
      });
      return undefined;
    }
  }
}

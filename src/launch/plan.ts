/**
 * From a task's config to a running container. A *plan* is everything that can be decided without the image: pure data, made by stages in
 * the order of their cost, each of which may refuse the job. Nothing is downloaded or written before all of them have passed. The
 * launcher (launcher.ts) then acquires the image, applies its defaults, makes root, network and files, and starts systemd-nspawn with
 * the *launch spec* (launch-spec.ts).
 */

import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import type { PluginOptions } from "../config/plugin/options";
import { checkPolicy } from "../config/policy";
import { decodeTaskConfig } from "../config/task/decode";
import type { LogDriver } from "../config/task/logs";
import type { TaskOptions } from "../config/task/options";
import type { ExecContext } from "../exec/session-plan";
import { ConfigError } from "../lib/errors";
import { defined } from "../lib/objects";
import type { ResourceLimits } from "../linux/cgroup/limits";
import type { TaskRecord } from "../machine/task-record";
import type { NetworkPlan } from "../network/network";
import { taskEnvironment } from "../nspawn/environment";
import { type Features, featuresOf } from "../nspawn/features";
import type { InstalledNspawn } from "../nspawn/installation";
import { taskMachineId } from "../nspawn/machine-id";
import type { PayloadMode } from "../nspawn/payload";
import type { JobSettings } from "../rootfs/image-defaults";
import { type ImageRef, taskImageRef } from "../rootfs/image-ref";
import { refuseVerity } from "../rootfs/verity-files";
import { requireUsers } from "./bind-user";
import { taskCredentials } from "./credentials";
import { type NameService, nameService } from "./dns-plan";
import { resourceLimits, sharedCpuset } from "./limits";
import { type LogPaths, logPaths } from "./logs";
import { taskDirectories } from "./mounts";
import { networkPlan } from "./network-plan";
import { checkNetwork, refuseHostSysctls } from "./network-policy";
import { type PlannedMounts, planMounts } from "./plan-mounts";
import { payloadMode, taskRecord } from "./record";
import { sharedCpus } from "./shared-cpus";
import { refuseUnsupported } from "./supported";

/** Everything about a task's container that is decided before its image is acquired. */
export interface LaunchPlan extends Omit<PlannedMounts, "overlay" | "cdi"> {
  readonly machine: string;
  /** The directory of its allocation. */
  readonly allocation: string;
  /** The Nomad agent that the machine belongs to; see clientOf(). */
  readonly client: string;
  /** The job's own, with resolved overlays; binds and devices are among `mounts`. */
  readonly options: TaskOptions;
  /** What the job sets outside its config block. */
  readonly job: JobSettings;
  readonly image: ImageRef;
  readonly mode: PayloadMode;
  readonly limits: ResourceLimits;
  /** See sharedCpuset(). */
  readonly sharedCpuset: string | undefined;
  /** See RootfsRequest. */
  readonly storageLimit: number | undefined;
  /** Contents of credentials, by name. */
  readonly credentials: ReadonlyMap<string, Uint8Array>;
  readonly network: NetworkPlan;
  readonly dns: NameService;
  /** The container's machine ID; undefined if it is the image's. */
  readonly machineId: string | undefined;
  readonly logs: LogPaths;
  /** Whether its output goes to its logs, to the client's journal, or to both. */
  readonly output: LogDriver;
  /** What the command line shows of it. */
  readonly record: TaskRecord;
  /** The job's config block as msgpack. */
  readonly configBlock: Uint8Array;
  readonly nspawn: InstalledNspawn;
  readonly features: Features;
}

/** What the record of a task has in place of its logs if its output goes to the client's journal. */
export const IN_JOURNAL: LogPaths = { stdoutPath: "journal", stderrPath: "journal" };

/** The properties of the host and the plugin config that a plan depends on. */
interface PlanContext {
  readonly plugin: PluginOptions;
  readonly nspawn: InstalledNspawn;
  /** Base of relative image paths. */
  readonly pluginDir: string;
  /** Whether the agent gives each mount of a volume the volume's name (Nomad 2.0 and later). */
  readonly namesVolumes: boolean;
}

/** The client of a task: its agent, identified by the directory of its allocations; each agent of a host has its own directory. */
export function clientOf({ allocDir }: Pick<TaskConfig, "allocDir">): string {
  return dirname(allocDir);
}

/** What a job sets outside its config block. Variables of devices take precedence over the job's, as in Nomad's own drivers. */
export function jobSettings({ env, deviceEnv, user }: Pick<TaskConfig, "env" | "deviceEnv" | "user">): JobSettings {
  return { environment: { ...env, ...deviceEnv }, user };
}

/**
 * The context that a command in the task's container shares with the task's own command.
 *
 * @param options with the image's defaults; undefined if the config of a recovered task cannot be read by this version
 */
export function execContext(job: JobSettings, options: TaskOptions | undefined): ExecContext {
  const user = options?.user ?? (job.user === "" ? undefined : job.user);
  const environment = { ...job.environment, ...options?.environment };
  return { ...defined({ user, workingDirectory: options?.working_directory }), environment };
}

/** Bytes that a task's changes to its root may take; undefined: unlimited. */
export function storageLimit(
  { storage_limit: own }: Pick<TaskOptions, "storage_limit">,
  { storage_limit: largest }: Pick<PluginOptions, "storage_limit">,
): number | undefined {
  return own ?? largest;
}

/** What the options of a task depend on besides its config. */
interface OptionsContext {
  /** Base of relative image paths. */
  readonly pluginDir: string;
  /** Whether the task already runs from a container (OCI) image; its files in the task's directory may have changed since. */
  readonly fromStore?: boolean;
}

/** The options of a task. @throws ConfigError, ImageError */
export function taskOptionsOf(
  config: Pick<TaskConfig, "msgpackDriverConfig" | "allocDir" | "name">,
  { pluginDir, fromStore = false }: OptionsContext,
) {
  const { local } = taskDirectories(config);
  return decodeTaskConfig(
    config.msgpackDriverConfig,
    (wanted) => fromStore || taskImageRef(wanted, { pluginDir, local }).kind !== "host",
  );
}

/** @throws ConfigError if the image is in the task's directory, and the operator forbids that */
function refuseTaskImage({ image }: TaskOptions, ref: ImageRef, { allow_task_images: allowed }: PluginOptions): void {
  if (allowed || ref.kind === "registry" || ref.inTask === undefined) return;
  throw new ConfigError(
    `Option image = ${JSON.stringify(image)} is in the task's own directory, which this client does not allow (allow_task_images = false): use an image that the operator of the client provides.`,
  );
}

/** @throws ConfigError if the option pull is set, and the image is not one of a registry */
function refusePull({ image, pull }: TaskOptions, { kind }: ImageRef): void {
  if (pull === undefined || kind === "registry") return;
  throw new ConfigError(
    `Option pull = "${pull}" is for images in a registry, and image = ${JSON.stringify(image)} is one on this client, which is read at each start: remove pull, or write docker:// before the name of an image in a registry.`,
  );
}

/**
 * Plans the container of a task.
 *
 * @param machine see machineName()
 * @throws ConfigError, LaunchError or Error with one sentence for the job's author
 */
export async function planLaunch(config: TaskConfig, machine: string, context: PlanContext): Promise<LaunchPlan> {
  const { plugin, nspawn, pluginDir } = context;
  const features = featuresOf(nspawn.version);
  const decoded = taskOptionsOf(config, { pluginDir });
  checkPolicy(decoded, plugin);
  const image = taskImageRef(decoded, { pluginDir, local: taskDirectories(config).local });
  refuseTaskImage(decoded, image, plugin);
  refusePull(decoded, image);
  if (image.kind !== "host") refuseVerity(decoded);
  const network = networkPlan(config, decoded);
  refuseHostSysctls(network, decoded);
  await checkNetwork(network, decoded, plugin);
  const { overlay, cdi, ...planned } = await planMounts(config, decoded, features, context);
  await requireUsers(decoded.bind_user);
  const settings = jobSettings(config);
  const cpuset = sharedCpuset(config.resources, decoded);
  const logs = await logPaths(config);
  const output = decoded.log_driver ?? plugin.log_driver;
  const plan: LaunchPlan = {
    ...planned,
    machine,
    allocation: config.allocDir,
    client: clientOf(config),
    options: {
      ...decoded,
      bind: {},
      bind_read_only: {},
      overlay,
      devices: [],
      group_add: [...decoded.group_add, ...cdi.groups],
    },
    job: { ...settings, environment: { ...settings.environment, ...cdi.environment } },
    image,
    mode: payloadMode(decoded),
    limits: resourceLimits(config.resources, decoded, { cpus: availableParallelism(), shared: sharedCpus(cpuset) }),
    sharedCpuset: cpuset,
    storageLimit: storageLimit(decoded, plugin),
    credentials: await taskCredentials(config, decoded),
    network,
    dns: await nameService(config, decoded, network, { machine, servers: plugin.network.dns_servers }),
    machineId: decoded.machine_id === "image" ? undefined : taskMachineId(config.name, config.allocId),
    logs,
    output,
    configBlock: config.msgpackDriverConfig,
    record: taskRecord(config, decoded, output === "journal" ? IN_JOURNAL : logs, network.kind),
    nspawn,
    features,
  };
  refuseUnsupported(plan, features);
  // Refuses variables that cannot be passed; those of the image come later.
  taskEnvironment({ ...plan.job.environment, ...decoded.environment }, { boot: decoded.boot, features });
  return plan;
}

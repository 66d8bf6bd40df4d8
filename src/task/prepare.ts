import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { mountTargets, simplify } from "../config/combinations";
import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import type { PluginOptions } from "../config/plugin-options";
import { checkPolicy } from "../config/policy";
import { decodeTaskConfig } from "../config/task-config";
import type { InstalledNspawn } from "../host/nspawn-version";
import { osTreeProblem } from "../image/os-tree";
import { resolveImage } from "../image/resolve";
import { networkPlan } from "../network/plan";
import type { NetworkRecord } from "../network/records";
import { nspawnArguments } from "../nspawn/arguments";
import { taskEnvironment } from "../nspawn/environment";
import { featuresOf } from "../nspawn/features";
import { machineName } from "../nspawn/machine-name";
import type { Logger } from "../plugin/logger";
import type { LaunchSpec, PayloadMode } from "../supervisor/supervisor";
import { containerDevices } from "./device-nodes";
import { type ContainerFiles, ownerOf, writeContainerFiles } from "./files";
import { resourceLimits } from "./limits";
import { missingInImage, refuseMissingMountPoints } from "./mount-points";
import { bindMounts, overlayMounts, taskDirectories } from "./mounts";
import { nameService } from "./name-service";
import { prepareNetwork } from "./network";
import { containerIds, mapOwners } from "./owner-mapping";
import { releaseContainer } from "./release";
import { ownMounts, volumeMounts } from "./task-mounts";

/** What of the host and the operator's config a start depends on. */
export interface PrepareContext {
  readonly plugin: PluginOptions;
  readonly nspawn: InstalledNspawn;
  /** What relative image paths are relative to. */
  readonly pluginDir: string;
  /** Whether systemd-machined shall know the container. */
  readonly register: boolean;
  readonly log: Logger;
}

/** A task that can be started: the files of `launch` are written, and whoever has it removes them. */
export interface Prepared {
  readonly options: TaskOptions;
  readonly launch: LaunchSpec;
  /** The private network that was reserved; absent where the container has none. */
  readonly network: NetworkRecord | undefined;
  /** What the job's author should know, in sentences. */
  readonly notes: readonly string[];
}

/** How the payload of a task sits in its container. */
export function payloadMode(options: Pick<TaskOptions, "boot" | "process_two">): PayloadMode {
  if (options.boot) return "boot";
  return options.process_two ? "pid2" : "pid1";
}

/**
 * Turns what Nomad tells of a task into a container that can be launched: checks everything that can be known before the
 * start, and writes the container's files last.
 *
 * @throws ConfigError, ImageError or Error with one sentence for the job's author
 */
export async function prepareTask(config: TaskConfig, context: PrepareContext): Promise<Prepared> {
  const decoded = decodeTaskConfig(config.msgpackDriverConfig);
  checkPolicy(decoded, context.plugin);
  const network = networkPlan(config, decoded);
  const machine = machineName(config.name, config.allocId);
  const policy = {
    taskDirectory: taskDirectories(config).task,
    privileged: context.plugin.allow_privileged_binds,
  };
  const binds = await bindMounts(decoded, policy);
  const overlay = await overlayMounts(decoded.overlay, policy);
  const devices = await containerDevices(config, decoded, policy.privileged);
  // From here on they are mounts like the others.
  const options = { ...decoded, bind: {}, bind_read_only: {}, overlay, devices: [] };
  const image = await resolveImage(options.image, {
    pluginDir: context.pluginDir,
    imagePaths: context.plugin.image_paths,
  });
  if (image.kind === "directory") {
    const problem = await osTreeProblem(image.path, { boot: options.boot, pivotRoot: options.pivot_root?.newRoot });
    if (problem !== undefined) throw new ConfigError(problem);
  }
  const features = featuresOf(context.nspawn.version);
  const environment = taskEnvironment({ ...config.env, ...config.deviceEnv, ...options.environment }, features);
  const taken = [...mountTargets(decoded).map(([, path]) => path), ...devices.map(({ mount }) => mount.target)].map(
    simplify,
  );
  const { mounts, notes: ownerNotes } = await mapOwners(
    [
      ...(await ownMounts(config, [...taken, ...config.mounts.map(({ taskPath }) => simplify(taskPath))])),
      ...(await volumeMounts(config, context.plugin.volumes, taken)),
      ...binds,
      ...devices.map(({ mount }) => mount),
    ],
    containerIds(options),
    features,
  );
  const names = await nameService(config, decoded, network, machine);
  const arguments_ = (files: ContainerFiles) =>
    nspawnArguments({
      options,
      features,
      machine,
      image,
      mounts,
      ...(files.resolvConf === undefined ? {} : { resolvConf: files.resolvConf }),
      ...(options.boot && network.kind === "joined" && names.resolvers !== undefined
        ? { resolvConfMode: "copy-uplink" }
        : {}),
      ...(files.hosts === undefined ? {} : { hosts: files.hosts }),
      ...(files.networkd === undefined ? {} : { networkd: files.networkd }),
      ...(config.user === "" ? {} : { taskUser: config.user }),
      register: context.register,
      network: network.kind === "joined" ? "joined" : "config",
      ...(network.kind === "joined" && network.hosts !== undefined ? { groupHostname: network.hosts.hostname } : {}),
      environment: environment.arguments,
    });
  // Everything that can be refused is refused before anything is written.
  arguments_({});
  await refuseMissingMountPoints(image, options, [
    ...mounts.map(({ target }) => target),
    ...mountTargets(options).map(([, target]) => target),
  ]);
  // Nobody asked for these two: they are left out where they cannot be.
  const shown = async (path: string, content: string | undefined) =>
    !taken.includes(path) && (await missingInImage(image, options, [path])) === undefined ? content : undefined;
  const written = await writeContainerFiles(machine, {
    owner: ownerOf(config),
    settings: environment.settingsFile,
    environment: environment.environmentFile,
    resolvConf: names.asked ?? (options.boot ? undefined : await shown("/etc/resolv.conf", names.resolvers)),
    hosts: await shown("/etc/hosts", names.hosts),
  });
  try {
    const connection = await prepareNetwork(machine, network, {
      boot: options.boot,
      resolvers: names.resolvers,
      context,
    });
    const files = { ...written, ...connection.files };
    return {
      options,
      network: connection.record,
      notes: [...ownerNotes, ...connection.notes],
      launch: {
        machine,
        mode: payloadMode(options),
        argv: [context.nspawn.path, ...arguments_(files)],
        environment: {},
        ...(files.environmentFile === undefined ? {} : { environmentFile: files.environmentFile }),
        stdoutPath: config.stdoutPath,
        stderrPath: config.stderrPath,
        limits: resourceLimits(config.resources, options),
        ...(options.oom_score_adjust === undefined ? {} : { oomScoreAdjust: options.oom_score_adjust }),
        ...(network.kind === "joined" ? { networkNamespace: network.path } : {}),
        devices: devices.map(({ rule }) => rule),
        properties: options.properties,
      },
    };
  } catch (error) {
    await releaseContainer(machine);
    throw error;
  }
}

import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { mountTargets, simplify } from "../config/combinations";
import type { PluginOptions } from "../config/plugin/options";
import { checkPolicy } from "../config/policy";
import { decodeTaskConfig } from "../config/task/decode";
import type { TaskOptions } from "../config/task/options";
import type { Logger } from "../lib/logger";
import type { ImageProgress } from "../lib/progress";
import { type ContainerFiles, clientOf, registerMachine, writeContainerFiles } from "../machine/files";
import type { NetworkRecord } from "../network/private/records";
import { type NspawnInput, nspawnArguments } from "../nspawn/arguments";
import { taskEnvironment } from "../nspawn/environment";
import { featuresOf } from "../nspawn/features";
import type { InstalledNspawn } from "../nspawn/installation";
import type { MachineImages } from "../rootfs/host-images";
import { taskImageOrigin } from "../rootfs/image-ref";
import { missingInImage, refuseMissingMountPoints } from "../rootfs/mount-points";
import type { TaskImages } from "../rootfs/oci-images";
import { makeStoredRoot } from "../rootfs/stored-root";
import { taskImage } from "../rootfs/task-image";
import type { LaunchSpec } from "../supervisor/supervisor";
import { containerIds } from "../values/private-users";
import { containerDevices } from "./devices";
import { nameService } from "./dns-plan";
import { resourceLimits } from "./limits";
import { chownLogPipes, logPaths } from "./logs";
import { bindMounts, labelNotes, overlayMounts, ownMounts, taskDirectories, volumeMounts } from "./mounts";
import { networkPlan } from "./network-plan";
import { checkNetwork } from "./network-policy";
import { mapOwners } from "./owner-mapping";
import { payloadMode } from "./payload-mode";
import { releaseContainer } from "./release";
import { prepareNetwork } from "./task-network";

/** What a start depends on besides the task. */
export interface PrepareContext {
  readonly plugin: PluginOptions;
  readonly nspawn: InstalledNspawn;
  /** Base of relative image paths. */
  readonly pluginDir: string;
  /** Whether to register the container with systemd-machined. */
  readonly register: boolean;
  readonly images: TaskImages;
  readonly machineImages: MachineImages;
  /** Whether the agent sets the volume's name in each mount of a volume. */
  readonly namesVolumes: boolean;
  /** Receives the progress of the image download. */
  readonly onProgress: (progress: ImageProgress) => void;
  /** Cancels the image download. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** A task that is ready to start: the files of `launch` are written, and the caller must remove them. */
export interface Prepared {
  readonly options: TaskOptions;
  readonly launch: LaunchSpec;
  /** The stop signal if the job sets none; absent: the driver's default. */
  readonly stopSignal?: string;
  /** The reserved private network; absent if the container has none. */
  readonly network: NetworkRecord | undefined;
  /** Notes for the job's author, as sentences. */
  readonly notes: readonly string[];
}

/**
 * Turns Nomad's task config into a container that can be launched: checks everything that can be checked before the
 * start, and writes the container's files last.
 *
 * @param machine see machineName()
 * @throws ConfigError, ImageError or Error with one sentence for the job's author
 */
export async function prepareTask(config: TaskConfig, machine: string, context: PrepareContext): Promise<Prepared> {
  const { pluginDir } = context;
  const decoded = decodeTaskConfig(
    config.msgpackDriverConfig,
    (wanted) => taskImageOrigin(wanted, { pluginDir }).kind !== "host",
  );
  checkPolicy(decoded, context.plugin);
  const network = networkPlan(config, decoded);
  await checkNetwork(network, context.plugin);
  const policy = {
    taskDirectory: taskDirectories(config).task,
    privileged: context.plugin.allow_privileged_binds,
  };
  const binds = await bindMounts(decoded, policy);
  const overlay = await overlayMounts(decoded.overlay, policy);
  const devices = await containerDevices(config, decoded, policy.privileged);
  using image = await taskImage(config, decoded, machine, context);
  const { place, stored } = image;
  // From here on they are treated like the other mounts.
  const options = { ...image.options, bind: {}, bind_read_only: {}, overlay, devices: [] };
  const features = featuresOf(context.nspawn.version);
  const environmentWith = (more: Readonly<Record<string, string>>) =>
    taskEnvironment({ ...more, ...config.env, ...config.deviceEnv, ...options.environment }, features);
  const taken = [...mountTargets(decoded).map(([, path]) => path), ...devices.map(({ mount }) => mount.target)].map(
    simplify,
  );
  const { mounts, notes: ownerNotes } = await mapOwners(
    [
      ...(await ownMounts(config, [...taken, ...config.mounts.map(({ taskPath }) => simplify(taskPath))])),
      ...(await volumeMounts(config.mounts, { allowed: context.plugin.volumes, named: context.namesVolumes }, taken)),
      ...binds,
      ...devices.map(({ mount }) => mount),
    ],
    containerIds(options),
    features,
  );
  const logs = await logPaths(config);
  const names = await nameService(config, decoded, network, machine);
  const argumentsOf = (root: RootParts, environment: readonly string[], files: ContainerFiles) =>
    nspawnArguments({
      ...root,
      features,
      machine,
      ...(files.resolvConf === undefined ? {} : { resolvConf: files.resolvConf }),
      ...(options.boot && network.kind === "joined" && names.resolvers !== undefined
        ? { resolvConfMode: "copy-uplink" }
        : {}),
      ...(files.hosts === undefined ? {} : { hosts: files.hosts }),
      ...(files.networkd === undefined ? {} : { networkd: files.networkd }),
      ...(config.user === "" || stored !== undefined ? {} : { taskUser: config.user }),
      register: context.register,
      network: network.kind === "joined" ? "joined" : "config",
      ...(network.kind === "joined" && network.hosts !== undefined ? { groupHostname: network.hosts.hostname } : {}),
      environment,
    });
  // Everything is validated before anything is written.
  const early = {
    options: { ...options, user: stored === undefined ? options.user : undefined },
    image: place,
    mounts,
  };
  argumentsOf(early, environmentWith({}).arguments, {});
  if (stored === undefined) {
    await refuseMissingMountPoints(place, options, [
      ...mounts.map(({ target }) => target),
      ...mountTargets(options).map(([, target]) => target),
    ]);
  }
  // The job did not request these two mounts: they are omitted if they have no mount point. A stored image has one for all mounts.
  const shown = async (path: string, content: string | undefined) => {
    const missing = stored === undefined ? await missingInImage(place, options, [path]) : undefined;
    return !taken.includes(path) && missing === undefined ? content : undefined;
  };
  await registerMachine(machine, clientOf(config), stored === undefined ? undefined : place.path);
  try {
    const { store } = context.images;
    const made =
      stored === undefined ? undefined : await makeStoredRoot({ store, machine, image: stored, options, mounts });
    if (made !== undefined) chownLogPipes([logs.stdoutPath, logs.stderrPath], made.user);
    const root: RootParts =
      made === undefined
        ? { options, image: place, mounts }
        : { options: made.options, image: { kind: "directory", path: made.path }, mounts: made.mounts };
    const environment = environmentWith(made?.environment ?? {});
    const written = await writeContainerFiles(machine, {
      settings: environment.settingsFile,
      environment: environment.environmentFile,
      resolvConf: names.asked ?? (options.boot ? undefined : await shown("/etc/resolv.conf", names.resolvers)),
      hosts: await shown("/etc/hosts", names.hosts),
    });
    const connection = await prepareNetwork(machine, network, {
      boot: options.boot,
      resolvers: names.resolvers,
      context,
    });
    const files = { ...written, ...connection.files };
    return {
      options,
      network: connection.record,
      notes: [...ownerNotes, ...labelNotes(config.mounts), ...image.notes, ...(made?.notes ?? []), ...connection.notes],
      ...(image.stopSignal === undefined ? {} : { stopSignal: image.stopSignal }),
      launch: {
        machine,
        mode: payloadMode(options),
        argv: [context.nspawn.path, ...argumentsOf(root, environment.arguments, files)],
        environment: {},
        ...(files.environmentFile === undefined ? {} : { environmentFile: files.environmentFile }),
        ...logs,
        ...(made === undefined ? {} : { logOwner: made.user.uid }),
        limits: resourceLimits(config.resources, options),
        ...(options.oom_score_adjust === undefined ? {} : { oomScoreAdjust: options.oom_score_adjust }),
        ...(network.kind === "joined" ? { networkNamespace: network.path } : {}),
        devices: devices.map(({ rule }) => rule),
        properties: options.properties,
      },
    };
  } catch (error) {
    await releaseContainer(machine, context.log);
    throw error;
  }
}

/** The arguments of systemd-nspawn that depend on the root. */
type RootParts = Pick<NspawnInput, "options" | "image" | "mounts">;

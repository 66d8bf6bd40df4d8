import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { mountTargets, simplify } from "../config/combinations";
import { ConfigError } from "../config/config-error";
import type { TaskOptions } from "../config/options";
import type { PluginOptions } from "../config/plugin-options";
import { checkPolicy } from "../config/policy";
import { decodeTaskConfig } from "../config/task-config";
import type { InstalledNspawn } from "../host/nspawn-version";
import { withImageDefaults } from "../image/defaults";
import { taskImageOrigin } from "../image/origin";
import { missingMountPoint, osTreeProblem } from "../image/os-tree";
import { resolveImage } from "../image/resolve";
import { parseImageConfig } from "../image/store/image-config";
import { type NspawnInput, nspawnArguments } from "../nspawn/arguments";
import { type TaskEnvironment, taskEnvironment } from "../nspawn/environment";
import { featuresOf } from "../nspawn/features";
import { machineName } from "../nspawn/machine-name";
import type { LaunchSpec, PayloadMode } from "../supervisor/supervisor";
import { containerDevices } from "./device-nodes";
import { type ContainerFiles, claimContainer, ownerOf, writeContainerFiles } from "./files";
import type { TaskImages } from "./images";
import { resourceLimits } from "./limits";
import { giveLogs } from "./log-owner";
import type { MachineImages } from "./machine-images";
import { bindMounts, overlayMounts, taskDirectories } from "./mounts";
import { containerIds, mapOwners } from "./owner-mapping";
import type { ImageProgress, Progress } from "./pull-progress";
import { releaseContainer } from "./release";
import { resolvConf } from "./resolv-conf";
import { makeStoredRoot, withoutCopies } from "./stored-root";
import { ownMounts, volumeMounts } from "./task-mounts";

/** What of the host and the operator's config a start depends on. */
export interface PrepareContext {
  readonly plugin: PluginOptions;
  readonly nspawn: InstalledNspawn;
  /** What relative image paths are relative to. */
  readonly pluginDir: string;
  /** Whether systemd-machined shall know the container. */
  readonly register: boolean;
  readonly images: TaskImages;
  readonly machineImages: MachineImages;
  /** Told how far the download of the task's image is. */
  readonly onProgress: (progress: ImageProgress) => void;
  /** Ends the download of the task's image. */
  readonly signal: AbortSignal;
}

/** A task that can be started: the files of `launch` are written, and whoever has it removes them. */
export interface Prepared {
  readonly options: TaskOptions;
  readonly launch: LaunchSpec;
  /** The signal that stops the task where the job names none; absent: the driver's own default. */
  readonly stopSignal?: string;
  /** What the job's author should know, in sentences. */
  readonly notes: readonly string[];
}

/** Where systemd-nspawn mounts memory file systems before anything else (nspawn-mount.c, mount_all). */
const memoryDirectories = ["/tmp", "/run", "/dev"];

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
  refuseGroupNetwork(config);
  const { pluginDir } = context;
  const decoded = decodeTaskConfig(
    config.msgpackDriverConfig,
    (wanted) => taskImageOrigin(wanted, { pluginDir }).kind !== "host",
  );
  checkPolicy(decoded, context.plugin);
  const machine = machineName(config.name, config.allocId);
  const policy = {
    taskDirectory: taskDirectories(config).task,
    privileged: context.plugin.allow_privileged_binds,
  };
  const binds = await bindMounts(decoded, policy);
  const overlay = await overlayMounts(decoded.overlay, policy);
  const devices = await containerDevices(config, decoded, policy.privileged);
  const origin = taskImageOrigin(decoded, { pluginDir });
  const watch = {
    signal: context.signal,
    onProgress: (progress: Progress) => context.onProgress({ image: decoded.image, ...progress }),
  };
  using acquired = origin.kind === "host" ? undefined : await context.images.acquire(decoded, origin, watch);
  if (acquired === undefined) await context.machineImages.provide(decoded, watch);
  const given = { environment: { ...config.env, ...config.deviceEnv }, user: config.user };
  const filled =
    acquired === undefined
      ? { options: decoded, notes: [] }
      : withImageDefaults(
          withoutCopies(decoded),
          given,
          parseImageConfig(acquired.image.configText, JSON.stringify(decoded.image)),
        );
  // From here on they are mounts like the others.
  const options = { ...filled.options, bind: {}, bind_read_only: {}, overlay, devices: [] };
  const image =
    acquired === undefined
      ? await resolveImage(options.image, { pluginDir, imagePaths: context.plugin.image_paths })
      : { kind: "directory" as const, path: context.images.store.containerDirectory(machine) };
  if (image.kind === "directory" && acquired === undefined) {
    const problem = await osTreeProblem(image.path, { boot: options.boot, pivotRoot: options.pivot_root?.newRoot });
    if (problem !== undefined) throw new ConfigError(problem);
  }
  const features = featuresOf(context.nspawn.version);
  const environment = (more: Readonly<Record<string, string>> = {}) =>
    taskEnvironment({ ...more, ...given.environment, ...options.environment }, features);
  const taken = [...mountTargets(decoded).map(([, path]) => path), ...devices.map(({ mount }) => mount.target)].map(
    simplify,
  );
  const { mounts, notes } = await mapOwners(
    [
      ...(await ownMounts(config, [...taken, ...config.mounts.map(({ taskPath }) => simplify(taskPath))])),
      ...(await volumeMounts(config, context.plugin.volumes, taken)),
      ...binds,
      ...devices.map(({ mount }) => mount),
    ],
    containerIds(options),
    features,
  );
  const dns = resolvConf(config.dns);
  const withFiles = (root: RootParts, variables: TaskEnvironment, files: ContainerFiles) =>
    nspawnArguments({
      ...root,
      features,
      machine,
      ...(files.resolvConf === undefined ? {} : { resolvConf: files.resolvConf }),
      ...(config.user === "" || acquired !== undefined ? {} : { taskUser: config.user }),
      register: context.register,
      network: "config",
      environment: variables.arguments,
    });
  // Everything that can be refused is refused before anything is written.
  withFiles(
    { options: { ...options, user: acquired === undefined ? options.user : undefined }, image, mounts },
    environment(),
    {},
  );
  const targets = mounts.map(({ target }) => target);
  if (image.kind === "directory" && acquired === undefined)
    await refuseMissingMountPoints(image.path, options, targets);
  await claimContainer(
    machine,
    ownerOf(config),
    acquired === undefined ? undefined : context.images.store.containerDirectory(machine),
  );
  try {
    const { store } = context.images;
    const stored =
      acquired === undefined
        ? undefined
        : await makeStoredRoot({ store, machine, image: acquired.image, options, mounts });
    if (stored !== undefined) giveLogs([config.stdoutPath, config.stderrPath], stored.user);
    const root: RootParts =
      stored === undefined
        ? { options, image, mounts }
        : { options: stored.options, image: { kind: "directory", path: stored.path }, mounts: stored.mounts };
    const variables = environment(stored?.environment);
    const files = await writeContainerFiles(machine, {
      settings: variables.settingsFile,
      environment: variables.environmentFile,
      resolvConf: dns,
    });
    return {
      options,
      notes: [...notes, ...filled.notes, ...(stored?.notes ?? [])],
      ...(filled.stopSignal === undefined ? {} : { stopSignal: filled.stopSignal }),
      launch: {
        machine,
        mode: payloadMode(options),
        argv: [context.nspawn.path, ...withFiles(root, variables, files)],
        environment: {},
        ...(files.environmentFile === undefined ? {} : { environmentFile: files.environmentFile }),
        stdoutPath: config.stdoutPath,
        stderrPath: config.stderrPath,
        limits: resourceLimits(config.resources, options),
        ...(options.oom_score_adjust === undefined ? {} : { oomScoreAdjust: options.oom_score_adjust }),
        devices: devices.map(({ rule }) => rule),
        properties: options.properties,
      },
    };
  } catch (error) {
    await releaseContainer(machine);
    throw error;
  }
}

/** What of systemd-nspawn's arguments the root has a say in. */
type RootParts = Pick<NspawnInput, "options" | "image" | "mounts">;

/** systemd-nspawn makes mount points in the image, unless it is read-only: the sentence it then ends with helps nobody. */
async function refuseMissingMountPoints(
  image: string,
  options: TaskOptions,
  targets: readonly string[],
): Promise<void> {
  const { read_only, volatile = "no", pivot_root } = options;
  const fixed = volatile === "no" ? read_only : volatile === "state";
  if (!fixed || pivot_root !== undefined) return;
  const writable = [...memoryDirectories, ...(volatile === "state" ? ["/var"] : [])];
  const wanted = [...targets, ...mountTargets(options).map(([, target]) => target)].filter(
    (target) => !writable.some((directory) => target.startsWith(`${directory}/`)),
  );
  const missing = await missingMountPoint(image, wanted);
  if (missing === undefined) return;
  throw new ConfigError(
    `The image ${image} is read-only for this task (${volatile === "no" ? "read_only = true" : `volatile = ${JSON.stringify(volatile)}`}) and has no ${missing} to mount something on: make it in the image, or use volatile = "overlay" instead.`,
  );
}

/** Group networks come with the issue 'Networking'; until then a job must not silently run on the host's network. */
function refuseGroupNetwork(config: TaskConfig): void {
  const isolation = config.networkIsolationSpec;
  if (isolation === undefined || isolation.path === "") return;
  throw new ConfigError(
    'The group\'s network mode (bridge, cni or none) is not supported by this version of the driver yet: use network { mode = "host" }, or leave the mode out.',
  );
}

import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { mountTargets, simplify } from "../config/combinations";
import { writtenFiles } from "../config/derived";
import type { OverlayMount } from "../config/mounts";
import type { PluginOptions } from "../config/plugin/options";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { TaskMount } from "../nspawn/arguments";
import type { Features } from "../nspawn/features";
import type { LaunchSpec } from "../supervisor/supervisor";
import { containerIds } from "../values/private-users";
import { csiMounts } from "./csi-mounts";
import { containerDevices } from "./devices";
import { mapOwners } from "./mount-ownership";
import { bindMounts, labelNotes, overlayMounts, ownMounts, taskDirectories, volumeMounts } from "./mounts";

/** Everything that is mounted into a container, with its policy checked and its owners decided. */
export interface PlannedMounts {
  readonly mounts: readonly TaskMount[];
  readonly overlay: OverlayMount[];
  readonly devices: LaunchSpec["devices"];
  /** Mount points of the job's own mounts and volumes. */
  readonly taken: readonly string[];
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
}

/** What a privileged container may open, in the notation of DeviceAllow= (systemd.resource-control(5)). */
const EVERY_DEVICE: LaunchSpec["devices"] = [
  { path: "char-*", permissions: "rwm" },
  { path: "block-*", permissions: "rwm" },
];

/** The stage of a plan that decides on mounts and devices. @throws ConfigError */
export async function planMounts(
  config: TaskConfig,
  options: TaskOptions,
  features: Features,
  { plugin, namesVolumes }: { readonly plugin: PluginOptions; readonly namesVolumes: boolean },
): Promise<PlannedMounts> {
  const given = csiMounts(config.mounts);
  const policy = { taskDirectory: taskDirectories(config).task, privileged: plugin.allow_privileged_binds };
  const binds = await bindMounts(options, policy);
  const overlay = await overlayMounts(options.overlay, policy);
  const devices = await containerDevices(config, options, plugin);
  const targets = [...mountTargets(options).map(([, path]) => path), ...devices.map(({ mount }) => mount.target)];
  const taken = targets.map(simplify);
  const volumePoints = given.map(({ taskPath }) => simplify(taskPath));
  const written = writtenFiles(options).find(([, file]) => volumePoints.includes(file));
  if (written !== undefined) {
    throw new ConfigError(
      `Option ${written[0]} and a volume_mount at "${written[1]}" exclude each other: write into the file of the volume what ${written[0]} has.`,
    );
  }
  const volumes = await volumeMounts(given, { allowed: plugin.volumes, named: namesVolumes }, taken);
  const { mounts, notes } = await mapOwners(
    [
      ...(await ownMounts(config, [...taken, ...volumePoints])),
      ...volumes,
      ...binds,
      ...devices.map(({ mount }) => mount),
    ],
    containerIds(options),
    features,
  );
  const warnings = [...notes, ...labelNotes(given)];
  const rules = [...devices.map(({ rule }) => rule), ...(options.privileged ? EVERY_DEVICE : [])];
  return { mounts, overlay, devices: rules, taken: [...taken, ...volumePoints], warnings };
}

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
import { type PlannedCdi, plannedCdi } from "./cdi";
import { csiMounts } from "./csi-mounts";
import { containerDevices } from "./devices";
import { mapOwners } from "./mount-ownership";
import { bindMounts, labelNotes, overlayMounts, ownMounts, taskDirectories, volumeMounts } from "./mounts";

/** Everything that is mounted into a container, with its policy checked and its owners decided. */
export interface PlannedMounts {
  readonly mounts: readonly TaskMount[];
  readonly overlay: OverlayMount[];
  readonly devices: LaunchSpec["devices"];
  /** Variables and groups that come with devices. */
  readonly cdi: Pick<PlannedCdi, "environment" | "groups">;
  /** Mount points of the job's own mounts and volumes. */
  readonly taken: readonly string[];
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
}

/** @throws ConfigError if a CDI device and the job both mount something at one path */
function refuseOccupied({ nodes, mounts }: PlannedCdi, own: readonly string[]): void {
  const targets = [...nodes.map(({ device }) => device.container), ...mounts.map(({ target }) => target)];
  const twice = targets.map(simplify).find((target) => own.includes(target));
  if (twice === undefined) return;
  throw new ConfigError(
    `A CDI device and another option of the task both mount something at ${JSON.stringify(twice)}: one path can be mounted once.`,
  );
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
  const cdi = await plannedCdi(config, options, plugin);
  const devices = await containerDevices(config, options, plugin, cdi);
  const own = mountTargets(options).map(([, path]) => simplify(path));
  refuseOccupied(cdi, own);
  const targets = [...own, ...devices.map(({ mount }) => mount.target), ...cdi.mounts.map(({ target }) => target)];
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
      ...cdi.mounts,
    ],
    containerIds(options),
    features,
  );
  const warnings = [...notes, ...labelNotes(given), ...cdi.notes];
  const rules = [...devices.map(({ rule }) => rule), ...(options.privileged ? EVERY_DEVICE : [])];
  return {
    cdi,
    mounts,
    overlay,
    devices: rules,
    taken: [...taken, ...volumePoints],
    warnings,
  };
}

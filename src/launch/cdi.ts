import { realpath } from "node:fs/promises";
import type { TaskConfig } from "../../gen/hashicorp/nomad/plugins/drivers/proto/driver_pb";
import { workOf } from "../cdi/hooks";
import { type CdiFile, readCdiFiles } from "../cdi/read";
import { type CdiSelection, cdiNotes, hasKind, selectCdi } from "../cdi/select";
import { parseCdiName } from "../cdi/spec";
import type { DeviceNode } from "../config/mounts";
import type { PluginOptions } from "../config/plugin/options";
import { checkDevice } from "../config/policy";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { JobSettings } from "../rootfs/image-defaults";
import { linkedLibraries } from "./cdi-libraries";
import type { MountRequest } from "./mount-ownership";

/** What the CDI devices of a task add to its container. */
export interface PlannedCdi {
  readonly nodes: readonly { readonly subject: string; readonly device: DeviceNode }[];
  readonly mounts: readonly MountRequest[];
  readonly environment: Readonly<Record<string, string>>;
  /** Numbers of groups. */
  readonly groups: readonly string[];
  /** Notes for the job's author, as sentences. */
  readonly notes: readonly string[];
}

const NOTHING: PlannedCdi = { nodes: [], mounts: [], environment: {}, groups: [], notes: [] };

/** What HashiCorp's plugin nomad-device-nvidia gives a task for its GPUs, and nothing else: for Docker, another runtime makes devices of it. */
const NVIDIA_VARIABLE = "NVIDIA_VISIBLE_DEVICES";
const NVIDIA_KIND = "nvidia.com/gpu";

/**
 * The CDI devices of a task: those of its option cdi_devices, which the operator may limit, and the GPUs that Nomad assigned.
 *
 * @throws ConfigError for a device that does not exist or is not allowed
 */
export async function plannedCdi(
  { deviceEnv }: Pick<TaskConfig, "deviceEnv">,
  { cdi_devices: asked, boot }: Pick<TaskOptions, "cdi_devices" | "boot">,
  plugin: Pick<PluginOptions, "allow_devices" | "allow_privileged_binds">,
  read: () => readonly CdiFile[] = readCdiFiles,
): Promise<PlannedCdi> {
  const gpus = assignedGpus(deviceEnv[NVIDIA_VARIABLE] ?? "");
  if (asked.length === 0 && gpus.length === 0) return NOTHING;
  for (const name of asked) checkDevice("cdi_devices", name, plugin);
  const files = read();
  const known = gpus.length === 0 || hasKind(files, NVIDIA_KIND);
  const selection = selectCdi(files, known ? [...asked, ...gpus] : asked);
  if ("problem" in selection) {
    const { name, problem } = selection;
    throw new ConfigError(
      `${asked.includes(name) ? `Option cdi_devices names ${JSON.stringify(name)}, which` : `The GPU ${name}, which Nomad assigned,`} ${problem}.`,
    );
  }
  const edits = selection.edits.map(({ edits: each }) => each);
  const { mounts, notes } = await plannedMounts(selection);
  const groups = [...new Set(edits.flatMap(({ additionalGids }) => additionalGids))].map(String);
  return {
    nodes: uniqueBy(
      selection.edits.flatMap(({ subject, edits: { deviceNodes } }) =>
        deviceNodes.map(({ path, hostPath, permissions }) => ({
          subject,
          device: { host: hostPath ?? path, container: path, permissions: permissions || "rwm" },
        })),
      ),
      ({ device }) => device.container,
    ),
    mounts,
    environment: Object.fromEntries(edits.flatMap(({ env }) => env.map(splitVariable))),
    groups: boot ? [] : groups,
    notes: [
      ...cdiNotes(selection),
      ...notes,
      ...(known ? [] : [missingSpecification(gpus)]),
      ...(boot && groups.length > 0
        ? [
            `The groups ${groups.join(", ")} of the CDI devices are not given to a booted system: its services set their own.`,
          ]
        : []),
    ],
  };
}

/** The mounts of a selection, with those that its hooks come to. @throws ConfigError for a file that does not exist */
async function plannedMounts({ edits }: CdiSelection): Promise<Pick<PlannedCdi, "mounts" | "notes">> {
  const wanted = edits.flatMap(({ subject, edits: { mounts } }) => mounts.map((mount) => ({ subject, ...mount })));
  const bound = uniqueBy(wanted, ({ containerPath }) => containerPath).filter(({ type }) =>
    ["", "bind", "none"].includes(type),
  );
  const mounts = await Promise.all(bound.map(cdiMount));
  const works = edits.flatMap(({ edits: { hooks } }) => hooks.flatMap((hook) => workOf(hook) ?? []));
  const linked = linkedLibraries(mounts, works);
  return { mounts: [...mounts, ...linked.mounts], notes: linked.notes };
}

/**
 * The settings of a recovered task's job, with the variables of its CDI devices as far as their specifications are still there. What it
 * needs otherwise it has already.
 *
 * @param options undefined if they cannot be read by this version
 */
export async function withCdiVariables(
  job: JobSettings,
  config: Pick<TaskConfig, "deviceEnv">,
  options: Pick<TaskOptions, "cdi_devices" | "boot"> | undefined,
): Promise<JobSettings> {
  if (options === undefined) return job;
  // It was allowed when it was started.
  const started = { allow_devices: ["*"], allow_privileged_binds: true };
  try {
    const { environment } = await plannedCdi(config, options, started);
    return { ...job, environment: { ...job.environment, ...environment } };
  } catch (error) {
    if (error instanceof ConfigError) return job;
    throw error;
  }
}

/** The names of GPUs in NVIDIA's variable. */
export function assignedGpus(variable: string): readonly string[] {
  const ids = variable.split(",").map((id) => id.trim());
  return ids.flatMap((id) => {
    const name = `${NVIDIA_KIND}=${id}`;
    return ["", "none", "void"].includes(id) || parseCdiName(name) === undefined ? [] : [name];
  });
}

function missingSpecification(gpus: readonly string[]): string {
  return `Nomad assigned ${gpus.join(", ")}, but no CDI specification of this client has devices of the kind ${NVIDIA_KIND}: the container gets the variable ${NVIDIA_VARIABLE} only. Run \`nvidia-ctk cdi generate --device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml\` on the client.`;
}

interface WantedMount {
  readonly subject: string;
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options: readonly string[];
}

async function cdiMount({ subject, hostPath, containerPath, options }: WantedMount): Promise<MountRequest> {
  const source = await realpath(hostPath).catch((error: unknown) => {
    throw new ConfigError(`${subject} mounts "${hostPath}", which does not exist on this client.`, { cause: error });
  });
  return { source, target: containerPath, readOnly: options.includes("ro"), keepOwners: true };
}

function splitVariable(entry: string): [name: string, value: string] {
  const equals = entry.indexOf("=");
  return [entry.slice(0, equals), entry.slice(equals + 1)];
}

/** The last of those with the same key: the edits of a device come after those of its specification. */
function uniqueBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}

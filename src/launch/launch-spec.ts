import type { MachineFiles } from "../machine/files";
import { nspawnArguments } from "../nspawn/arguments";
import { forwardedSignal } from "../nspawn/stop-signal";
import type { Rootfs } from "../rootfs/rootfs";
import type { LaunchSpec } from "../supervisor/supervisor";
import { maskedUnits } from "./identity";
import type { LaunchPlan } from "./plan";
import { unitIdentity } from "./unit-identity";

/** The inputs of a launch spec. */
export interface LaunchParts {
  readonly plan: LaunchPlan;
  readonly rootfs: Rootfs;
  readonly files: MachineFiles;
  /** `arguments` of taskEnvironment(). */
  readonly environment: readonly string[];
  /** Where systemd-networkd in the container reads its file. */
  readonly networkdPath?: string | undefined;
  /** Receives READY=1; see ReadySocket. */
  readonly notifySocket?: string | undefined;
  /** The image's StopSignal, or "". */
  readonly stopSignal: string;
  /** The plugin's option, in milliseconds. */
  readonly stopTimeout: number;
  /** The plugin's option. */
  readonly slice: string;
  /** Whether systemd-machined registers the container. */
  readonly register: boolean;
}

/** What the supervisor starts: systemd-nspawn with its arguments, limits and logs. Pure. */
export function launchSpec(parts: LaunchParts): LaunchSpec {
  const { plan, rootfs, files, environment, register } = parts;
  const { machine, mode, network, dns, features } = plan;
  const { options, image, mounts, logOwner } = rootfs;
  const joined = network.kind === "joined" ? network : undefined;
  const argv = nspawnArguments({
    options,
    image,
    mounts,
    features,
    machine,
    ...(files.resolvConf === undefined ? {} : { resolvConf: files.resolvConf }),
    ...(options.boot && joined !== undefined && dns.resolvers !== undefined ? { resolvConfMode: "copy-uplink" } : {}),
    ...(files.hosts === undefined ? {} : { hosts: files.hosts }),
    ...(files.networkd === undefined || parts.networkdPath === undefined
      ? {}
      : { networkd: { file: files.networkd, path: parts.networkdPath } }),
    ...(plan.machineId === undefined ? {} : { machineId: { id: plan.machineId, file: files.machineId } }),
    ...(files.mask === undefined
      ? {}
      : { masked: { file: files.mask, units: maskedUnits(plan, files.machineId !== undefined) } }),
    killSignal: forwardedSignal(mode, parts.stopSignal),
    register,
    network: joined === undefined ? "config" : "joined",
    ...(joined?.hosts === undefined ? {} : { groupHostname: joined.hosts.hostname }),
    credentials: files.credentials,
    environment,
  });
  return {
    machine,
    mode,
    argv: [plan.nspawn.path, ...argv],
    ...(files.environmentFile === undefined ? {} : { environmentFile: files.environmentFile }),
    ...plan.logs,
    ...(logOwner === undefined ? {} : { logOwner: logOwner.uid }),
    limits: plan.limits,
    ...(options.oom_score_adjust === undefined ? {} : { oomScoreAdjust: options.oom_score_adjust }),
    ...(joined === undefined ? {} : { networkNamespace: joined.path }),
    ...(parts.notifySocket === undefined ? {} : { notifySocket: parts.notifySocket }),
    stopTimeout: parts.stopTimeout,
    slice: parts.slice,
    identity: unitIdentity(plan.record, options.labels),
    ...(plan.output === "nomad" ? {} : { output: plan.output }),
    devices: plan.devices,
    properties: options.properties,
  };
}

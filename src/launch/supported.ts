import { inImage, type OverlayMount, overlaySourceProblem } from "../config/mounts";
import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import type { Cpu } from "../linux/cpu/cpu";
import { CPU } from "../linux/cpu/this-cpu";
import { apparmorProfiles, hasApparmor, hasSelinux } from "../linux/security-modules";
import type { TaskMount } from "../nspawn/arguments";
import { bindOptionSince, type Features, IMAGE_POLICY_SINCE } from "../nspawn/features";
import type { JobSettings } from "../rootfs/image-defaults";
import { userProblem } from "../values/names";

/** The parts of a plan that depend on this client's systemd-nspawn. */
export interface SupportQuestion {
  readonly options: TaskOptions;
  readonly job: Pick<JobSettings, "user">;
  readonly mounts: readonly TaskMount[];
}

/** Refuses what this client's systemd-nspawn does not support, or would interpret differently. @throws ConfigError */
export function refuseUnsupported({ options, job, mounts }: SupportQuestion, features: Features): void {
  refusePersonality(options.personality, CPU.name);
  refuseUnknownGroups(options, features);
  refuseUser(job.user);
  refuseVerityOptions(options, features);
  if (options.suppress_sync && !features.suppressSync) {
    throw new ConfigError(
      `Option suppress_sync = true needs systemd-nspawn 250 or later, and this client has ${features.version}.`,
    );
  }
  refuseFamilies(options, features);
  refuseLabels(options, { selinux: hasSelinux(), apparmor: hasApparmor(), profiles: apparmorProfiles() });
  for (const mount of mounts) refuseMount(mount, features);
  for (const overlay of options.overlay) refuseOverlay(overlay);
}

/**
 * systemd-nspawn knows only the names of the machine that it was built for (personality_from_string() of systemd's process-util.c).
 *
 * @throws ConfigError
 */
export function refusePersonality(personality: string | undefined, cpu: Cpu["name"]): void {
  if (personality === undefined || cpu === "amd64") return;
  throw new ConfigError(
    `Option personality = ${JSON.stringify(personality)} needs a client with an x86-64 processor, and this one is ${cpu}: leave it out.`,
  );
}

function refuseFamilies(
  { restrict_address_families: names, boot, process_two }: TaskOptions,
  features: Features,
): void {
  if (names.length === 0 || features.restrictAddressFamilies || !(boot || process_two)) return;
  throw new ConfigError(
    `Option restrict_address_families with ${boot ? "boot = true" : "process_two = true"} needs systemd-nspawn 261 or later, and this client has ${features.version}: set boot and process_two to false.`,
  );
}

/** What the host's kernel has of SELinux and AppArmor. */
interface SecurityModules {
  readonly selinux: boolean;
  readonly apparmor: boolean;
  /** Names of AppArmor's profiles; undefined if they are not known. */
  readonly profiles: readonly string[] | undefined;
}

/** @throws ConfigError for an option whose security module the host does not have */
export function refuseLabels(
  options: Pick<TaskOptions, "apparmor_profile" | "selinux_context" | "selinux_apifs_context">,
  { selinux, apparmor, profiles }: SecurityModules,
): void {
  const { apparmor_profile: profile, selinux_context, selinux_apifs_context } = options;
  const [labelled] = Object.entries({ selinux_context, selinux_apifs_context }).filter(
    ([, value]) => value !== undefined,
  );
  const refuse = (option: string, value: string | undefined, why: string) => {
    throw new ConfigError(`Option ${option} = ${JSON.stringify(value)} cannot be used on this client: ${why}.`);
  };
  if (labelled !== undefined && !selinux) refuse(...labelled, "its kernel does not use SELinux");
  if (profile === undefined) return;
  if (!apparmor) refuse("apparmor_profile", profile, "its kernel does not use AppArmor");
  if (profiles?.includes(profile) === false && profile !== "unconfined") {
    refuse("apparmor_profile", profile, "no profile of this name is loaded (see `aa-status`)");
  }
}

function refuseVerityOptions(options: TaskOptions, { imagePolicy, version }: Features): void {
  const { image_policy: policy, root_hash: hash, verity_data: data } = options;
  if (imagePolicy) return;
  if (policy !== undefined) {
    throw new ConfigError(
      `Option image_policy needs systemd-nspawn ${IMAGE_POLICY_SINCE}, and this client has ${version}.`,
    );
  }
  if (hash === undefined || data !== undefined) return;
  throw new ConfigError(
    `Option root_hash without verity_data needs systemd-nspawn ${IMAGE_POLICY_SINCE}, and this client has ${version}, which would run an image that has no hashes without verification: set verity_data.`,
  );
}

function refuseUser(user: string): void {
  const problem = user === "" ? undefined : userProblem(user);
  if (problem === undefined) return;
  throw new ConfigError(`The task's user = ${JSON.stringify(user)} is not valid: ${problem}.`);
}

function refuseMount({ source, target, propagation, options = [] }: TaskMount, features: Features): void {
  if (propagation === "bidirectional") {
    throw new ConfigError(
      `The mount at ${JSON.stringify(target)} cannot have propagation_mode "bidirectional": systemd-nspawn does not propagate mounts to the host; use "private" or "host-to-task".`,
    );
  }
  requireAbsolute(source);
  const unknown = options.find((word) => !features.bindOptions.includes(word));
  if (unknown === undefined) return;
  const since = bindOptionSince(unknown);
  throw new ConfigError(
    `The mount option ${JSON.stringify(unknown)} needs systemd-nspawn ${since ?? "of a later version"}, and this client has ${features.version}.`,
  );
}

function refuseOverlay({ lower, upper }: OverlayMount): void {
  for (const source of upper === undefined ? lower : [...lower, upper]) {
    if (inImage(source)) continue;
    const problem = overlaySourceProblem(source);
    if (problem !== undefined) {
      throw new ConfigError(`The path ${JSON.stringify(source)} cannot be overlaid: ${problem}.`);
    }
    requireAbsolute(source);
  }
}

/** systemd-nspawn resolves a relative path in the driver's working directory, and a leading "+" in the image. */
function requireAbsolute(path: string): void {
  if (path.startsWith("/")) return;
  throw new ConfigError(`The path ${JSON.stringify(path)} cannot be mounted: it is not absolute.`);
}

function refuseUnknownGroups(options: TaskOptions, features: Features): void {
  const unknown = options.system_call_filter.find((entry) =>
    features.unknownSystemCallGroups.includes(entry.replace(/^~/, "")),
  );
  if (unknown === undefined) return;
  throw new ConfigError(
    `Option system_call_filter = ${JSON.stringify(unknown)} is not valid: systemd-nspawn ${features.version} of this client does not know the group.`,
  );
}

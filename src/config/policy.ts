import { ConfigError } from "../lib/errors";
import { namespaced } from "../values/private-users";
import { matchesPattern } from "../values/sysctl";
import { readableSize } from "../values/units";
import { sysctlsOf } from "./derived";
import type { PluginOptions } from "./plugin/options";
import type { TaskOptions } from "./task/options";

/**
 * Checks a task against the operator's policy. Paths are not checked here, because they have to be resolved first.
 *
 * @throws ConfigError with what is requested and what is allowed
 */
export function checkPolicy(options: TaskOptions, plugin: PluginOptions): void {
  const { allow_caps, allow_properties: properties } = plugin;
  if (options.privileged && !plugin.allow_privileged) {
    throw new ConfigError(
      "Option privileged = true is not allowed on this client (allow_privileged = false): ask for single capabilities and devices with capability and devices.",
    );
  }
  if (options.boot && !plugin.allow_boot) {
    throw new ConfigError(
      "Option boot = true is not allowed on this client (allow_boot = false): set boot = false, and run a single command.",
    );
  }
  const caps = options.privileged ? ["all"] : allow_caps;
  const capability = caps.includes("all") ? undefined : options.capability.find((name) => !caps.includes(name));
  if (capability !== undefined) {
    const option = options.ambient_capability.includes(capability) ? "ambient_capability" : "capability";
    throw refusal(option, capability, "allow_caps", caps);
  }
  const property = Object.keys(options.properties).find((name) => !properties.includes(name));
  if (property !== undefined) throw refusal("properties", property, "allow_properties", properties);
  const sysctl = sysctlsOf(options).find(
    ({ name }) => !plugin.allow_sysctls.some((allowed) => matchesPattern(name, allowed)),
  );
  if (sysctl !== undefined) throw refusal("sysctl", sysctl.name, "allow_sysctls", plugin.allow_sysctls);
  const user = options.bind_user.find((name) => !plugin.allow_bind_users.includes(name));
  if (user !== undefined) throw refusal("bind_user", user, "allow_bind_users", plugin.allow_bind_users);
  const { oom_score_adjust: score = 0 } = options;
  if (score < 0 && !plugin.allow_negative_oom_score_adjust) {
    throw new ConfigError(
      `Option oom_score_adjust asks for ${score}, with which the kernel kills other processes before this task when memory runs out. This client does not allow that (allow_negative_oom_score_adjust = false): use a value from 0 to 1000.`,
    );
  }
  const { storage_limit: largest = Infinity } = plugin;
  if (options.storage_limit !== undefined && options.storage_limit > largest) {
    throw new ConfigError(
      `Option storage_limit asks for ${readableSize(options.storage_limit)}, and this client allows at most ${readableSize(largest)} (storage_limit of the plugin's config).`,
    );
  }
  if (plugin.require_user_namespacing) requireOwnUsers(options);
}

/** The IDs that systemd reserves for containers (its documentation, "Users, Groups, UIDs and GIDs on systemd Systems"). */
const CONTAINER_IDS = { first: 524_288, last: 1_879_048_191 } as const;

/**
 * systemd-nspawn(1): its sandbox is only secure if the container's root is an unprivileged user on the host. With "yes" the
 * image's owner determines the IDs, and may be the host's root.
 */
function requireOwnUsers(options: TaskOptions): void {
  const { private_users: users = "pick" } = options;
  const [, first, count = "65536"] = /^(\d+)(?::(\d+))?$/.exec(users) ?? [];
  const apart =
    users === "pick" ||
    (first !== undefined &&
      Number(first) >= CONTAINER_IDS.first &&
      Number(first) + Number(count) - 1 <= CONTAINER_IDS.last);
  if (namespaced(options) && apart) return;
  const asked = options.privileged
    ? "privileged = true"
    : options.user_namespacing
      ? `private_users = ${JSON.stringify(users)}`
      : "user_namespacing = false";
  throw new ConfigError(
    `Option ${asked} can give the container user IDs of the host, which this client does not allow (require_user_namespacing = true): use private_users = "pick", or IDs from ${CONTAINER_IDS.first} to ${CONTAINER_IDS.last}.`,
  );
}

function refusal(option: string, name: string, setting: string, allowed: readonly string[]): ConfigError {
  const list = allowed.length === 0 ? "nothing" : allowed.map((value) => JSON.stringify(value)).join(", ");
  return new ConfigError(
    `Option ${option} asks for ${JSON.stringify(name)}, which this client does not allow: ${setting} of the plugin's config allows ${list}.`,
  );
}

/**
 * Refuses a device that the operator does not allow.
 *
 * @param option the option that asks for it
 * @param name its path on the host, or the name of a CDI device
 * @throws ConfigError
 */
export function checkDevice(
  option: string,
  name: string,
  {
    allow_devices: allowed,
    allow_privileged_binds: binds,
  }: Pick<PluginOptions, "allow_devices" | "allow_privileged_binds">,
): void {
  if (allowed === undefined) {
    if (binds) return;
    throw new ConfigError(
      `Option ${option} asks for "${name}" of the host, which this client does not allow (allow_privileged_binds = false) and does not except in allow_devices.`,
    );
  }
  if (!allowed.some((pattern) => matchesPattern(name, pattern))) throw refusal(option, name, "allow_devices", allowed);
}

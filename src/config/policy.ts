import { ConfigError } from "./config-error";
import type { TaskOptions } from "./options";
import type { PluginOptions } from "./plugin-options";

/**
 * Checks a task against what the operator allows. Paths are not checked here: they have to be resolved first.
 *
 * @throws ConfigError naming what is asked for and what is allowed
 */
export function checkPolicy(options: TaskOptions, plugin: PluginOptions): void {
  const { allow_caps: caps, allow_properties: properties } = plugin;
  const capability = caps.includes("all") ? undefined : options.capability.find((name) => !caps.includes(name));
  if (capability !== undefined) throw refusal("capability", capability, "allow_caps", caps);
  const property = Object.keys(options.properties).find((name) => !properties.includes(name));
  if (property !== undefined) throw refusal("properties", property, "allow_properties", properties);
}

function refusal(option: string, name: string, setting: string, allowed: readonly string[]): ConfigError {
  const list = allowed.length === 0 ? "nothing" : allowed.map((value) => JSON.stringify(value)).join(", ");
  return new ConfigError(
    `Option ${option} asks for ${JSON.stringify(name)}, which this client does not allow: ${setting} of the plugin's config allows ${list}.`,
  );
}

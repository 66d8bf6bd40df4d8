import { decodePluginConfig } from "../../config/plugin/decode";
import type { PluginOptions } from "../../config/plugin/options";
import { ConfigError, errorText } from "../../lib/errors";
import { UsageError } from "../command";
import { type AgentConfig, readAgentConfig } from "./read-agent-config";

/**
 * The plugin's options as an agent would send them, for commands that do the plugin's work: those of the plugin block of an agent's
 * configuration, a file or a directory. Without a path all defaults.
 *
 * @throws UsageError if the configuration cannot be read or has no plugin block, ConfigError for an invalid block
 */
export function readPluginConfig(path: string | undefined): PluginOptions {
  if (path === undefined) return decodePluginConfig(new Uint8Array());
  const { label, plugin } = readable(path);
  if (label !== undefined) return plugin;
  throw new UsageError(`--config ${path} has no block plugin "nspawn" or plugin "nomad-driver-nspawn".`);
}

function readable(path: string): AgentConfig {
  try {
    return readAgentConfig(path);
  } catch (error) {
    throw error instanceof ConfigError ? error : new UsageError(errorText(error));
  }
}

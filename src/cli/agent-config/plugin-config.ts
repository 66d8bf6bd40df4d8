import { decodePluginConfig } from "../../config/plugin/decode";
import type { PluginOptions } from "../../config/plugin/options";
import { UsageError } from "../command";
import { readAgentConfig } from "./read-agent-config";

/**
 * The plugin's options as an agent would send them, for commands that do the plugin's work: those of the plugin block of an agent's
 * configuration, a file or a directory. Without a path all defaults.
 *
 * @throws UsageError if the configuration has no plugin block; else as readAgentConfig()
 */
export function readPluginConfig(path: string | undefined): PluginOptions {
  if (path === undefined) return decodePluginConfig(new Uint8Array());
  const { label, plugin } = readAgentConfig(path);
  if (label !== undefined) return plugin;
  throw new UsageError(`--config ${path} has no block plugin "nspawn" or plugin "nomad-driver-nspawn".`);
}

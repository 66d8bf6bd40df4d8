import { decodeConfig } from "../decode";
import { type PluginOptions, pluginOptions, pluginSchema } from "./options";

/**
 * Decodes and validates the plugin's config from the msgpack Nomad sends (SetConfigRequest.msgpack_config); empty input
 * yields the defaults.
 *
 * @throws ConfigError one sentence for the operator
 */
export function decodePluginConfig(bytes: Uint8Array): PluginOptions {
  return decodeConfig(bytes, pluginOptions, pluginSchema);
}

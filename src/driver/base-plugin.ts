import type { ConnectRouter } from "@connectrpc/connect";
import { BasePlugin, PluginType } from "../../gen/hashicorp/nomad/plugins/base/proto/base_pb";
import { pluginConfigSpec } from "../config/hclspec";
import { decodePluginConfig } from "../config/plugin/decode";
import { version } from "../lib/executable";
import { emptyRpc } from "./rpc";
import type { Services } from "./services";

/** The plugin's name: the driver of `driver = "nspawn"` and the label of its plugin block. */
const PLUGIN_NAME = "nspawn";
/** The only version of Nomad's driver API. */
const API_VERSION = "0.1.0";

/** Registers the BasePlugin service: the plugin's name, its version, and its config. */
export function registerBasePlugin(router: ConnectRouter, services: Services): void {
  router.service(BasePlugin, {
    pluginInfo: () => ({
      type: PluginType.DRIVER,
      pluginApiVersions: [API_VERSION],
      pluginVersion: version,
      name: PLUGIN_NAME,
    }),
    configSchema: () => ({ spec: pluginConfigSpec() }),
    setConfig: emptyRpc(({ msgpackConfig }) => services.config.set(decodePluginConfig(msgpackConfig))),
  });
}

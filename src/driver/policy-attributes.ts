import type { PluginOptions } from "../config/plugin/options";
import { hasApparmor, hasSelinux } from "../linux/security-modules";

/**
 * What jobs may do on this client, for constraints: a flag for each permission, and a list for each pattern or name, separated by commas
 * ("*" for any). Names are those of the options without "allow_".
 */
export function policyAttributes(options: PluginOptions): Readonly<Record<string, string | boolean>> {
  const list = (names: readonly string[], any = "") => (names.length === 0 ? any : names.join(","));
  const { allow_devices: devices, allow_privileged_binds: binds, network } = options;
  return {
    privileged: options.allow_privileged,
    privileged_binds: binds,
    host_network: options.allow_host_network,
    task_images: options.allow_task_images,
    boot: options.allow_boot,
    user_namespacing_required: options.require_user_namespacing,
    caps: list(options.allow_caps),
    properties: list(options.allow_properties),
    sysctls: list(options.allow_sysctls),
    devices: devices === undefined ? (binds ? "*" : "") : list(devices),
    image_paths: list(options.image_paths, "*"),
    bridges: list(network.bridges, "*"),
    interfaces: list(network.interfaces),
    selinux: hasSelinux(),
    apparmor: hasApparmor(),
  };
}

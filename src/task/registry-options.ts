import type { TaskOptions } from "../config/options";
import type { PluginOptions } from "../config/plugin-options";
import type { RegistryOptions } from "../image/registry/registry-source";

/** Registry options from the plugin config and a task's `auth` block. */
export function registryOptions(
  { auth: operator, registry }: Pick<PluginOptions, "auth" | "registry">,
  auth: TaskOptions["auth"],
): RegistryOptions {
  return {
    operator,
    plainHttp: registry.plain_http,
    ca: registry.ca,
    ...(auth === undefined ? {} : { credentials: { kind: "password", ...auth } }),
  };
}

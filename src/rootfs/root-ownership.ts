import type { TaskOptions } from "../config/task/options";
import type { RootOwners } from "../image/store/snapshots";
import { ConfigError } from "../lib/errors";
import type { Features } from "../nspawn/features";
import { containerIds, namespaced } from "../values/private-users";

/** How the owners of a root's files are mapped to the container's IDs. */
interface RootOwnership {
  /** The IDs to which the kernel maps the layers' files; undefined if they are not mapped. */
  readonly owners: RootOwners | "pick" | undefined;
  /** The options with which systemd-nspawn is started then. */
  readonly options: TaskOptions;
}

/**
 * Refuses what systemd-nspawn before 257 cannot do with a root whose owners are not the container's yet.
 *
 * @param options with which systemd-nspawn is started
 * @throws ConfigError
 */
export function refuseVolatileMapped(options: TaskOptions, features: Features): void {
  const { volatile, private_users_ownership: ownership } = options;
  if (features.volatileMapped || !namespaced(options) || (volatile !== "yes" && volatile !== "state")) return;
  if (ownership === "off") return;
  throw new ConfigError(
    `Option volatile = ${JSON.stringify(volatile)} together with user namespaces needs systemd-nspawn 257 for this image, and this client has ${features.version}: set user_namespacing = false, or private_users_ownership = "off".`,
  );
}

/**
 * Decides how owners are mapped. systemd-nspawn's own mapping does not work on an overlay, and changing owners there would copy every
 * file: so the layers are ID-mapped before they are stacked, and the root that systemd-nspawn gets already belongs to the container's IDs.
 * If the job leaves the choice open, the driver picks them (id-ranges.ts), and pickedUsers() sets the options for that.
 */
export function rootOwnership(options: TaskOptions): RootOwnership {
  const { private_users: users = "pick", private_users_ownership: asked = "auto" } = options;
  const mapped = asked === "auto" || asked === "map";
  if (!namespaced(options) || !mapped || users === "identity") return { owners: undefined, options };
  if (users === "pick" || users === "yes")
    return { owners: "pick", options: { ...options, private_users_ownership: "off" } };
  const ids = containerIds(options);
  if (ids?.first === undefined) return { owners: undefined, options };
  return { owners: { first: ids.first, count: ids.count }, options: { ...options, private_users_ownership: "off" } };
}

/** The options with which systemd-nspawn uses the IDs that were picked for a root; unchanged if none were. */
export function pickedUsers(options: TaskOptions, picked: RootOwners | undefined): TaskOptions {
  return picked === undefined ? options : { ...options, private_users: `${picked.first}:${picked.count}` };
}

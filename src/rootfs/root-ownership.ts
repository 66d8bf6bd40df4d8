import type { TaskOptions } from "../config/task/options";
import type { RootOwners } from "../image/store/snapshots";
import { containerIds, namespaced } from "../values/private-users";

/** How the owners of a root's files come to be the container's. */
export interface RootOwnership {
  /** The kernel maps the layers' files to these; undefined where they stay as they are. */
  readonly owners: RootOwners | "pick" | undefined;
  /** What systemd-nspawn is told then. */
  readonly options: TaskOptions;
}

/**
 * Decides on owners. systemd-nspawn's own mapping does not work on an overlay, and changing owners there would copy every file: so the
 * layers are mapped before they are stacked, and systemd-nspawn finds a root that belongs to the container's IDs already. Of those
 * it picks itself it takes the ones that the root belongs to, if they are free, and holds their lock as long as it runs; if
 * somebody was faster it takes others and changes the owners, which is slow and right.
 */
export function rootOwnership(options: TaskOptions): RootOwnership {
  const {
    private_users: users = "pick",
    private_users_ownership: asked = "auto",
    read_only,
    volatile = "no",
  } = options;
  const mapped = asked === "auto" || asked === "map";
  if (!namespaced(options) || !mapped || users === "identity") return { owners: undefined, options };
  if (users === "pick" || users === "yes") {
    // With these it cannot change owners (nspawn.c, verify_arguments()).
    const fixed = read_only || volatile !== "no";
    return {
      owners: "pick",
      options: { ...options, private_users: "pick", private_users_ownership: fixed ? "off" : "chown" },
    };
  }
  const ids = containerIds(options);
  if (ids?.first === undefined) return { owners: undefined, options };
  return { owners: { first: ids.first, count: ids.count }, options: { ...options, private_users_ownership: "off" } };
}

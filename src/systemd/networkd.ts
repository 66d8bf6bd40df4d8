import { type FSWatcher, watch } from "node:fs";
import { readIfThere } from "../lib/files";
import type { CgroupLayout } from "../linux/cgroup/layout";

/** Where systemd-networkd publishes its state of a link, in a file named after its index. */
const LINK_STATES = "/run/systemd/netif/links";

/** Whether systemd-networkd configures a link: unknown while it is processing it. */
export type LinkManagement = "managed" | "unmanaged" | "unknown";

/** Whether systemd-networkd runs: its control group has processes. */
export function networkdRuns(layout: CgroupLayout): boolean {
  const trees = [layout.unified?.path, layout.legacy.get("name=systemd")].filter((path) => path !== undefined);
  return trees.some((path) => (readIfThere(`${path}/system.slice/systemd-networkd.service/cgroup.procs`) ?? "") !== "");
}

/** What systemd-networkd does with a link of the host. */
export function linkManagement(index: number): LinkManagement {
  return parseLinkState(readIfThere(`${LINK_STATES}/${index}`) ?? "");
}

/** Calls `changed` when systemd-networkd publishes a new state of a link; never if it does not run. @returns stops watching */
export function watchLinkStates(changed: () => void): () => void {
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(LINK_STATES, { persistent: false }, changed);
    watcher.on("error", () => watcher?.close());
  } catch {
    // The directory does not exist.
  }
  return () => watcher?.close();
}

/** Parses a state file: ADMIN_STATE is what `networkctl list` shows in its column SETUP (networkctl(1)). */
export function parseLinkState(text: string): LinkManagement {
  switch (/^ADMIN_STATE=(\S+)$/m.exec(text)?.[1]) {
    case "unmanaged":
    case "failed":
    case "linger":
      return "unmanaged";
    case "configuring":
    case "configured":
      return "managed";
    default:
      return "unknown";
  }
}

/** Where systemd-networkd in a container looks for files that exist until its reboot (systemd.network(5)). */
export const NETWORK_DIRECTORY = "/run/systemd/network";

/**
 * Where systemd-networkd in a container looks for drop-ins to its own file for the link to the host
 * (80-container-host0.network, systemd.network(5)). They do not affect an image that has another file for it.
 */
export const DROP_IN_PATH = `${NETWORK_DIRECTORY}/80-container-host0.network.d/50-nomad.conf`;

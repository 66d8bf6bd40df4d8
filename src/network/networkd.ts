import { type FSWatcher, watch } from "node:fs";
import type { CgroupLayout } from "../host/cgroup-layout";
import { readIfThere } from "../host/read-file";

/** Where systemd-networkd tells what it does about a link, in a file named after its index. */
const linkStates = "/run/systemd/netif/links";

/** Whether systemd-networkd configures a link: not known yet while it is looking at it. */
export type LinkManagement = "managed" | "unmanaged" | "unknown";

/** Whether systemd-networkd runs: its control group has processes. */
export function networkdRuns(layout: CgroupLayout): boolean {
  const trees = [layout.unified?.path, layout.legacy.get("name=systemd")].filter((path) => path !== undefined);
  return trees.some((path) => (readIfThere(`${path}/system.slice/systemd-networkd.service/cgroup.procs`) ?? "") !== "");
}

/** What it does about a link of the host. */
export function linkManagement(index: number): LinkManagement {
  return parseLinkState(readIfThere(`${linkStates}/${index}`) ?? "");
}

/**
 * Calls `look` when it tells something new of a link; never where it does not run.
 *
 * @returns stops that
 */
export function watchLinkStates(look: () => void): () => void {
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(linkStates, { persistent: false }, look);
    watcher.on("error", () => watcher?.close());
  } catch {
    // There is no such directory.
  }
  return () => watcher?.close();
}

/** Reads a state file: ADMIN_STATE is what `networkctl list` shows in its column SETUP (networkctl(1)). */
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

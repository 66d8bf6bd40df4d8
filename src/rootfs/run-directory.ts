import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  type Stats,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { mountTargets, simplify } from "../config/combinations";
import type { TaskOptions } from "../config/task/options";
import { errorText } from "../lib/errors";
import { O_PATH } from "../linux/constants";
import { attachMount, detachedMount } from "../linux/mount";
import { openInRoot, openTree } from "../linux/rooted-path";
import type { TaskMount } from "../nspawn/arguments";

/**
 * An image's /run. systemd-nspawn mounts a tmpfs there, which hides what the image has: directories such as /run/mysqld that belong to
 * the program's user. For a root that the driver made, each entry of the image's /run is mounted into the container's: it is a part of the
 * overlay, so it has the owners of the container, and what the task writes does not reach the image.
 */

const RUN = "/run";
/** systemd-nspawn's and the driver's own directories in the container's /run. */
const RESERVED: readonly string[] = ["/run/host", "/run/nomad-driver-nspawn"];
/** Each entry is a mount. */
const MAX_ENTRIES = 64;

/** A symlink of the image's /run. */
export interface RunLink {
  readonly path: string;
  readonly target: string;
}

/** What the container's /run has of its image. */
export interface RunContent {
  readonly mounts: readonly TaskMount[];
  readonly links: readonly RunLink[];
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
}

const NOTHING: RunContent = { mounts: [], links: [], warnings: [] };

type Entry = { readonly kind: "mount"; readonly source: string } | { readonly kind: "link"; readonly target: string };

/**
 * Whether the container's /run has what the image has there: not for an init system, which expects an empty /run after a boot and would
 * take files of the image for those of a running service; and not if only the image's /usr is used.
 */
export function showsRun({ boot, volatile }: Pick<TaskOptions, "boot" | "volatile">): boolean {
  return !boot && volatile !== "yes";
}

/** Whether an entry of /run can be mounted: nothing else is there or above it. @param taken targets of other mounts, simplified */
export function isFreeInRun(path: string, taken: readonly string[]): boolean {
  return !RESERVED.includes(path) && !taken.includes(RUN) && !taken.includes(path) && !isOdd(path);
}

/**
 * Mounts each entry of a root's /run in `scratch`, where removeRoot() detaches it: below the root itself, systemd-nspawn's tmpfs hides
 * it. A mount of its own also stays what it is, whatever a container does to the directory.
 *
 * @param root that the driver made
 * @param scratch see containerPaths()
 * @throws MountError
 */
export function showRun(
  root: string,
  scratch: string,
  { options, mounts }: { readonly options: TaskOptions; readonly mounts: readonly TaskMount[] },
): RunContent {
  if (!showsRun(options)) return NOTHING;
  using open = new DisposableStack();
  const tree = open.use(openTree(root));
  const directory = openInRoot(tree.fd, join(options.pivot_root?.newRoot ?? "/", RUN), O_PATH | constants.O_DIRECTORY);
  if (directory === undefined) return NOTHING;
  open.adopt(directory, closeSync);
  const taken = [...mounts.map(({ target }) => target), ...mountTargets(options).map(([, path]) => path)].map(simplify);
  const names = readdirSync(`/proc/self/fd/${directory}`).filter((name) => isFreeInRun(join(RUN, name), taken));
  const shown: TaskMount[] = [];
  const links: RunLink[] = [];
  const warnings: string[] = [];
  for (const name of names.sort().slice(0, MAX_ENTRIES)) {
    const target = join(RUN, name);
    try {
      const entry = showEntry(directory, name, join(scratch, `run-${shown.length}`));
      if (entry?.kind === "mount") shown.push({ source: entry.source, target, readOnly: false });
      else if (entry?.kind === "link") links.push({ path: target, target: entry.target });
    } catch (error) {
      warnings.push(`The image's ${JSON.stringify(target)} is hidden: ${errorText(error)}.`);
    }
  }
  if (names.length > MAX_ENTRIES) {
    warnings.push(
      `The image has ${names.length} entries in /run, and ${names.length - MAX_ENTRIES} of them are hidden: at most ${MAX_ENTRIES} are mounted.`,
    );
  }
  return { mounts: shown, links, warnings };
}

/** Shows an entry at `place`. Undefined for sockets, behind which no process is, and devices. */
function showEntry(directory: number, name: string, place: string): Entry | undefined {
  using open = new DisposableStack();
  const path = `/proc/self/fd/${directory}/${name}`;
  const fd = open.adopt(openSync(path, O_PATH | constants.O_NOFOLLOW), closeSync);
  const stats = fstatSync(fd);
  if (stats.isSymbolicLink()) return { kind: "link", target: readlinkSync(path) };
  if (!isMountable(stats)) return undefined;
  const copy = detachedMount(`/proc/self/fd/${fd}`);
  if (copy === undefined) throw new Error("the kernel cannot copy the mount (open_tree, Linux 5.2)");
  open.adopt(copy, closeSync);
  if (stats.isDirectory()) mkdirSync(place, { mode: 0o700 });
  else writeFileSync(place, "", { mode: 0o600, flag: "wx" });
  attachMount(copy, place);
  return { kind: "mount", source: place };
}

function isMountable(stats: Stats): boolean {
  return stats.isDirectory() || stats.isFile() || stats.isFIFO();
}

/** A path with control characters is no service's, and one that is not UTF-8 cannot be passed on unchanged. */
function isOdd(path: string): boolean {
  return [...path].some((letter) => letter < " " || letter === "\x7f" || letter === "\ufffd");
}

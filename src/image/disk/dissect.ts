/**
 * Disk images that are mounted for reading, so that roots can be made on them. systemd-dissect does it, with the code of systemd-nspawn's
 * `--image=`: it attaches the image to a *loop device*, finds its partitions, sets up dm-verity if the image has it, and mounts all its
 * file systems. A *part* is one of these other than the root. The *journal* of a file system must be empty, because a replay would write
 * to the image (journal.ts). Who mounts an image when, and when it is unmounted, is in store/disks.ts.
 */

import { detachMount, type Mount, mountPoints, readMounts } from "../../linux/mount";
import { findProgram, searchDirectories } from "../../linux/programs";
import { openDevice } from "./device";
import { journalState } from "./journal";

/** A disk image, or a block device, as a task wants it. Paths are absolute and without symlinks. */
export interface DiskImage {
  readonly path: string;
  /** As in the options of the same names. */
  readonly rootHash?: string | undefined;
  readonly rootHashSignature?: string | undefined;
  readonly verityData?: string | undefined;
  readonly imagePolicy?: string | undefined;
}

/** A disk image that cannot be mounted for reading; the message is a clause with the reason. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}

/** Distributions with systemd 249 to 251 have the program beside systemd's own. */
const PLACES: readonly string[] = ["/usr/lib/systemd", "/lib/systemd"];

/** Waiting for partitions takes systemd itself at most 45 s (loop-util.c, dissect-image.c). */
const TIMEOUT_MS = 90_000;

/** The path of systemd-dissect; undefined if this host does not have it. */
export function findDissect(): string | undefined {
  return findProgram("systemd-dissect", [...searchDirectories(process.env["PATH"]), ...PLACES]);
}

/** The arguments with which systemd-dissect mounts an image for reading (systemd-dissect(1)). */
export function dissectArguments(image: DiskImage, target: string): readonly string[] {
  const { rootHash, rootHashSignature, verityData, imagePolicy } = image;
  return [
    ...["--mount", "--read-only", "--fsck=no"],
    ...(rootHash === undefined ? [] : [`--root-hash=${rootHash}`]),
    ...(rootHashSignature === undefined ? [] : [`--root-hash-sig=${rootHashSignature}`]),
    ...(verityData === undefined ? [] : [`--verity-data=${verityData}`]),
    ...(imagePolicy === undefined ? [] : [`--image-policy=${imagePolicy}`]),
    ...["--", image.path, target],
  ];
}

/**
 * Mounts an image for reading at an empty directory, its parts below. The loop device is removed with the last mount.
 *
 * @throws DiskError if that is not possible, or a journal would have to be replayed first; nothing is mounted then
 */
export async function mountDisk(image: DiskImage, target: string): Promise<void> {
  const program = findDissect();
  if (program === undefined) throw new DiskError("the program systemd-dissect is not installed");
  const child = Bun.spawn([program, ...dissectArguments(image, target)], {
    cwd: "/",
    env: { LC_ALL: "C", PATH: searchDirectories(process.env["PATH"]).join(":") },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: TIMEOUT_MS,
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) {
    detachMount(target);
    throw new DiskError(`systemd-dissect cannot mount it: ${lastLine(said) ?? `it ended with ${endOf(child)}`}`);
  }
  try {
    for (const mount of mountsOf(target)) await requireClean(mount);
  } catch (error) {
    detachMount(target);
    throw error;
  }
}

/** The paths of the parts that are mounted below an image's root, outer ones first; relative, such as "home". */
export function partsOf(target: string): readonly string[] {
  const below = `${target}/`;
  return mountPoints(below)
    .map((path) => path.slice(below.length))
    .toSorted((one, other) => one.length - other.length);
}

function mountsOf(target: string): readonly Mount[] {
  return readMounts().filter(({ path }) => path === target || path.startsWith(`${target}/`));
}

/** systemd mounts for reading without a replay ("norecovery"), so that the files may be those of before the last changes, or damaged. */
async function requireClean({ type, device, path }: Mount): Promise<void> {
  using opened = await openDevice(device);
  const state = opened === undefined ? "unknown" : await journalState(type, opened.read);
  if (state === "clean") return;
  const why =
    state === "dirty" ? "was not unmounted, so its journal has to be replayed" : "may have a journal to replay";
  throw new DiskError(`its file system ${type} (${path}) ${why}`);
}

function lastLine(text: string): string | undefined {
  return text.trim().split("\n").at(-1)?.trim() || undefined;
}

function endOf({ exitCode, signalCode }: Pick<Bun.Subprocess, "exitCode" | "signalCode">): string {
  return signalCode === null ? `code ${exitCode}` : `signal ${signalCode}`;
}

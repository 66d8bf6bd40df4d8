import { closeSync } from "node:fs";
import { lstat, mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { attachMount, detachedMount, detachMount, MountError, mapMountOwners, mount, openPath } from "./mount";

/** The stack of a container's root. */
interface OverlayRoot {
  /** Directories of the layers, from the lowest up; never written. */
  readonly layers: readonly string[];
  /** Receives writes. */
  readonly upper: string;
  /** overlayfs's own, on the same file system as `upper`. */
  readonly work: string;
  /** The mount point; an empty directory. */
  readonly target: string;
  /** A user namespace that maps the owners of the layers' files; undefined to keep them. */
  readonly owners?: number | undefined;
  /** An empty directory for short-lived mounts, on kernels that need them. */
  readonly scratch: string;
}

/** A root that this kernel cannot mount; the message is a clause with the reason. */
export class OverlayError extends Error {
  override readonly name = "OverlayError";
  /** True if the kernel only cannot map the owners. */
  readonly owners: boolean;

  constructor(message: string, options: { readonly owners: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.owners = options.owners;
  }
}

/** Mount options are one page, and a path of /proc/self/fd has some 16 characters (overlayfs.rst; OVL_MAX_STACK is 500). */
export const MAX_LAYERS = 200;

/**
 * Mounts a container's root. Layers are named by descriptors: their paths would not fit into the single page of mount options
 * (measured with 127 layers), and a descriptor can refer to a detached, mapped copy.
 *
 * @throws OverlayError
 */
export async function mountOverlay(root: OverlayRoot, attach: "if needed" | "always" = "if needed"): Promise<void> {
  if (root.layers.length > MAX_LAYERS) {
    throw new OverlayError(`it has ${root.layers.length} layers, and at most ${MAX_LAYERS} can be stacked`, {
      owners: false,
    });
  }
  using open = new DisposableStack();
  const keep = (fd: number) => open.adopt(fd, closeSync);
  try {
    const [upper, work] = [keep(openPath(root.upper)), keep(openPath(root.work))];
    const layers = root.layers.map((directory) =>
      keep(root.owners === undefined ? openPath(directory) : mappedCopy(directory, root.owners)),
    );
    if (attach === "if needed") {
      try {
        stack(layers, upper, work, root.target);
        return;
      } catch (error) {
        // Linux before 6.15 requires layers to be mounted somewhere.
        if (!(error instanceof MountError && error.invalid) || root.owners === undefined) throw error;
      }
    }
    await withAttached(layers, root.scratch, (attached) => stack(attached, upper, work, root.target));
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    throw new OverlayError(error.message, { owners: root.owners !== undefined, cause: error });
  }
}

function stack(layers: readonly number[], upper: number, work: number, target: string): void {
  const path = (fd: number) => `/proc/self/fd/${fd}`;
  // The topmost layer comes first.
  const lower = layers.map(path).reverse().join(":");
  mount("overlay", target, "overlay", `lowerdir=${lower},upperdir=${path(upper)},workdir=${path(work)}`);
}

function mappedCopy(directory: string, owners: number): number {
  const copy = detachedMount(directory);
  if (copy === undefined) {
    throw new OverlayError("the kernel cannot copy mounts (open_tree, Linux 5.2)", { owners: true });
  }
  if (mapMountOwners(copy, owners)) return copy;
  closeSync(copy);
  const why = "the kernel or file system cannot map the owners of a mount (Linux 5.12, 5.19 for overlayfs)";
  throw new OverlayError(why, { owners: true });
}

/** Attaches detached mounts at directories of `scratch` while `use` runs; an overlay that uses them remains valid. */
async function withAttached(
  detached: readonly number[],
  scratch: string,
  use: (attached: readonly number[]) => void,
): Promise<void> {
  await using places = new AsyncDisposableStack();
  const attached: number[] = [];
  for (const [index, fd] of detached.entries()) {
    const place = join(scratch, String(index));
    await mkdir(place, { mode: 0o700 });
    places.defer(async () => {
      detachMount(place);
      await rmdir(place);
    });
    attachMount(fd, place);
    attached.push(places.adopt(openPath(place), closeSync));
  }
  use(attached);
}

/** Unmounts everything at a path; does nothing if it is not a mount point. @throws Error if a mount remains */
export async function unmountAll(path: string, above: string): Promise<void> {
  for (let tries = 0; await isMountPoint(path, above); tries += 1) {
    if (!detachMount(path) || tries > 100) throw new Error(`Cannot unmount ${path}.`);
  }
}

/** Whether a directory is on another file system than the one above it, as overlays and disks always are; false if it does not exist. */
export async function isMountPoint(path: string, above: string): Promise<boolean> {
  const [here, there] = await Promise.all([lstat(path).catch(() => undefined), lstat(above)]);
  return here !== undefined && here.dev !== there.dev;
}

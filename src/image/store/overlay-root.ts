import { closeSync } from "node:fs";
import { lstat, mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { detachedMount, detachMount, mapMountOwners } from "../../host/libc";
import { attachMount, MountError, mount, openPath } from "../../host/mount-calls";

/** What a container's root is stacked of. */
export interface OverlayRoot {
  /** Directories of the layers, from the lowest up; never written. */
  readonly layers: readonly string[];
  /** Takes what is written. */
  readonly upper: string;
  /** overlayfs's own, on the same file system as `upper`. */
  readonly work: string;
  /** Where it is mounted; an empty directory. */
  readonly target: string;
  /** A user namespace by which the owners of the layers' files are mapped; undefined to leave them as they are. */
  readonly owners?: number | undefined;
  /** An empty directory for mounts that last a moment, on kernels that need them. */
  readonly scratch: string;
}

/** A root that this kernel cannot make; the message is a clause that says why. */
export class OverlayError extends Error {
  override readonly name = "OverlayError";
  /** True where only the mapping of owners is what the kernel cannot do. */
  readonly owners: boolean;

  constructor(message: string, options: { readonly owners: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.owners = options.owners;
  }
}

/** Mount options are one page, and a path of /proc/self/fd has some 16 characters (overlayfs.rst; OVL_MAX_STACK is 500). */
export const MAX_LAYERS = 200;

/**
 * Mounts a container's root. Layers are named by descriptors: their paths would not fit into the one page that mount options may
 * have (measured with 127 layers), and a descriptor can be that of a mapped copy which is mounted nowhere.
 *
 * @throws OverlayError
 */
export async function mountOverlay(root: OverlayRoot, attach: "if needed" | "always" = "if needed"): Promise<void> {
  if (root.layers.length > MAX_LAYERS) {
    throw new OverlayError(`it has ${root.layers.length} layers, and no more than ${MAX_LAYERS} can be stacked`, {
      owners: false,
    });
  }
  const opened: number[] = [];
  const keep = (fd: number) => {
    opened.push(fd);
    return fd;
  };
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
        // Linux before 6.15 wants layers that are mounted somewhere.
        if (!(error instanceof MountError && error.invalid) || root.owners === undefined) throw error;
      }
    }
    await withAttached(layers, root.scratch, (attached) => stack(attached, upper, work, root.target));
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    throw new OverlayError(error.message, { owners: root.owners !== undefined, cause: error });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

function stack(layers: readonly number[], upper: number, work: number, target: string): void {
  const path = (fd: number) => `/proc/self/fd/${fd}`;
  // The uppermost comes first.
  const lower = layers.map(path).reverse().join(":");
  mount("overlay", target, "overlay", `lowerdir=${lower},upperdir=${path(upper)},workdir=${path(work)}`);
}

function mappedCopy(directory: string, owners: number): number {
  const copy = detachedMount(directory);
  if (copy === undefined) {
    throw new OverlayError("the kernel makes no copies of mounts (open_tree, Linux 5.2)", { owners: true });
  }
  if (mapMountOwners(copy, owners)) return copy;
  closeSync(copy);
  throw new OverlayError("kernel or file system cannot map the owners of a mount (Linux 5.12, 5.19 for overlayfs)", {
    owners: true,
  });
}

/** Mounts detached mounts at directories of `scratch` as long as `use` runs; what is stacked on them stays. */
async function withAttached(
  detached: readonly number[],
  scratch: string,
  use: (attached: readonly number[]) => void,
): Promise<void> {
  const places: string[] = [];
  const opened: number[] = [];
  try {
    for (const [index, fd] of detached.entries()) {
      const place = join(scratch, String(index));
      await mkdir(place, { mode: 0o700 });
      places.push(place);
      attachMount(fd, place);
      opened.push(openPath(place));
    }
    use(opened);
  } finally {
    for (const fd of opened) closeSync(fd);
    for (const place of places) {
      detachMount(place);
      await rmdir(place);
    }
  }
}

/**
 * Takes away whatever is mounted at a path, and does nothing where nothing is.
 *
 * @throws Error where something stays
 */
export async function unmountAll(path: string, above: string): Promise<void> {
  for (let tries = 0; await isMountPoint(path, above); tries += 1) {
    if (!detachMount(path) || tries > 100) throw new Error(`What is mounted at ${path} cannot be unmounted.`);
  }
}

/** Whether a directory is on another file system than the one above it; overlayfs always is one of its own. */
async function isMountPoint(path: string, above: string): Promise<boolean> {
  const [here, there] = await Promise.all([lstat(path).catch(() => undefined), lstat(above)]);
  return here !== undefined && here.dev !== there.dev;
}

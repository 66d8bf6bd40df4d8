/**
 * Where the root of a container comes from. An *image* is a directory, disk image or device of this host, or an OCI image of a registry
 * or layout that the image store keeps; an ImageRef says which. Each of the two kinds has a provider, and no caller asks which kind
 * it has: it acquires a *lease* on the image, which may download it and keeps it from garbage collection until the lease is disposed
 * of, and mounts a *root* from the lease.
 */

import type { TaskOptions } from "../config/task/options";
import type { ImageConfig } from "../image/image-config";
import type { ImageProgress } from "../image/source";
import type { MachineResource } from "../machine/registry";
import type { TaskMount } from "../nspawn/arguments";
import type { ImageRef } from "./image-ref";

/** The request for a machine's root. */
export interface RootfsRequest {
  readonly machine: string;
  readonly image: ImageRef;
  /** The task's options; for mount() with the image's defaults. */
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
}

/** Receives the progress of an image's download, and cancels it. */
export interface PullWatch {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImageProgress) => void;
  /** Called when the image is available. */
  readonly onAcquired: () => void;
}

/** A root filesystem for systemd-nspawn. */
export interface Rootfs {
  readonly image: { readonly kind: "directory" | "image"; readonly path: string };
  /** The task's options as systemd-nspawn gets them: private users, user and command depend on the root. */
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
  /** Variables that are set unless the job or the image sets them. */
  readonly environment: Readonly<Record<string, string>>;
  /** IDs on the host of the container's first program, which become the owner of the log FIFOs; absent: root stays their owner. */
  readonly logOwner?: { readonly uid: number; readonly gid: number };
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
  /** Whether the driver can mount one of its own files at `path`. */
  canMountAt(path: string): Promise<boolean>;
}

/** Keeps an image from garbage collection until it is disposed of. */
export interface ImageLease extends Disposable {
  /** Undefined for a host image, which has no config. */
  readonly config: ImageConfig | undefined;
  /**
   * Makes the root of a registered machine.
   *
   * @throws ConfigError, ImageError, StoreError, LaunchError
   */
  mount(request: RootfsRequest): Promise<Rootfs>;
}

/** Makes roots from images of one kind. Its release() removes what mount() made. */
export interface RootfsProvider extends MachineResource {
  /** Refuses what can be refused without a download. @throws ConfigError, ImageError, ImageReferenceError */
  check(request: RootfsRequest): Promise<void>;
  /** Makes an image available, downloading it if needed. @throws ConfigError, ImageError, SourceError, StoreError */
  acquire(request: RootfsRequest, watch: Pick<PullWatch, "signal" | "onProgress">): Promise<ImageLease>;
  /** The config of the image below a machine's root; undefined if that has none or is not known any more. */
  configOf(machine: string): Promise<ImageConfig | undefined>;
}

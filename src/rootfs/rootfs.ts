/**
 * Where the root of a container comes from. An *image* is a directory, disk image or device of this host, or an OCI image of a registry
 * or layout that the image store keeps; an ImageRef says which. Each of the two kinds has a provider, and no caller asks which kind
 * it has: it acquires a *lease* on the image, which may download it and keeps it from garbage collection until the lease is disposed
 * of, and mounts a *root* from the lease. Roots that the driver makes itself, on both kinds of images, are overlays in the image store
 * (container-roots.ts); otherwise systemd-nspawn gets the image unchanged.
 */

import type { TaskOptions } from "../config/task/options";
import type { ImageConfig } from "../image/image-config";
import type { ImageProgress } from "../image/source";
import type { RootKind, TaskMount } from "../nspawn/arguments";
import type { Features } from "../nspawn/features";
import type { Credentials } from "../values/passwd";
import type { ImageRef } from "./image-ref";
import type { RunLink } from "./run-directory";

/** The request for a machine's root. */
export interface RootfsRequest {
  readonly machine: string;
  /** The directory of its allocation. */
  readonly allocation: string;
  readonly image: ImageRef;
  /** The task's options; for mount() with the image's defaults. */
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
  /** Bytes that changes to a root may take that the driver makes; undefined: unlimited. */
  readonly storageLimit?: number | undefined;
  /** Of this host's systemd-nspawn. */
  readonly features: Features;
}

/** Receives the progress of an image's download, and cancels it. */
export interface PullWatch {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImageProgress) => void;
  /** Called when the image is available. */
  readonly onAcquired: () => void;
}

/** The /etc/hosts of an image. */
export interface ImageHosts {
  /** Its text; "" if the image has none, or if the driver does not use it. */
  readonly text: string;
  /** Whether the container has the image's own file unless it needs other names: it may hold what only its operator knows. */
  readonly keep: boolean;
}

/** A root filesystem for systemd-nspawn. */
export interface Rootfs {
  readonly image: { readonly kind: RootKind; readonly path: string };
  /** The task's options as systemd-nspawn gets them: private users, user and command depend on the root. */
  readonly options: TaskOptions;
  readonly mounts: readonly TaskMount[];
  /** Symlinks that the payload's start makes in /run. */
  readonly links?: readonly RunLink[];
  /** Variables that are set unless the job or the image sets them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where /tmp is unless the job decides: in the root, with the image's content, or a tmpfs. */
  readonly tmp: "disk" | "tmpfs";
  /** The user of the payload, if it is not root and the driver has to switch to it. */
  readonly user?: Credentials;
  /** IDs on the host of the container's first program, which become the owner of the log FIFOs; absent: root stays their owner. */
  readonly logOwner?: { readonly uid: number; readonly gid: number };
  /** Notes for the job's author, as sentences. */
  readonly warnings: readonly string[];
  readonly hosts: ImageHosts;
  /** The text of the image's /etc/machine-id; "" if it has none, or if that is not known. */
  readonly machineId: string;
  /** Whether the driver can mount one of its own files at `path`. */
  canMountAt(path: string): Promise<boolean>;
}

/** Keeps an image from garbage collection until it is disposed of. */
export interface ImageLease extends Disposable {
  /** Undefined for a host image, which has no config. */
  readonly config: ImageConfig | undefined;
  /** Makes the root of a registered machine. @throws ConfigError, ImageError, StoreError, LaunchError */
  mount(request: RootfsRequest): Promise<Rootfs>;
}

/** Makes roots from images of one kind. ContainerRoots.release() removes what mount() made. */
export interface RootfsProvider {
  /** Refuses what can be refused without a download. @throws ConfigError, ImageError, ImageReferenceError */
  check(request: RootfsRequest): Promise<void>;
  /** Makes an image available, downloading it if needed. @throws ConfigError, ImageError, SourceError, StoreError */
  acquire(request: RootfsRequest, watch: Pick<PullWatch, "signal" | "onProgress">): Promise<ImageLease>;
}

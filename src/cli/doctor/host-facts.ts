import type { CdiFile } from "../../cdi/read";
import type { CgroupLayout } from "../../linux/cgroup/layout";
import type { ImageKindFacts } from "./image-kind-checks";
import type { NetworkFacts } from "./network-checks";
import type { SystemFacts } from "./system-checks";

/** Whether a system socket accepts connections: "yes", or why not. */
export type Reachability = "yes" | "missing" | "refused";

/** What is known about the installed systemd-nspawn. */
export type NspawnFact =
  | { readonly kind: "found"; readonly path: string; readonly version: number }
  | { readonly kind: "missing" }
  | { readonly kind: "broken"; readonly reason: string };

/** One of the driver's executables in a plugin_dir. */
export interface PluginFile {
  readonly name: string;
  readonly owner: number;
  /** Permission bits. */
  readonly mode: number;
  /** Whether this process may execute it, by its mode and its mount. */
  readonly executable: boolean;
  /** Whether its header is that of a program for this machine. */
  readonly suitable: boolean;
}

/** A directory that decides which program an agent starts. */
export interface Directory {
  readonly path: string;
  readonly owner: number;
  /** Permission bits, with the sticky bit. */
  readonly mode: number;
}

/** A plugin_dir as found on disk; if it cannot be read, `problem` is the reason. */
export type PluginDirectory =
  | { readonly path: string; readonly problem: string }
  | {
      readonly path: string;
      readonly files: readonly PluginFile[];
      /** The number of other programs in it. */
      readonly others: number;
      /** It and everything above it, symlinks resolved. */
      readonly directories: readonly Directory[];
    };

/** The image store: the directory of container (OCI) images. */
export interface ImageStoreFact {
  readonly path: string;
  /** Whether it exists; otherwise the other fields describe the directory in which it would be created. */
  readonly exists: boolean;
  /** Why it cannot be used; undefined if it can. */
  readonly problem?: string;
  /** Bytes. */
  readonly free: number;
  /** The type of its file system, as in mountinfo. */
  readonly fileSystem: string;
  /** Where it is mounted. */
  readonly mount: string;
  /** Whether its file system enforces project quotas. */
  readonly quotas: boolean;
  /** Whether it can protect files by fs-verity. */
  readonly verity: boolean;
}

interface DownloadFact {
  /** systemd-importd is usable: it is installed, the bus that starts it responds, and systemd is PID 1. */
  readonly importd: boolean;
  readonly gpg: boolean;
  readonly xz: boolean;
  /** Keyring file for image signatures. */
  readonly keyring: string | undefined;
  /** Number of the host's CA certificates. */
  readonly certificates: number;
}

/** Everything that `doctor` inspects. */
export interface HostFacts {
  readonly root: boolean;
  /** Path of the running executable. */
  readonly self: string;
  /** As `uname -r` prints it. */
  readonly kernel: string;
  readonly nspawn: NspawnFact;
  /** systemd is PID 1. */
  readonly booted: boolean;
  /** PID 1's own D-Bus socket. */
  readonly manager: Reachability;
  readonly bus: Reachability;
  /** systemd-machined is installed, and the bus that starts it responds. */
  readonly machined: boolean;
  readonly journald: Reachability;
  readonly cgroups: CgroupLayout;
  /** user.max_user_namespaces; undefined for a kernel without user namespaces. */
  readonly userNamespaces: number | undefined;
  readonly overlayfs: boolean;
  readonly pidfd: boolean;
  /** Number of seccomp filters of this process. */
  readonly ownFilters: number;
  readonly imageStore: ImageStoreFact;
  readonly downloads: DownloadFact;
  /** Whether the kernel uses these security modules. */
  readonly labels: { readonly selinux: boolean; readonly apparmor: boolean };
  /** Specifications of CDI devices, and files that cannot be used. */
  readonly cdi: readonly CdiFile[];
  readonly imageKinds: ImageKindFacts;
  /** The program du(1) is installed. */
  readonly du: boolean;
  readonly network: NetworkFacts;
  readonly system: SystemFacts;
  readonly pluginDirectory?: PluginDirectory;
}

/** Whether a Linux release, as `uname -r` prints it, is at least the given version. */
export function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = release.split(/[.-]/).map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

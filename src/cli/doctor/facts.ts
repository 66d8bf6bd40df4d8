import type { CgroupLayout } from "../../host/cgroup-layout";
import type { NetworkFacts } from "./read-network";

/** Whether a socket of the system answers: "yes", or why not. */
export type Reach = "yes" | "missing" | "refused";

/** What is known about the installed systemd-nspawn. */
export type NspawnFact =
  | { readonly kind: "found"; readonly path: string; readonly version: number }
  | { readonly kind: "missing" }
  | { readonly kind: "broken"; readonly reason: string };

/** One of our executables in a plugin_dir. */
export interface PluginFile {
  readonly name: string;
  readonly owner: number;
  /** Permission bits. */
  readonly mode: number;
  /** This process may execute it: its mode and the mount say so. */
  readonly executable: boolean;
}

/** A directory that decides which program an agent starts. */
export interface Directory {
  readonly path: string;
  readonly owner: number;
  /** Permission bits, with the sticky bit. */
  readonly mode: number;
}

/** A plugin_dir as it lies on disk; without `directories` it cannot be read, for `problem`. */
export type PluginDirectory =
  | { readonly path: string; readonly problem: string }
  | {
      readonly path: string;
      readonly files: readonly PluginFile[];
      /** It and everything above it, symlinks resolved. */
      readonly directories: readonly Directory[];
    };

/** The directory of images made for container engines. */
export interface ImageStoreFact {
  readonly path: string;
  /** Whether it exists; otherwise the rest is about the directory that it would be made in. */
  readonly there: boolean;
  /** Why it cannot be used; undefined where it can. */
  readonly problem?: string;
  /** Bytes. */
  readonly free: number;
  /** The file system it is on, as mountinfo calls it. */
  readonly fileSystem: string;
}

/** What downloads of images need. */
export interface DownloadFact {
  /** systemd-importd downloads them: it is installed, the bus that starts it answers, and systemd is PID 1. */
  readonly importd: boolean;
  readonly gpg: boolean;
  readonly xz: boolean;
  /** File of the keys that images are signed by. */
  readonly keyring: string | undefined;
  /** How many certificates of authorities the host has. */
  readonly certificates: number;
}

/** Everything `doctor` looks at. */
export interface HostFacts {
  readonly root: boolean;
  /** Path of the running executable. */
  readonly self: string;
  /** As `uname -r` tells it. */
  readonly kernel: string;
  readonly nspawn: NspawnFact;
  /** systemd is PID 1. */
  readonly booted: boolean;
  /** PID 1's own D-Bus socket. */
  readonly manager: Reach;
  /** The system bus. */
  readonly bus: Reach;
  /** systemd-machined is installed, and the bus that starts it answers. */
  readonly machined: boolean;
  readonly journald: Reach;
  readonly cgroups: CgroupLayout;
  /** user.max_user_namespaces; undefined for a kernel without user namespaces. */
  readonly userNamespaces: number | undefined;
  readonly overlayfs: boolean;
  readonly pidfd: boolean;
  /** How many system call filters this process has. */
  readonly ownFilters: number;
  readonly imageStore: ImageStoreFact;
  readonly downloads: DownloadFact;
  readonly network: NetworkFacts;
  readonly pluginDirectory?: PluginDirectory;
}

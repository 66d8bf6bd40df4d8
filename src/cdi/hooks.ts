import { basename } from "node:path";
import type { CdiEdits } from "./spec";

/** A program that a specification wants to be run while a container is made. */
export type CdiHook = CdiEdits["hooks"][number];

/** A link in the container. */
interface HookLink {
  readonly path: string;
  /** Absolute, or relative to the directory of `path`. */
  readonly target: string;
}

/** What a hook does, as far as a container needs it. */
export interface HookWork {
  readonly links: readonly HookLink[];
  /** Directories whose libraries the dynamic linker finds by their own names (SONAME). */
  readonly folders: readonly string[];
}

type Flags = ReadonlyMap<string, readonly string[]>;

const NOTHING: HookWork = { links: [], folders: [] };

/**
 * The hooks that NVIDIA's toolkit writes into specifications (nvidia-container-toolkit, cmd/nvidia-cdi-hook). The driver does not run them:
 * they are programs that work as root of the host in a tree that the container's author has made, and links of such a tree have led them out of
 * it (CVE-2024-0132). It does what they are for by mounts, which systemd-nspawn makes inside of the container.
 */
const HOOKS: Readonly<Record<string, (flags: Flags) => HookWork | undefined>> = {
  "create-symlinks": (flags) => linksOf(flags.get("link") ?? []),
  "update-ldcache": foldersOf,
  "create-soname-symlinks": foldersOf,
  // systemd-nspawn makes the directories above device nodes with a mode that is open to all.
  chmod: (flags) => ((flags.get("path") ?? []).every((path) => path.startsWith("/dev/")) ? NOTHING : undefined),
  // The container cannot make the nodes of other devices in any case.
  "disable-device-node-modification": () => NOTHING,
};

/** What a hook does; undefined for one that the driver does not know. Pure. */
export function workOf({ path, args }: CdiHook): HookWork | undefined {
  const program = basename(path);
  const words = args.slice(1);
  if (program === "nvidia-ctk" && words.shift() !== "hook") return undefined;
  if (program !== "nvidia-ctk" && program !== "nvidia-cdi-hook") return undefined;
  const name = words.shift() ?? "";
  const flags = flagsOf(words);
  return flags === undefined || !Object.hasOwn(HOOKS, name) ? undefined : HOOKS[name]?.(flags);
}

/** Words such as "--folder", "/usr/lib", or "--folder=/usr/lib"; undefined if they are others. */
function flagsOf(words: readonly string[]): Flags | undefined {
  const flags = new Map<string, string[]>();
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name, own] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const value = own ?? rest.shift();
    if (name === undefined || value === undefined) return undefined;
    flags.set(name, [...(flags.get(name) ?? []), value]);
  }
  return flags;
}

function linksOf(texts: readonly string[]): HookWork | undefined {
  const links = texts.map((text) => {
    const [target = "", path = "", ...more] = text.split("::");
    return { target, path, isLink: target !== "" && path.startsWith("/") && more.length === 0 };
  });
  return links.every(({ isLink }) => isLink)
    ? { links: links.map(({ path, target }) => ({ path, target })), folders: [] }
    : undefined;
}

function foldersOf(flags: Flags): HookWork | undefined {
  const folders = flags.get("folder") ?? [];
  return folders.every((folder) => folder.startsWith("/")) ? { links: [], folders } : undefined;
}

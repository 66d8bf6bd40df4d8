import { closeSync, fstatSync, type Stats } from "node:fs";
import { O_PATH, OVERLAY_OPAQUE } from "../../linux/constants";
import { getAttribute } from "../../linux/files";
import { openInRoot, openTree, type TreeRoot } from "../../linux/rooted-path";
import type { ByteString } from "../archive/tar-header";

/** A directory of a layer that no entry of its archive describes, as it has to appear: as in the layers below. */
export interface ImpliedDirectory {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A layer, and the directories that its archive implies (Extractor.implied). */
export interface ImplyingLayer {
  /** The directory with its files. */
  readonly files: string;
  readonly implied: readonly ByteString[];
}

/**
 * The directories whose owner and mode would be hidden by a layer that merely has something below them. As containerd does, they are
 * taken from the next layer that has the directory (archive/tar.go, mkparent()). Most images have none: tools that record changes
 * describe each directory, those that put together archives (bazel, nix, kaniko) do not.
 *
 * @param layers from the lowest up
 */
export function impliedDirectories(layers: readonly ImplyingLayer[]): readonly ImpliedDirectory[] {
  const wanted = new Set(layers.slice(1).flatMap(({ implied }) => implied));
  if (wanted.size === 0) return [];
  using open = new DisposableStack();
  const trees = layers
    .map(({ files, implied }) => ({ tree: open.use(openTree(files)), implied: new Set(implied) }))
    .toReversed();
  const found: ImpliedDirectory[] = [];
  for (const name of wanted) {
    const path = Buffer.from(name, "latin1").toString("utf8");
    const described = describedIn(trees, name, path);
    if (described !== undefined) found.push({ path, ...described });
  }
  return found;
}

interface OpenLayer {
  readonly tree: TreeRoot;
  readonly implied: ReadonlySet<ByteString>;
}

/** @returns undefined if the top layer with the directory describes it, or none does */
function describedIn(fromTop: readonly OpenLayer[], name: ByteString, path: string) {
  let hidden = false;
  for (const { tree, implied } of fromTop) {
    const stats = statusOf(tree, path)?.stats;
    if (stats?.isDirectory() === true && !implied.has(name)) {
      return hidden ? { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid } : undefined;
    }
    if (hidesBelow(tree, path)) return undefined;
    hidden ||= stats !== undefined;
  }
  return undefined;
}

/** Whether a layer hides a path of the layers below: it, or a directory above it, is opaque or something else than a directory. */
function hidesBelow(tree: TreeRoot, path: string): boolean {
  const parts = path.split("/").filter((part) => part !== "");
  return parts.some((_, index) => {
    const found = statusOf(tree, `/${parts.slice(0, index + 1).join("/")}`);
    return found !== undefined && (found.opaque || !found.stats.isDirectory());
  });
}

function statusOf(tree: TreeRoot, path: string): { readonly stats: Stats; readonly opaque: boolean } | undefined {
  const fd = openInRoot(tree.fd, path, O_PATH);
  if (fd === undefined) return undefined;
  using open = new DisposableStack();
  const stats = fstatSync(open.adopt(fd, closeSync));
  // With "/." the attribute is that of the directory, not of the link in /proc.
  return { stats, opaque: stats.isDirectory() && getAttribute(`/proc/self/fd/${fd}/.`, OVERLAY_OPAQUE) !== undefined };
}

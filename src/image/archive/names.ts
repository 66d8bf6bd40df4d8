import { lstatSync, type Stats } from "node:fs";
import { errnoCode, quoteName, UnpackError } from "../../lib/errors";
import type { ByteString } from "./tar-header";

/** PATH_MAX and NAME_MAX of Linux. */
const MAX_PATH = 4096;
const MAX_NAME = 255;

/**
 * The parts of a name in an archive; "." and "/" have none. As every unpacker does, a leading slash is dropped (kaniko, nix and `tar -P`
 * write them), and ".." is resolved within the name.
 *
 * @param what the subject of errors
 * @throws UnpackError for one that leads above the root, and for what cannot be a file name
 */
export function nameParts(name: ByteString, what = "an entry"): string[] {
  if (name.includes("\0")) throw new UnpackError(`${what} has a NUL in its name`);
  if (name.length >= MAX_PATH) throw new UnpackError(`${what} has a name of ${name.length} bytes`);
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part.length > MAX_NAME) throw new UnpackError(`${what} has a name of ${part.length} bytes`);
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw new UnpackError(`${what} has the name ${quoteName(name)}, which leads out of the image`);
  }
  return parts;
}

const WHITEOUT = ".wh.";
const META = ".wh..wh.";
const OPAQUE = ".wh..wh..opq";

/** What an entry's name means for the layers below (OCI image spec, layer.md, "Whiteouts"). */
type Whiteout =
  | { readonly kind: "none" }
  /** Hides the content of the directory below. */
  | { readonly kind: "opaque" }
  /** Hides the entry of this name below. */
  | { readonly kind: "hides"; readonly name: string }
  /** aufs kept its own data under such names. */
  | { readonly kind: "ignored" };

/** @throws UnpackError for a whiteout with an invalid name */
export function whiteout(name: string): Whiteout {
  if (name === OPAQUE) return { kind: "opaque" };
  if (name.startsWith(META)) return { kind: "ignored" };
  if (!name.startsWith(WHITEOUT)) return { kind: "none" };
  const hidden = name.slice(WHITEOUT.length);
  if (hidden === "" || hidden === "." || hidden === "..") {
    throw new UnpackError(`it has a whiteout of ${quoteName(hidden)}, which is not a valid name`);
  }
  return { kind: "hides", name: hidden };
}

/**
 * Whether to set an extended attribute: capabilities, access control lists, and those that users may set themselves. Attributes of a
 * security module belong to the machine where an image was made; overlayfs's own describe the layers of that machine (older versions of
 * buildah left them in), and with them a layer could show files that are not in it.
 */
export function attributeIsSet(name: string): boolean {
  if (name.startsWith("user.overlay.")) return false;
  return name === "security.capability" || name.startsWith("user.") || name.startsWith("system.posix_acl_");
}

/** Seconds for Node's calls: a negative number would mean now, and a date loses fractions of a millisecond. */
export function timeOf(seconds: number): number | Date {
  return seconds < 0 ? new Date(seconds * 1000) : seconds;
}

/** A path for Node's calls: its exact bytes. */
export function native(path: ByteString): string | Buffer {
  return /^[ -~]*$/.test(path) ? path : Buffer.from(path, "latin1");
}

/** The status of a path itself; undefined if nothing exists there. @throws UnpackError if a parent is not a directory */
export function look(path: ByteString): Stats | undefined {
  try {
    // Making an error for each new entry would take longer than the call.
    return lstatSync(native(path), { throwIfNoEntry: false });
  } catch (error) {
    if (errnoCode(error) === "ENOTDIR")
      throw new UnpackError(`${quoteName(path)} is below something that is not a directory`);
    throw error;
  }
}

/** Whether two are names of the same file. */
export function isSame(one: Stats, other: Stats | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev;
}

/** Whether it is a whiteout of overlayfs. */
export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

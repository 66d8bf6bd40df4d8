import type { ByteString } from "./tar-header";
import { shown, UnpackError } from "./unpack-error";

/** PATH_MAX and NAME_MAX of Linux. */
const MAX_PATH = 4096;
const MAX_NAME = 255;

/**
 * The parts of a name in an archive; of "." alone there are none.
 *
 * @throws UnpackError for one that is absolute or leads upwards, which no honest archive has, and for what no file can be called
 */
export function nameParts(name: ByteString, what = "an entry"): string[] {
  if (name.startsWith("/")) throw new UnpackError(`${what} has the absolute path ${shown(name)}`);
  if (name.includes("\0")) throw new UnpackError(`${what} has a NUL in its name`);
  if (name.length >= MAX_PATH) throw new UnpackError(`${what} has a name of ${name.length} bytes`);
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new UnpackError(`${what} is called ${shown(name)}, which leads out of the image`);
  const long = parts.find((part) => part.length > MAX_NAME);
  if (long !== undefined) throw new UnpackError(`${what} has a name of ${long.length} bytes`);
  return parts;
}

const WHITEOUT = ".wh.";
const META = ".wh..wh.";
const OPAQUE = ".wh..wh..opq";

/** What the name of an entry says of the layers below (OCI image spec, layer.md, "Whiteouts"). */
export type Whiteout =
  | { readonly kind: "none" }
  /** Nothing of what is in the directory below shows. */
  | { readonly kind: "opaque" }
  /** What has this name below does not show. */
  | { readonly kind: "hides"; readonly name: string }
  /** aufs kept its own affairs under such names. */
  | { readonly kind: "ignored" };

/** @throws UnpackError for a whiteout of something that cannot be */
export function whiteout(name: string): Whiteout {
  if (name === OPAQUE) return { kind: "opaque" };
  if (name.startsWith(META)) return { kind: "ignored" };
  if (!name.startsWith(WHITEOUT)) return { kind: "none" };
  const hidden = name.slice(WHITEOUT.length);
  if (hidden === "" || hidden === "." || hidden === "..") {
    throw new UnpackError(`it removes ${shown(hidden)}, which is no name`);
  }
  return { kind: "hides", name: hidden };
}

/**
 * Whether an extended attribute is set: capabilities, access control lists, and what users may set themselves. Those of a security
 * module belong to the machine an image was made on.
 *
 * @throws UnpackError for overlayfs's own, by which a layer could show what is not in it
 */
export function attributeIsSet(name: string): boolean {
  if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) {
    throw new UnpackError(`an entry has the attribute ${shown(name)}, which is overlayfs's own`);
  }
  return name === "security.capability" || name.startsWith("user.") || name.startsWith("system.posix_acl_");
}

import { CallError, ERRNO, setAttribute } from "../../host/file-calls";
import { attributeIsSet } from "./names";
import { native } from "./native";
import type { TarEntry } from "./tar-entry";
import type { ByteString } from "./tar-header";
import { shown, UnpackError } from "./unpack-error";

/** Sets the extended attributes of an entry that exists. @throws UnpackError */
export function setAttributes(path: ByteString, { xattrs, kind }: TarEntry): void {
  for (const [name, value] of xattrs) {
    if (!attributeIsSet(name)) continue;
    try {
      setAttribute(native(path), name, value);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      // Not every file system supports user attributes, and symlinks and FIFOs cannot have any.
      const usual = error.errno === ERRNO.ENOTSUP || (error.errno === ERRNO.EPERM && kind !== "file");
      if (usual && name !== "security.capability") continue;
      throw new UnpackError(`cannot set the attribute ${shown(name)} of ${shown(path)}: ${error.message}`);
    }
  }
}

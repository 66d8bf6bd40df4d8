import { isAbsolute } from "node:path";
import type { ArchiveReference } from "../image/image-archive";
import { ImageError } from "../lib/errors";

/** A relative path is in the task's directory, or nowhere. @throws ImageError */
export function requireAbsolute(image: string, path: string): void {
  if (isAbsolute(path)) return;
  throw new ImageError(
    `image ${JSON.stringify(image)} not found: a relative path is in the task's directory local, as in "local/${path.replace(/^.*\//, "")}", and that file does not exist.`,
  );
}

/** The name of an archive's image in the store, without its size and time. */
export function archiveName({ format, asked }: Omit<ArchiveReference, "path">, path: string): string {
  const scheme = format === "any" ? "archive" : `${format}-archive`;
  return `${scheme}:${path}${asked === undefined ? "" : asked.startsWith("@") ? asked : `:${asked}`}`;
}

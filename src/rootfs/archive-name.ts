import { isAbsolute } from "node:path";
import type { ArchiveReference } from "../image/image-archive";
import type { PolicySubject } from "../image/signature/requirements";
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

/** What an archive is for a signature policy: one of unknown format has to be allowed as either. */
export function archiveSubjects(format: ArchiveReference["format"], path: string): readonly PolicySubject[] {
  const oci = { transport: "oci-archive", path } as const;
  const docker = { transport: "docker-archive", path } as const;
  return format === "oci" ? [oci] : format === "docker" ? [docker] : [oci, docker];
}

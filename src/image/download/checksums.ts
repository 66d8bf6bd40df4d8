/** Where a file's checksums may be, and their signatures. */
export interface ChecksumPlace {
  readonly sums: URL;
  /** Whether the list is for this image only; then the digest needs no name. */
  readonly own: boolean;
  /** Detached signatures: binary, then in ASCII. */
  readonly signatures: readonly URL[];
}

/** The last part of a URL's path: the file's name in a list of checksums. */
export function fileNameOf(url: URL): string {
  const last = url.pathname.split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/**
 * The URLs that `machinectl pull-tar` tries, in its order: SHA256SUMS of the directory, then the image's own file
 * (systemd, pull-common.c).
 */
export function checksumPlaces(url: URL): ChecksumPlace[] {
  const beside = (name: string) => {
    const place = new URL(url);
    const path = url.pathname.split("/");
    place.pathname = [...path.slice(0, -1), name].join("/");
    return place;
  };
  const last = url.pathname.split("/").at(-1) ?? "";
  return ["SHA256SUMS", `${last}.sha256`].map((name) => ({
    sums: beside(name),
    own: name !== "SHA256SUMS",
    signatures: [beside(`${name}.gpg`), beside(`${name}.asc`)],
  }));
}

/**
 * A file's SHA-256 from a list, in lower case; undefined if it is not listed.
 *
 * @param own whether the list is for this file only: then its only line may be the digest without a name. In a list of several files
 * such a line would match any file.
 */
export function findChecksum(list: string, file: string, own: boolean): string | undefined {
  const lines = list.split("\n").filter((line) => line.trim() !== "");
  for (const line of lines) {
    const [, digest, name = ""] = /^([0-9a-fA-F]{64})(?:\s+\*?(.*?))?\s*$/.exec(line) ?? [];
    const named = name === "" ? own && lines.length === 1 : name.split("/").at(-1) === file;
    if (digest !== undefined && named) return digest.toLowerCase();
  }
  return undefined;
}

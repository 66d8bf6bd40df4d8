/** Where checksums of a file may be, and the signatures of these. */
export interface ChecksumPlace {
  readonly sums: URL;
  /** Whether it is a file of the image alone, in which the digest needs no name. */
  readonly own: boolean;
  /** Detached signatures: binary, then in ASCII. */
  readonly signatures: readonly URL[];
}

/** The last part of a URL's path: what a list of checksums calls the file. */
export function fileNameOf(url: URL): string {
  const last = url.pathname.split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/**
 * The places that `machinectl pull-tar` looks at, in its order: SHA256SUMS of the directory, then a file of the image's own
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
 * The SHA-256 that a list has of a file, in lower case; undefined where it has none.
 *
 * @param own whether the list is of this file alone: then its one line may be the digest without a name. In a list of several files
 * such a line would be the digest of whichever is asked for.
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

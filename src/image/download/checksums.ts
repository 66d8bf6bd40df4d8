/** Where checksums of a file may be, and the signatures of these. */
export interface ChecksumPlace {
  readonly sums: URL;
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
    signatures: [beside(`${name}.gpg`), beside(`${name}.asc`)],
  }));
}

/** The SHA-256 that a list has of a file, in lower case; undefined where it has none. */
export function findChecksum(list: string, file: string): string | undefined {
  for (const line of list.split("\n")) {
    const [, digest, name] = /^([0-9a-fA-F]{64})(?:\s+\*?(.*?))?\s*$/.exec(line) ?? [];
    // A file of its own may have the digest alone, or the name with a path before it.
    if (digest !== undefined && (name === undefined || name === "" || name.split("/").at(-1) === file)) {
      return digest.toLowerCase();
    }
  }
  return undefined;
}

import { join } from "node:path";

/** The paths of a store. */
export interface StorePaths {
  /** The format of the rest; see format.ts. */
  readonly format: string;
  /** Locked shared while adding or using, exclusively while removing. */
  readonly lock: string;
  /** A directory for each unpacked layer, named by the digest of its archive. */
  readonly layers: string;
  /** A file per image, named by its manifest's digest. */
  readonly images: string;
  /** A file per requested name: its latest resolution. */
  readonly references: string;
  /** A directory per container. */
  readonly containers: string;
  /** Unfinished data; the lock files beside it show whether its owner is alive. */
  readonly temporary: string;
}

/** The paths within a store's directory. */
export function storePaths(directory: string): StorePaths {
  return {
    format: join(directory, "format"),
    lock: join(directory, "lock"),
    layers: join(directory, "layers"),
    images: join(directory, "images"),
    references: join(directory, "references"),
    containers: join(directory, "containers"),
    temporary: join(directory, "tmp"),
  };
}

/** A digest as a file name: "sha256:…" becomes "sha256-…". */
export function digestName(digest: string): string {
  const name = digest.replace(":", "-");
  if (!isDigestName(name)) throw new Error(`${JSON.stringify(digest)} is not a digest.`);
  return name;
}

/** The digest in a file name; undefined for another file. */
export function digestOfName(name: string): string | undefined {
  return isDigestName(name) ? name.replace("-", ":") : undefined;
}

function isDigestName(name: string): boolean {
  return /^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})$/.test(name);
}

/** The paths in a layer's directory. */
export function layerPaths(directory: string) {
  return {
    /** The directory to stack. */
    files: join(directory, "fs"),
    record: join(directory, "layer.json"),
    /** What was unpacked, one record per line: see unpack/layer-record.ts. */
    list: join(directory, "list.jsonl"),
  };
}

/** The paths in a container's directory. */
export function containerPaths(directory: string) {
  return {
    record: join(directory, "container.json"),
    upper: join(directory, "upper"),
    work: join(directory, "work"),
    scratch: join(directory, "scratch"),
    /** The root directory for systemd-nspawn. */
    root: join(directory, "root"),
  };
}

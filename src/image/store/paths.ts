import { join } from "node:path";

/** Where everything of a store lies. */
export interface StorePaths {
  /** Which form the rest has; see format.ts. */
  readonly format: string;
  /** Held shared by whoever adds or uses, exclusively by whoever removes. */
  readonly lock: string;
  /** A directory for each unpacked layer, named by the digest of its archive. */
  readonly layers: string;
  /** A file for each image, named by its manifest's digest. */
  readonly images: string;
  /** A file for each name that images were asked for by: what it stood for then. */
  readonly references: string;
  /** A directory for each container. */
  readonly containers: string;
  /** What is not finished; with whose lock it goes is told by the files beside it. */
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
  if (!isDigestName(name)) throw new Error(`${JSON.stringify(digest)} is no digest.`);
  return name;
}

/** The digest that a file is named by; undefined for another file. */
export function digestOfName(name: string): string | undefined {
  return isDigestName(name) ? name.replace("-", ":") : undefined;
}

function isDigestName(name: string): boolean {
  return /^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})$/.test(name);
}

/** The parts of a layer's directory. */
export function layerPaths(directory: string) {
  return {
    /** What is stacked. */
    files: join(directory, "fs"),
    record: join(directory, "layer.json"),
    /** What was unpacked, a line each: see unpack/layer-record.ts. */
    list: join(directory, "list.jsonl"),
  };
}

/** The parts of a container's directory. */
export function containerPaths(directory: string) {
  return {
    record: join(directory, "container.json"),
    upper: join(directory, "upper"),
    work: join(directory, "work"),
    scratch: join(directory, "scratch"),
    /** The root directory, as systemd-nspawn gets it. */
    root: join(directory, "root"),
  };
}

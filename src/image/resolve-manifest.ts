import { configPlatform } from "./image-config";
import { type IndexEntry, type ManifestDocument, ManifestError } from "./manifest";
import { type HostPlatform, hostPlatform, platformName, platformRank } from "./platform";
import type { Descriptor, ImageManifest } from "./source";

/** Lists may contain lists (OCI image spec, image-index.md); tools write at most two levels. */
const DEEPEST_INDEX = 5;

/** Reads the documents of one image's origin. */
export interface DocumentReader {
  /** A manifest or a list. */
  document(content: Descriptor): Promise<ManifestDocument>;
  /** The text of an image's config. */
  config(content: Descriptor): Promise<string>;
}

/** A document, and its digest. */
export interface FoundDocument {
  readonly digest: string;
  readonly parsed: ManifestDocument;
}

/**
 * The image that a document refers to: the document itself, or of a list the best one for this machine. Entries that name no
 * platform come last, and are taken if their image's config has this machine's.
 *
 * @throws ManifestError that lists the available platforms, and what the reader throws
 */
export async function resolveManifest(
  root: FoundDocument,
  reader: DocumentReader,
  host: HostPlatform = hostPlatform(),
): Promise<ImageManifest> {
  const available = new Set<string>();
  const found = await search(root, reader, { host, available, depth: 0, sure: true });
  if (found !== undefined) return found;
  const names = [...available].slice(0, 20).join(", ");
  const best = host.variants[0] ?? "";
  throw new ManifestError(
    `it has no image for ${platformName({ ...host, variant: "" })}${best === "" || best === "v8" ? "" : ` up to ${best}`}; available: ${names === "" ? "none" : names}`,
  );
}

interface Search {
  readonly host: HostPlatform;
  /** Names of platforms that do not fit. */
  readonly available: Set<string>;
  readonly depth: number;
  /** Whether the image is known to be for this machine, or the only one. */
  readonly sure: boolean;
}

async function search(
  { digest, parsed }: FoundDocument,
  reader: DocumentReader,
  { sure, ...rest }: Search,
): Promise<ImageManifest | undefined> {
  const { host, available, depth } = rest;
  if (parsed.kind === "image") {
    const image = { digest, config: parsed.config, layers: parsed.layers };
    if (sure) return image;
    const its = configPlatform(await reader.config(parsed.config));
    if (its !== undefined && platformRank(its, host) !== undefined) return image;
    available.add(platformName(its ?? { os: "", architecture: "", variant: "" }));
    return undefined;
  }
  if (depth >= DEEPEST_INDEX) throw new ManifestError("its lists of images are nested too deeply");
  for (const entry of candidates(parsed.entries, host, available)) {
    const next = { digest: entry.digest, parsed: await reader.document(entry) };
    // A list with a single entry was made by a tool that knows only one platform.
    const certain = entry.platform !== undefined || parsed.entries.length === 1;
    const found = await search(next, reader, { ...rest, depth: depth + 1, sure: certain });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The entries that may have an image for this machine, the best first. */
function candidates(entries: readonly IndexEntry[], host: HostPlatform, available: Set<string>): readonly IndexEntry[] {
  const ranked: { readonly rank: number; readonly entry: IndexEntry }[] = [];
  for (const entry of entries) {
    const rank = entry.platform === undefined ? host.variants.length : platformRank(entry.platform, host);
    if (rank !== undefined) ranked.push({ rank, entry });
    else if (entry.platform !== undefined) available.add(platformName(entry.platform));
  }
  return ranked.toSorted((one, other) => one.rank - other.rank).map(({ entry }) => entry);
}

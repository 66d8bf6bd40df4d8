import * as v from "valibot";
import { parseJson } from "../lib/objects";
import type { Platform } from "./platform";
import type { Descriptor } from "./source";

/** A manifest in a list, with its platform. */
export interface IndexEntry extends Descriptor {
  /** Undefined if its author did not say. */
  readonly platform?: Platform | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The document that a reference refers to. */
export type ManifestDocument =
  | { readonly kind: "image"; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | { readonly kind: "index"; readonly entries: readonly IndexEntry[] };

/** An invalid manifest; the message is the last clause of the sentence "image X cannot be used: …". */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

/** Maximum bytes of a manifest or list: the limit of the OCI distribution spec. */
export const MOST_MANIFEST_BYTES = 4 * 1024 * 1024;

const digest = v.pipe(v.string(), v.regex(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/));
/** Types are hints: some registries and tools omit them or write others, and the content shows what it is. */
const mediaType = v.nullish(v.string(), "");
const descriptor = v.object({
  mediaType,
  digest,
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
const part = v.nullish(v.string(), "");
const platform = v.object({ os: part, architecture: part, variant: part });
const schemaVersion = v.nullish(v.literal(2));
const indexSchema = v.object({
  schemaVersion,
  manifests: v.array(
    v.object({
      ...descriptor.entries,
      platform: v.nullish(platform),
      artifactType: v.nullish(v.string(), ""),
      annotations: v.nullish(v.record(v.string(), v.string()), {}),
    }),
  ),
});
const imageSchema = v.object({
  schemaVersion,
  config: descriptor,
  layers: v.array(v.object({ ...descriptor.entries, urls: v.nullish(v.array(v.string()), []) })),
});

/** The accepted media types: images and lists of both families (OCI image spec; Docker, "Image Manifest V2, Schema 2"). */
export const MANIFEST_TYPES: readonly string[] = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  // Some registries know an image under another type, which does not matter.
  "*/*",
];

/** Types of layers that a registry need not have (OCI image spec, layer.md, "Non-Distributable Layers"; Docker: "foreign"). */
const FOREIGN = /\.(?:foreign|nondistributable)\./;

/** More layers than overlayfs can stack; no tool creates as many. */
const MAX_LAYERS = 1000;

/** Parses a manifest or a list of manifests. @throws ManifestError */
export function parseManifest(text: string): ManifestDocument {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null) throw new ManifestError("its manifest is not JSON");
  if ("schemaVersion" in value && value.schemaVersion === 1) {
    throw new ManifestError(
      "its manifest has the old format (schema 1), whose digests cannot be trusted; push it again with a current tool",
    );
  }
  // A document that can be parsed both ways could be another image for another client (OCI image spec, CVE-2021-41190).
  if ("manifests" in value && ("layers" in value || "config" in value)) {
    throw new ManifestError("its manifest claims to be both an image and a list of images");
  }
  if ("manifests" in value) {
    const index = v.safeParse(indexSchema, value);
    if (!index.success) throw invalid(index.issues[0]);
    return { kind: "index", entries: index.output.manifests.flatMap(indexEntry) };
  }
  const image = v.safeParse(imageSchema, value);
  if (!image.success) throw invalid(image.issues[0]);
  const { config, layers } = image.output;
  if (layers.length > MAX_LAYERS) throw new ManifestError(`it has ${layers.length} layers`);
  const foreign = layers.find((layer) => layer.urls.length > 0 && FOREIGN.test(layer.mediaType));
  if (foreign !== undefined) {
    throw new ManifestError(
      `its layer ${foreign.digest} is a foreign one, which is at other addresses than the image; only Windows images have such layers`,
    );
  }
  return { kind: "image", config, layers: layers.map(({ urls: _urls, ...layer }) => layer) };
}

/** None for an artifact that only accompanies images, such as a signature. */
function indexEntry({
  artifactType,
  platform: its,
  ...entry
}: v.InferOutput<typeof indexSchema>["manifests"][number]): readonly IndexEntry[] {
  if (artifactType !== "") return [];
  const known = its !== undefined && its !== null && (its.os !== "" || its.architecture !== "");
  return [{ ...entry, ...(known ? { platform: its } : {}) }];
}

function invalid(issue: v.BaseIssue<unknown>): ManifestError {
  const where = (issue.path ?? []).map(({ key }) => String(key)).join(".");
  return new ManifestError(`its manifest is not valid${where === "" ? "" : ` at ${where}`}`);
}

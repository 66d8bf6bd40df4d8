import * as v from "valibot";
import { parseJson } from "../lib/objects";
import type { Descriptor } from "./source";

/** The platform of an image, in Go's terms (GOOS, GOARCH). */
interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** A manifest in a list, with its platform. */
export interface IndexEntry extends Descriptor {
  readonly platform?: Platform | null | undefined;
  readonly annotations?: Readonly<Record<string, string>> | null | undefined;
}

/** The document that a reference refers to. */
export type ManifestDocument =
  | { readonly kind: "image"; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | { readonly kind: "index"; readonly entries: readonly IndexEntry[] };

/** An invalid manifest; the message is the last clause of the sentence "image X cannot be used: …". */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64" };

/** The platform of this process. */
export const THIS_PLATFORM: Platform = { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };

/** A list may contain lists (OCI image spec, image-index.md), in practice never deeper. */
export const DEEPEST_INDEX = 2;

/** Maximum bytes of a manifest or list: the limit of the OCI distribution spec. */
export const MOST_MANIFEST_BYTES = 4 * 1024 * 1024;

const digest = v.pipe(v.string(), v.regex(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/));
const descriptor = v.object({
  mediaType: v.string(),
  digest,
  size: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
const platform = v.object({ os: v.string(), architecture: v.string(), variant: v.optional(v.string()) });
const indexSchema = v.object({
  schemaVersion: v.literal(2),
  manifests: v.array(
    v.object({
      ...descriptor.entries,
      platform: v.nullish(platform),
      annotations: v.nullish(v.record(v.string(), v.string())),
    }),
  ),
});
const imageSchema = v.object({ schemaVersion: v.literal(2), config: descriptor, layers: v.array(descriptor) });

/** The accepted media types: images and lists of both families (OCI image spec; Docker, "Image Manifest V2, Schema 2"). */
export const MANIFEST_TYPES: readonly string[] = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];

const CONFIG_TYPES: ReadonlySet<string> = new Set([
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
]);

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
    return { kind: "index", entries: index.output.manifests };
  }
  const image = v.safeParse(imageSchema, value);
  if (!image.success) throw invalid(image.issues[0]);
  const { config, layers } = image.output;
  if (!CONFIG_TYPES.has(config.mediaType)) {
    throw new ManifestError(
      `it is not a container image but has the type ${JSON.stringify(config.mediaType.slice(0, 100))}`,
    );
  }
  if (layers.length > MAX_LAYERS) throw new ManifestError(`it has ${layers.length} layers`);
  return { kind: "image", config, layers };
}

/**
 * The image of a list for a platform: one for any CPU of the architecture before those that need newer ones, and of these
 * the first.
 *
 * @throws ManifestError that lists the available platforms
 */
export function selectPlatform(entries: readonly IndexEntry[], wanted: Platform): IndexEntry {
  const fitting = entries.filter(
    ({ platform: its }) => its?.os === wanted.os && its.architecture === wanted.architecture,
  );
  const best =
    fitting.find(({ platform: its }) => its?.variant === wanted.variant) ??
    fitting.find(({ platform: its }) => its?.variant === undefined || its.variant === "v1") ??
    fitting[0];
  if (best !== undefined) return best;
  // A list with a single entry without a platform was made by a tool that knows only one.
  const [only, ...others] = entries;
  if (only !== undefined && others.length === 0 && (only.platform ?? undefined) === undefined) return only;
  const there = [...new Set(entries.map(({ platform: its }) => platformName(its)))].slice(0, 20);
  throw new ManifestError(
    `it has no image for ${platformName(wanted)}; available: ${there.length === 0 ? "none" : there.join(", ")}`,
  );
}

function platformName(its: Platform | null | undefined): string {
  if (its === undefined || its === null) return "an image for an unknown platform";
  const name = [its.os, its.architecture, ...(its.variant === undefined ? [] : [its.variant])].join("/");
  return name.replace(/[^\w./-]/g, "?").slice(0, 40);
}

function invalid(issue: v.BaseIssue<unknown>): ManifestError {
  const where = (issue.path ?? []).map(({ key }) => String(key)).join(".");
  return new ManifestError(`its manifest is not valid${where === "" ? "" : ` at ${where}`}`);
}

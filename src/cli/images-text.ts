import type { ListedDownload } from "../image/machine/downloaded";
import type { ListedImage } from "../image/store/inventory";

const UNITS = [
  { name: "d", seconds: 86_400 },
  { name: "h", seconds: 3600 },
  { name: "min", seconds: 60 },
  { name: "s", seconds: 1 },
] as const;

/** The images of image_download, as `images list` shows them. */
export function downloadsText(downloads: readonly ListedDownload[]): string {
  return downloads
    .map(({ name, path, used, written, lastUse }) => {
      const use = used ? "in use" : `unused since ${new Date(lastUse).toISOString()}`;
      return `${name}\n    ${path}\n    ${use}${written ? ", kept because a task could write into it" : ""}\n`;
    })
    .join("");
}

/** The images of a store, as `images list` shows them. @param now milliseconds since the epoch */
export function listText(images: readonly ListedImage[], now: number): string {
  return images
    .map(({ digest, names, resolved, bytes, layers, machines, lastUse }) => {
      const used =
        machines.length === 0 ? `unused since ${new Date(lastUse).toISOString()}` : `used by ${machines.join(", ")}`;
      const title = names.length === 0 ? "(untagged)" : names.join(", ");
      const ages = names.map((name) => {
        const age = ageText(now - (resolved[name] ?? now));
        return names.length === 1 ? `${age} ago` : `${name} ${age} ago`;
      });
      const since = ages.length === 0 ? "" : `    resolved ${ages.join(", ")}\n`;
      return `${title}\n    ${digest}\n    ${megabytes(bytes)} in ${layers} layers, ${used}\n${since}`;
    })
    .join("");
}

/** How much a store has, and may have. */
export interface StoreSize {
  /** Bytes of all layers, each counted once. */
  readonly total: number;
  /** The plugin option gc.image_max_size in bytes, if it is known and set. */
  readonly limit?: number | undefined;
}

/** The sizes of a store's images, as JSON. */
export function usage(images: readonly ListedImage[], { total, limit }: StoreSize) {
  return {
    images: images.map(({ digest, names, resolved, bytes, ownBytes }) => ({
      ...{ digest, names, resolved, bytes, ownBytes },
      sharedBytes: bytes - ownBytes,
    })),
    totalBytes: total,
    ...(limit === undefined ? {} : { limitBytes: limit }),
  };
}

/** The same as a table. @param now milliseconds since the epoch */
export function usageText(images: readonly ListedImage[], { total, limit }: StoreSize, now: number): string {
  const rows = images.map(({ digest, names, resolved, bytes, ownBytes }) => [
    megabytes(bytes),
    megabytes(ownBytes),
    megabytes(bytes - ownBytes),
    // The name that was resolved last counts.
    names.length === 0 ? "-" : ageText(now - Math.max(...names.map((name) => resolved[name] ?? 0))),
    names.length === 0 ? digest : names.join(", "),
  ]);
  const lines = [["SIZE", "OWN", "SHARED", "RESOLVED", "IMAGE"], ...rows].map(
    ([size = "", own = "", shared = "", age = "", name = ""]) =>
      `${size.padStart(12)} ${own.padStart(12)} ${shared.padStart(12)} ${age.padStart(9)}  ${name}`,
  );
  return `${lines.join("\n")}\n${megabytes(total).padStart(12)} ${"".padStart(36)} all layers, each counted once${limit === undefined ? "" : `; at most ${megabytes(limit)} (gc.image_max_size)`}\n`;
}

/** A time span in its largest unit, such as "3 h". @param ms milliseconds */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const unit = UNITS.find((each) => seconds >= each.seconds) ?? UNITS[3];
  return `${Math.floor(seconds / unit.seconds)} ${unit.name}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

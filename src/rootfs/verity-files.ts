import type { TaskOptions } from "../config/task/options";
import { ConfigError } from "../lib/errors";
import { type ResolvedImage, resolveImage } from "./resolve-image";

/** The options that only disk images have. */
const DISK_OPTIONS = ["root_hash", "root_hash_signature", "verity_data", "image_policy"] as const;

/** @throws ConfigError if one of these options is set, but the image is no disk image */
export function refuseVerity(options: TaskOptions): void {
  const option = DISK_OPTIONS.find((name) => options[name] !== undefined);
  if (option === undefined) return;
  throw new ConfigError(
    `Option ${option} is for disk images, and image = ${JSON.stringify(options.image)} is none: remove ${option}.`,
  );
}

/**
 * The options of a task on an image of this host, with the files for dm-verity as paths without symlinks.
 *
 * @throws ConfigError, ImageError if image_paths does not allow one, or it is not a file or block device
 */
export async function verityFiles(
  options: TaskOptions,
  { kind }: ResolvedImage,
  where: { readonly pluginDir: string; readonly imagePaths: readonly string[] },
): Promise<Pick<TaskOptions, "root_hash_signature" | "verity_data">> {
  if (kind !== "image") refuseVerity(options);
  const { root_hash_signature: signature, verity_data: data } = options;
  const found = async (option: string, path: string) => {
    const resolved = await resolveImage(path, where);
    if (resolved.kind === "image") return resolved.path;
    throw new ConfigError(`Option ${option} = ${JSON.stringify(path)} is a directory: it must be a file.`);
  };
  return {
    root_hash_signature: signature?.startsWith("/") ? await found("root_hash_signature", signature) : signature,
    verity_data: data === undefined ? undefined : await found("verity_data", data),
  };
}

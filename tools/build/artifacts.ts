/** The files published with the executable: its compressed form and the checksums of both. */

import { existsSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { run } from "../command";

/** Name of the file of checksums, in the format of `sha256sum --check`. */
export const sumsName = "SHA256SUMS";

/** SHA-256 of a file in hexadecimal. */
export async function sha256(file: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(file).arrayBuffer()).digest("hex");
}

/**
 * Writes FILE.xz and SHA256SUMS next to a file. Does nothing if the existing checksums show that both already belong to this
 * file, because compressing takes half a minute.
 */
export async function packBinary(file: string): Promise<void> {
  const archive = `${file}.xz`;
  const sums = join(dirname(file), sumsName);
  const files = [basename(file), basename(archive)];
  if (existsSync(archive) && existsSync(sums)) {
    const written = await readFile(sums, "utf8");
    if (written === (await sumsText(dirname(file), files))) return;
  }
  await compress(file, archive);
  await writeFile(sums, await sumsText(dirname(file), files));
}

/**
 * Compresses a file with xz, with the same bytes on any number of cores: block size and thread count are fixed. The archive is complete as
 * soon as it exists.
 *
 * @param preset of xz
 */
export async function compress(file: string, archive: string, preset = 6): Promise<void> {
  const how = [`-${preset}`, "--threads=2", "--block-size=32MiB", "--suffix=.xz.unfinished"];
  await run(["xz", "--keep", "--force", ...how, file]);
  await rename(`${file}.xz.unfinished`, archive);
}

/** Removes FILE.xz and SHA256SUMS next to a file, which may belong to an earlier one of this name. */
export async function removePacked(file: string): Promise<void> {
  for (const path of [`${file}.xz`, join(dirname(file), sumsName)]) await rm(path, { force: true });
}

/** The text of SHA256SUMS for these files of a directory, in the format of `sha256sum --check`. */
export async function sumsText(directory: string, files: readonly string[]): Promise<string> {
  const lines = await Promise.all(files.map(async (file) => `${await sha256(join(directory, file))}  ${file}\n`));
  return lines.join("");
}

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
  const binarySum = await sha256(file);
  if (existsSync(archive) && existsSync(sums)) {
    const written = await readFile(sums, "utf8");
    if (written === sumLines([file, binarySum], [archive, await sha256(archive)])) return;
  }
  // Fixed block size and thread count, so that the bytes do not depend on the number of cores.
  const unfinished = `${archive}.unfinished`;
  await run(["xz", "--keep", "--force", "-6", "--threads=2", "--block-size=32MiB", "--suffix=.xz.unfinished", file]);
  await rename(unfinished, archive);
  await writeFile(sums, sumLines([file, binarySum], [archive, await sha256(archive)]));
}

/** Removes FILE.xz and SHA256SUMS next to a file, which may belong to an earlier one of this name. */
export async function removePacked(file: string): Promise<void> {
  for (const path of [`${file}.xz`, join(dirname(file), sumsName)]) await rm(path, { force: true });
}

function sumLines(...files: readonly (readonly [file: string, sum: string])[]): string {
  return files.map(([file, sum]) => `${sum}  ${basename(file)}\n`).join("");
}
